"""What refusals (407) have taught about one counter, and what that allows now. Pure: microseconds in and out.

Three windows are possible, and the reference doesn't say which it is: a rolling one, a calendar day, a bucket that
refills evenly. A rolling window of our own is right under the first two, and under the third as long as the bucket
holds a whole window's calls. Only a smaller bucket refuses, and that is how it is told:

- level 0: calls go out as they come, within the rolling window.
- level 1, after a refusal: a bucket beside the window, refilled every window / limit. It holds what the calls before
  the refusal prove that the vendor's holds.
- level 2, refused at that: the bare pace, one call every window / limit.
- level 3 and on, refused at that again and again: the pace twice as slow with each level.

A pace that went well for two windows is proven: no window of the vendor's is longer than that, so a refusal then is
one of the vendor's whims and no reason to go slower. Two whims can fall close together, and half the pace for two
windows costs a window's calls: the bare pace is given up for the second refusal in two windows that it can't explain,
not for the first. Calm leads back down: from level 3 and on after two windows
(twice that after each attempt that failed, 30 days at most), from levels 1 and 2 to level 0 after 30 days without a
refusal. If that is refused within 30 days again, the counter stays paced until other quotas are set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

LONGEST_CALL: Final = 90 * SECOND
"""A call without an ending (its process died) is taken to have ended this long after it began: the connect
and read time-outs of the transport together, and some."""

CALM: Final = 30 * DAY
"""So long without a refusal, and bursts are allowed once more."""

LONGEST_OF_SHORT_WINDOWS: Final = HOUR
"""Refusals in a row close a counter for one window at most, or for this long where the window is shorter."""

BURSTS: Final = 0
BUCKET: Final = 1
EVEN: Final = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """What was learnt. All instants in microseconds since 1970."""

    level: int = BURSTS
    burst: int = 1
    """Calls that the bucket of level 1 holds."""
    refusals: int = 0
    """In a row."""
    refused_at: int | None = None
    closed_until: int = 0
    spent_until: int = 0
    """The instant when the bucket will be full again (the theoretical arrival time of a leaky bucket)."""
    eased_at: int | None = None
    """When calm last led down a level."""
    calm: int = 0
    """How much calm the next step down takes."""
    for_good: bool = False
    withstood: int = 0
    """Refusals of the bare pace, each within two windows of the one before it, that didn't make it slower."""

    def spacing(self, window: int, limit: int) -> int:
        """One call's share of the window."""
        even = -(-window // limit)
        return min(max(even, _longest(window)), even << min(max(0, self.level - EVEN), 40))

    def storable(self, limit: int) -> int:
        """How many calls can be saved up: what a backlog leaves to others beyond these is lost to all."""
        if self.level == BURSTS:
            return limit
        return self._burst(limit) if self.level == BUCKET else 0

    def opens(self, now: int, window: int, limit: int, open_since: int | None) -> int:
        """The earliest instant for the next call; ``open_since`` is the latest call's beginning that hasn't ended."""
        if self.refused_at is None:
            return 0
        spacing = self.spacing(window, limit)
        opens = self.closed_until if self.closed_until <= now + _longest(window) else 0
        if self.level == BURSTS:
            return opens
        burst = self._burst(limit)
        spent = self.spent_until
        if open_since is not None:
            spent = max(spent, open_since + LONGEST_CALL + spacing)
        # What lies much further ahead than a full bucket's worth was written under a wrong clock.
        spent = min(spent, now + 2 * burst * spacing + 2 * LONGEST_CALL)
        return max(opens, spent - (burst - 1) * spacing)

    def called(self, now: int, window: int, limit: int) -> "Pace":
        """A call leaves."""
        if self.level == BURSTS:
            return self
        return replace(self, spent_until=max(now, self.spent_until) + self.spacing(window, limit))

    def ended(self, ended: int, calls_since_it_began: int, window: int, limit: int) -> "Pace":
        """A call came back, after that many had left since it did, itself among them.

        The vendor may have counted it as late as now, and the others after it.
        """
        if self.level == BURSTS:
            return self
        return replace(
            self, spent_until=max(self.spent_until, ended + calls_since_it_began * self.spacing(window, limit))
        )

    def given_back(self, window: int, limit: int) -> "Pace":
        """A call that left but wasn't counted."""
        return replace(self, spent_until=self.spent_until - self.spacing(window, limit)) if self.level else self

    def succeeded(self, began: int, now: int, window: int) -> "Pace":
        """A call was answered well."""
        if self.refused_at is None or began < self.refused_at:
            return self
        fresh = replace(self, refusals=0)
        quiet = now - max(self.refused_at, self.eased_at or 0)
        if self.level > EVEN and quiet >= max(self.calm, 2 * window):
            return replace(fresh, level=self.level - 1, eased_at=now)
        if self.level in (BUCKET, EVEN) and not self.for_good and now - self.refused_at >= CALM:
            return replace(fresh, level=BURSTS, eased_at=now, calm=0)
        return fresh

    def refused(self, began: int, now: int, window: int, limit: int, shown: int, under_way: int = 0) -> "Pace":
        """A 407 for a call that left at ``began``; ``shown`` is the burst that the calls before it prove.

        ``under_way``: other calls that have left and may be counted yet.
        """
        if self.refused_at is not None and began < self.refused_at:
            return self  # it had left before the last refusal was known, and says nothing new
        level, calm, for_good, withstood = self.level, self.calm, self.for_good, 0
        if level == BURSTS:
            for_good = for_good or (self.eased_at is not None and now - self.eased_at < CALM)
            level = BUCKET
        elif self.refusals == 0:
            level, calm, withstood = self._struck(now, window)
        else:
            # Refused again as soon as it opened: the vendor's window is still full, which says nothing of the pace.
            level, withstood = max(level, EVEN), self.withstood
        learnt = replace(
            self,
            level=level,
            burst=max(1, min(shown, limit)) if level == BUCKET else 1,
            refusals=self.refusals + 1,
            refused_at=now,
            calm=calm,
            for_good=for_good,
            withstood=withstood,
        )
        spacing = learnt.spacing(window, limit)
        closed = min(spacing << min(learnt.refusals - 1, 40), _longest(window))
        # Refused: not one call was in the bucket.
        empty = learnt._burst(limit) + under_way
        return replace(learnt, closed_until=now + closed, spent_until=now + empty * spacing)

    def _struck(self, now: int, window: int) -> tuple[int, int, int]:
        """Level, calm and withstood after a refusal of a paced call, the first one in a row."""
        quiet = now - max(self.refused_at or 0, self.eased_at or 0)
        if self.level < EVEN:
            return self.level + 1, self.calm, 0
        if quiet >= 2 * window:
            # Proven for as long as it took to get here: what failed before is no longer held against it.
            proven = self.eased_at is None or now - self.eased_at >= max(self.calm, 2 * window)
            return self.level, 0 if proven else self.calm, 0
        if self.level == EVEN and not self.calm and not self.withstood:
            return EVEN, 0, 1
        return self.level + 1, min(CALM, 2 * self.calm or 2 * window), 0

    def _burst(self, limit: int) -> int:
        return max(1, min(self.burst, limit)) if self.level == BUCKET else 1


def _longest(window: int) -> int:
    return max(window, LONGEST_OF_SHORT_WINDOWS)


def burst_shown(calls: Iterable[tuple[int, int]], window: int, limit: int) -> int:
    """The calls that a bucket with that refill must hold at least, if it has granted these (began, ended).

    For any run of n granted calls over a span s, a bucket of size b grants n <= b + s x limit / window. Rounded down,
    but for the second or so that the calls themselves took.
    """
    spacing = -(-window // limit)
    best, lowest, latest = 1, None, 0
    for position, (began, ended) in enumerate(sorted(calls)):
        start = position * spacing - began
        lowest = start if lowest is None else min(lowest, start)
        latest = max(latest, ended)
        best = max(best, ((position + 1) * spacing - latest - lowest + spacing // 20) // spacing)
    return min(best, limit)


class Seat(NamedTuple):
    """A call that still counts: when the window lets go of it at the latest, and whether a backlog made it."""

    free_at: int
    backlog: int = 0


def window_opens(seats: Sequence[Seat], limit: int, reserved: int) -> int | None:
    """When one call more fits beside these (first to be free first): 0 if it does now, None if it never will.

    ``reserved`` calls are kept for the other lanes, less what those have made in the window.
    """
    if reserved >= limit:
        return None
    used = len(seats)
    if not reserved:
        return seats[used - limit].free_at if used >= limit else 0
    others = used - sum(seat.backlog for seat in seats)
    opens = 0
    for seat in seats:
        if used + max(0, reserved - others) < limit:
            break
        # The reserve grows again as the others' calls leave the window.
        opens = seat.free_at
        used -= 1
        others -= not seat.backlog
    return opens
