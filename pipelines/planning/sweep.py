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


class Sweep:
    """One pass from left to right over the starts of all wants."""

    def __init__(self, wants: Sequence[Want], seats: int, span: int, policy: Policy) -> None:
        """Prepare a pass; `wants` must not hold an empty one."""
        self.wants = wants
        self.seats = seats
        self.span = span
        self.policy = policy
        self.random = Random(policy.seed) if policy.seed is not None else None  # noqa: S311
        self.position = [0] * len(wants)
        self.due: dict[int, dict[int, None]] = {}
        self.times = sorted({start for want in wants for start in want.starts})
        for device, want in enumerate(wants):
            self.due.setdefault(want.starts[0], {})[device] = None

    def run(self) -> Plan:
        """Return the calls of this pass."""
        plan: Plan = []
        for index, start in enumerate(self.times):
            due = self.due.pop(start, None)
            if not due:
                continue
            riders = list(due)
            free = -len(riders) % self.seats
            if free:
                riders.extend(self._fill(index, free))
            seated = [self._serve(device, start) for device in riders]
            plan.extend((start, seated[first : first + self.seats]) for first in range(0, len(seated), self.seats))
        return plan

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

    def _fill(self, index: int, free: int) -> list[int]:
        """Choose devices for the free seats of the windows at a start."""
        start = self.times[index]
        horizon = bisect_left(self.times, start + self.span, lo=index)
        later = [at for at in self.times[index + 1 : horizon] if self.due.get(at)]
        taken: list[int] = []
        # A start that is relieved of the devices too many for full calls needs one call less.
        for at in later if self.policy.relieve == "near" else sorted(later, key=self._surplus):
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
            if self.policy.rest == "gain":
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
