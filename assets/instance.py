"""Dagster's instance lives under `PVMS_HOME`: where it is, what configures it, and why a temporary one is refused."""

import os
from importlib.resources import files
from pathlib import Path

import dagster as dg

from pipelines.load.services import state_dir
from pipelines.settings import Settings, SettingsError


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's instance."""
    return state_dir(settings.home) / "dagster"


def prepare_instance(settings: Settings) -> Path:
    """Create the instance's folder and its `dagster.yaml` if they are not there; point `DAGSTER_HOME` at it."""
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(files("assets").joinpath("dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    # dbt's own telemetry, also where Dagster starts it.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The persistent instance of this `PVMS_HOME`; close it with `dispose()` or use it as a context manager."""
    return dg.DagsterInstance.from_config(str(prepare_instance(settings)))


def refuse_temporary_instance() -> None:
    """Stop where Dagster would forget everything when it ends.

    Raises:
        SettingsError: `DAGSTER_HOME` is not set.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise SettingsError(
            "DAGSTER_HOME is not set, so Dagster would keep its records in a temporary folder and forget them. "
            "Start it with `pvms ui`, or from the folder whose .env `pvms init` wrote."
        )
