"""Loads the datasets that have a past: wanted minus covered, packed into calls, asked, landed, covered."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused
from pipelines.load.carrying import Carrier
from pipelines.load.fleet import Fleet
from pipelines.load.landing import deny
from pipelines.load.partitions import Touched
from pipelines.load.request import LoadReport, LoadRequest, Waiting
from pipelines.load.room import check_room
from pipelines.load.services import Services, server_now
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.errors import QuotaExhausted
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.packing import HistoryCall
from schemas.datasets import DATASETS

FOLD_EVERY_PARTS: Final = 200
"""Landing parts are folded into the lake after this many calls, so that a long backfill shows early."""

OTHERS_POLL_SECONDS: Final = 1.0
"""How often a load looks whether another has brought what it asked for."""

Ending = QuotaExhausted | EndpointRefused | EndpointBroken
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
        self.wanting = Wanting(
            self.services,
            self.fleet,
            self.report,
            self.request.forced(server_now(self.services)),
            self.asker.refused_plants,
            self.request.blocks,
        )
        self._carrier = Carrier(self.services, self.asker, self.wanting, self.report, self.touched, self.request.why)

    def run(self, dataset: str, start: date, end: date) -> Ending | None:
        """Load one dataset over `start`..`end` as far as the quota goes; returns what ended it early, if anything did.

        Raises:
            LoadStopped: no further call makes sense.
            DiskFillsUp: what a further call brings might find no room.
        """
        subjects = self.fleet.subjects(dataset, self.request.plants)
        everyone = self.fleet.subjects(dataset)
        todo = self.wanting.todo(dataset, subjects, start, end)
        while True:
            calls = self.wanting.plan(dataset, todo, subjects)
            left_to_others = 0
            exhausted = Exhausted(self.asker, DATASETS[dataset].endpoint)
            for done, call in enumerate(calls):
                self.progress(dataset, done, len(calls))
                if exhausted.holds(call):
                    continue
                try:
                    left_to_others += self._carry(dataset, call, everyone)
                except QuotaExhausted as ending:
                    exhausted.note(without(call, self._carrier.answered), ending)
                    if exhausted.everywhere:
                        exhausted.left.extend(calls[done + 1 :])
                        break
                except (EndpointRefused, EndpointBroken) as ending:
                    rest = [without(call, self._carrier.answered), *calls[done + 1 :], *exhausted.left]
                    self._leave(dataset, [each for each in rest if each is not None], everyone, ending)
                    return ending
                if self.services.lake.pending_parts() >= FOLD_EVERY_PARTS:
                    self.services.lake.fold()
            if exhausted.ending is not None:
                self._leave(dataset, exhausted.left, everyone, exhausted.ending)
                return exhausted.ending if exhausted.everywhere else None
            self.progress(dataset, len(calls), len(calls))
            if not left_to_others:
                return None
            # Another load is asking for the rest: what it doesn't bring is asked for here.
            while self.services.coverage.claimed_by_others(self._carrier.owner, self.services.clock.now()):
                self.services.clock.sleep(OTHERS_POLL_SECONDS)
            todo = self.wanting.todo(dataset, subjects, start, end, declare=False, tell=False)

    def _carry(self, dataset: str, call: Call, everyone: Mapping[str, Subject]) -> int:
        """Carry a call. A load that waits for quota does so without a claim, and then looks anew what is wanted."""
        while True:
            check_room(self.services.settings.home)
            try:
                return self._carrier.carry(dataset, call, everyone)
            except QuotaExhausted as exhausted:
                self.asker.wait_for(exhausted)

    def leave(self, dataset: str, start: date, end: date, ending: Ending) -> None:
        """Note what of `start`..`end` stays undone because an earlier range of the dataset ended so."""
        subjects = self.fleet.subjects(dataset, self.request.plants)
        calls = self.wanting.plan(dataset, self.wanting.todo(dataset, subjects, start, end), subjects)
        if calls:
            self._leave(dataset, calls, self.fleet.subjects(dataset), ending)

    def _leave(self, dataset: str, calls: Sequence[Call], everyone: Mapping[str, Subject], ending: Ending) -> None:
        cells = [cell for call in calls for cell in call.cells]
        if isinstance(ending, QuotaExhausted):
            self.report.wait_for(Waiting(dataset, len(calls), len(cells), ending.next_at, ending.why))
        elif isinstance(ending, EndpointRefused):
            self.report.refuse(dataset, ending.error.describe())
            deny(self.services, dataset, cells, everyone, ending.error.describe())


@dataclass
class Exhausted:
    """What the quotas leave of a plan: when one account's is used up, calls that another can make go on."""

    asker: Asker
    endpoint: str
    left: list[Call] = field(default_factory=list)
    ending: QuotaExhausted | None = None
    _accounts: set[frozenset[str]] = field(default_factory=set)

    def note(self, call: Call | None, ending: QuotaExhausted) -> None:
        """The call, or what is left of it, can't go out now with any account that sees its subjects."""
        earlier = self.ending is not None and (self.ending.next_at is None or ending.next_at is None)
        if self.ending is None or (not earlier and ending.next_at < self.ending.next_at):  # type: ignore[operator]
            self.ending = ending
        if call is not None:
            self.left.append(call)
            self._accounts.add(self.asker.accounts_for(self.endpoint, subjects_of(call)))

    def holds(self, call: Call) -> bool:
        """Whether the call's accounts are known to be exhausted; it is kept if so."""
        if self.ending is None or not any(
            self.asker.accounts_for(self.endpoint, subjects_of(call)) <= known for known in self._accounts
        ):
            return False
        self.left.append(call)
        return True

    @property
    def everywhere(self) -> bool:
        """Whether no account is left that could go on."""
        if self.ending is None:
            return False
        return self.asker.open_accounts(self.endpoint) <= frozenset().union(*self._accounts)


def subjects_of(call: Call) -> tuple[str, ...]:
    """The plants or devices that a call names."""
    return call.device_ids if isinstance(call, HistoryCall) else call.subjects


def without(call: Call, answered: Collection[Cell]) -> Call | None:
    """What of a call is left after some of its cells were answered; None if nothing is."""
    cells = tuple(cell for cell in call.cells if cell not in answered)
    return replace(call, cells=cells) if cells else None
