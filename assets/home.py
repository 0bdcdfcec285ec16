"""Where Dagster keeps its records: a folder under `PVMS_HOME`. Importable without Dagster."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Final

from pipelines.lake.durable import write_durably
from pipelines.lake.paths import paths_of

CONFIG_FILE: Final = "dagster.yaml"

FOLDER_VARIABLE: Final = "PVMS_UI_FOLDER"
"""Set by `pvms ui` for the processes that it starts: the folder whose settings they read, since theirs is another."""


def dagster_home(home: Path) -> Path:
    """The folder of Dagster's instance of a `PVMS_HOME`; absolute."""
    return paths_of(home).state / "dagster"


def make_dagster_home(home: Path) -> Path:
    """Create the instance's folder and its `dagster.yaml` if they are not there; a changed one stays as it is."""
    folder = dagster_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / CONFIG_FILE
    if not config.exists():
        write_durably(config, files("assets").joinpath(CONFIG_FILE).read_bytes())
    return folder


def use_dagster_home(home: Path) -> Path:
    """Point this process and its children at the instance, with dbt's telemetry off where Dagster starts it."""
    folder = make_dagster_home(home)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    return folder
