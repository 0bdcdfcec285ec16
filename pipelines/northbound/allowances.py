"""May an endpoint be called now, and if not, why and until when: the calls of the window, the pace that a refusal set,
the account's rest and what is kept for scheduled work, looked at together in one transaction of the ledger.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pipelines.northbound import budget
from pipelines.northbound.budget import Pace, Seat, window_opens
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.lanes import Lane
from pipelines.northbound.ledger_state import instant_of, micros, pace_of, pause_of, shift_of, window_of
from pipelines.northbound.quotas import Counter as QuotaCounter
from pipelines.northbound.quotas import FleetCounts
from pipelines.northbound.skew import STEP as SKEW_STEP

CLOCK_TOLERANCE: Final = timedelta(minutes=2)
"""A row that lies further in the future was written under a wrong clock. It counts as made when that is first
noticed, so that it blocks for one window and no longer."""

_TOLERANCE: Final = CLOCK_TOLERANCE // timedelta(microseconds=1)

ClosedBy = Literal["window", "pace", "pause", "reserve", "contested"]
"""Why an endpoint is closed: all seats of the window are taken; a 407 spaced its calls out; the vendor's system is
busy and the account rests; what is left is kept for the other lanes; another program ends the account's sessions."""

CONTESTED: Final = 305
"""The code under which a rest is kept that another program's logins brought about."""

_CLOSED: Final[Mapping[ClosedBy, str]] = {
    "window": "the quota is used up ({used} of {limit} calls)",
    "pace": "its calls are spaced out since the vendor refused some ({used} of {limit} calls used)",
    "pause": "the vendor's system was busy, so this account rests",
    "contested": "another program logs in with this account and ends its sessions, so it rests",
    "reserve": "what is left of the quota is kept for scheduled work ({used} of {limit} calls used)",
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """May the endpoint be called? ``next_at`` is the earliest instant if not now (None: never); ``used`` of ``limit``
    seats; ``closed_by`` says why not. ``next_at`` is by this machine's clock."""

    granted: bool
    next_at: datetime | None
    used: int
    limit: int
    closed_by: ClosedBy | None = None

    @property
    def sentence(self) -> str:
        """Why not, for users; empty when granted."""
        return _CLOSED[self.closed_by].format(used=self.used, limit=self.limit) if self.closed_by else ""


def exhausted(allowance: Allowance, endpoint: str) -> QuotaExhausted:
    """The error for a call that isn't granted."""
    error = QuotaExhausted(allowance.sentence, next_at=allowance.next_at, endpoint=endpoint)
    error.why = allowance.sentence if allowance.closed_by in ("pause", "contested", "pace") else None
    return error


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be called, by whom; ``reserved`` calls of the window a backlog leaves to the other lanes."""

    account: str
    counter: QuotaCounter
    counts: FleetCounts
    lane: Lane
    reserved: int


@dataclass(frozen=True, slots=True)
class Found:
    """The allowance, and what it was reckoned from; ``strays``: rows from the future aren't marked yet."""

    allowance: Allowance
    instant: int
    window: int
    pace: Pace
    strays: bool


def look(db: sqlite3.Connection, asked: Asked, now: datetime, *, mark: bool = False) -> Found:
    """All that speaks for or against a call now; ``mark`` rows from the future (in a transaction that writes)."""
    account, counter = asked.account, asked.counter
    shift, shifted_at = shift_of(db, account)
    instant, window = micros(now) + shift, window_of(counter)
    limit = counter.limit(asked.counts)
    seats, open_since, strays = _seats(db, account, counter, instant, window, shifted_at)
    if strays and mark:
        db.execute(
            "UPDATE calls SET noticed_at = ? WHERE called_at > ? AND noticed_at IS NULL",
            (instant, instant + _TOLERANCE),
        )
    pause, pace = pause_of(db, account), pace_of(db, account, counter)
    in_window = window_opens(seats, limit, 0)
    opens: list[tuple[int | None, ClosedBy]] = [
        (pause.opens(instant) if pause else 0, "contested" if pause and pause.code == CONTESTED else "pause"),
        (in_window, "window"),
        (pace.opens(instant, window, limit, open_since), "pace"),
    ]
    reserved = min(asked.reserved, pace.storable(limit))
    if asked.lane == "backlog" and reserved > 0:
        opens.append((window_opens(seats, limit, reserved), "reserve"))
    if any(at is None for at, _ in opens):
        allowance = Allowance(False, None, len(seats), limit, "reserve")
    else:
        next_at, closed_by = max(((at or 0, why) for at, why in opens), key=lambda each: each[0])
        granted = next_at <= instant
        allowance = Allowance(
            granted,
            None if granted else instant_of(next_at - shift),
            len(seats),
            limit,
            None if granted else closed_by,
        )
    return Found(allowance, instant, window, pace, strays)


_SEATS: Final = """
SELECT
    CASE
        WHEN noticed_at IS NOT NULL THEN noticed_at
        WHEN called_at > :future THEN :now
        WHEN ended_at IS NULL THEN called_at + :longest
        ELSE max(called_at, ended_at) + CASE WHEN ended_at < :shifted_at THEN :step ELSE 0 END
    END + :window AS free_at,
    lane = 'backlog',
    CASE
        WHEN noticed_at IS NOT NULL THEN 0
        WHEN called_at > :future THEN -1
        WHEN ended_at IS NULL THEN called_at
        ELSE 0
    END
FROM calls
WHERE account = :account AND endpoint IN ({names}) AND counted = 1 AND called_at > :since AND free_at > :now
ORDER BY free_at
"""
"""When a call leaves the window, whether a backlog made it, and 0, or when it began if it hasn't ended, or -1 if it
lies in the future and isn't marked yet. A call from before the last step of the clock was timed to within that step."""


def _seats(
    db: sqlite3.Connection, account: str, counter: QuotaCounter, now: int, window: int, shifted_at: int | None
) -> tuple[list[Seat], int | None, bool]:
    """The calls that still hold a seat, the first to be free first; the beginning of the latest that hasn't ended;
    and whether some lie in the future and aren't marked yet."""
    names = {f"name{number}": name for number, name in enumerate(counter.endpoints)}
    found = db.execute(
        _SEATS.format(names=", ".join(f":{each}" for each in names)),
        {
            **names,
            "account": account,
            "now": now,
            "future": now + _TOLERANCE,
            "since": now - window - 2 * budget.LONGEST_CALL,
            "longest": budget.LONGEST_CALL,
            "window": window,
            "shifted_at": -1 if shifted_at is None else shifted_at,
            "step": SKEW_STEP,
        },
    ).fetchall()
    odd = [began for _, _, began in found if began]
    open_since = max((began for began in odd if began > 0), default=None)
    return [Seat(free_at, backlog) for free_at, backlog, _ in found], open_since, -1 in odd
