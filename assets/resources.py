"""What Dagster hands to assets and jobs: the settings of this `PVMS_HOME`, and who watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from pipelines.load.request import Listener, Silent, latest_local_date
from pipelines.load.services import Services
from pipelines.northbound.clock import Clock, SystemClock
from pipelines.settings import Settings

RESOURCE = "pvms"


@dataclass(frozen=True)
class Pvms:
    """One `PVMS_HOME` as a resource; `clock` is set by tests alone."""

    settings: Settings
    listener: Listener = field(default_factory=Silent)
    clock: Clock | None = None

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The rooms of one load, closed at the end."""
        with Services.open(self.settings, self.clock) as opened:
            yield opened

    @property
    def latest_date(self) -> date:
        """The latest local date that has begun anywhere, the last that can be asked for."""
        return latest_local_date((self.clock or SystemClock()).now())


def as_resource(pvms: Pvms) -> dg.ResourceDefinition:
    """The resource definition that carries it."""
    return dg.ResourceDefinition.hardcoded_resource(pvms, "The settings of this PVMS_HOME.")
