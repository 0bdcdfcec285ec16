"""How long an account rests when the vendor's whole system is busy (403, 429, 503, 20200). Pure.

"Wait for 1 minute and try again; if the error persists, wait for a longer time" (reference 4).
"""

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60_000_000
STEPS: Final = tuple(minutes * MINUTE for minutes in (1, 3, 10, 30, 60))
"""One after the other until a call succeeds; the last one again and again. In microseconds."""

FORGET_AFTER: Final = 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Pause:
    """The rest that an account takes: which one in a row, since when, until when (microseconds), and its code."""

    number: int
    noted_at: int
    closed_until: int
    code: int | None = None

    def opens(self, now: int) -> int:
        """When it ends; 0 for one that lies so far ahead that it was written under a wrong clock."""
        return self.closed_until if self.closed_until <= now + STEPS[-1] else 0


def next_pause(last: Pause | None, began: int, now: int, code: int | None) -> Pause:
    """The pause after one more such answer, to a call that left at ``began``."""
    if last is not None and began < last.noted_at <= now:
        return last  # it was under way when the others began to rest
    number = 0 if last is None or now - last.noted_at > FORGET_AFTER else last.number
    step = STEPS[min(number, len(STEPS) - 1)]
    return Pause(number + 1, now, now + step, code)
