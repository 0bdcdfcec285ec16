"""Remembers which dbt project the views of the private database were made from.

A view changes only when the project does, and making forty of them anew costs more than all else in a build. The
tables are made at every build. The merged 5-minute views have two forms: history alone, and with polls where there are
any.
"""

import hashlib
from pathlib import Path
from typing import Final

import duckdb
import orjson

from pipelines.lake.paths import HomePaths

UNCHANGED_VIEWS: Final = ("config.materialized:table", "config.materialized:incremental", "test_type:data")
"""dbt's selection of all that depends on data: tables, and the data tests of everything. Seeds are the project's."""

MERGED: Final = "stg_device_5min_"
"""How the merged views' names begin; the type's name follows."""

_MERGED_VIEWS: Final = """
select view_name, contains(sql, 'int_poll_day')
from duckdb_views()
where schema_name = 'staging' and starts_with(view_name, ?)
"""

_VIEWS: Final = "select schema_name || '.' || view_name from duckdb_views() where schema_name in ('staging', 'marts')"


def views_are_current(paths: HomePaths, project: Path) -> bool:
    """Whether the private database holds every view that the last whole build made of this very project."""
    record = _record(paths)
    if not record.exists():
        return False
    known = orjson.loads(record.read_bytes())
    return bool(known["views"]) and known["project"] == fingerprint(project) and set(known["views"]) <= _present(paths)


def merged_views_to_renew(paths: HomePaths) -> tuple[str, ...]:
    """Merged views of the private database that leave out polls which are there now, or read those that are gone."""
    with duckdb.connect(paths.build_db, read_only=True) as connection:
        views = connection.execute(_MERGED_VIEWS, [MERGED]).fetchall()
        return tuple(name for name, reads_polls in sorted(views) if reads_polls != _is_polled(connection, name))


def _is_polled(connection: duckdb.DuckDBPyConnection, view: str) -> bool:
    polls = f"select 1 from raw.device_realtime_{view.removeprefix(MERGED)} limit 1"  # noqa: S608 (a name of ours)
    return bool(connection.execute(polls).fetchall())


def remember_views(paths: HomePaths, project: Path) -> None:
    """Note that a whole build of `project` has just succeeded."""
    known = {"project": fingerprint(project), "views": sorted(_present(paths))}
    fresh = _record(paths).with_suffix(".tmp")
    fresh.write_bytes(orjson.dumps(known))
    fresh.replace(_record(paths))


def forget_views(paths: HomePaths) -> None:
    """Note that a whole build has begun: until it ends well, nothing is known."""
    _record(paths).unlink(missing_ok=True)


def fingerprint(project: Path) -> str:
    """A digest of every file of the project that is dbt's input."""
    digest = hashlib.sha256()
    for each in sorted(project.rglob("*")):
        if each.suffix in (".sql", ".yml", ".csv") and not {"target", "logs"} & set(each.relative_to(project).parts):
            digest.update(str(each.relative_to(project)).encode())
            digest.update(each.read_bytes())
    return digest.hexdigest()


def _record(paths: HomePaths) -> Path:
    return paths.dbt / "built-views.json"


def _present(paths: HomePaths) -> set[str]:
    with duckdb.connect(paths.build_db, read_only=True) as connection:
        return {name for (name,) in connection.execute(_VIEWS).fetchall()}
