"""How many history calls cells would take, without keeping the plans: a backlog of years repeats itself.

Most months of a backlog ask the same days of the same devices in the same zones, so that one plan counts for all;
and what the first plans need beyond the least possible, the others need too.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from typing import Final

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.history_call import SEATS, SPAN_SECONDS
from pipelines.planning.packing import pack_history
from pipelines.planning.sweep import Want

COUNTING_EFFORT: Final = 30_000
"""Cells that the packer may visit for a count: within one percent of the plan that a load makes."""

DAY_SECONDS: Final = 86_400

PLANNED_SHAPES: Final = 3
"""Batches of each device type that are planned in earnest; the others are reckoned by how far those are from the
least possible."""

_Spans = tuple[tuple[int, int], ...]
_Shape = tuple[int, frozenset[tuple[_Spans, int]]]
"""A device type, and how many of its devices want the same spans, in seconds from the first one's start."""


class CallCounter:
    """Counts the history calls of one batch of cells after the other, as `pack_history` would plan each."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._calls: dict[_Shape, int] = {}
        self._seats: dict[_Spans, int] = {}
        self._planned: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._all_seats: Counter[int] = Counter()
        self._at_noon: dict[int, Counter[int]] = defaultdict(Counter)

    def count(self, cells: Collection[Cell], subjects: Mapping[str, Subject]) -> dict[int, int]:
        """Return the calls by device type; batches alike but for their date are planned once."""
        found: dict[int, int] = {}
        for kind, groups in _alike(cells, subjects).items():
            shape = _shape(kind, groups)
            seats, at_noon = self._fewest(shape), _at_noon(groups)
            if shape not in self._calls:
                own = [cell for cell in cells if subjects[cell.subject].device_type_id == kind]
                self._calls[shape] = self._plan(kind, _least(seats, at_noon), own, subjects)
            found[kind] = self._calls[shape]
            self._all_seats[kind] += seats
            self._at_noon[kind].update(at_noon)
        return found

    @property
    def least(self) -> int:
        """A number of calls that no plan for everything counted can go below."""
        return sum(_least(seats, self._at_noon[kind]) for kind, seats in self._all_seats.items())

    def _plan(self, kind: int, least: int, cells: Collection[Cell], subjects: Mapping[str, Subject]) -> int:
        planned = self._planned[kind]
        if len(planned) < PLANNED_SHAPES:
            calls = len(pack_history(cells, subjects, COUNTING_EFFORT))
            planned.append((calls, least))
            return calls
        return round(least * sum(calls for calls, _ in planned) / sum(each for _, each in planned))

    def _fewest(self, shape: _Shape) -> int:
        total = 0
        for spans, devices in shape[1]:
            if spans not in self._seats:
                self._seats[spans] = Want.of(spans, SPAN_SECONDS).least[0]
            total += devices * self._seats[spans]
        return total


_Alike = Counter[tuple[str, tuple[date, ...]]]
"""How many devices of a zone want the same days."""


def _alike(cells: Collection[Cell], subjects: Mapping[str, Subject]) -> dict[int, _Alike]:
    days: dict[str, list[date]] = defaultdict(list)
    for cell in cells:
        days[cell.subject].append(cell.period)
    alike: dict[int, _Alike] = defaultdict(Counter)
    for device, periods in days.items():
        kind = subjects[device].device_type_id
        assert kind is not None, f"{device} is a plant: only devices have a 5-minute history"
        alike[kind][subjects[device].zone, tuple(sorted(periods))] += 1
    return alike


def _shape(kind: int, groups: _Alike) -> _Shape:
    base = min(int(local_day(periods[0], zone).start.timestamp()) for zone, periods in groups)
    shapes: Counter[_Spans] = Counter()
    for (zone, periods), devices in groups.items():
        windows = [local_day(day, zone) for day in periods]
        spans = tuple((int(w.start.timestamp()) - base, int(w.end.timestamp()) - base) for w in windows)
        shapes[spans] += devices
    return kind, frozenset(shapes.items())


def _noons_in(day: date, zone: str) -> range:
    """The noons of UTC within a local day, counted in days: one, or none in some days of 23 hours."""
    window = local_day(day, zone)
    half = DAY_SECONDS // 2
    first, last = (-(-(int(at.timestamp()) - half) // DAY_SECONDS) for at in (window.start, window.end))
    return range(first, last)


def _at_noon(groups: _Alike) -> Counter[int]:
    """How many devices want the day around each noon of UTC."""
    found: Counter[int] = Counter()
    for (zone, periods), devices in groups.items():
        for day in periods:
            for noon in _noons_in(day, zone):
                found[noon] += devices
    return found


def _least(seats: int, at_noon: Mapping[int, int]) -> int:
    """The fewest calls for the seats that devices can't do without, and for the days around noons three days apart:
    a call of 72 hours holds no whole days around two of them."""
    by_phase = (sum(-(-n // SEATS) for at, n in at_noon.items() if at % 3 == phase) for phase in range(3))
    return max(-(-seats // SEATS), *by_phase)
