"""Publishing: the private database, checkpointed and closed, is copied and renamed over the published one.

Readers that have the old file open keep reading it; a process that opens the path again while it still holds
the old file gets the old one. The published file is never written in place.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from pipelines.lake.database import (
    DUCKDB_MEMORY,
    DUCKDB_THREADS,
    build_lock,
    checkpointed,
    connect,
    opened,
    unreadable,
    wal_of,
)
from pipelines.lake.durable import (
    full_disk_as_sentence,
    put_in_place,
    remove_left_over_temporaries,
    sync,
    temporary_beside,
)
from pipelines.lake.errors import NoWarehouse, UnreadableWarehouse
from pipelines.lake.paths import HomePaths, paths_of
from pipelines.lake.raw_views import RawFile, comments_sql, name_of, select_sql
from schemas.tables import TABLES


def publish(home: Path, *, threads: int = DUCKDB_THREADS, memory_limit: str = DUCKDB_MEMORY) -> Path:
    """Replace the published warehouse by a copy of the private one; its path.

    A kill at any moment leaves the old or the new one, whole.

    Raises:
        NoWarehouse: nothing was built yet.
        WarehouseBusy: another program has the private database open.
        DiskFull: no space is left; the published warehouse is as it was.
    """
    paths = paths_of(home)
    with build_lock(home), full_disk_as_sentence(paths.root):
        if not paths.build_db.exists():
            raise NoWarehouse(paths.build_db)
        remove_left_over_temporaries(paths.root, f"{paths.published.name}.*.tmp")
        checkpointed(paths.build_db, threads=threads, memory_limit=memory_limit)
        temporary = _copy(paths.build_db, paths.published)
        _put_in_place(temporary, paths.published)
    return paths.published


@contextmanager
def as_this_version_reads() -> Iterator[None]:
    """Say what to do where the published warehouse lacks a table or column, as one of another version does.

    Raises:
        UnreadableWarehouse: it lacks one.
    """
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise UnreadableWarehouse(
            f"The published warehouse lacks what this version of pvms reads ({str(error).splitlines()[0]}). "
            "The next load that reads something builds it anew; `pvms load --from D --to D --force` does it at once, "
            "and reads that day again."
        ) from error


def open_published(
    home: Path, *, threads: int = DUCKDB_THREADS, memory_limit: str = DUCKDB_MEMORY
) -> duckdb.DuckDBPyConnection:
    """Open the published warehouse read only, times in UTC; the caller closes it.

    If the home was moved since, the raw views are pointed at the lake where it is now, in a copy that replaces
    the published file.

    Raises:
        NoWarehouse: nothing was published yet.
        UnreadableWarehouse: the file is damaged, or another DuckDB release wrote it.
    """
    paths = paths_of(home)
    if not paths.published.exists():
        raise NoWarehouse(paths.published)
    connection = _open(paths, threads, memory_limit)
    if not _moved(connection, paths):
        return connection
    connection.close()
    with build_lock(home), full_disk_as_sentence(paths.root):
        connection = _open(paths, threads, memory_limit)
        moved = _moved(connection, paths)
        connection.close()
        if moved:
            _point_views_here(paths, threads, memory_limit)
    return _open(paths, threads, memory_limit)


def _open(paths: HomePaths, threads: int, memory_limit: str) -> duckdb.DuckDBPyConnection:
    try:
        return connect(paths.published, read_only=True, threads=threads, memory_limit=memory_limit)
    except duckdb.Error as error:
        raise unreadable(paths.published, error, "Delete it; the next `pvms load` makes it anew.") from error


def _moved(connection: duckdb.DuckDBPyConnection, paths: HomePaths) -> bool:
    """Whether the views read another folder than this home's lake. A lone copy, without a lake, is left alone."""
    if not paths.lake.is_dir():
        return False
    try:
        found = connection.execute("select lake_path from pvms.lake").fetchall()
    except duckdb.CatalogException:
        return False
    return found != [(str(paths.lake),)]


def _point_views_here(paths: HomePaths, threads: int, memory_limit: str) -> None:
    remove_left_over_temporaries(paths.root, f"{paths.published.name}.*.tmp")
    temporary = _copy(paths.published, paths.published)
    try:
        with opened(temporary, threads=threads, memory_limit=memory_limit) as connection:
            connection.execute("begin")
            known = connection.execute("select table_name, path, columns from pvms.lake_files").fetchall()
            views = connection.execute("select view_name from duckdb_views() where schema_name = 'raw'").fetchall()
            for (name,) in views:
                if name in TABLES:
                    files = [RawFile(path, columns) for table, path, columns in known if table == name]
                    table = TABLES[name]
                    query = select_sql(table, paths.lake, files)
                    connection.execute(f"create or replace view {name_of(table)} as {query}")
                    connection.execute(comments_sql(table, "view"))
            connection.execute("update pvms.lake set lake_path = ?", [str(paths.lake)])
            connection.execute("commit")
            connection.execute("checkpoint")
    except BaseException:
        _remove(temporary)
        raise
    _put_in_place(temporary, paths.published)


def _copy(source: Path, published: Path) -> Path:
    temporary = temporary_beside(published)
    try:
        shutil.copyfile(source, temporary)
    except BaseException:
        _remove(temporary)
        raise
    return temporary


def _put_in_place(temporary: Path, published: Path) -> None:
    try:
        sync(temporary)
        put_in_place(temporary, published)
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: Path) -> None:
    for each in (temporary, wal_of(temporary)):
        with suppress(FileNotFoundError):
            each.unlink()
