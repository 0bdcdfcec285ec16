"""When fresh data come due: local days that wait for each other, so that they ride in one call.

A day is fresh data once it is over and its margin has passed. Zones whose days end within a few hours of each other
wait for the last of them where that saves calls; 5-minute days of a group with a freshness of 2 or 3 days wait for
each other too, in blocks that are the same for all devices.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import REPORT_MARGIN, Cell, Subject, final_margin, period_of, serves, wanted_cells
from pipelines.planning.history_call import SEATS, SPAN_SECONDS
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

FRESH_REACH: Final = timedelta(days=7)
"""Days that ended so long ago still count as fresh: a weekend's standstill is made up for before any history."""

HISTORY_PATIENCE: Final = timedelta(days=1)
"""5-minute days wait at most so long for those of other zones: no day gets older than its freshness allows."""

REPORT_PATIENCE: Final = timedelta(hours=6)
"""Reports of days and hours wait shorter: their calls are few, and people look at them in the morning."""

LONG_REPORT_PATIENCE: Final = timedelta(days=1)
"""A month or a year that runs on changes little from day to day: one reading a day for all zones does."""

SPAN: Final = timedelta(seconds=SPAN_SECONDS)
_FIRST_TO_BEGIN: Final = timedelta(hours=14)
_LAST_TO_END: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Wave:
    """Local days `first`..`last` of some subjects of one dataset and type, which come due together at `due_at` (UTC).

    `calls` is what they cost as long as every subject wants all of them.
    """

    dataset: str
    device_type_id: int | None
    subjects: tuple[Subject, ...]
    first: date
    last: date
    due_at: datetime
    calls: int

    def cells(self) -> list[Cell]:
        """The periods that hold these days; months and years also those that ended the day before, to settle them."""
        first = self.first if period_of(self.dataset) == "day" else self.first - timedelta(days=1)
        return wanted_cells(self.dataset, self.subjects, first, self.last, self.due_at)


KnownWaves = dict[tuple[int | None, date, date], list[Wave]]
"""Waves by device type and block of days."""


def block_of(day: date, days: int) -> tuple[date, date]:
    """Return first and last day of the block that holds `day`; the calendar is cut into blocks once and for all."""
    first = day - timedelta(days=day.toordinal() % days)
    return first, first + timedelta(days=days - 1)


def waves_change_with(now: datetime) -> tuple[date, date]:
    """Return what of an instant `fresh_waves` depends on: they stay the same for hours."""
    return (now - _LAST_TO_END - FRESH_REACH).date(), (now + _FIRST_TO_BEGIN).date()


def first_fresh_day(now: datetime, freshness_days: int = 1) -> date:
    """Return the first local date that `fresh_waves` reaches, where 5-minute days wait for so many."""
    return block_of(waves_change_with(now)[0], freshness_days)[0]


def fresh_waves(
    dataset: str,
    subjects: Iterable[Subject],
    now: datetime,
    freshness_of: Callable[[Subject], int] = lambda _: 1,
    known: KnownWaves | None = None,
) -> list[Wave]:
    """Return the waves of the last week and the next to come, by the time at which they come due.

    `freshness_of` gives the days that a device's 5-minute data may wait; reports never wait for another day.
    `known` keeps the blocks of the same subjects from one reckoning to the next: most stay as they were.
    """
    kept = {} if known is None else known
    before = dict(kept)
    kept.clear()
    alike: dict[tuple[int | None, int], list[Subject]] = defaultdict(list)
    for subject in subjects:
        if serves(dataset, subject):
            days = freshness_of(subject) if dataset == "device_history" else 1
            alike[subject.device_type_id, days].append(subject)
    found = []
    oldest, newest = waves_change_with(now)
    for (kind, days), group in alike.items():
        by_zone: dict[str, list[Subject]] = defaultdict(list)
        for subject in group:
            by_zone[subject.zone].append(subject)
        first, last = block_of(newest, days)
        while last >= oldest:
            key = kind, first, last
            kept[key] = before.get(key) or _waves(dataset, by_zone, first, last)
            found += kept[key]
            first, last = block_of(first - timedelta(days=1), days)
    return sorted(found, key=lambda wave: (wave.due_at, wave.first, wave.device_type_id or 0))


def due_cells(waves: Iterable[Wave], now: datetime) -> dict[Cell, datetime]:
    """Return the cells that have come due, and the latest instant at which each did."""
    due: dict[Cell, datetime] = {}
    for wave in waves:
        if wave.due_at <= now:
            for cell in wave.cells():
                due[cell] = max(due.get(cell, wave.due_at), wave.due_at)
    return due


