"""A lake that counts: what would land as Parquet is only noted, small tables are one file each.

For the simulated year alone. Everything the load does before and after landing is the real thing: decoding,
validation, coverage. Each process notes what it landed in a file of its own, flushed before coverage is recorded,
as the real lake makes its parts durable.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from filelock import FileLock

from pipelines.lake.delta import partition_column
from pipelines.lake.merging import in_stored_order
from pipelines.lake.store import FoldReport, Lake
from pipelines.load import landing
from pipelines.load.request import PERIODIC_DATASETS
from pipelines.load.services import Services
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


class ThinLake(Lake):
    """The lake of one home, for many processes, without anything that takes long."""

    def __init__(self, home: Path) -> None:
        """Use `home`/thin; folders are made."""
        super().__init__(home)
        self.folder = home / "thin"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._notes = (self.folder / f"landed-{os.getpid()}.csv").open("ab")
        self._read: dict[str, tuple[int, pl.DataFrame]] = {}

    def land(self, table: Table | str, frame: pl.DataFrame) -> None:
        """Note the rows of a dataset with a past; count those of quarantine and drift."""
        known = TABLES[table if isinstance(table, str) else table.name]
        if not {"local_date", "collect_time"} <= set(frame.columns):
            with (self.folder / f"{known.name}-{os.getpid()}.txt").open("a") as file:
                file.write(f"{frame.rows()[:3]}\n" * (not frame.is_empty()))
            return
        subject = "device_id" if "device_id" in frame.columns else "plant_code"
        rows = frame.select(
            pl.lit(known.dataset).alias("dataset"),
            pl.col(subject).cast(pl.String).alias("subject"),
            pl.col("local_date").cast(pl.String),
            pl.col("collect_time").dt.epoch("s"),
            pl.col("extracted_at").dt.epoch("s"),
        )
        self._notes.write(rows.write_csv(include_header=False).encode())
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
    """Count what lands, and don't check it column by column: that is the lake's affair, and takes half of the time."""
    services.lake = ThinLake(home)
    landing.validate = lambda table, rows: rows


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
