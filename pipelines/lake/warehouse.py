"""The private build database: schema raw (views over the lake), ops (tables), and the record of what they show.

dbt adds staging and marts to the same file, then it is published: see `pipelines.lake.publish`. The file stays
between runs, so that incremental models find their earlier rows.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import polars as pl
import pyarrow.parquet as pq

from pipelines.lake import clear_sky
from pipelines.lake.database import DUCKDB_MEMORY, DUCKDB_THREADS, opened, wal_of
from pipelines.lake.database import build_lock as build_lock
from pipelines.lake.durable import full_disk_as_sentence
from pipelines.lake.override_tables import override_comments_sql
from pipelines.lake.paths import HomePaths, paths_of
from pipelines.lake.publish import open_published as open_published
from pipelines.lake.publish import publish as publish
from pipelines.lake.raw_views import RawFile, comments_sql, name_of, select_sql
from pipelines.lake.store import KEPT_ELSEWHERE, Lake
from schemas.tables import TABLES, Table

_FILES: Final = {"table_name": pl.String(), "path": pl.String(), "columns": pl.String()}

_RECORD: Final = """
create schema if not exists pvms;
create table if not exists pvms.lake (lake_path VARCHAR, built_at TIMESTAMPTZ);
create table if not exists pvms.lake_tables (table_name VARCHAR, version BIGINT, files BIGINT);
create table if not exists pvms.lake_files (table_name VARCHAR, path VARCHAR, columns VARCHAR);
comment on table pvms.lake is 'Our own record: where the lake was when the views were made. One row.';
comment on table pvms.lake_tables is 'Version of each Delta table that the views show. One row per table.';
comment on table pvms.lake_files is 'Files that the views show, below lake_path/table_name. One row per file.';
comment on column pvms.lake.lake_path is 'Folder of the Delta tables.';
comment on column pvms.lake.built_at is 'When the views were made.';
comment on column pvms.lake_tables.table_name is 'Name of the table.';
comment on column pvms.lake_tables.version is 'Delta version; -1 if nothing was ever loaded.';
comment on column pvms.lake_tables.files is 'Number of its files.';
comment on column pvms.lake_files.table_name is 'Name of the table.';
comment on column pvms.lake_files.path is 'Path below the table''s folder.';
comment on column pvms.lake_files.columns is 'Columns inside the file, separated by commas.';
"""


def prepare_build(
    home: Path,
    *,
    api_calls: pl.DataFrame,
    coverage: pl.DataFrame,
    overrides: Mapping[str, pl.DataFrame] | None = None,
    threads: int = DUCKDB_THREADS,
    memory_limit: str = DUCKDB_MEMORY,
    tables: Mapping[str, Table] = TABLES,
    now: datetime | None = None,
) -> Path:
    """Make schemas raw and ops of the private database show the lake as it is now; its path.

    `api_calls` and `coverage` have the columns of their ops tables; `overrides` are the owner's files by table
    name. Waiting parts are not shown: fold first. All or nothing: a kill leaves the views as they were. Clear-sky days
    are worked out up to `now` (default: the machine's clock).

    Raises:
        WarehouseBusy: another program has the private database open.
        DiskFull: no space is left.
    """
    paths = paths_of(home)
    paths.build_db.parent.mkdir(parents=True, exist_ok=True)
    lake = Lake(home, tables)
    frames = {"api_calls": api_calls, "coverage": coverage}
    with build_lock(home), full_disk_as_sentence(paths.build_db.parent):
        _drop_if_unreadable(paths.build_db, threads, memory_limit)
        with opened(paths.build_db, threads=threads, memory_limit=memory_limit) as connection:
            connection.execute("begin")
            connection.execute("create schema if not exists raw; create schema if not exists ops")
            connection.execute(_RECORD)
            files = _current_files(connection, lake)
            for table in tables.values():
                if table.schema == "raw":
                    _make_view(connection, table, paths.lake, files.get(table.name, []))
                elif table.name == clear_sky.TABLE:
                    clear_sky.make_table(connection)
                    connection.execute(comments_sql(table, "table"))
                else:
                    _make_ops_table(connection, table, paths, files.get(table.name, []), frames.get(table.name))
            _drop_unknown_views(connection, tables.values())
            for name, frame in (overrides or {}).items():
                _make_override_table(connection, name, frame)
            if overrides and clear_sky.TABLE in tables:
                clear_sky.refresh_clear_sky(connection, now or datetime.now(UTC))
            _record(connection, lake, paths.lake, files)
            connection.execute("commit")
    return paths.build_db


def _make_view(connection: duckdb.DuckDBPyConnection, table: Table, lake: Path, files: list[RawFile]) -> None:
    """Make the view of a raw table over some files of the lake, described."""
    connection.execute(f"create or replace view {name_of(table)} as {select_sql(table, lake, files)}")
    connection.execute(comments_sql(table, "view"))


def _make_ops_table(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    paths: HomePaths,
    files: list[RawFile],
    frame: pl.DataFrame | None,
) -> None:
    """Native tables: small, and there also in a lone copy of the published file."""
    if table.name not in KEPT_ELSEWHERE:
        query = select_sql(table, paths.lake, files)
    else:
        assert frame is not None
        columns = ", ".join(f'cast("{each.name}" as {each.type}) as "{each.name}"' for each in table.columns)
        query = f"select {columns} from frame"  # noqa: S608 (names are the catalog's)
        connection.register("frame", frame.to_arrow())
    connection.execute(f"create or replace table {name_of(table)} as {query}")
    connection.execute(comments_sql(table, "table"))


def _make_override_table(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    connection.register("frame", frame.to_arrow())
    connection.execute(f'create or replace table ops."{name}" as select * from frame')  # noqa: S608
    connection.execute(override_comments_sql(name, frame.columns))


def _current_files(connection: duckdb.DuckDBPyConnection, lake: Lake) -> dict[str, list[RawFile]]:
    """Current files by table. Only files that the last build didn't know are opened, for their columns."""
    query = "select table_name, path, columns from pvms.lake_files"
    known = {(name, path): columns for name, path, columns in connection.execute(query).fetchall()}
    found: dict[str, list[RawFile]] = {}
    for name in lake.tables:
        folder = lake.paths.lake / name
        found[name] = [
            RawFile(each.path, known.get((name, each.path)) or ",".join(pq.read_schema(folder / each.path).names))
            for each in lake.snapshot(name).files
        ]
    return found


def _record(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path, files: Mapping[str, list[RawFile]]) -> None:
    rows = [(name, each.path, each.columns) for name, some in files.items() for each in some]
    connection.register("frame", pl.DataFrame(rows, schema=_FILES, orient="row").to_arrow())
    connection.execute("delete from pvms.lake_files; insert into pvms.lake_files select * from frame")
    connection.execute("delete from pvms.lake_tables")
    versions = [(name, lake.snapshot(name).version, len(some)) for name, some in files.items()]
    connection.executemany("insert into pvms.lake_tables values (?, ?, ?)", versions)
    _note_lake_path(connection, path)


def _note_lake_path(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write down where the lake is that the views read."""
    connection.execute("delete from pvms.lake")
    connection.execute("insert into pvms.lake values (?, ?)", [str(path), datetime.now(UTC)])


def _drop_unknown_views(connection: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
    """Views of tables that an earlier catalog knew."""
    wanted = [each.name for each in tables if each.schema == "raw"]
    query = "select view_name from duckdb_views() where schema_name = 'raw' and not list_contains(?, view_name)"
    for (name,) in connection.execute(query, [wanted]).fetchall():
        connection.execute(f'drop view raw."{name}"')


def _drop_if_unreadable(path: Path, threads: int, memory_limit: str) -> None:
    """The private database holds nothing that can't be made anew: a broken one is removed."""
    if not path.exists():
        return
    try:
        with opened(path, threads=threads, memory_limit=memory_limit):
            return
    except duckdb.Error:
        for each in (path, wal_of(path)):
            with suppress(FileNotFoundError):
                each.unlink()
