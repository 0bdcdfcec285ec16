"""The product's code location by a clock that a test moves on, without dbt; served as `pvms ui` does."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pipelines.load.build
from assets.home import FOLDER_VARIABLE
from pipelines.lake.transform import TransformReport
from pipelines.northbound.clock import SystemClock
from pipelines.settings import load_settings

AHEAD = "ahead.txt"
"""In the folder of the `.env`: by how many seconds the clock is ahead of the machine's."""


class MovedClock(SystemClock):
    """The machine's clock, ahead by what the file says."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / AHEAD

    def now(self) -> datetime:
        ahead = float(self._file.read_text(encoding="utf-8")) if self._file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=ahead)


if __name__ == "__main__":
    from assets.webserver import run_ui

    sys.exit(run_ui(load_settings(), int(sys.argv[-1]), print, location=("-m", Path(__file__).stem)))
elif FOLDER_VARIABLE in os.environ:
    # Every run imports the code location, and dbt is a third of it.
    marts = ModuleType("assets.marts")
    marts.build = lambda _: []  # type: ignore[attr-defined]
    sys.modules.setdefault(marts.__name__, marts)

    from assets.defs import build_defs
    from assets.resources import Pvms

    pipelines.load.build.run_dbt = lambda *_, **__: TransformReport({}, 0.0)  # type: ignore[assignment]
    place = Path(os.environ[FOLDER_VARIABLE])
    defs = build_defs(Pvms(load_settings(place), clock=MovedClock(place)))
