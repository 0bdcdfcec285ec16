"""How few history calls there can possibly be.

Two facts bound any plan from below:
1. Cells whose common hull is longer than a window can't be in one call.
2. A set of cells needs at least the sum over its devices of the fewest seats that carry them, divided by the
   seats of a call and rounded up.
So: take groups of cells such that cells of different groups can't share a call, and add up fact 2 over the
groups. A group is what starts at or before b and ends after a; the next group's a is b plus one window, which
keeps every pair apart. The bound is the best choice of groups, found from right to left.

Groups know nothing of zones that share a call without sharing a midnight. `with_shared_calls` does:
3. A window of 72 hours holds three whole days of 24 hours only if it begins with the first of them. So one call
   carries three days each for devices of one midnight; any other seat carries two days at most, and wastes the room
   of a third. With C calls, the days that ride three to a seat are at most ten per call and start.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.planning.sweep import Want

GROUP_REACH: Final = 31 * 86_400
"""Seconds that a group may reach past its start. Longer groups round less away but cost more time to weigh;
one group over everything is weighed apart."""

_NEVER: Final = 1 << 60

Ints = npt.NDArray[np.int64]


def fewest_seats(wants: Sequence[Want], seats: int) -> int:
    """Return the calls needed if every device chose its windows freely and every seat were taken."""
    return -(-sum(want.least[0] for want in wants) // seats)


def lower_bound(wants: Sequence[Want], seats: int, span: int) -> int:
    """Return a number of calls that no plan for these wants can go below."""
    if not wants:
        return 0
    if len(wants) <= seats:
        return fewest_together(wants, span)
    times = np.array(sorted({start for want in wants for start in want.starts}), dtype=np.int64)
    lefts = np.unique(np.concatenate([times[:1] - 1, times + span]))
    values = _Chains(wants, times, span).values(lefts, seats)
    following = np.searchsorted(lefts, times + span)
    best = np.zeros(len(lefts) + 1, dtype=np.int64)
    for index in range(len(lefts) - 1, -1, -1):
        # Only groups whose follower lies further right; a group of nothing is the follower itself.
        first = bisect_right(times.tolist(), int(lefts[index]) - span) if index else 0
        totals = values[index][first:] + best[following[first:]]
        best[index] = max(int(best[index + 1]), int(totals.max(initial=0)))
    return max(int(best[0]), fewest_seats(wants, seats), with_shared_calls(wants, seats, span))


def fewest_together(wants: Sequence[Want], span: int) -> int:
    """Return the calls for so few devices that all find a seat: exactly as many, since nothing is to be decided.

    A window begins with the first day that is left (sweep.py, fact 1), and everybody gives it all that fits.
    """
    positions = [0] * len(wants)
    calls = 0
    while True:
        waiting = [want.starts[at] for want, at in zip(wants, positions, strict=True) if at < len(want.starts)]
        if not waiting:
            return calls
        end = min(waiting) + span
        positions = [bisect_right(want.ends, end, lo=at) for want, at in zip(wants, positions, strict=True)]
        calls += 1


def with_shared_calls(wants: Sequence[Want], seats: int, span: int) -> int:
    """Return a number of calls that no plan can go below, since a seat away from its own midnight holds two days.

    Say that a seat has room for three days. One that carries two or one wastes at least half as much room as it
    carries. So C calls need 3 * seats * C >= days + half of the days that don't ride three to a seat. Those that do
    lie, but for the exempt ones, at three starts a call and at most `seats` at each: taking the fullest starts first
    leaves the fewest for the other seats. Exempt are days near one shorter than 24 hours (the spring's change of
    clocks), since a window then has an hour to spare. The same holds for any span and its thirds.
    """
    day = span // 3
    lengths = {end - start for want in wants for start, end in zip(want.starts, want.ends, strict=True)}
    if 4 * min(lengths) <= span:
        return 0
    days = sum(len(want.starts) for want in wants)
    at_start: Counter[int] = Counter()
    for want in wants:
        short = [p for p, (start, end) in enumerate(zip(want.starts, want.ends, strict=True)) if end - start < day]
        exempt = {near for p in short for near in range(p - 2, p + 3)}
        at_start.update(start for p, start in enumerate(want.starts) if p not in exempt)
    loads = [min(seats, count - full) for count in at_start.values() for full in range(0, count, seats)]
    loads.sort(reverse=True)
    apart = sum(loads)
    calls = -(-days // (3 * seats))
    apart -= sum(loads[: 3 * calls])
    while 6 * seats * calls < 2 * days + apart:
        apart -= sum(loads[3 * calls : 3 * calls + 3])
        calls += 1
    return calls


class _Chains:
    """Every device's wants as one flat array of cells, each with the first cell that a window opened at its
    start leaves over. Each device ends in a cell that never starts."""

    def __init__(self, wants: Sequence[Want], times: Ints, span: int) -> None:
        starts: list[int] = []
        ends: list[int] = []
        after: list[int] = []
        firsts: list[int] = []
        for want in wants:
            base = len(starts)
            firsts.append(base)
            after.extend(base + bisect_right(want.ends, start + span, lo=p) for p, start in enumerate(want.starts))
            after.append(base + len(want.starts))
            starts.extend(want.starts)
            starts.append(_NEVER)
            ends.extend(want.ends)
            ends.append(_NEVER)
        self.starts = np.array(starts, dtype=np.int64)
        self.ends = np.array(ends, dtype=np.int64)
        self.after = np.array(after, dtype=np.int64)
        self.firsts = np.array(firsts, dtype=np.int64)
        self.times = times
        self.column = np.searchsorted(times, self.starts)

    def values(self, lefts: Ints, seats: int) -> list[Ints]:
        """Return, per left edge, the calls that the group up to each start needs."""
        found = []
        at = self.firsts.copy()
        for left in lefts.tolist():
            while (passed := self.ends[at] <= left).any():
                at = np.where(passed, at + 1, at)
            opened = np.zeros(len(self.times) + 1, dtype=np.int64)
            current = at
            while len(current := current[self.starts[current] <= left + GROUP_REACH]):
                opened += np.bincount(self.column[current], minlength=len(opened))
                current = self.after[current]
            found.append(-(-np.cumsum(opened[:-1]) // seats))
        return found


def split(wants: Sequence[Want], span: int) -> list[int]:
    """Return the starts at which the wants fall apart: no window holds cells from both sides of one."""
    cells = sorted((start, end) for want in wants for start, end in zip(want.starts, want.ends, strict=True))
    ends = [end for _, end in cells]
    for index in range(len(ends) - 2, -1, -1):
        ends[index] = min(ends[index], ends[index + 1])
    return [
        cells[index][0]
        for index in range(1, len(cells))
        if ends[index] > cells[index - 1][0] + span and cells[index][0] > cells[index - 1][0]
    ]


def part(want: Want, start: int, end: int) -> tuple[int, int]:
    """Return the positions [first, last) of a want's spans that start in [start, end)."""
    return bisect_left(want.starts, start), bisect_left(want.starts, end)
