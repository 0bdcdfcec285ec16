"""One Delta table of the lake: its current files, reading a partition, replacing a partition.

Nothing here knows about landing parts. A table without partitions has one partition, None.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake

from pipelines.lake.durable import full_disk_as_sentence, sync
from pipelines.lake.promotion import promoted
from schemas.polars_types import polars_schema
from schemas.tables import Table

Partition = date | int | None
"""A partition's value: a day, a year, or None for a table without partitions."""

ROW_GROUP_ROWS: Final = 30_000
"""Small enough to skip all but one device's rows in a day file, large enough to compress well (measured)."""

ZSTD_LEVEL: Final = 3
"""zstd's own default."""

KEEP_OLD_FILES: Final = timedelta(days=7)
"""Replaced files stay this long for readers that opened the table, or a published warehouse, before."""

PARTS_NOTE: Final = "pvms_parts"
"""Key of a commit's note that names the landing parts which the commit holds."""


@dataclass(frozen=True, slots=True)
class PartitionColumn:
    """The column by which a table is stored. `own`: it is the lake's alone, made of another column."""

    name: str
    dtype: pl.DataType
    made_of: pl.Expr
    own: bool


def partition_column(table: Table) -> PartitionColumn | None:
    """How the lake stores a table. Quarantine is stored by UTC day, so that folding it rewrites a day at most."""
    if table.name == "quarantine":
        return PartitionColumn("extracted_date", pl.Date(), pl.col("extracted_at").dt.date(), own=True)
    if table.partition_by == "local_date":
        return PartitionColumn("local_date", pl.Date(), pl.col("local_date"), own=False)
    if table.partition_by == "local_year":
        return PartitionColumn("local_year", pl.Int32(), pl.col("local_date").dt.year(), own=True)
    return None


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A current file of a table: its path below the table's folder and the partition it belongs to."""

    path: str
    partition: Partition


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current files of a table at one version; version -1 and no files if it was never written."""

    version: int
    files: tuple[LakeFile, ...]

    def of(self, partitions: Iterable[Partition]) -> tuple[LakeFile, ...]:
        """Files of some partitions."""
        wanted = set(partitions)
        return tuple(each for each in self.files if each.partition in wanted)


class LakeTable:
    """One Delta table, `folder` being its root."""

    def __init__(self, folder: Path, table: Table) -> None:
        """Name the table; nothing is read or made yet."""
        self.folder = folder
        self.table = table
        self.column = partition_column(table)
        self.schema: dict[str, pl.DataType] = polars_schema(table)
        self._opened: DeltaTable | None = None

    def snapshot(self) -> Snapshot:
        """The files that make up the table now."""
        opened = self._refreshed()
        return Snapshot(-1, ()) if opened is None else self._snapshot_of(opened)

    def last_note(self) -> frozenset[str]:
        """Landing parts named by the latest commit."""
        opened = self._refreshed()
        if opened is None:
            return frozenset()
        note = str(opened.history(1)[0].get(PARTS_NOTE) or "")
        return frozenset(note.split(",")) - {""}

    def read(self, files: Sequence[LakeFile]) -> pl.DataFrame:
        """Rows of some files, in file order: the catalog's columns, then columns that only older files know."""
        frames = [self._read_file(each) for each in files]
        return self.conform(frames)

    def scan(self, files: Sequence[LakeFile]) -> pl.LazyFrame:
        """Rows of many files, the catalog's columns only, read as far as they are needed."""
        if not files:
            return pl.LazyFrame(schema=self.schema)
        hive = {} if self.column is None else {self.column.name: self.column.dtype}
        return pl.scan_parquet(
            [self.folder / each.path for each in files],
            glob=False,
            hive_partitioning=bool(hive),
            hive_schema=hive or None,
            schema={name: dtype for name, dtype in self.schema.items() if name not in hive},
            missing_columns="insert",
            extra_columns="ignore",
        ).select(list(self.schema))

    def conform(self, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Put frames of several catalog versions one below the other; what a frame lacks is null."""
        known = [promoted(self.table, each) for each in frames]
        whole = pl.concat([pl.DataFrame(schema=self.schema), *known], how="diagonal_relaxed")
        return whole.with_columns(pl.col(name).cast(dtype) for name, dtype in self.schema.items())

    def replace(self, partition: Partition, frame: pl.DataFrame, parts: Sequence[Path] = ()) -> int:
        """Replace a partition by `frame` in one commit that is on the disk when this returns; the new version.

        The commit builds on the version of the last `snapshot`, so a change that came between is noticed.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer changed the partition meanwhile.
            DiskFull: no space is left; the table is as it was.
        """
        with full_disk_as_sentence(self.folder):
            opened = self._opened or self._refreshed() or self._create(frame)
            before = {each.path for each in self._snapshot_of(opened).files}
            stored = frame if self.column is None else frame.with_columns(self.column.made_of.alias(self.column.name))
            write_deltalake(
                opened,
                stored,
                mode="overwrite",
                predicate=self._predicate(partition),
                schema_mode="merge",
                writer_properties=_writer_properties(stored),
                commit_properties=CommitProperties(
                    custom_metadata={PARTS_NOTE: ",".join(each.name for each in parts)} if parts else None
                ),
            )
            opened.update_incremental()
            after = self._snapshot_of(opened)
            self._sync(after, before)
        return after.version

    def vacuum(self) -> int:
        """Delete files that were replaced longer ago than KEEP_OLD_FILES; how many."""
        opened = self._refreshed()
        if opened is None:
            return 0
        hours = int(KEEP_OLD_FILES.total_seconds() // 3600)
        return len(opened.vacuum(retention_hours=hours, dry_run=False))

    def _refreshed(self) -> DeltaTable | None:
        """The table as it is now; None if it was never written. Reading the log anew costs more than catching up."""
        if self._opened is not None:
            self._opened.update_incremental()
        elif DeltaTable.is_deltatable(str(self.folder)):
            self._opened = DeltaTable(str(self.folder))
        return self._opened

    def _create(self, frame: pl.DataFrame) -> DeltaTable:
        self.folder.mkdir(parents=True, exist_ok=True)
        empty = frame.clear()
        if self.column is not None:
            empty = empty.with_columns(self.column.made_of.cast(self.column.dtype).alias(self.column.name))
        self._opened = DeltaTable.create(
            str(self.folder),
            schema=empty.to_arrow().schema,
            partition_by=None if self.column is None else [self.column.name],
            name=self.table.name,
            description=self.table.description,
        )
        return self._opened

    def _snapshot_of(self, opened: DeltaTable) -> Snapshot:
        paths = pa.table(opened.get_add_actions(flatten=True)).column("path").to_pylist()
        files = (LakeFile(path, self._partition_of(path)) for path in paths)
        return Snapshot(opened.version(), tuple(sorted(files, key=lambda each: each.path)))

    def _partition_of(self, path: str) -> Partition:
        if self.column is None:
            return None
        value = path.partition("/")[0].partition("=")[2]
        return int(value) if self.column.dtype.is_integer() else date.fromisoformat(value)

    def _predicate(self, partition: Partition) -> str | None:
        if self.column is None:
            return None
        return (
            f"{self.column.name} = {partition}"
            if isinstance(partition, int)
            else (f"{self.column.name} = '{partition}'")
        )

    def _read_file(self, file: LakeFile) -> pl.DataFrame:
        frame = pl.read_parquet(self.folder / file.path, glob=False, hive_partitioning=False)
        if self.column is None or self.column.own:
            return frame
        return frame.with_columns(pl.lit(file.partition, dtype=self.column.dtype).alias(self.column.name))

    def _sync(self, after: Snapshot, before: set[str]) -> None:
        """The library leaves its files to the system's cache; landing parts may go only when they are on the disk."""
        log = self.folder / "_delta_log"
        new = [self.folder / each.path for each in after.files if each.path not in before]
        for path in (*new, *sorted({each.parent for each in new}), log / f"{after.version:020d}.json", log):
            sync(path)
        sync(self.folder)


def _writer_properties(frame: pl.DataFrame) -> WriterProperties:
    """zstd, row groups of ROW_GROUP_ROWS, no dictionaries on floats: measured values hardly repeat."""
    floats: dict[str, Any] = {
        name: ColumnProperties(dictionary_enabled=False) for name, dtype in frame.schema.items() if dtype.is_float()
    }
    return WriterProperties(
        compression="ZSTD",
        compression_level=ZSTD_LEVEL,
        max_row_group_size=ROW_GROUP_ROWS,
        column_properties=floats or None,
    )
