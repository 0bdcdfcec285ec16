"""How far this machine's clock is from the server's, from what the answers say. Pure: microseconds.

A single answer may have waited long, or come from one server of many whose clock is wrong: the middle of the last
three counts. The ledger's shift follows it in steps of more than a few seconds, so that on a healthy machine it
stays at nought and two calls are never a little nearer to each other than they seem.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

SECOND: Final = 1_000_000

READINGS: Final = 3
"""Readings that are kept; as many are needed before the ledger follows."""

STEP: Final = 5 * SECOND
"""The ledger follows a skew that is off by more than this and the readings' own uncertainty."""

WORTH_A_WARNING: Final = 60 * SECOND

FARTHEST: Final = 24 * 3600 * SECOND
"""A clock further off than this is not merely wrong (a test's, or a server that makes times up): the ledger stays
with this machine's, and says so."""

HEADER_RESOLUTION: Final = SECOND
"""The Date header is cut to whole seconds."""


@dataclass(frozen=True, slots=True)
class ServerTime:
    """A server's time, read from an answer to a request that left at ``sent_at``; both aware.

    ``whole_seconds`` for the Date header; answers that carry params.currentTime are better.
    """

    sent_at: datetime
    answered_at: datetime
    server_time: datetime
    whole_seconds: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How far ahead the server's clock was, and by how much that may be wrong, both in microseconds."""

    skew: int
    uncertainty: int
    whole_seconds: bool = False


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known of one account's server: the last readings, and the shift that the ledger applies."""

    readings: tuple[Reading, ...] = ()
    shift: int = 0
    shifted_at: int | None = None
    warned: bool = False

    @property
    def skew(self) -> int | None:
        """The server's clock minus ours; None before the first answer."""
        return int(median(each.skew for each in self.readings)) if self.readings else None


def with_reading(state: ClockState, reading: Reading) -> ClockState:
    """The state with one reading more, and the shift that follows from it (``shifted_at`` is the caller's)."""
    kept: Sequence[Reading] = state.readings
    if reading.whole_seconds and any(not each.whole_seconds for each in kept):
        return state  # there are better ones
    if not reading.whole_seconds:
        kept = [each for each in kept if not each.whole_seconds]
    readings = (*kept, reading)[-READINGS:]
    skew = int(median(each.skew for each in readings))
    doubt = max(each.uncertainty for each in readings)
    shift = state.shift
    if len(readings) == READINGS and abs(skew) <= FARTHEST and abs(skew - shift) > STEP + doubt:
        shift = skew
    return ClockState(readings, shift, state.shifted_at, state.warned)


def is_worth_a_warning(state: ClockState) -> bool:
    """The clocks differ by more than a minute, beyond doubt."""
    doubt = max((each.uncertainty for each in state.readings), default=0)
    return abs(state.skew or 0) > WORTH_A_WARNING + doubt
