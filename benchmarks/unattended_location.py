"""The code location that `unattended.py` gives to Dagster: the product's own, by the keeper's time."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from assets import ticks
from assets.defs import build_defs
from assets.home import FOLDER_VARIABLE
from assets.resources import Pvms
from pipelines.load.services import Services
from pipelines.settings import load_settings
from pipelines.simulator.shared_time import SharedClock

PORT_VARIABLE: Final = "UNATTENDED_PORT"
"""Set for the processes that take part: where the keeper of time listens."""


class AskedClock:
    """The keeper's time for whoever doesn't take part: the sensors, which must not hold it up."""

    def __init__(self, port: int) -> None:
        """Connect anew for each look."""
        self._port = port

    def now(self) -> datetime:
        """The virtual instant."""
        with closing(SharedClock(self._port)) as asked:
            return asked.now()

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        """Nobody sleeps by it."""
        raise NotImplementedError


@dataclass(frozen=True)
class TimedPvms(Pvms):
    """Loads take part in the keeper's time from when they open their rooms until they close them."""

    port: int = 0

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The rooms of one load, on a clock of its own."""
        with closing(SharedClock(self.port)) as clock, Services.open(self.settings, clock) as opened:
            yield opened


if PORT_VARIABLE in os.environ and FOLDER_VARIABLE in os.environ:
    # Sensors look by the machine's time, which nobody waits for here.
    ticks.LOOK_EVERY = timedelta(seconds=3)
    _port = int(os.environ[PORT_VARIABLE])
    _settings = load_settings(Path(os.environ[FOLDER_VARIABLE]))
    defs = build_defs(TimedPvms(_settings, clock=AskedClock(_port), port=_port))
