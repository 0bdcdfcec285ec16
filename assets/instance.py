"""Dagster's instance lives under `PVMS_HOME`: where it is, what configures it, and why another one is refused."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import dagster as dg

# Public names open an instance as its dagster.yaml says, and can't say otherwise for one process.
from dagster._core.instance import InstanceRef

from pipelines.lake.durable import write_durably
from pipelines.load.services import state_dir
from pipelines.settings import Settings, SettingsError

CONFIG_FILE: Final = "dagster.yaml"

NO_CAPTURE: Final[dict[str, Any]] = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
"""Dagster copies what a run prints through files and `tail` processes; a person at a terminal wants it at once."""


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's instance."""
    return state_dir(settings.home) / "dagster"


def prepare_instance(settings: Settings) -> Path:
    """Create the instance's folder and its `dagster.yaml` if they are not there; point `DAGSTER_HOME` at it."""
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    config = home / CONFIG_FILE
    if not config.exists():
        write_durably(config, files("assets").joinpath(CONFIG_FILE).read_bytes())
    os.environ["DAGSTER_HOME"] = str(home)
    # dbt's own telemetry, also where Dagster starts it.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The persistent instance of this `PVMS_HOME`, for a run in this process; use it as a context manager."""
    overrides = cast("Any", NO_CAPTURE)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(prepare_instance(settings)), overrides=overrides))


def refuse_other_instance(settings: Settings) -> None:
    """Stop where Dagster would forget everything when it ends, or keep it apart from what `pvms load` records.

    Raises:
        SettingsError: `DAGSTER_HOME` is not set, or not that of this `PVMS_HOME`.
    """
    named = os.environ.get("DAGSTER_HOME")
    wanted = dagster_home(settings)
    if not named:
        raise SettingsError(
            "DAGSTER_HOME is not set, so Dagster would keep its records in a temporary folder and forget them. "
            "Start it with `pvms ui`, or from the folder whose .env `pvms init` wrote, "
            f"or set DAGSTER_HOME={wanted}."
        )
    if Path(named).resolve() != wanted.resolve():
        raise SettingsError(
            f"DAGSTER_HOME is {named}, but the records of PVMS_HOME={settings.home} are in {wanted}. "
            f"Set DAGSTER_HOME={wanted} in the .env that `pvms init` wrote, or start with `pvms ui`."
        )
