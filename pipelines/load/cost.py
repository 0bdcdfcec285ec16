"""What a load would cost in calls, against the least possible, and how many days of quota that is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Final

from pipelines.load.asking import Asker
from pipelines.load.blocks import ranges
from pipelines.load.fleet import Fleet
from pipelines.load.inventory import ensure_inventory
from pipelines.load.oldest_search import OldestSearch
from pipelines.load.request import PERIODIC_DATASETS, Listener, LoadReport, LoadRequest
from pipelines.load.run import check_dates, check_owner_files, check_plants
from pipelines.load.services import Services
from pipelines.load.wanting import Wanting
from pipelines.northbound.client import Client
from pipelines.owner_files import read_policy
from pipelines.planning import again
from pipelines.planning.alternatives import (
    FRESHNESS,
    Alternative,
    Recommendation,
    Situation,
    alternatives,
    recommend,
)
from pipelines.planning.calendar import first_of
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.counting import CallCounter
from pipelines.planning.estimate import Estimate, estimate
from pipelines.planning.packing import lower_bound_history, pack_history
from pipelines.planning.policy import Policy
from pipelines.planning.reports import lower_bound_reports, pack_reports
from pipelines.planning.waves import calls_a_day, capacity_of, due_cells, fresh_waves
from pipelines.planning.worth import Piece, followed, past_cells, pieces, report_lacks_data, scheduled
from schemas.datasets import DATASETS

DAY_SECONDS: Final = 86_400
HISTORY: Final = DATASETS["device_history"].endpoint

SHORT: Final = timedelta(days=31)
"""Up to this length a load is planned as it would be made; longer ones repeat themselves and are counted."""

REPORT_CELLS: Final = 300_000
"""Report cells up to which the least possible is reckoned by what can't share an instant; beyond, by seats alone."""

BY_DAILY_REPORT: Final = ("device_history", "plant_hourly", "device_daily")
"""Datasets that aren't asked of a day of which the plant's daily report shows no data."""


@dataclass(frozen=True)
class Cost:
    """The estimates by dataset, how many wanted periods are there already, and the ways to go on from here."""

    estimates: Mapping[str, Estimate]
    wanted: int
    covered: int
    alternatives: Sequence[Alternative] = ()
    recommended: Recommendation | None = None
    no_depth: bool = False
    """Nothing says how far back the past is wanted."""


def cost_of(request: LoadRequest, services: Services, listener: Listener) -> Cost:
    """Plan a load of dates without making it; asks the vendor for nothing beyond a stale inventory.

    Raises:
        UsageError: as `run_load`.
        LoadStopped: there is no inventory and it can't be had.
    """
    check_dates(request, services.clock.now())
    return _Costing.begin(request, services, listener).of_dates()


def cost_of_wanted(request: LoadRequest, services: Services, listener: Listener) -> Cost:
    """Plan what settings and policy want, without making it: the past, and what has come due by now.

    The dates of the request don't count. Raises as `cost_of`.
    """
    return _Costing.begin(request, services, listener).of_policy()


@dataclass
class _Tally:
    """What one dataset takes."""

    calls: int = 0
    least: int = 0
    by_type: Counter[int] = field(default_factory=Counter)


