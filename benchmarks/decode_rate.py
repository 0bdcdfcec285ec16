"""How many rows a second of CPU the landing path takes: bytes -> columns -> validated -> Parquet part.

One answer of ten string inverters over three days at 5 minutes: 8,640 records with the catalog's 88 keys. The
same answer is taken through the plain way (json, a dict per row, a data frame, Parquet without checks) in the
same run, because figures of different runs or machines don't compare.

    python benchmarks/decode_rate.py [--repeat 5]
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.lake.decode import decode
from pipelines.lake.validate import validate
from schemas.tables import TABLES

TABLE = TABLES["device_history_string_inverter"]
DEVICES = [1_000_000_035_841_100 + number for number in range(10)]
START = datetime(2024, 7, 1, tzinfo=UTC)
SLOTS = 3 * 288
RECORDS = len(DEVICES) * SLOTS
EXTRACTED = START + timedelta(days=4)
SUBJECTS = pl.DataFrame(
    {
        "id": [str(device) for device in DEVICES],
        "plant_code": [f"NE={device % 3}" for device in DEVICES],
        "time_zone": ["Europe/Berlin", "Europe/Lisbon"] * 5,
        "device_sn": [None] * len(DEVICES),
        "device_type_id": [1] * len(DEVICES),
    },
    schema_overrides={"device_sn": pl.String},
)


@dataclass(frozen=True)
class Case:
    """One answer and one way to take it in."""

    name: str
    data: bytes
    take: Callable[[bytes, Path], int]


def records(oddity: Callable[[int, dict[str, Any]], None]) -> bytes:
    """The answer's bytes; `oddity` may change the items of each record."""
    chance = random.Random(20240701)
    tops = {
        column.item.vendor_key: column.item.plausible[1] if column.item.plausible else 1000.0
        for column in TABLE.columns
        if column.item is not None
    }
    answer = []
    for slot in range(SLOTS):
        label = int((START + timedelta(minutes=5 * slot)).timestamp() * 1000)
        for device in DEVICES:
            items = {
                key: None if chance.random() < 0.1 else round(chance.uniform(0.5, 1) * min(top, 1000), 3)
                for key, top in tops.items()
            }
            items["open_time"] = items["close_time"] = label
            oddity(slot, items)
            answer.append({"devId": device, "sn": f"SN{device}", "collectTime": label, "dataItemMap": items})
    return json.dumps(answer, separators=(",", ":")).encode()


def clean(slot: int, items: dict[str, Any]) -> None:
    """Numbers and nulls alone."""


def with_texts(slot: int, items: dict[str, Any]) -> None:
    """What some servers send in every record: "N/A", a number as text, a key beyond the list."""
    items["close_time"] = "N/A"
    items["day_cap"] = "17.50"
    items["day_on_grid_energy"] = slot


def by_columns(data: bytes, folder: Path) -> int:
    """The landing path of this project, up to the part on disk."""
    decoded = decode(TABLE, data, subjects=SUBJECTS, extracted_at=EXTRACTED, account="a")
    rows = validate(TABLE, decoded.rows)
    rows.write_parquet(folder / "part.parquet", compression="zstd")
    return rows.height


def by_rows(data: bytes, folder: Path) -> int:
    """json, a flat dict per row, a frame, Parquet: no checks, no local date, no quarantine."""
    flat = [
        {"devId": record["devId"], "sn": record["sn"], "collectTime": record["collectTime"]} | record["dataItemMap"]
        for record in json.loads(data)
    ]
    frame = pl.DataFrame(flat, infer_schema_length=None)
    frame.write_parquet(folder / "plain.parquet", compression="zstd")
    return frame.height


def measure(case: Case, folder: Path, repeat: int) -> float:
    """Best CPU seconds, over all threads, of several goes."""
    best = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        taken = case.take(case.data, folder)
        best = min(best, time.process_time() - before)
        if taken != RECORDS:
            raise SystemExit(f"{case.name}: {taken} rows of {RECORDS}")
    return best


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="goes per case, the best counts (default 5)")
    repeat = parser.parse_args().repeat
    plain, odd = records(clean), records(with_texts)
    cases = [
        Case("landing path, clean answer", plain, by_columns),
        Case("landing path, texts and new keys", odd, by_columns),
        Case("json and dicts, clean, no checks", plain, by_rows),
    ]
    print(f"{RECORDS:,} records, {len(plain):,} bytes, best of {repeat}\n")
    print(f"{'way':<34}{'CPU ms':>8}{'rows/CPU s':>12}{'x plain':>9}")
    with tempfile.TemporaryDirectory() as folder:
        seconds = [measure(case, Path(folder), repeat) for case in cases]
    for case, taken in zip(cases, seconds, strict=True):
        print(f"{case.name:<34}{taken * 1000:>8.0f}{RECORDS / taken:>12,.0f}{seconds[-1] / taken:>9.1f}")


if __name__ == "__main__":
    main()
