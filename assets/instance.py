"""Opens Dagster's instance of a `PVMS_HOME`, and refuses another one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import dagster as dg

# Public names open an instance as its dagster.yaml says, and can't say otherwise for one process.
from dagster._core.instance import InstanceRef
from filelock import FileLock

from assets.home import dagster_home, use_dagster_home
from assets.pools import make_known
from pipelines.lake.paths import paths_of
from pipelines.settings import Settings, SettingsError

NO_CAPTURE: Final[dict[str, Any]] = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
"""Dagster copies what a run prints through files and `tail` processes; a person at a terminal wants it at once."""


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The persistent instance of this `PVMS_HOME`, for a run in this process; use it as a context manager.

    Opened by one process at a time: two that make the same new database at once leave it with two migration heads.
    """
    folder = use_dagster_home(settings.home)
    locks = paths_of(settings.home).locks
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "dagster-instance.lock"):
        instance = _open(folder)
        make_known(instance)
        return instance


def _open(folder: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=cast("Any", NO_CAPTURE)))


def refuse_other_instance(settings: Settings) -> None:
    """Stop where Dagster would forget everything when it ends, or keep it apart from what `pvms load` records.

    Raises:
        SettingsError: `DAGSTER_HOME` is not set, or not that of this `PVMS_HOME`.
    """
    named = os.environ.get("DAGSTER_HOME")
    wanted = dagster_home(settings.home)
    if not named:
        raise SettingsError(
            "DAGSTER_HOME is not set, so Dagster would keep its records in a temporary folder and forget them. "
            "Start it with `pvms ui`, or from the folder whose .env `pvms init` wrote, "
            f"or set DAGSTER_HOME={wanted}."
        )
    if Path(named).resolve() != wanted:
        raise SettingsError(
            f"DAGSTER_HOME is {named}, but the records of PVMS_HOME={settings.home} are in {wanted}. "
            f"Set DAGSTER_HOME={wanted} in the .env that `pvms init` wrote, or start with `pvms ui`."
        )


@contextmanager
def kept_open(home: Path, run_id: str) -> Iterator[None]:
    """Hold a connection to the SQLite files that the events of a run are written to.

    Dagster connects anew for every event, and whoever leaves an SQLite file last writes its log back and syncs the
    disk. With somebody there all the time an event takes a third of the time (45 against 15 ms on a busy disk).
    """
    folder = dagster_home(home) / "history" / "runs"
    with ExitStack() as stack:
        for name in ("index.db", f"{run_id}.db"):
            if (folder / name).exists():
                connection = stack.enter_context(closing(sqlite3.connect(folder / name)))
                connection.execute("select count(*) from sqlite_master").fetchall()
        yield
