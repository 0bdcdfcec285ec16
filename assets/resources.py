"""What Dagster hands to assets and jobs: the settings of this `PVMS_HOME`, and who watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from pipelines.load.request import Listener, Silent
from pipelines.load.services import Services
from pipelines.northbound.clock import Clock
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


def as_resource(pvms: Pvms) -> dg.ResourceDefinition:
    """The resource definition that carries it."""
    return dg.ResourceDefinition.hardcoded_resource(pvms, "The settings of this PVMS_HOME.")