def next_due(waves: Iterable[Wave], now: datetime) -> datetime | None:
    """Return the next instant at which fresh work comes due; None where there is none to come."""
    return min((wave.due_at for wave in waves if wave.due_at > now), default=None)


def reserve(waves: Iterable[Wave], now: datetime, window: timedelta) -> int:
    """Return the calls that fresh data will need within a quota's window from now: a backlog leaves them alone."""
    return sum(wave.calls for wave in waves if now < wave.due_at <= now + window)


def calls_a_day(waves: Iterable[Wave]) -> float:
    """Return the calls that fresh data cost on an average day; waves of a whole week and more, as `fresh_waves` gives.

    The average of each type's blocks: a block of three days costs a third a day.
    """
    costs: dict[tuple[str, int | None, int, date], int] = defaultdict(int)
    for wave in waves:
        costs[wave.dataset, wave.device_type_id, (wave.last - wave.first).days + 1, wave.first] += wave.calls
    blocks: dict[tuple[str, int | None, int], list[int]] = defaultdict(list)
    for (dataset, kind, days, _), calls in costs.items():
        blocks[dataset, kind, days].append(calls)
    return sum(sum(calls) / len(calls) / days for (_, _, days), calls in blocks.items())


def _waves(dataset: str, by_zone: Mapping[str, Sequence[Subject]], first: date, last: date) -> list[Wave]:
    spans = {zone: (local_day(first, zone).start, local_day(last, zone).end) for zone in by_zone}
    zones = sorted(by_zone, key=lambda zone: (spans[zone][1], zone))
    history = dataset == "device_history"
    capacity = capacity_of(dataset)
    margin = final_margin(dataset) if period_of(dataset) == "day" else REPORT_MARGIN
    patience = HISTORY_PATIENCE if history else REPORT_PATIENCE
    if period_of(dataset) != "day":
        patience = LONG_REPORT_PATIENCE

    def together(run: Sequence[str]) -> bool:
        ends = [spans[zone][1] for zone in run]
        fits = not history or max(ends) - min(spans[zone][0] for zone in run) <= SPAN
        return len(run) == 1 or (fits and ends[-1] - ends[0] <= patience)

    found = []
    sizes = [len(by_zone[zone]) for zone in zones]
    for run in _cheapest_runs([spans[zone][1] for zone in zones], sizes, capacity, lambda i, j: together(zones[i:j])):
        members = tuple(subject for zone in zones[run[0] : run[1]] for subject in by_zone[zone])
        # A block over the autumn's change of clocks is an hour too long for one window.
        windows = 1 + (history and any(spans[z][1] - spans[z][0] > SPAN for z in zones[run[0] : run[1]]))
        due_at = (max(spans[zone][1] for zone in zones[run[0] : run[1]]) + margin).astimezone(UTC)
        kind = members[0].device_type_id
        found.append(Wave(dataset, kind, members, first, last, due_at, windows * -(-len(members) // capacity)))
    return found


def capacity_of(dataset: str) -> int:
    """Return how many plants, or devices of one type, one call of the dataset takes."""
    if dataset == "device_history":
        return SEATS
    endpoint = ENDPOINTS[DATASETS[dataset].endpoint]
    limit = endpoint.max_plants if DATASETS[dataset].subject == "plant" else endpoint.max_devices
    assert limit is not None, f"{endpoint.name} has no limit of subjects"
    return limit


def _cheapest_runs(
    ends: Sequence[datetime], sizes: Sequence[int], capacity: int, together: Callable[[int, int], bool]
) -> list[tuple[int, int]]:
    """Cut zones, sorted by end, into runs [i, j) with the fewest calls; of equals, the one that waits least."""
    best: list[tuple[int, float, int]] = [(0, 0.0, 0)]
    for j in range(1, len(ends) + 1):
        options = []
        for i in range(j):
            if together(i, j):
                calls = -(-sum(sizes[i:j]) // capacity)
                waits = sum(
                    n * (ends[j - 1] - end).total_seconds() for n, end in zip(sizes[i:j], ends[i:j], strict=True)
                )
                options.append((best[i][0] + calls, best[i][1] + waits, i))
        best.append(min(options))
    runs = []
    j = len(ends)
    while j:
        i = best[j][2]
        runs.append((i, j))
        j = i
    return runs[::-1]
