"""The fewest report calls: one instant selects the wanted period of up to 100 plants or devices [5.1.4].

An hourly call answers one local day, a daily call a month of days, a monthly call a year of months, a yearly
call the whole life of each subject. The instant is reckoned in each subject's own zone, so a call may answer
different dates for different subjects.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipelines.planning.calendar import Period, first_of, local_day, period_window
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.stabbing import Span, least_points, stab
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

EDGE_GUARD: Final = timedelta(hours=1)
"""An instant this close to the edge of a period is never used for it: some servers reckon days at the
standard offset in summer too, an hour beside the true local day."""

GUARDS: Final[dict[Period, tuple[timedelta, ...]]] = {
    "day": tuple(timedelta(hours=h) for h in (8, 6, 4, 3, 2)),
    "month": tuple(timedelta(days=d) for d in (10, 5, 2)),
    "year": tuple(timedelta(days=d) for d in (120, 30, 10, 2)),
}
"""Wider guards to prefer, widest first, where they cost no further call."""


@dataclass(frozen=True, slots=True)
class ReportCall:
    """One call of a report endpoint.

    Up to 100 plants, or devices of one type, and the instant (`collectTime`, aware UTC) that selects the
    window of each in its own zone. `cells` are the wanted cells that the answer holds: for a daily report the
    wanted days of the selected month.
    """

    dataset: str
    device_type_id: int | None
    subjects: tuple[str, ...]
    instant: datetime
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A subject's wanted cells that one answer holds, and the window that the instant must hit (seconds)."""

    subject: str
    start: int
    end: int
    cells: tuple[Cell, ...]


def pack_reports(
    dataset: str, cells: Iterable[Cell], subjects: Mapping[str, Subject], now: datetime | None = None
) -> list[ReportCall]:
    """Return the fewest calls that answer every wanted cell of one report dataset exactly once.

    The count is the least possible under the guard of an hour at each edge. With `now` no instant lies in
    the future, also for the current period. Sorted by instant. ValueError for cells of another dataset and
    for a dataset that is no report.
    """
    calls = [
        _call(dataset, device_type_id, group, now)
        for device_type_id, units in _units(dataset, cells, subjects).items()
        for group in _groups(dataset, units, now)
    ]
    return sorted(calls, key=lambda call: (call.instant, call.device_type_id or 0, call.subjects))


def lower_bound_reports(
    dataset: str, cells: Iterable[Cell], subjects: Mapping[str, Subject], now: datetime | None = None
) -> int:
    """Return a number of calls that no plan can go below: windows that don't overlap need different calls."""
    total = 0
    for units in _units(dataset, cells, subjects).values():
        if _window(dataset) is None:
            total += -(-len(units) // _capacity(dataset))
        else:
            total += least_points(_spans(units, EDGE_GUARD, now), _capacity(dataset))
    return total


def _window(dataset: str) -> Period | None:
    """Return what an instant selects: a day, a month, a year, or None for the whole life."""
    window = DATASETS[dataset].window
    if window == "life":
        return None
    if window == "range" or window == "none":
        raise ValueError(f"{dataset} is no report")
    return window


def _capacity(dataset: str) -> int:
    endpoint = ENDPOINTS[DATASETS[dataset].endpoint]
    limit = endpoint.max_plants if DATASETS[dataset].subject == "plant" else endpoint.max_devices
    assert limit is not None, f"{endpoint.name} has no limit of subjects"
    return limit


def _units(dataset: str, cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> dict[int | None, list[_Unit]]:
    window = _window(dataset)
    wanted: dict[tuple[str, date | None], set[Cell]] = defaultdict(set)
    for cell in cells:
        if cell.dataset != dataset:
            raise ValueError(f"a cell of {cell.dataset} among those of {dataset}")
        wanted[cell.subject, first_of(window, cell.period) if window else None].add(cell)
    units: dict[int | None, list[_Unit]] = defaultdict(list)
    for (subject_id, first), own in wanted.items():
        subject = subjects[subject_id]
        ordered = tuple(sorted(own))
        if window and first:
            span = period_window(window, first, subject.zone)
        else:
            # A life has no edges to keep away from; a day of the newest wanted period stands for it.
            span = local_day(ordered[-1].period, subject.zone)
        unit = _Unit(subject_id, int(span.start.timestamp()), int(span.end.timestamp()), ordered)
        units[subject.device_type_id].append(unit)
    for group in units.values():
        group.sort(key=lambda unit: (unit.end, unit.start, unit.subject))
    return units


def _groups(dataset: str, units: Sequence[_Unit], now: datetime | None) -> list[list[_Unit]]:
    capacity, window = _capacity(dataset), _window(dataset)
    if window is None:
        return [list(units[first : first + capacity]) for first in range(0, len(units), capacity)]
    groups = stab(_spans(units, EDGE_GUARD, now), capacity)
    for guard in GUARDS[window]:
        safer = stab(_spans(units, guard, now), capacity)
        if len(safer) == len(groups):
            groups = safer
            break
    return [[units[index] for index in group] for group in groups]


def _call(dataset: str, device_type_id: int | None, group: Sequence[_Unit], now: datetime | None) -> ReportCall:
    return ReportCall(
        dataset,
        device_type_id,
        tuple(unit.subject for unit in group),
        _instant(group, now),
        tuple(cell for unit in group for cell in unit.cells),
    )


def _spans(units: Sequence[_Unit], guard: timedelta, now: datetime | None) -> list[Span]:
    """Return per unit the first and last second at which an instant may lie."""
    latest = int(now.timestamp()) if now else None
    return [_usable(unit, int(guard.total_seconds()), latest) for unit in units]


def _usable(unit: _Unit, guard: int, latest: int | None) -> Span:
    last = unit.end - 1 if latest is None else max(unit.start, min(unit.end - 1, latest))
    # A period that began a moment ago, or is shorter than its guards, is asked for as deep inside as it goes.
    guard = min(guard, (unit.end - 1 - unit.start) // 2)
    end = max(min(last, unit.end - 1 - guard), unit.start)
    return min(unit.start + guard, end), end


def _instant(group: Sequence[_Unit], now: datetime | None) -> datetime:
    """Return the middle of what the group's windows have in common, but nothing later than now."""
    first = max(unit.start for unit in group)
    last = min(unit.end for unit in group)
    if last <= first:
        # Only for whole lives, where any instant does.
        first, last = group[-1].start, group[-1].end
    middle = first + (last - first) // 2
    if now:
        middle = min(middle, int(now.timestamp()))
    return datetime.fromtimestamp(middle, UTC)
