"""Loads the datasets that have a past: wanted minus covered, packed into calls, asked, landed, covered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pipelines.load.asking import Asker, EndpointRefused
from pipelines.load.carrying import Carrier
from pipelines.load.fleet import Fleet
from pipelines.load.landing import deny
from pipelines.load.partitions import Touched
from pipelines.load.request import LoadReport, LoadRequest, Waiting
from pipelines.load.services import Services
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.errors import QuotaExhausted
from pipelines.planning.cells import Subject

FOLD_EVERY_PARTS: Final = 200
"""Landing parts are folded into the lake after this many calls, so that a long backfill shows early."""

OTHERS_POLL_SECONDS: Final = 1.0
"""How often a load looks whether another has brought what it asked for."""

Ending = QuotaExhausted | EndpointRefused
Progress = Callable[[str, int, int], None]


@dataclass
class PeriodicLoad:
    """One load of the datasets with a past over one fleet."""

    services: Services
    request: LoadRequest
    fleet: Fleet
    asker: Asker
    report: LoadReport
    progress: Progress
    touched: Touched

    def __post_init__(self) -> None:
        """Make the pieces that every dataset shares."""
        self.wanting = Wanting(self.services, self.fleet, self.report, self.request.force, self.asker.refused_plants)
        self._carrier = Carrier(self.services, self.asker, self.wanting, self.report, self.touched, self.request.why)

    def run(self, dataset: str, start: date, end: date) -> Ending | None:
        """Load one dataset over `start`..`end` as far as the quota goes; returns what ended it early, if anything did.

        Raises:
            LoadStopped: no further call makes sense.
        """
        subjects = self.fleet.subjects(dataset, self.request.plants)
        everyone = self.fleet.subjects(dataset)
        todo = self.wanting.todo(dataset, subjects, start, end)
        while True:
            calls = self.wanting.plan(dataset, todo, subjects)
            left_to_others = 0
            for done, call in enumerate(calls):
                self.progress(dataset, done, len(calls))
                try:
                    left_to_others += self._carrier.carry(dataset, call, everyone)
                except (QuotaExhausted, EndpointRefused) as ending:
                    self._leave(dataset, calls[done:], everyone, ending)
                    return ending
                if self.services.lake.pending_parts() >= FOLD_EVERY_PARTS:
                    self.services.lake.fold()
            self.progress(dataset, len(calls), len(calls))
            if not left_to_others or self.request.force:
                return None
            # Another load is asking for the rest: what it doesn't bring is asked for here.
            while self.services.coverage.claimed_by_others(self._carrier.owner, self.services.clock.now()):
                self.services.clock.sleep(OTHERS_POLL_SECONDS)
            todo = self.wanting.todo(dataset, subjects, start, end, declare=False, tell=False)

    def leave(self, dataset: str, start: date, end: date, ending: Ending) -> None:
        """Note what of `start`..`end` stays undone because an earlier range of the dataset ended so."""
        subjects = self.fleet.subjects(dataset, self.request.plants)
        calls = self.wanting.plan(dataset, self.wanting.todo(dataset, subjects, start, end), subjects)
        if calls:
            self._leave(dataset, calls, self.fleet.subjects(dataset), ending)

    def _leave(self, dataset: str, calls: Sequence[Call], everyone: Mapping[str, Subject], ending: Ending) -> None:
        cells = [cell for call in calls for cell in call.cells]
        if isinstance(ending, QuotaExhausted):
            self.report.wait_for(Waiting(dataset, len(calls), len(cells), ending.next_at))
        else:
            self.report.refuse(dataset, ending.error.describe())
            deny(self.services, dataset, cells, everyone, ending.error.describe())
