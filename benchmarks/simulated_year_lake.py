"""A lake that counts: what would land as Parquet is only noted, small tables are one file each.

For the simulated year alone. Of an answer's records only the heads are read (whose, and of which period): decoding
the items, column by column, costs the same for one row as for thousands. Everything the load does before and after
that is the real thing, coverage above all. Each process notes what it landed in a file of its own, flushed before
coverage is recorded, as the real lake makes its parts durable.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
from filelock import FileLock

from pipelines.lake.delta import partition_column
from pipelines.lake.merging import in_stored_order
from pipelines.lake.records import DRIFT_SCHEMA, QUARANTINE_SCHEMA
from pipelines.lake.store import FoldReport, Lake
from pipelines.load import carrying, landing
from pipelines.load.request import PERIODIC_DATASETS
from pipelines.load.services import Services
from schemas.datasets import DATASETS
from schemas.polars_types import polars_schema
from schemas.tables import TABLES, Table

NOTED = {
    "dataset": pl.String(),
    "subject": pl.String(),
    "local_date": pl.String(),
    "collect_time": pl.Int64(),
    "extracted_at": pl.Int64(),
}
"""One landed row, as it is noted."""

NO_QUARANTINE, NO_DRIFT = pl.DataFrame(schema=QUARANTINE_SCHEMA), pl.DataFrame(schema=DRIFT_SCHEMA)

Head = tuple[str, date, int]
"""Subject, local date and collectTime (seconds since 1970) of a record."""


class _Record(msgspec.Struct, rename="camel"):
    dev_id: int | None = None
    station_code: str | None = None
    collect_time: int = 0


_records = msgspec.json.Decoder(list[_Record])


@dataclass(frozen=True)
class ThinRows:
    """The heads of an answer's records, in place of a frame."""

    heads: list[Head]
    extracted_at: datetime

    @property
    def height(self) -> int:
        """How many there are."""
        return len(self.heads)

    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self.heads


@dataclass(frozen=True)
class ThinDecoded:
    """What decoding hands on; a record that isn't of what was asked for is an error here."""

    rows: ThinRows
    quarantine: pl.DataFrame = field(default_factory=lambda: NO_QUARANTINE)
    drift: pl.DataFrame = field(default_factory=lambda: NO_DRIFT)


def _decode(
    table: Table, data: bytes, *, subjects: pl.DataFrame, extracted_at: datetime, **of_no_matter: Any
) -> ThinDecoded:
    zones = dict(zip(subjects["id"], subjects["time_zone"], strict=True))
    window = DATASETS[str(table.dataset)].window
    heads = []
    for record in _records.decode(data):
        subject = record.station_code or str(record.dev_id)
        seconds = record.collect_time // 1000
        heads.append((subject, _local_date(seconds, zones[subject], window), seconds))
    return ThinDecoded(ThinRows(heads, extracted_at))


@lru_cache(maxsize=100_000)
def _local_date(seconds: int, zone: str, window: str) -> date:
    """The local date of a row; of a label (at midnight, on some servers of standard time) that of its period."""
    labelled = window in ("month", "year", "life")
    instant = datetime.fromtimestamp(seconds, UTC) + timedelta(hours=12 if labelled else 0)
    day = instant.astimezone(ZoneInfo(zone)).date()
    return day.replace(day=1) if window == "year" else day.replace(month=1, day=1) if window == "life" else day


def _rows_of_periods(dataset: str, rows: ThinRows) -> landing.RowsOfPeriods:
    return Counter((subject, day) for subject, day, _ in rows.heads)


def _only_periods(rows: ThinRows, dataset: str, periods: Collection[tuple[str, date]]) -> ThinRows:
    return ThinRows([head for head in rows.heads if head[:2] in periods], rows.extracted_at)


