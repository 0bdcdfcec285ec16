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

from bisect import bisect_right
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
    """How a sweep fills free seats: in which order it relieves later starts, and whether it then takes
    devices that gain nothing now ("all") or only those that need one seat less afterwards ("gain")."""

    relieve: Literal["near", "few", "gain"] = "near"
    rest: Literal["gain", "all", "none"] = "gain"
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

    def _candidates(self, index: int) -> list[tuple[int, int, list[int]]]:
        """Return, per later start, how many devices are too many for full calls there, and who may move."""
        start = self.times[index]
        found = []
        for later in self.times[index + 1 :]:
            if later >= start + self.span:
                break
            due = self.due.get(later)
            if not due:
                continue
            movable = [d for d in due if self.wants[d].ends[self.position[d]] <= start + self.span]
            if movable:
                if self.random:
                    self.random.shuffle(movable)
                movable.sort(key=lambda device: not self._gains(device, start))
                found.append((len(due) % self.seats, later, movable))
        return found

    def _fill(self, index: int, free: int) -> list[int]:
        start = self.times[index]
        groups = self._candidates(index)
        taken: list[int] = []
        # A start that is relieved of its surplus needs one call less.
        for surplus, later, movable in sorted(groups, key=lambda group: self._rank(group, start)):
            if 0 < surplus <= free and len(movable) >= surplus:
                taken.extend(self._take(later, movable[:surplus]))
                del movable[:surplus]
                free -= surplus
        if self.policy.rest == "none":
            return taken
        for _, later, movable in sorted(groups, key=lambda group: (group[0] == 0, group[1])):
            chosen = [d for d in movable[:free] if self.policy.rest == "all" or self._gains(d, start)]
            taken.extend(self._take(later, chosen))
            free -= len(chosen)
        return taken

    def _take(self, later: int, devices: list[int]) -> list[int]:
        due = self.due[later]
        for device in devices:
            del due[device]
        return devices

    def _rank(self, group: tuple[int, int, list[int]], start: int) -> tuple[float, ...]:
        surplus, later, movable = group
        if self.policy.relieve == "near":
            return (later, surplus)
        if self.policy.relieve == "gain":
            losses = sum(not self._gains(device, start) for device in movable[:surplus])
            return (losses, surplus, later)
        return (surplus, later)
