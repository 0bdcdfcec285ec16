"""The search behind the backlog's packer: from left to right over the starts, with the best states side by side.

Devices and windows are plain numbers here (sweep.py says which, and why a state is who is due when). Devices that are
due at the same start are taken for alike, so that a state is how many wait for each start; what is decided at a start
is how many of each later start take the seats that those due leave free.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import nsmallest
from itertools import accumulate
from typing import Final

from pipelines.planning.sweep import Seat, Want, seats_ahead

WIDTH: Final = 120
"""States that go on from one start to the next. For a year of 400 devices 15 take 5,564 calls and 6 s of CPU, 120 take
5,542 and 43 s, 200 take 5,540 and 84 s (benchmarks/backlog_calls.py --width). At their quota's even pace a call that is
spared is a third of an hour."""

FREE_SEAT: Final = 0.1
"""What a seat that will be free at a later start is held against a state, in seats: most of them are taken."""

GAIN: Final = 0.9
"""From so many seats less on, a device that is due late takes a seat that nobody else wants."""

CHOICES: Final = 60
"""Ways to fill the free seats of one start that a state tries."""

Due = dict[int, tuple[int, ...]]
"""Later start -> the devices that wait for it."""


@dataclass(slots=True)
class _Step:
    """The calls at one start, and those before."""

    before: "_Step | None"
    start: int
    riders: tuple[int, ...]


@dataclass(slots=True)
class _State:
    due: Due
    score: float
    key: int
    step: _Step | None


@dataclass(slots=True)
class _Next:
    """A state to come: its parent, and how many devices of each later start sit in the calls at this one."""

    parent: _State
    guests: tuple[tuple[int, int], ...]
    score: float
    key: int


@dataclass(slots=True)
class _Row:
    """Devices that wait for one later start, in the order in which a window takes them: where each goes next (None:
    it is done), how many of them a window relieves of more than GAIN, and the seats that the first so many need less
    together."""

    devices: tuple[int, ...]
    goes_to: tuple[int | None, ...]
    gaining: int
    relief: Sequence[float]
    _arrivals: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def arrivals(self, taken: int) -> tuple[tuple[int, int], ...]:
        """Where the first so many go next, and how many of them: reckoned once, since many choices take as many."""
        known = self._arrivals.get(taken)
        if known is None:
            counts = Counter(to for to in self.goes_to[:taken] if to is not None)
            known = self._arrivals[taken] = tuple(counts.items())
        return known


class Beam:
    """Plans for wants, none of them empty."""

    def __init__(self, wants: Sequence[Want], seats: int, span: int, stop: Sequence[int]) -> None:
        """Prepare. Of each want the spans before the position `stop` must be carried; those after it may ride along."""
        self.wants = wants
        self.times = sorted({start for want, n in zip(wants, stop, strict=True) for start in want.starts[:n]})
        self.seats = seats
        self.span = span
        numbers: dict[Want, int] = {}
        self._kind = [numbers.setdefault(want, len(numbers)) for want in wants]
        self._kinds = list(numbers)
        self._ahead = [seats_ahead(want) for want in self._kinds]
        self._moves: dict[tuple[int, int], tuple[int | None, float]] = {}
        self._rows: dict[tuple[int, tuple[int, ...]], _Row] = {}

    def plan(self, width: int) -> list[list[Seat]]:
        """Return the seats of the calls of the best plan that `width` states at a time lead to."""
        states = [self._begin()]
        for start in self.times:
            states = self._pass(states, start, width)
        return self._calls(min(states, key=lambda state: state.score).step)

    def _begin(self) -> _State:
        due: dict[int, list[int]] = {}
        for device, want in enumerate(self.wants):
            due.setdefault(want.starts[0], []).append(device)
        score = sum(self._ahead[kind][0] for kind in self._kind)
        return _State({at: tuple(devices) for at, devices in due.items()}, score, 0, None)

    def _pass(self, states: list[_State], start: int, width: int) -> list[_State]:
        """Return the best states after the calls at a start."""
        self._moves.clear()
        self._rows.clear()
        found: dict[int, _Next] = {}
        passed = []
        for state in states:
            if start not in state.due:
                passed.append(state)
                continue
            for each in self._nexts(state, start):
                known = found.get(each.key)
                if known is None or each.score < known.score:
                    found[each.key] = each
        best: list[_Next | _State] = nsmallest(width, [*passed, *found.values()], key=lambda each: each.score)
        return [each if isinstance(each, _State) else self._made(each, start) for each in best]

    def _nexts(self, state: _State, start: int) -> Iterator[_Next]:
        """Yield what can follow from a state."""
        waiting = self._row(start, start, state.due[start])
        free = -len(waiting.devices) % self.seats
        score = state.score + len(waiting.devices) + free - waiting.relief[-1]
        counts = dict(waiting.arrivals(len(waiting.devices)))
        rows = self._guests(state.due, start) if free else []
        near = sum(at <= start + self.span // 3 for at, _ in rows)
        gaining = [(number, row.gaining) for number, (_, row) in enumerate(rows) if row.gaining]
        seats, sizes = self.seats, {at: len(devices) for at, devices in state.due.items()}
        begun = state.key ^ hash((start, len(waiting.devices)))
        for choice in _choices(tuple(len(row.devices) for _, row in rows[:near]), free, seats):
            moved = dict(counts)
            total = score
            guests = []
            for number, taken in _topped_up(choice, gaining, free):
                at, row = rows[number]
                guests.append((at, taken))
                moved[at] = moved.get(at, 0) - taken
                total -= row.relief[taken]
                for to, count in row.arrivals(taken):
                    moved[to] = moved.get(to, 0) + count
            key = begun
            for at, more in moved.items():
                if more:
                    before = sizes.get(at, 0)
                    key ^= hash((at, before)) ^ hash((at, before + more))
                    total += FREE_SEAT * (-(before + more) % seats - -before % seats)
            yield _Next(state, tuple(guests), total, key)

    def _guests(self, due: Due, start: int) -> list[tuple[int, _Row]]:
        """The devices due later that a window at this start serves, those first of which it takes most."""
        rows = []
        for at in sorted(due):
            if start < at < start + self.span:
                row = self._row(start, at, due[at])
                if row.devices:
                    rows.append((at, row))
        return rows

    def _made(self, each: _Next, start: int) -> _State:
        due = dict(each.parent.due)
        arrived: dict[int, list[int]] = {}
        waiting = self._row(start, start, due.pop(start))
        riders = [*waiting.devices]
        for device, to in zip(waiting.devices, waiting.goes_to, strict=True):
            if to is not None:
                arrived.setdefault(to, []).append(device)
        for at, taken in each.guests:
            row = self._row(start, at, due[at])
            riders += row.devices[:taken]
            for device, to in zip(row.devices[:taken], row.goes_to, strict=False):
                if to is not None:
                    arrived.setdefault(to, []).append(device)
            if taken < len(due[at]):
                gone = set(row.devices[:taken])
                due[at] = tuple(device for device in due[at] if device not in gone)
            else:
                del due[at]
        for to, devices in arrived.items():
            due[to] = due.get(to, ()) + tuple(devices)
        return _State(due, each.score, each.key, _Step(each.parent.step, start, tuple(riders)))

    def _row(self, start: int, at: int, devices: tuple[int, ...]) -> _Row:
        """The devices due at `at` that a window at `start` serves."""
        known = self._rows.get((at, devices))
        if known is None:
            moves = [(device, *self._move(self._kind[device], start, at)) for device in devices]
            served = [(device, to, relief) for device, to, relief in moves if to != at]
            if at > start:
                served.sort(key=lambda move: -move[2])
            relief = list(accumulate((move[2] for move in served), initial=0.0))
            gaining = sum(move[2] > GAIN for move in served)
            known = _Row(tuple(move[0] for move in served), tuple(move[1] for move in served), gaining, relief)
            self._rows[at, devices] = known
        return known

    def _move(self, kind: int, start: int, at: int) -> tuple[int | None, float]:
        """Where a device that is due at `at` goes from a window at `start`, and the seats that it needs less then."""
        known = self._moves.get((kind, at))
        if known is None:
            want, ahead = self._kinds[kind], self._ahead[kind]
            first = bisect_right(want.starts, at) - 1
            last = bisect_right(want.ends, start + self.span, lo=first)
            to = want.starts[last] if last < len(want.starts) else None
            known = self._moves[kind, at] = (to, ahead[first] - ahead[last])
        return known

    def _calls(self, step: _Step | None) -> list[list[Seat]]:
        steps = []
        while step is not None:
            steps.append(step)
            step = step.before
        position = [0] * len(self.wants)
        calls = []
        for each in reversed(steps):
            seated = []
            for device in each.riders:
                first = position[device]
                last = bisect_right(self.wants[device].ends, each.start + self.span, lo=first)
                position[device] = last
                seated.append(Seat(device, first, last))
            calls += [seated[at : at + self.seats] for at in range(0, len(seated), self.seats)]
        return calls


Choice = tuple[tuple[int, int], ...]
"""How many of which later starts, by their numbers, go along: at least one of each that is named."""


@lru_cache(maxsize=65_536)
def _choices(waiting: tuple[int, ...], free: int, seats: int) -> Sequence[Choice]:
    """Return the ways to fill free seats: of each later start none go along, those too many for full calls, or all."""
    found: list[Choice] = []

    def descend(number: int, left: int, taken: Choice) -> None:
        if len(found) >= CHOICES:
            return
        if number == len(waiting) or not left:
            found.append(taken)
            return
        count = waiting[number]
        surplus = count % seats
        most = surplus if 0 < surplus <= left else min(count, left)
        descend(number + 1, left - most, (*taken, (number, most)))
        descend(number + 1, left, taken)

    descend(0, free, ())
    return found


def _topped_up(choice: Choice, gaining: Sequence[tuple[int, int]], free: int) -> Choice:
    """Return the choice with devices that gain from a seat in the seats that it leaves free, the nearest first."""
    left = free - sum(taken for _, taken in choice)
    if not left:
        return choice
    more = dict(choice)
    for number, count in gaining:
        extra = min(count - more.get(number, 0), left)
        if extra > 0:
            more[number] = more.get(number, 0) + extra
            left -= extra
    return tuple(sorted(more.items()))