class ThinLake(Lake):
    """The lake of one home, for many processes, without anything that takes long."""

    def __init__(self, home: Path) -> None:
        """Use `home`/thin; folders are made."""
        super().__init__(home)
        self.folder = home / "thin"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._notes = (self.folder / f"landed-{os.getpid()}.csv").open("ab")
        self._read: dict[str, tuple[int, pl.DataFrame]] = {}

    def land(self, table: Table | str, frame: Any) -> None:
        """Note the rows of a dataset with a past; count those of quarantine and drift."""
        known = TABLES[table if isinstance(table, str) else table.name]
        if not isinstance(frame, ThinRows):
            with (self.folder / f"{known.name}-{os.getpid()}.txt").open("a") as file:
                file.write(f"{frame.rows()[:3]}\n" * (not frame.is_empty()))
            return
        at = int(frame.extracted_at.timestamp())
        lines = [f"{known.dataset},{subject},{day},{seconds},{at}\n" for subject, day, seconds in frame.heads]
        self._notes.write("".join(lines).encode())
        self._notes.flush()

    def pending_parts(self) -> int:
        """Nothing waits."""
        return 0

    def fold(self, progress: Callable[[int, int], None] | None = None) -> FoldReport:
        """Nothing is to be folded."""
        return FoldReport(0, 0, 0, ())

    def read(
        self, table: Table | str, columns: Sequence[str] | None = None, where: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Rows of a small table; of any other none are kept."""
        known = TABLES[table if isinstance(table, str) else table.name]
        frame = self._current(known)
        frame = frame if where is None else frame.filter(where)
        return frame if columns is None else frame.select(columns)

    def update(self, table: Table | str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> bool:
        """Replace a small table."""
        known = TABLES[table if isinstance(table, str) else table.name]
        assert partition_column(known) is None, known.name
        file = self._file(known)
        with FileLock(f"{file}.lock"):
            before = self._current(known)
            after = in_stored_order(self._stored(known.name).conform([change(before)]))
            if after.equals(before):
                return False
            beside = file.with_suffix(f".{os.getpid()}")
            after.write_ipc(beside)
            beside.replace(file)
        return True

    def vacuum(self) -> int:
        """Nothing is replaced."""
        return 0

    def _file(self, known: Table) -> Path:
        return self.folder / f"{known.name}.arrow"

    def _current(self, known: Table) -> pl.DataFrame:
        file = self._file(known)
        if not file.exists():
            return pl.DataFrame(schema=polars_schema(known))
        changed = file.stat().st_mtime_ns
        if self._read.get(known.name, (0, None))[0] != changed:
            self._read[known.name] = (changed, pl.read_ipc(file))
        return self._read[known.name][1]


def make_thin(services: Services, home: Path) -> None:
    """Count what lands: the frames and their columns are the lake's affair, and would take most of the time."""
    services.lake = ThinLake(home)
    landing.validate = lambda table, rows: rows
    landing.only_periods = _only_periods
    carrying.decode = _decode
    carrying.rows_of_periods = _rows_of_periods


def landed(home: Path) -> pl.DataFrame:
    """One row per row that would be in the lake: dataset, subject, local_date, collect_time, how many `times` it
    landed, and `first_at` (seconds since 1970, of the server), when it did so first."""
    files = sorted((home / "thin").glob("landed-*.csv"))
    frames = [pl.read_csv(file, has_header=False, schema=NOTED) for file in files if file.stat().st_size]
    found = pl.concat(frames) if frames else pl.DataFrame(schema=NOTED)
    return found.group_by("dataset", "subject", "local_date", "collect_time").agg(
        pl.len().alias("times"), pl.col("extracted_at").min().alias("first_at")
    )


def odd_rows(home: Path) -> dict[str, int]:
    """How many answers left something in quarantine or drift."""
    counts: dict[str, int] = {}
    for file in sorted((home / "thin").glob("*.txt")):
        table = file.stem.rpartition("-")[0]
        counts[table] = counts.get(table, 0) + len(file.read_text().splitlines())
    return counts


def stored(home: Path) -> pl.DataFrame:
    """The same as `landed`, read from the real lake: one row per cell, `times` being the rows that it holds."""
    lake = Lake(home)
    lake.fold()
    found = []
    for known in lake.tables.values():
        schema = polars_schema(known)
        if known.dataset in PERIODIC_DATASETS and {"local_date", "collect_time"} <= schema.keys():
            subject = "device_id" if "device_id" in schema else "plant_code"
            rows = lake.read(known, [subject, "local_date", "collect_time", "extracted_at"])
            cells = rows.group_by(pl.col(subject).cast(pl.String).alias("subject"), "local_date").agg(
                pl.col("collect_time").n_unique().cast(pl.UInt32).alias("times"),
                pl.col("extracted_at").min().dt.epoch("s").alias("first_at"),
            )
            found.append(
                cells.with_columns(pl.lit(known.dataset).alias("dataset"), pl.col("local_date").cast(pl.String))
            )
    return pl.concat(found)
