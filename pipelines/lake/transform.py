"""Runs the dbt project on the private build database, quietly: staging views, marts and their tests."""

import errno
import gc
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from pipelines.lake.built_views import (
    UNCHANGED_VIEWS,
    forget_views,
    merged_views_to_renew,
    remember_views,
    views_are_current,
)
from pipelines.lake.database import DUCKDB_MEMORY, DUCKDB_THREADS, build_lock
from pipelines.lake.durable import full_disk_as_sentence, temporary_beside
from pipelines.lake.errors import LakeError, NoWarehouse, TransformFailed
from pipelines.lake.parsed_project import parsed
from pipelines.lake.paths import HomePaths, paths_of

BUILD_COMMAND: Final = ("build", "--exclude-resource-type", "unit_test")
"""Models and data tests. Unit tests prove the SQL, not the data; CI runs them."""

_GOOD: Final = frozenset({"success", "pass", "warn", "skipped", "no-op"})
_LOGGED: Final = frozenset({"info", "warn", "error"})
_NAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class TransformReport:
    """What dbt did: status by node (model, test), and the seconds it took."""

    nodes: Mapping[str, str]
    seconds: float


def project_folder() -> Path:
    """The dbt project: `dbt/` of the checkout, else the copy that travels in the installed package.

    Raises:
        LakeError: neither is there; the installation is damaged.
    """
    above = Path(__file__).resolve().parents[2]
    for folder in (above / "dbt", above / "assets" / "dbt_project"):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise LakeError(f"The dbt project is missing under {above}. Install smartpvms-warehouse anew.")


