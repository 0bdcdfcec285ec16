"""What the ledger's file keeps of an account beside its calls: its endpoints' paces, its rest, its clock.

Functions on an open file, in whose transaction they run. All instants are microseconds since 1970 by the server's
clock, unless said otherwise.
"""

import json
import sqlite3
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Final

from pipelines.northbound.budget import Pace
from pipelines.northbound.pauses import Pause
from pipelines.northbound.quotas import Counter as QuotaCounter
from pipelines.northbound.skew import (
    HEADER_RESOLUTION,
    ClockState,
    Reading,
    ServerTime,
    is_worth_a_warning,
    with_reading,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PACE: Final = [each.name for each in fields(Pace)]
"""The columns of a pace: its fields by name."""


def micros(instant: datetime) -> int:
    """An instant as the file keeps it."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def span(micros: int) -> timedelta:
    """So many microseconds as a length of time."""
    return timedelta(microseconds=micros)


def instant_of(micros: int) -> datetime:
    """What :func:`micros` made of an instant, back."""
    return _EPOCH + timedelta(microseconds=micros)


def window_of(counter: QuotaCounter) -> int:
    """The quota's window in microseconds."""
    return counter.quota.window_seconds * 1_000_000


def marks(counter: QuotaCounter) -> str:
    """One question mark for each endpoint of a counter, for a list in SQL."""
    return ", ".join("?" * len(counter.endpoints))


def pace_of(db: sqlite3.Connection, account: str, counter: QuotaCounter) -> Pace:
    """What refusals have taught about a counter; what was learnt under another quota doesn't hold."""
    row = db.execute(
        f"SELECT quota, {', '.join(_PACE)} FROM paces WHERE account = ? AND counter = ?",  # noqa: S608 # field names
        (account, counter.name),
    ).fetchone()
    if row is None or row[0] not in (None, counter.quota_name):
        return Pace()
    kept = dict(zip(_PACE, row[1:], strict=True))
    return Pace(**{**kept, "for_good": bool(kept["for_good"])})


def put_pace(db: sqlite3.Connection, account: str, counter: QuotaCounter, pace: Pace) -> None:
    """Keep a counter's pace."""
    kept = {"account": account, "counter": counter.name, "quota": counter.quota_name, **asdict(pace)}
    db.execute(
        f"INSERT OR REPLACE INTO paces ({', '.join(kept)}) VALUES ({', '.join('?' * len(kept))})",  # noqa: S608
        tuple(kept.values()),
    )


def pause_of(db: sqlite3.Connection, account: str) -> Pause | None:
    """The account's latest rest, which may be over."""
    row = db.execute("SELECT number, noted_at, closed_until, code FROM pauses WHERE account = ?", (account,)).fetchone()
    return Pause(*row) if row else None


def shift_of(db: sqlite3.Connection, account: str) -> tuple[int, int | None]:
    """What is added to this machine's time, and when that last changed."""
    row = db.execute("SELECT shift, shifted_at FROM clocks WHERE account = ?", (account,)).fetchone()
    return row if row else (0, None)


def clock_of(db: sqlite3.Connection, account: str) -> ClockState:
    """What answers have shown of the server's clock."""
    row = db.execute("SELECT readings, shift, shifted_at, warned FROM clocks WHERE account = ?", (account,)).fetchone()
    if row is None:
        return ClockState()
    return ClockState(tuple(Reading(*each) for each in json.loads(row[0])), row[1], row[2], bool(row[3]))


def note_server_time(
    db: sqlite3.Connection, account: str, clock: ClockState, heard: ServerTime
) -> tuple[ClockState, bool]:
    """The clock's state with what an answer said, written down; and whether it is worth a warning now."""
    sent, answered, server = micros(heard.sent_at), micros(heard.answered_at), micros(heard.server_time)
    resolution = HEADER_RESOLUTION if heard.whole_seconds else 0
    # The server's clock was read somewhere between sending and answer.
    reading = Reading(
        skew=server + resolution // 2 - (sent + answered) // 2,
        uncertainty=max(0, answered - sent) // 2 + resolution // 2,
        whole_seconds=heard.whole_seconds,
    )
    state = with_reading(clock, reading)
    warn = is_worth_a_warning(state) and not clock.warned
    by = state.shift - clock.shift
    shifted_at = clock.shifted_at
    if by and shifted_at is None and clock.shift == 0:
        # All that was written before went by this machine's clock.
        for table, columns in _TIMES.items():
            changes = ", ".join(f"{name} = {name} + ?" for name in columns)
            db.execute(f"UPDATE {table} SET {changes} WHERE account = ?", (*[by] * len(columns), account))  # noqa: S608
        shifted_at = -1
    elif by:
        shifted_at = answered + state.shift
    warned = clock.warned or warn
    if abs(state.skew or 0) < 30 * 1_000_000:
        warned = False
    state = ClockState(state.readings, state.shift, shifted_at, warned)
    if state != clock:
        readings = [[each.skew, each.uncertainty, each.whole_seconds] for each in state.readings]
        db.execute(
            "INSERT OR REPLACE INTO clocks VALUES (?, ?, ?, ?, ?)",
            (account, json.dumps(readings), state.shift, state.shifted_at, int(state.warned)),
        )
    return state, warn


_TIMES: Final = {
    "calls": ("called_at", "ended_at", "noticed_at"),
    "paces": ("closed_until", "refused_at", "spent_until", "eased_at"),
    "pauses": ("noted_at", "closed_until"),
}
