"""Remembers which dbt project the views of the private database were made from.

A view changes only when the project does, and making forty of them anew costs more than all else in a build. The
tables are made at every build.
"""

import hashlib
from pathlib import Path
from typing import Final

import duckdb
import orjson

from pipelines.lake.paths import HomePaths

UNCHANGED_VIEWS: Final = ("config.materialized:table", "config.materialized:incremental", "test_type:data")
"""dbt's selection of all that depends on data: tables, and the data tests of everything. Seeds are the project's."""

_VIEWS: Final = "select schema_name || '.' || view_name from duckdb_views() where schema_name in ('staging', 'marts')"


def views_are_current(paths: HomePaths, project: Path) -> bool:
    """Whether the private database holds every view that the last whole build made of this very project."""
    record = _record(paths)
    if not record.exists():
        return False
    known = orjson.loads(record.read_bytes())
    return bool(known["views"]) and known["project"] == fingerprint(project) and set(known["views"]) <= _present(paths)


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
