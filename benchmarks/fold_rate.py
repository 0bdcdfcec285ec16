"""Rows a second through landing and fold, and the memory that takes: one day of a fleet, answer by answer.

    python benchmarks/fold_rate.py [--rows 115000] [--days 3]

Lands made-up 5-minute history of string inverters in answers of 10 devices and a day, folds it, and folds one
plant's re-read of the last day on top. Prints one line per step; seconds are wall clock of this process.
"""

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

TABLE = TABLES["device_history_string_inverter"]
SLOTS = 288
DEVICES_PER_CALL = 10
START = date(2026, 1, 1)


def answer(devices: range, day: date, extracted_at: datetime, rng: np.random.Generator) -> pl.DataFrame:
    """One answer as decoded rows: some devices, a day; half of the items are null, as with real inverters."""
    rows = len(devices) * SLOTS
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    columns: dict[str, Any] = {}
    for index, item in enumerate(TABLE.items):
        columns[item.column] = rng.normal(20, 5, rows).round(3) if index % 2 == 0 else [None] * rows
    identity = {
        "plant_code": [f"NE={device // 4}" for device in devices for _ in range(SLOTS)],
        "device_id": [device for device in devices for _ in range(SLOTS)],
        "device_sn": [f"SN{device}" for device in devices for _ in range(SLOTS)],
        "collect_time": [midnight + timedelta(minutes=5 * slot) for _ in devices for slot in range(SLOTS)],
        "local_date": [day] * rows,
        "extra": [None] * rows,
        "extracted_at": [extracted_at] * rows,
        "account": ["benchmark"] * rows,
    }
    return pl.DataFrame({**identity, **columns}, schema=None).select(
        pl.col(name).cast(dtype) for name, dtype in polars_schema(TABLE).items()
    )


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform.startswith("linux") else peak / 1024 / 1024


def main() -> None:
    """Run the steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=115_000, help="rows a day")
    parser.add_argument("--days", type=int, default=3)
    options = parser.parse_args()
    devices = max(DEVICES_PER_CALL, round(options.rows / SLOTS / DEVICES_PER_CALL) * DEVICES_PER_CALL)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        print(f"before: {peak_mib():.0f} MiB peak")
        for number in range(options.days):
            one_day(lake, START + timedelta(days=number), devices, rng)
        lake.land(TABLE, answer(range(4), START + timedelta(days=options.days - 1), datetime.now(UTC), rng))
        begun = time.perf_counter()
        lake.fold()
        print(f"re-read of 4 devices folded into the day: {time.perf_counter() - begun:.2f} s")


def one_day(lake: Lake, day: date, devices: int, rng: np.random.Generator) -> None:
    """Land and fold one day."""
    now = datetime.now(UTC)
    firsts = range(0, devices, DEVICES_PER_CALL)
    answers = [answer(range(first, first + DEVICES_PER_CALL), day, now, rng) for first in firsts]
    rows = sum(each.height for each in answers)
    begun = time.perf_counter()
    for each in answers:
        lake.land(TABLE, each)
    landed = time.perf_counter()
    lake.fold()
    folded = time.perf_counter()
    stored = sum(Path(path).stat().st_size for path in lake.files(TABLE) if str(day) in path)
    print(
        f"{day}: {rows:,} rows x {len(TABLE.columns)} columns in {len(answers)} answers: "
        f"land {landed - begun:.2f} s, fold {folded - landed:.2f} s, {rows / (folded - begun):,.0f} rows/s, "
        f"{stored / 1e6:.1f} MB stored, {peak_mib():.0f} MiB peak"
    )


if __name__ == "__main__":
    main()