@dataclass
class _Costing:
    request: LoadRequest
    services: Services
    listener: Listener
    fleet: Fleet
    policy: Policy
    report: LoadReport
    counter: CallCounter = field(default_factory=CallCounter)
    wanted: int = 0
    covered: int = 0

    @classmethod
    def begin(cls, request: LoadRequest, services: Services, listener: Listener) -> "_Costing":
        check_owner_files(services.settings)
        policy = read_policy(services.settings.policy_file, services.settings)
        report = LoadReport()
        asker = Asker(services.clients, services.clock, report, listener, wait=False)
        fleet = ensure_inventory(services, asker, report, listener, request.refresh_inventory)
        check_plants(request, fleet)
        return cls(request, services, listener, fleet, policy, report)

    @property
    def datasets(self) -> list[str]:
        return [name for name in self.request.wanted_datasets if name in PERIODIC_DATASETS]

    def of_dates(self) -> Cost:
        start, end = self.request.start, self.request.end
        wanting = Wanting(self.services, self.fleet, self.report, self.request.forced(self.services.clock.now()))
        tallies = {}
        for dataset in self.datasets:
            subjects = self.fleet.subjects(dataset, self.request.plants)
            parts = ranges(dataset, start, end)
            batches = (wanting.todo(dataset, subjects, *part, declare=False) for part in parts)
            tallies[dataset] = self._tally(dataset, subjects, batches, len(parts), exact=end - start < SHORT)
        self.covered = self.report.already_covered
        self.wanted += self.covered
        return self._cost(tallies)

    def of_policy(self) -> Cost:
        now = self.services.clock.now()
        tallies = {}
        oldest = OldestSearch(self.services, {}, self.policy).found
        for dataset in self.datasets:
            subjects = self.fleet.subjects(dataset, self.request.plants)
            parts = list(pieces({dataset: list(subjects.values())}, self.policy, now, oldest))
            wanted = followed(dataset, subjects.values(), self.policy)
            fresh = list(due_cells(scheduled(dataset, wanted, self.policy, now), now))
            tallies[dataset] = self._tally(
                dataset, subjects, self._past(parts, fresh, subjects), len(parts) + 1, exact=False
            )
        depths = [depth for group in self.policy.groups for depth in (group.since, group.history_since)]
        return self._cost(tallies, no_depth=not any(depths))

    def _past(self, parts: Sequence[Piece], fresh: list[Cell], subjects: Mapping[str, Subject]) -> Iterator[list[Cell]]:
        yield self._not_there(fresh, subjects)
        now = self.services.clock.now()
        for piece in parts:
            bare = self._days_without_data(piece.dataset, piece.first, piece.last)
            cells = past_cells(piece, subjects.values(), self.policy, now)
            if bare:
                cells = [cell for cell in cells if (subjects[cell.subject].plant_code, cell.period) not in bare]
            yield self._not_there(cells, subjects)

    def _days_without_data(self, dataset: str, first: date, last: date) -> set[tuple[str, date]]:
        if dataset not in BY_DAILY_REPORT:
            return set()
        known = self.services.coverage.states("plant_daily", None, first, last)
        return {key for key, entry in known.items() if report_lacks_data(entry.state, entry.rows)}

    def _not_there(self, cells: list[Cell], subjects: Mapping[str, Subject]) -> list[Cell]:
        if not cells:
            return []
        now, periods = self.services.clock.now(), [cell.period for cell in cells]
        known = self.services.coverage.states(cells[0].dataset, None, min(periods), max(periods))
        found = []
        for cell in cells:
            entry = known.get((cell.subject, cell.period))
            zone = subjects[cell.subject].zone
            if entry is None or again.due_again(cell, entry.state, entry.extracted_at, zone, now):
                found.append(cell)
        self.wanted += len(cells) - len(found)
        self.covered += len(cells) - len(found)
        return found

    def _tally(
        self,
        dataset: str,
        subjects: Mapping[str, Subject],
        batches: Iterator[list[Cell]],
        steps: int,
        *,
        exact: bool,
    ) -> _Tally:
        tally, seats = _Tally(), Counter[int]()
        kept: list[Cell] = []
        now = self.services.clock.now()
        history = DATASETS[dataset].window == "range"
        for done, cells in enumerate(batches):
            self.listener.progress(f"plan {dataset}", done, steps)
            self.wanted += len(cells)
            if not history:
                tally.calls += len(pack_reports(dataset, cells, subjects, now))
                seats.update(_answers(dataset, cells, subjects))
                kept += cells if len(kept) <= REPORT_CELLS else []
            elif exact:
                tally.by_type.update(Counter(call.device_type_id for call in pack_history(cells, subjects)))
                tally.least += lower_bound_history(cells, subjects)
            else:
                tally.by_type.update(self.counter.count(cells, subjects))
        self.listener.progress(f"plan {dataset}", steps, steps)
        if history:
            tally.calls = sum(tally.by_type.values())
            tally.least = tally.least or self.counter.least
        elif len(kept) <= REPORT_CELLS:
            tally.least = lower_bound_reports(dataset, kept, subjects, now)
        else:
            tally.least = sum(-(-each // capacity_of(dataset)) for each in seats.values())
        return tally

    def _cost(self, tallies: Mapping[str, _Tally], *, no_depth: bool = False) -> Cost:
        estimates = {name: self._estimate(name, tally) for name, tally in tallies.items()}
        history = tallies.get("device_history")
        if history is None or self.fleet.devices.is_empty():
            return Cost(estimates, self.wanted, self.covered, no_depth=no_depth)
        ways = alternatives(self._situation(history.by_type))
        return Cost(estimates, self.wanted, self.covered, ways, recommend(ways), no_depth)

    def _situation(self, backlog: Mapping[int, int]) -> Situation:
        now = self.services.clock.now()
        devices = self.fleet.subjects("device_history", self.request.plants)
        by_type: dict[int, list[Subject]] = {}
        for device in devices.values():
            if self.policy.wanted("device_history", device) and device.device_type_id is not None:
                by_type.setdefault(device.device_type_id, []).append(device)
        fresh = {
            days: {
                kind: calls_a_day(fresh_waves("device_history", own, now, partial(_same, days)))
                for kind, own in by_type.items()
            }
            for days in FRESHNESS
        }
        sharing = {name for client in self.services.clients.values() for name in client.ledger.sharing(HISTORY)}
        others = sum(
            calls_a_day(fresh_waves(name, self.fleet.subjects(name).values(), now))
            for name in PERIODIC_DATASETS
            if name != "device_history" and DATASETS[name].endpoint in sharing
        )
        accounts = len(self.services.clients)
        return Situation(
            quota=sum(_per_day(client, HISTORY)[0] for client in self.services.clients.values()) / accounts,
            backlog=backlog,
            fresh=fresh,
            accounts=accounts,
            freshness=self.policy.default.freshness_days,
            others=others,
        )

    def _estimate(self, dataset: str, tally: _Tally) -> Estimate:
        endpoint = DATASETS[dataset].endpoint
        days = [_per_day(client, endpoint) for client in self.services.clients.values()]
        per_day, free = (sum(each) for each in zip(*days, strict=True))
        return estimate(endpoint, tally.calls, min(tally.least, tally.calls), per_day, free)


def _per_day(client: Client, endpoint: str) -> tuple[int, int]:
    """What the quota of an account grants a day, and what of today's is free."""
    limit, window = client.ledger.quota(endpoint, client.counts)
    whole_day = limit * max(1, DAY_SECONDS // int(window.total_seconds()))
    allowance = client.allowance(endpoint)
    free = whole_day if window.total_seconds() < DAY_SECONDS else max(0, allowance.limit - allowance.used)
    return whole_day, free


def _same(days: int, _: Subject) -> int:
    return days


def _answers(dataset: str, cells: Sequence[Cell], subjects: Mapping[str, Subject]) -> Counter[int]:
    """How many answers of a subject's month, year or life the cells need, by device type (0: plants)."""
    window = DATASETS[dataset].window
    answers = set()
    for cell in cells:
        first = cell.period
        if window == "month" or window == "year":
            first = first_of(window, first)
        answers.add((cell.subject, date.min if window == "life" else first))
    return Counter(subjects[subject].device_type_id or 0 for subject, _ in answers)
