"""Opening the DuckDB files: limits, UTC, and what their errors mean. One writer at a time, by a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
from filelock import FileLock

from pipelines.lake.errors import UnreadableWarehouse, WarehouseBusy
from pipelines.lake.paths import paths_of

DUCKDB_THREADS: Final = 2
"""DuckDB would take every core."""

DUCKDB_MEMORY: Final = "2GB"
"""DuckDB would take 80 % of the machine's memory; beyond this limit it works on disk."""

_BUSY: Final = ("conflicting lock", "could not set lock", "different configuration")


@contextmanager
def build_lock(home: Path) -> Iterator[None]:
    """Be the one writer of a home's private and published database; others wait. May be nested in one thread."""
    locks = paths_of(home).locks
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "warehouse.lock", is_singleton=True):
        yield


@contextmanager
def opened(
    path: Path, *, threads: int = DUCKDB_THREADS, memory_limit: str = DUCKDB_MEMORY
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database for writing, and close it whatever happens; times are UTC.

    Raises:
        WarehouseBusy: another program, or another connection of this one, has it open.
        duckdb.Error: it can't be read.
    """
    connection = connect(path, read_only=False, threads=threads, memory_limit=memory_limit)
    try:
        yield connection
    finally:
        connection.close()


def connect(path: Path, *, read_only: bool, threads: int, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Connect with limits; the caller closes. Errors as `opened`."""
    try:
        connection = duckdb.connect(
            str(path), read_only=read_only, config={"threads": threads, "memory_limit": memory_limit}
        )
    except duckdb.Error as error:
        if any(each in str(error).lower() for each in _BUSY):
            raise WarehouseBusy(path) from error
        raise
    connection.execute("set TimeZone = 'UTC'")
    return connection


def wal_of(path: Path) -> Path:
    """The write-ahead log that DuckDB keeps beside an open database."""
    return path.with_name(path.name + ".wal")


def checkpointed(path: Path, *, threads: int, memory_limit: str) -> None:
    """Bring everything into the one file.

    Raises:
        WarehouseBusy: somebody else still has the database open, so that a log stays beside it.
    """
    with opened(path, threads=threads, memory_limit=memory_limit) as connection:
        connection.execute("checkpoint")
    if wal_of(path).exists() and wal_of(path).stat().st_size:
        raise WarehouseBusy(path)


def unreadable(path: Path, error: duckdb.Error, advice: str) -> UnreadableWarehouse:
    """The error that says why a database can't be opened, and what to do."""
    return UnreadableWarehouse(f"{path} can't be opened: {str(error).splitlines()[0]} {advice}")
