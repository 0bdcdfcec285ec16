"""The lake: landing parts in, Delta tables out. One object per `PVMS_HOME`, many processes at once.

An answer lands as a part (durable), parts are folded into the Delta tables (a partition at a time), and reading
shows both together. Small tables that are kept as a whole (inventory, alarms) are updated in place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake.exceptions import CommitFailedError
from filelock import FileLock

from pipelines.lake.delta import LakeTable, Partition, Snapshot
from pipelines.lake.durable import full_disk_as_sentence
from pipelines.lake.errors import WrongShape
from pipelines.lake.folding import COMMIT_ATTEMPTS, fold_table, merge_unfolded
from pipelines.lake.merging import in_stored_order
from pipelines.lake.parts import Part, Parts
from pipelines.lake.paths import paths_of
from schemas.polars_types import polars_schema
from schemas.tables import TABLES, Table

KEPT_ELSEWHERE: Final = frozenset({"api_calls", "coverage", "clear_sky_day"})
"""Tables of the catalog that the lake does not hold: they live in SQLite and reach the warehouse as frames, or the
build works them out (`pipelines.lake.clear_sky`)."""


@dataclass(frozen=True, slots=True)
class FoldReport:
    """What a fold did: parts folded, partitions rewritten, rows that these hold now, and the tables touched."""

    parts: int
    partitions: int
    rows: int
    tables: tuple[str, ...]


class Lake:
    """Every table of one home."""

    def __init__(self, home: Path, tables: Mapping[str, Table] = TABLES) -> None:
        """Open the lake; folders are made when something lands. Left-overs of killed processes are removed.

        Raises:
            UnusableHome: the home's path holds characters that the tables can't live under.
        """
        self.paths = paths_of(home)
        self.tables = {name: table for name, table in tables.items() if name not in KEPT_ELSEWHERE}
        self.parts = Parts(self.paths.landing)

    def land(self, table: Table | str, frame: pl.DataFrame) -> Part | None:
        """Make decoded rows durable as one part; None if there are none. The caller records coverage afterwards.

        Raises:
            WrongShape: the columns are not exactly the table's, in order; a bug of the caller.
            DiskFull: no space is left; nothing of the frame stays.
        """
        known = self._table(table)
        expected = polars_schema(known)
        if dict(frame.schema) != expected or frame.columns != list(expected):
            raise WrongShape(f"{known.name}: {_difference(dict(frame.schema), expected)}")
        return None if frame.is_empty() else self.parts.write(known.name, frame)

    def quarantine(self, frame: pl.DataFrame) -> None:
        """Keep records that can't be filed (columns of ops.quarantine)."""
        self.land("quarantine", frame)

    def note_drift(self, frame: pl.DataFrame, now: datetime) -> None:
        """Keep what an answer held beside the catalog: dataset, kind, key, cells, sample, seen at `now` (UTC)."""
        schema = polars_schema(self.tables["schema_drift"])
        seen = frame.with_columns(pl.lit(now).alias("first_seen_at"), pl.lit(now).alias("last_seen_at"))
        self.land("schema_drift", seen.select(pl.col(name).cast(dtype) for name, dtype in schema.items()))

    def pending_parts(self) -> int:
        """How many parts wait to be folded."""
        return self.parts.count()

    def fold(self, progress: Callable[[int, int], None] | None = None) -> FoldReport:
        """Fold all waiting parts; several processes may do so at once. `progress` gets parts done and in all.

        Raises:
            DiskFull: no space is left; what is not folded stays as parts.
        """
        total, done, partitions, rows = self.pending_parts(), 0, 0, 0
        touched: list[str] = []

        def count(parts: int) -> None:
            nonlocal done
            done += parts
            if progress is not None and parts:
                progress(min(done, total), total)

        for name in [each for each in self.parts.tables() if each in self.tables]:
            if not self.parts.pending(name):
                continue
            with self._locked(name), full_disk_as_sentence(self.paths.lake):
                waiting = self.parts.pending(name)
                changed, now_there = fold_table(self._stored(name), waiting, count)
            partitions, rows = partitions + changed, rows + now_there
            if changed:
                touched.append(name)
        return FoldReport(done, partitions, rows, tuple(touched))

    def read(
        self, table: Table | str, columns: Sequence[str] | None = None, where: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Current rows, as they will be once all parts are folded: the catalog's columns, or `columns` in order.

        Rows of partitions without waiting parts are filtered while they are read; the others are merged in
        memory, so fold before reading much of a large table.
        """
        stored = self._stored(self._table(table).name)
        chosen = list(columns) if columns is not None else list(stored.schema)
        # Parts first, files after: a part that a fold deletes in between is in the files that are listed then.
        waiting = dict(_present(self.parts.pending(stored.table.name)))
        snapshot = stored.snapshot()
        touched = _touched(stored, waiting)
        calm = stored.scan([each for each in snapshot.files if each.partition not in touched])
        found = [(calm if where is None else calm.filter(where)).select(chosen).collect()]
        if waiting:
            merged = merge_unfolded(stored, waiting, stored.read(snapshot.of(touched)))
            found.append((merged if where is None else merged.filter(where)).select(chosen))
        return pl.concat(found)

    def update(self, table: Table | str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> bool:
        """Replace a table without partitions by what `change` makes of its rows; whether anything changed.

        `change` may be called again with other rows if another program wrote the table meanwhile.
        """
        known = self._table(table)
        stored = self._stored(known.name)
        if stored.column is not None:
            raise WrongShape(f"{known.name} is stored by {stored.column.name}; land its rows instead")
        with self._locked(known.name), full_disk_as_sentence(self.paths.lake):
            for attempt in range(COMMIT_ATTEMPTS):
                before = stored.read(stored.snapshot().files)
                after = in_stored_order(stored.conform([change(before.select(list(stored.schema)))]))
                if after.equals(before.select(after.columns) if set(after.columns) <= set(before.columns) else before):
                    return False
                try:
                    stored.replace(None, after)
                except CommitFailedError:
                    if attempt == COMMIT_ATTEMPTS - 1:
                        raise
                    continue
                return True
        raise AssertionError("the last attempt returns or raises")

    def partitions(self, table: Table | str) -> list[Partition]:
        """The partitions that hold rows, in order; a table without partitions has one, None."""
        found = {each.partition for each in self.snapshot(table).files}
        return sorted(found, key=str)

    def rewrite(
        self, table: Table | str, partition: Partition, change: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> int | None:
        """Replace a partition by what `change` makes of its folded rows; how many there are then, None if unchanged.

        `change` may be called again with other rows if another program wrote the table meanwhile.
        """
        known = self._table(table)
        stored = self._stored(known.name)
        with self._locked(known.name), full_disk_as_sentence(self.paths.lake):
            for attempt in range(COMMIT_ATTEMPTS):
                before = stored.read(stored.snapshot().of([partition]))
                after = stored.conform([change(before)])
                if after.equals(before):
                    return None
                try:
                    stored.replace(partition, in_stored_order(after))
                except CommitFailedError:
                    if attempt == COMMIT_ATTEMPTS - 1:
                        raise
                    continue
                return after.height
        raise AssertionError("the last attempt returns or raises")

    def rows_of(self, table: Table | str, partition: Partition) -> pl.DataFrame:
        """The folded rows of one partition."""
        stored = self._stored(self._table(table).name)
        return stored.read(stored.snapshot().of([partition]))

    def partition_of(self, table: Table | str) -> pl.Expr | None:
        """What a row's partition is made of; None for a table without partitions."""
        column = self._stored(self._table(table).name).column
        return None if column is None else column.made_of

    def snapshot(self, table: Table | str) -> Snapshot:
        """The current files of a table, without waiting parts."""
        return self._stored(self._table(table).name).snapshot()

    def files(self, table: Table | str) -> list[str]:
        """Absolute paths of a table's current files."""
        stored = self._stored(self._table(table).name)
        return [str(stored.folder / each.path) for each in stored.snapshot().files]

    def vacuum(self) -> int:
        """Delete files that were replaced over KEEP_OLD_FILES ago; how many. Call it after a publish.

        A published warehouse names the files that were current then, so one that is older than the grace time
        and whose days were rewritten since can't read them any more; the next publish mends it.
        """
        removed = 0
        for name in self.tables:
            with self._locked(name):
                removed += self._stored(name).vacuum()
        return removed

    def _table(self, table: Table | str) -> Table:
        return self.tables[table if isinstance(table, str) else table.name]

    def _stored(self, name: str) -> LakeTable:
        return LakeTable(self.paths.lake / name, self.tables[name])

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self.paths.locks.mkdir(parents=True, exist_ok=True)
        with FileLock(self.paths.locks / f"table-{name}.lock"):
            yield


def _present(parts: Sequence[Path]) -> Iterator[tuple[str, pl.DataFrame]]:
    for part in parts:
        try:
            yield part.name, pl.read_parquet(part, glob=False)
        except FileNotFoundError:
            continue  # folded meanwhile


def _touched(stored: LakeTable, waiting: Mapping[str, pl.DataFrame]) -> set[Partition]:
    if stored.column is None:
        return {None} if waiting else set()
    return set().union(*(frame.select(stored.column.made_of.unique()).to_series() for frame in waiting.values()))


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    other = [
        f"{name} is {found[name]}, not {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    if not (missing or unknown or other):
        return "the columns are in another order than the catalog's"
    return f"missing {missing}, unknown {unknown}, types: {other}"
