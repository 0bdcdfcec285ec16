"""The search behind the packer: seats in windows, from left to right in time.

Devices and windows are plain numbers here: a device is the sorted, disjoint spans (seconds) that it wants; a
call is a start and at most `seats` devices, and carries what they want inside [start, start + span].

Three facts make the search small. They hold because wanting less never costs more calls:
1. A window may start where the first span that it carries starts (else move it right).
2. So, from left to right, the devices whose next span starts at s ("due") need exactly ceil(due / seats)
   windows at s: a further one without a due device could start later.
3. A device that sits in a window gives it everything that fits, so its state is a position in its spans.
What is left to decide is who takes the seats that the due devices leave free.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Span = tuple[int, int]
"""Start and end in seconds; half-open."""


@dataclass(frozen=True, slots=True)
class Want:
    """The spans that one device wants, sorted and disjoint, and what follows from them.

    `least[p]` is the fewest seats that carry the spans from position p on, if the device chose its windows.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    least: tuple[int, ...]

    @staticmethod
    def of(spans: Sequence[Span], span: int) -> "Want":
        """Return the want of sorted, disjoint spans for windows of `span` seconds."""
        starts = tuple(start for start, _ in spans)
        ends = tuple(end for _, end in spans)
        least = [0] * (len(spans) + 1)
        for p in range(len(spans) - 1, -1, -1):
            least[p] = 1 + least[bisect_right(ends, starts[p] + span, lo=p)]
        return Want(starts, ends, tuple(least))

    def mirrored(self, span: int) -> "Want":
        """Return the same want with time running backwards."""
        pairs = zip(reversed(self.ends), reversed(self.starts), strict=True)
        return Want.of([(-end, -start) for end, start in pairs], span)

    def cut(self, first: int, last: int, span: int) -> "Want":
        """Return the want of the spans at positions [first, last)."""
        return Want.of(list(zip(self.starts[first:last], self.ends[first:last], strict=True)), span)


@dataclass(frozen=True, slots=True)
class Seat:
    """One device in a call, with the positions [first, last) of its spans that the call carries."""

    device: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How a sweep fills free seats: which later starts it relieves first, the nearest or those with the
    fewest devices too many; and whether it then takes all devices ("all") or only those that need one seat
    less afterwards ("gain"). A seed shuffles devices that are equally good."""

    relieve: Literal["near", "few"] = "near"
    rest: Literal["gain", "all"] = "gain"
    seed: int | None = None


Plan = list[tuple[int, list[Seat]]]
"""Calls: the start of the window and its seats."""


@dataclass(slots=True)
class State:
    """How far a sweep has come: the position of each device, who is due at which later start (in order of
    arrival), and the calls made."""

    positions: list[int]
    due: dict[int, dict[int, None]]
    plan: Plan


class Sweep:
    """Sweeps from left to right over the starts of all wants, in stages that can be tried in several ways."""

    def __init__(self, wants: Sequence[Want], seats: int, span: int) -> None:
        """Prepare sweeps; `wants` must not hold an empty one."""
        self.wants = wants
        self.seats = seats
        self.span = span
        self.times = sorted({start for want in wants for start in want.starts})
        self._ahead = [seats_ahead(want) for want in wants]

    def begin(self) -> State:
        """Return the state before the first start."""
        due: dict[int, dict[int, None]] = {}
        for device, want in enumerate(self.wants):
            due.setdefault(want.starts[0], {})[device] = None
        return State([0] * len(self.wants), due, [])

    def advance(self, state: State, first: int, stop: int, policy: Policy) -> State:
        """Return the state after the starts number `first` to `stop` (not included); `state` stays as it is."""
        after = State(list(state.positions), {at: dict(devices) for at, devices in state.due.items()}, list(state.plan))
        stage = _Stage(self, after, Random(policy.seed) if policy.seed is not None else None)  # noqa: S311
        for index in range(first, stop):
            stage.open_windows(index, policy)
        return after

    def score(self, state: State) -> float:
        """Return the seats spent and those that the rest will take: less is better at the same start."""
        return len(state.plan) * self.seats + sum(
            ahead[position] for ahead, position in zip(self._ahead, state.positions, strict=True)
        )


def seats_ahead(want: Want) -> list[float]:
    """Return per position the mean of `least` over it and the two after: steps of thirds where `least` hides
    how far a device is into its next window."""
    padded = (*want.least, 0, 0)
    return [sum(padded[p : p + 3]) / 3 for p in range(len(want.least))]


class _Stage:
    """Works on one state, which it changes."""

    def __init__(self, sweep: Sweep, state: State, random: Random | None) -> None:
        self.wants, self.seats, self.span, self.times = sweep.wants, sweep.seats, sweep.span, sweep.times
        self.position, self.due, self.plan = state.positions, state.due, state.plan
        self.random = random

    def open_windows(self, index: int, policy: Policy) -> None:
        """Make the calls that start at one start, if any device is due there."""
        start = self.times[index]
        due = self.due.pop(start, None)
        if not due:
            return
        riders = list(due)
        free = -len(riders) % self.seats
        if free:
            riders += self._fill(index, free, policy)
        seated = [self._serve(device, start) for device in riders]
        self.plan += [(start, seated[first : first + self.seats]) for first in range(0, len(seated), self.seats)]

    def _serve(self, device: int, start: int) -> Seat:
        want, first = self.wants[device], self.position[device]
        last = bisect_right(want.ends, start + self.span, lo=first)
        self.position[device] = last
        if last < len(want.starts):
            self.due.setdefault(want.starts[last], {})[device] = None
        return Seat(device, first, last)

    def _gains(self, device: int, start: int) -> bool:
        want, first = self.wants[device], self.position[device]
        last = bisect_right(want.ends, start + self.span, lo=first)
        return want.least[last] < want.least[first]

    def _fill(self, index: int, free: int, policy: Policy) -> list[int]:
        """Choose devices for the free seats of the windows at a start."""
        start = self.times[index]
        horizon = bisect_left(self.times, start + self.span, lo=index)
        later = [at for at in self.times[index + 1 : horizon] if self.due.get(at)]
        taken: list[int] = []
        # A start that is relieved of the devices too many for full calls needs one call less.
        for at in later if policy.relieve == "near" else sorted(later, key=self._surplus):
            surplus = self._surplus(at)
            if 0 < surplus <= free:
                movable = self._movable(at, start)
                if len(movable) >= surplus:
                    taken += self._take(at, movable[:surplus])
                    free -= surplus
        # What is free still may help a device, and leaves a free seat at the start that it would have had.
        for at in sorted(later, key=lambda at: self._surplus(at) == 0):
            if not free:
                break
            riders = self._movable(at, start)[:free]
            if policy.rest == "gain":
                riders = [device for device in riders if self._gains(device, start)]
            taken += self._take(at, riders)
            free -= len(riders)
        return taken

    def _surplus(self, at: int) -> int:
        return len(self.due[at]) % self.seats

    def _movable(self, at: int, start: int) -> list[int]:
        """Return the devices due at a later start that a window at `start` serves, the best first."""
        end = start + self.span
        movable = [d for d in self.due[at] if self.wants[d].ends[self.position[d]] <= end]
        if self.random:
            self.random.shuffle(movable)
        movable.sort(key=lambda device: not self._gains(device, start))
        return movable

    def _take(self, later: int, devices: list[int]) -> list[int]:
        due = self.due[later]
        for device in devices:
            del due[device]
        return devices
