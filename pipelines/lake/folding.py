"""Folds landing parts into one Delta table: each touched partition is rewritten once, sorted, without doubles."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
from deltalake.exceptions import CommitFailedError

from pipelines.lake.delta import LakeTable, Partition
from pipelines.lake.merging import newest_of_each_key, summed_drift
from pipelines.lake.parts import Parts

COMMIT_ATTEMPTS = 8
"""Our own folds wait for each other; this many tries are for other programs that write the same tables."""

Done = Callable[[int], None]
"""Called with the number of parts that have just been folded."""


def fold_table(stored: LakeTable, parts: list[Path], done: Done) -> tuple[int, int]:
    """Fold parts into a table; (partitions rewritten, rows they hold now). Memory holds one partition.

    The caller holds the table's lock. Parts are deleted after the commit that holds their last partition: a
    process killed in between leaves parts that change nothing when they are folded again.
    """
    if stored.table.name == "schema_drift":
        return _fold_drift(stored, parts, done)
    left = {part: _partitions_in(stored, part) for part in parts}
    for part in [part for part, partitions in left.items() if not partitions]:
        del left[part]
        Parts.delete([part])
        done(1)
    partitions = sorted(set().union(*left.values()), key=str)
    rows = 0
    for partition in partitions:
        mine = [part for part, holds in left.items() if partition in holds]
        rows += _rewrite(stored, partition, mine)
        rows_done = _settle(left, partition)
        Parts.delete(rows_done)
        done(len(rows_done))
    return len(partitions), rows


def _settle(left: dict[Path, set[Partition]], partition: Partition) -> list[Path]:
    """Strike a partition from what is left, and give the parts that are folded whole by that."""
    for partitions in left.values():
        partitions.discard(partition)
    finished = [part for part, partitions in left.items() if not partitions]
    for part in finished:
        del left[part]
    return finished


def _partitions_in(stored: LakeTable, part: Path) -> set[Partition]:
    column = stored.column
    if column is None:
        return {None}
    return set(pl.scan_parquet(part, glob=False).select(column.made_of.unique()).collect().to_series())


def _rewrite(stored: LakeTable, partition: Partition, parts: list[Path]) -> int:
    landed = stored.conform([_rows_of(stored, partition, part) for part in parts])
    for attempt in range(COMMIT_ATTEMPTS):
        known = stored.read(stored.snapshot().of([partition]))
        frame = newest_of_each_key(stored.table, stored.conform([known, landed]))
        try:
            stored.replace(partition, frame)
        except CommitFailedError:
            if attempt == COMMIT_ATTEMPTS - 1:
                raise
            continue
        return frame.height
    raise AssertionError("the last attempt returns or raises")


def _rows_of(stored: LakeTable, partition: Partition, part: Path) -> pl.DataFrame:
    rows = pl.read_parquet(part, glob=False, hive_partitioning=False)
    return rows if stored.column is None else rows.filter(stored.column.made_of == pl.lit(partition))


def _fold_drift(stored: LakeTable, parts: list[Path], done: Done) -> tuple[int, int]:
    """Counts can't be folded twice unseen, so the commit names its parts, and those it names are only deleted."""
    absorbed = stored.last_note()
    Parts.delete(part for part in parts if part.name in absorbed)
    new = [part for part in parts if part.name not in absorbed]
    done(len(parts) - len(new))
    if not new:
        return 0, 0
    known = stored.read(stored.snapshot().files)
    frame = summed_drift(stored.conform([known, *(pl.read_parquet(part, glob=False) for part in new)]))
    stored.replace(None, frame, new)
    Parts.delete(new)
    done(len(new))
    return 1, frame.height


def merge_unfolded(stored: LakeTable, frames: Mapping[str, pl.DataFrame], known: pl.DataFrame) -> pl.DataFrame:
    """The rows as they will be once the parts (frames by file name, oldest first) are folded."""
    if stored.table.name == "schema_drift":
        absorbed = stored.last_note()
        new = [frame for name, frame in frames.items() if name not in absorbed]
        return summed_drift(stored.conform([known, *new]))
    return newest_of_each_key(stored.table, stored.conform([known, *frames.values()]))