def dbt_environment(home: Path, *, threads: int = DUCKDB_THREADS, memory_limit: str = DUCKDB_MEMORY) -> dict[str, str]:
    """The environment that the project's profile reads, with telemetry off; for any way of running dbt."""
    return {
        "PVMS_BUILD_DB": str(paths_of(home).build_db),
        "PVMS_DBT_THREADS": str(threads),
        "PVMS_DUCKDB_THREADS": str(threads),
        "PVMS_DUCKDB_MEMORY": memory_limit,
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def run_dbt(
    home: Path,
    *,
    select: Sequence[str] = (),
    full_refresh: bool = False,
    project: Path | None = None,
    threads: int = DUCKDB_THREADS,
    memory_limit: str = DUCKDB_MEMORY,
) -> TransformReport:
    """Build the models and run their tests; dbt's own words go to `state/dbt/dbt.log`, anew each time.

    Views that the last build made of the same project stay as they are, unless `select` or `full_refresh` says else,
    or real time was polled for the first time; another project makes everything anew.

    Raises:
        NoWarehouse: `prepare_build` has not run.
        TransformFailed: a model or test failed, named in the message.
        DiskFull: no space is left.
    """
    paths = paths_of(home)
    if not paths.build_db.exists():
        raise NoWarehouse(paths.build_db)
    paths.dbt.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    environment = dbt_environment(home, threads=threads, memory_limit=memory_limit)
    with build_lock(home), full_disk_as_sentence(paths.root), _environment(environment):
        folder = project or project_folder()
        if not select and not full_refresh and views_are_current(paths, folder):
            select = (*UNCHANGED_VIEWS, *merged_views_to_renew(paths))
        elif not select:
            forget_views(paths)
            # What an earlier project made of 5-minute rows may differ in columns and in meaning.
            full_refresh = True
        arguments = _arguments(paths, folder, select, full_refresh)
        nodes = _judge(_invoke(arguments, paths.dbt_log, _parsed(paths, folder, paths.dbt_log)), paths.dbt_log)
        if not select:
            remember_views(paths, folder)
    return TransformReport(nodes, time.monotonic() - begun)


def parse_project(home: Path, project: Path | None = None) -> Path:
    """The project's manifest, parsed anew if it is absent or older than a file of the project.

    Raises:
        TransformFailed: the project can't be parsed.
    """
    paths = paths_of(home)
    folder = project or project_folder()
    manifest = paths.dbt / "parsed" / "manifest.json"
    newest = max(each.stat().st_mtime for each in folder.rglob("*") if each.is_file())

    def is_current() -> bool:
        return manifest.exists() and manifest.stat().st_mtime >= newest

    if is_current():
        return manifest
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with build_lock(home), _environment(dbt_environment(home)):
        # The web server's process and the daemon's begin at the same time; one of them writes it.
        if not is_current():
            log, whole = manifest.with_name("parse.log"), temporary_beside(manifest)
            project_parsed = _parsed(paths, folder, log)
            # What is parsed isn't parsed again, but dbt's flags are set, which a manifest in JSON contains.
            _invoke(["parse", *_project_arguments(paths, folder)], log, project_parsed)
            project_parsed.write(str(whole))
            whole.replace(manifest)
    return manifest


def _project_arguments(paths: HomePaths, project: Path) -> list[str]:
    arguments = ["--project-dir", str(project), "--profiles-dir", str(project)]
    arguments += ["--target-path", str(paths.dbt / "target"), "--log-path", str(paths.dbt / "logs")]
    arguments += ["--log-level", "none", "--log-level-file", "none", "--no-use-colors"]
    return [*arguments, "--no-send-anonymous-usage-stats", "--no-version-check", "--partial-parse"]


def _arguments(paths: HomePaths, project: Path, select: Sequence[str], full_refresh: bool) -> list[str]:
    arguments = [*BUILD_COMMAND, *_project_arguments(paths, project)]
    arguments += ["--select", *select] if select else []
    return [*arguments, "--full-refresh"] if full_refresh else arguments


def _parsed(paths: HomePaths, project: Path, log: Path) -> Any:
    """The project's manifest.

    Raises:
        TransformFailed: the project can't be parsed.
    """

    def parse() -> Any:
        result = _invoke(["parse", *_project_arguments(paths, project)], log)
        if not result.success:
            raise _failed("The dbt project can't be parsed", result, log)
        return result.result

    return parsed(project, parse, cached=project == project_folder())


def _invoke(arguments: list[str], log: Path, parsed: Any = None) -> Any:
    # Imported here: dbt takes seconds to import, and most commands never need it.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    try:
        with log.open("w", encoding="utf-8") as written, _uncollected():
            result = dbtRunner(parsed, [lambda event: _write_down(event, written)]).invoke(arguments)
        if isinstance(result.exception, KeyboardInterrupt):
            # dbt turns it into a result, but it was meant for the whole process.
            raise result.exception
        return result
    finally:
        # The adapter keeps the database open until the process ends; a checkpoint and a publish need it closed.
        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.close()
        DuckDBConnectionManager.close_all_connections()


def _write_down(event: Any, log: TextIO) -> None:
    """dbt's own log file stays open for the life of the process, so its events are written to one of ours."""
    if event.info.level in _LOGGED and event.info.msg.strip():
        log.write(f"{event.info.ts.ToJsonString()} {event.info.level:5} {event.info.msg}\n")


def _judge(result: Any, log: Path) -> dict[str, str]:
    runs = list(getattr(result.result, "results", None) or ())
    nodes = {run.node.unique_id: str(run.status) for run in runs}
    failed = tuple(name for name, status in nodes.items() if status not in _GOOD)
    if failed:
        _raise_if_disk_full(runs)
        names = [run.node.name for run in runs if str(run.status) not in _GOOD]
        some = ", ".join(names[:_NAMES_SHOWN])
        more = f" and {len(failed) - _NAMES_SHOWN} more" if len(failed) > _NAMES_SHOWN else ""
        raise TransformFailed(f"These models or tests failed: {some}{more}.", failed, log)
    if not result.success:
        raise _failed("The transformation could not start", result, log)
    return nodes


def _failed(what: str, result: Any, log: Path) -> Exception:
    """Why dbt ran no model: a full disk is told as elsewhere, whichever of dbt's own files found no room."""
    reason = " ".join(str(result.exception or "dbt gave no reason").strip().splitlines()[:3])
    if _says_disk_full(reason):
        return OSError(errno.ENOSPC, reason)
    return TransformFailed(f"{what}: {reason}.", (), log)


def _raise_if_disk_full(runs: Sequence[Any]) -> None:
    for run in runs:
        if _says_disk_full(run.message):
            raise OSError(errno.ENOSPC, str(run.message))


def _says_disk_full(text: object) -> bool:
    return "no space left" in str(text).lower()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles, which goes through all of dbt's objects again and again while they stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
