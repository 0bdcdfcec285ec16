"""The ledger: every call, written down before it is made, and what may be called now.

The vendor counts calls per account and endpoint in windows (reference 4.2, 6.2, 4.1) but doesn't say when a window
starts. A rolling window on disk is right under each reading: a call holds its seat from before it leaves until one
window after it came back, because the server may have counted it anywhere in between. A process that dies
leaves its call counted. What a 407 adds to that is in :mod:`pipelines.northbound.budget`, the rest that a busy system
is given in :mod:`pipelines.northbound.pauses`.

The ledger's times are the server's. Its methods take this machine's time and give it back, and add the skew that the
answers have shown on the way; all processes share it through the file.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.northbound import budget
from pipelines.northbound.budget import Pace, Seat, burst_shown, window_opens
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.lanes import Lane
from pipelines.northbound.ledger_file import LedgerFile
from pipelines.northbound.pauses import Pause, next_pause
from pipelines.northbound.quotas import Counter as QuotaCounter
from pipelines.northbound.quotas import FleetCounts as FleetCounts
from pipelines.northbound.quotas import QuotaBook, QuotaOverride
from pipelines.northbound.skew import FARTHEST, ClockState, Reading, ServerTime, is_worth_a_warning, with_reading
from pipelines.northbound.skew import HEADER_RESOLUTION as HEADER_RESOLUTION
from pipelines.northbound.skew import STEP as SKEW_STEP
from schemas.endpoints import READ_ENDPOINTS

LONGEST_CALL: Final = timedelta(microseconds=budget.LONGEST_CALL)

CLOCK_TOLERANCE: Final = timedelta(minutes=2)
"""A row that lies further in the future was written under a wrong clock. It counts as made when that is first
noticed, so that it blocks for one window and no longer."""

KEPT_FOR: Final = timedelta(days=400)
"""Older calls are dropped."""

PRUNE_EVERY: Final = 500
"""Calls between two looks for old ones."""

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


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as the ledger knows it; ``outcome`` is None for a call whose process died.

    ``called_at`` is by the server's clock.
    """

    call_id: int
    account: str
    endpoint: str
    asked: str
    why: str
    lane: Lane
    called_at: datetime
    outcome: str | None
    fail_code: int | None
    rows: int | None
    bytes: int | None
    ms: float | None


@dataclass(frozen=True, slots=True)
class ClockReport:
    """The server's clock minus this machine's (None before the first answers), and what of it the ledger applies."""

    skew: timedelta | None
    applied: timedelta


@dataclass(frozen=True, slots=True)
class Learnt:
    """What refusals have taught about an endpoint: ``burst`` calls at once, then one every ``spacing``.

    ``slower`` is how often slower than the quota promises; ``refused_at`` the last refusal, by this machine's clock.
    """

    endpoint: str
    paced: bool
    burst: int
    spacing: timedelta
    slower: int
    refused_at: datetime | None


class Ledger:
    """The calls of all accounts in one SQLite file, shared by all processes of one machine.

    Threads may share it. All instants that go in or come out are this machine's, but for the calls' own.
    """

    def __init__(
        self, path: Path, *, flow_control: str = "dynamic", quotas: Mapping[str, QuotaOverride] | None = None
    ) -> None:
        """Open or create the file; ``flow_control`` is dynamic (4.2), static (6.2) or oauth (4.1).

        ``quotas``: what the owner has set otherwise than the reference says, by endpoint.
        """
        self._book = QuotaBook(flow_control, quotas)
        self._file = LedgerFile(path)
        self.made: Counter[str] = Counter()
        """Calls by endpoint that were written down through this object, other processes' left out."""

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def allowance(
        self,
        account: str,
        endpoint: str,
        now: datetime,
        counts: FleetCounts,
        *,
        lane: Lane = "asked",
        reserved: int = 0,
    ) -> Allowance:
        """What may be called at ``now``, without taking a seat; ``lane`` and ``reserved`` as in :meth:`reserve`."""
        asked = _Asked(account, self._book.counter(endpoint), counts, lane, reserved)
        with self._file.reading() as db:
            found = _look(db, asked, now)
        if found.strays:
            # Rows from the future have to be marked, so that their time begins to run.
            with self._file.writing() as db:
                found = _look(db, asked, now, mark=True)
        return found.allowance

    def reserve(
        self,
        account: str,
        endpoint: str,
        asked: str,
        why: str,
        now: datetime,
        counts: FleetCounts,
        *,
        lane: Lane = "asked",
        reserved: int = 0,
    ) -> int:
        """Take a seat and write the call down, both or neither; returns the call's id.

        A call of the lane "backlog" leaves ``reserved`` calls of the window to the other lanes, less what those
        have made in it; the other lanes pass over ``reserved``. Committed when this returns. QuotaExhausted if no
        seat is free, also when another process was quicker.
        """
        counter = self._book.counter(endpoint)
        with self._file.writing() as db:
            found = _look(db, _Asked(account, counter, counts, lane, reserved), now, mark=True)
            if not found.allowance.granted:
                raise exhausted(found.allowance, endpoint)
            cursor = db.execute(
                "INSERT INTO calls (account, endpoint, asked, why, lane, called_at, local_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (account, endpoint, asked, why, lane, found.instant, _micros(now)),
            )
            if found.pace.level:
                _put_pace(db, account, counter, found.pace.called(found.instant, found.window, found.allowance.limit))
            assert cursor.lastrowid is not None
            self.made[endpoint] += 1
            return cursor.lastrowid

    def settle(
        self,
        call_id: int,
        outcome: str,
        fail_code: int | None,
        rows: int | None,
        bytes: int | None,
        ms: float | None,
        now: datetime,
        *,
        counted: bool = True,
        counts: FleetCounts | None = None,
        server_time: ServerTime | None = None,
    ) -> timedelta | None:
        """Write down how a call ended. ``counted=False`` gives the seat back: the request never left.

        ``server_time`` is what the answer said. Returns the clock's skew when that is worth a warning that hasn't
        been given yet, else None.
        """
        with self._file.writing() as db:
            account, endpoint, local_at = db.execute(
                "SELECT account, endpoint, COALESCE(local_at, called_at) FROM calls WHERE call_id = ?", (call_id,)
            ).fetchone()
            clock = _clock(db, account)
            warn = False
            if server_time is not None:
                clock, warn = _note_server_time(db, account, clock, server_time)
            began, ended = local_at + clock.shift, _micros(now) + clock.shift
            db.execute(
                "UPDATE calls SET outcome = ?, fail_code = ?, row_count = ?, byte_count = ?, ms = ?, "
                "called_at = ?, ended_at = ?, counted = ? WHERE call_id = ?",
                (outcome, fail_code, rows, bytes, ms, began, ended, int(counted), call_id),
            )
            self._learn_from_ending(
                db, call_id, account, endpoint, began, ended, outcome, counted, counts or FleetCounts()
            )
            if call_id % PRUNE_EVERY == 0 and abs(clock.skew or 0) <= FARTHEST:
                # Not by a clock that may stand years ahead.
                db.execute("DELETE FROM calls WHERE called_at < ?", (ended - KEPT_FOR // timedelta(microseconds=1),))
        return _span(clock.skew) if warn and clock.skew is not None else None

    def note_refusal(
        self, account: str, endpoint: str, now: datetime, counts: FleetCounts, *, call_id: int | None = None
    ) -> datetime:
        """Remember a 407: closed for one pace (window / limit), twice that at the next in a row, up to a window.

        Its calls are paced from then on, see :mod:`pipelines.northbound.budget`. ``call_id``: the call that was
        refused; one that had left before the last refusal was known doesn't count again. Returns when it opens.
        """
        counter = self._book.counter(endpoint)
        limit, window = counter.limit(counts), _window(counter)
        with self._file.writing() as db:
            shift, _ = _shift(db, account)
            instant = _micros(now) + shift
            found = db.execute("SELECT called_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
            began = found[0] if found else instant
            granted = db.execute(
                f"SELECT called_at, COALESCE(ended_at, called_at) FROM calls WHERE account = ? "  # noqa: S608
                f"AND endpoint IN ({_marks(counter)}) AND called_at > ? AND outcome = 'ok'",
                (account, *counter.endpoints, instant - window),
            ).fetchall()
            (under_way,) = db.execute(
                f"SELECT count(*) FROM calls WHERE account = ? AND endpoint IN ({_marks(counter)}) "  # noqa: S608
                "AND called_at > ? AND ended_at IS NULL AND call_id IS NOT ?",
                (account, *counter.endpoints, instant - budget.LONGEST_CALL, call_id),
            ).fetchone()
            pace = _pace(db, account, counter).refused(
                began, instant, window, limit, burst_shown(granted, window, limit), under_way
            )
            _put_pace(db, account, counter, pace)
            return _instant(max(instant, pace.opens(instant, window, limit, None)) - shift)

    def note_busy(self, account: str, now: datetime, code: int | None, *, call_id: int | None = None) -> datetime:
        """Remember that the vendor's system was busy: the whole account rests for a minute, then longer.

        ``call_id``: the call that was answered so; one that had left before the account began to rest doesn't
        make the rest longer. Returns when it ends.
        """
        with self._file.writing() as db:
            shift, _ = _shift(db, account)
            instant = _micros(now) + shift
            found = db.execute("SELECT called_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
            pause = next_pause(_pause(db, account), found[0] if found else instant, instant, code)
            db.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)",
                (account, pause.number, pause.noted_at, pause.closed_until, pause.code),
            )
            return _instant(pause.closed_until - shift)

    def note_contested(self, account: str, now: datetime, until: datetime) -> None:
        """Remember that another program ends the account's sessions: the whole account rests until then."""
        with self._file.writing() as db:
            shift = _clock(db, account).shift
            db.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)",
                (account, 1, _micros(now) + shift, _micros(until) + shift, CONTESTED),
            )

    def server_now(self, account: str, now: datetime) -> datetime:
        """This machine's ``now`` by the server's clock, to within a few seconds."""
        with self._file.reading() as db:
            return _instant(_micros(now) + _shift(db, account)[0])

    def clock(self, account: str) -> ClockReport:
        """How far this machine's clock is from the server's."""
        with self._file.reading() as db:
            state = _clock(db, account)
        return ClockReport(None if state.skew is None else _span(state.skew), _span(state.shift))

    def learnt(self, account: str, endpoint: str, counts: FleetCounts) -> Learnt | None:
        """What refusals have taught about an endpoint; None if there never was one."""
        counter = self._book.counter(endpoint)
        limit, window = counter.limit(counts), _window(counter)
        with self._file.reading() as db:
            pace, (shift, _) = _pace(db, account, counter), _shift(db, account)
        if pace.refused_at is None:
            return None
        spacing = pace.spacing(window, limit)
        return Learnt(
            endpoint=endpoint,
            paced=pace.level > budget.BURSTS,
            burst=limit if pace.level == budget.BURSTS else pace.burst,
            spacing=_span(spacing),
            slower=max(1, round(spacing * limit / window)),
            refused_at=_instant(pace.refused_at - shift),
        )

    def quota(self, endpoint: str, counts: FleetCounts) -> tuple[int, timedelta]:
        """The calls that the quota grants, and within which window."""
        counter = self._book.counter(endpoint)
        return counter.limit(counts), timedelta(seconds=counter.quota.window_seconds)

    def sharing(self, endpoint: str) -> tuple[str, ...]:
        """The endpoints whose calls one counter counts, this one among them."""
        return self._book.counter(endpoint).endpoints

    def calls(self, since: datetime | None = None, *, account: str | None = None) -> list[CallRecord]:
        """Every call made at or after ``since`` (all without it), oldest first; of one account, if named."""
        with self._file.reading() as db:
            found = db.execute(
                "SELECT call_id, account, endpoint, asked, why, lane, called_at, outcome, fail_code, row_count, "
                "byte_count, ms FROM calls WHERE COALESCE(local_at, called_at) >= ? AND account = COALESCE(?, account) "
                "ORDER BY called_at, call_id",
                (_micros(since) if since else -(2**62), account),
            ).fetchall()
        return [_record(row) for row in found]

    def _learn_from_ending(
        self,
        db: sqlite3.Connection,
        call_id: int,
        account: str,
        endpoint: str,
        began: int,
        ended: int,
        outcome: str,
        counted: bool,
        counts: FleetCounts,
    ) -> None:
        counter = self._book.counter(endpoint)
        pace = _pace(db, account, counter)
        if pace.refused_at is not None:
            limit, window = counter.limit(counts), _window(counter)
            learnt = pace
            if not counted:
                learnt = learnt.given_back(window, limit)
            elif pace.level:
                (later,) = db.execute(
                    f"SELECT count(*) FROM calls WHERE account = ? AND endpoint IN ({_marks(counter)}) "  # noqa: S608
                    "AND call_id >= ? AND counted = 1",
                    (account, *counter.endpoints, call_id),
                ).fetchone()
                learnt = learnt.ended(ended, max(1, later), window, limit)
            if outcome == "ok":
                learnt = learnt.succeeded(began, ended, window)
            if learnt != pace:
                _put_pace(db, account, counter, learnt)
        if outcome == "ok" and endpoint in READ_ENDPOINTS:
            # A login that succeeds says little about a system that was too busy for data.
            db.execute("DELETE FROM pauses WHERE account = ? AND noted_at < ?", (account, began))


def exhausted(allowance: Allowance, endpoint: str) -> QuotaExhausted:
    """The error for a call that isn't granted."""
    error = QuotaExhausted(allowance.sentence, next_at=allowance.next_at, endpoint=endpoint)
    error.why = allowance.sentence if allowance.closed_by in ("pause", "contested") else None
    return error


@dataclass(frozen=True, slots=True)
class _Asked:
    account: str
    counter: QuotaCounter
    counts: FleetCounts
    lane: Lane
    reserved: int


@dataclass(frozen=True, slots=True)
class _Found:
    allowance: Allowance
    instant: int
    window: int
    pace: Pace
    strays: bool


def _look(db: sqlite3.Connection, asked: _Asked, now: datetime, *, mark: bool = False) -> _Found:
    """All that speaks for or against a call now; ``mark`` rows from the future (in a transaction that writes)."""
    account, counter = asked.account, asked.counter
    shift, shifted_at = _shift(db, account)
    instant, window = _micros(now) + shift, _window(counter)
    limit = counter.limit(asked.counts)
    seats, open_since, strays = _seats(db, account, counter, instant, window, shifted_at)
    if strays and mark:
        db.execute(
            "UPDATE calls SET noticed_at = ? WHERE called_at > ? AND noticed_at IS NULL",
            (instant, instant + _TOLERANCE),
        )
    pause, pace = _pause(db, account), _pace(db, account, counter)
    in_window = window_opens(seats, limit, 0)
    opens: list[tuple[int | None, ClosedBy]] = [
        (pause.opens(instant) if pause else 0, "contested" if pause and pause.code == CONTESTED else "pause"),
        (in_window, "window"),
        (pace.opens(instant, window, limit, open_since), "pace"),
    ]
    if asked.lane == "backlog" and asked.reserved > 0:
        opens.append((window_opens(seats, limit, asked.reserved), "reserve"))
    if any(at is None for at, _ in opens):
        allowance = Allowance(False, None, len(seats), limit, "reserve")
    else:
        next_at, closed_by = max(((at or 0, why) for at, why in opens), key=lambda each: each[0])
        granted = next_at <= instant
        allowance = Allowance(
            granted,
            None if granted else _instant(next_at - shift),
            len(seats),
            limit,
            None if granted else closed_by,
        )
    return _Found(allowance, instant, window, pace, strays)


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


def _pace(db: sqlite3.Connection, account: str, counter: QuotaCounter) -> Pace:
    row = db.execute(
        "SELECT quota, level, burst, refusals, refused_at, closed_until, spent_until, eased_at, calm, for_good "
        "FROM paces WHERE account = ? AND counter = ?",
        (account, counter.name),
    ).fetchone()
    if row is None or row[0] not in (None, counter.quota_name):
        return Pace()
    _, level, burst, refusals, refused_at, closed_until, spent_until, eased_at, calm, for_good = row
    return Pace(level, burst, refusals, refused_at, closed_until, spent_until, eased_at, calm, bool(for_good))


def _put_pace(db: sqlite3.Connection, account: str, counter: QuotaCounter, pace: Pace) -> None:
    kept = {"account": account, "counter": counter.name, "quota": counter.quota_name, **asdict(pace)}
    db.execute(
        f"INSERT OR REPLACE INTO paces ({', '.join(kept)}) VALUES ({', '.join('?' * len(kept))})",  # noqa: S608
        tuple(kept.values()),
    )


def _pause(db: sqlite3.Connection, account: str) -> Pause | None:
    row = db.execute("SELECT number, noted_at, closed_until, code FROM pauses WHERE account = ?", (account,)).fetchone()
    return Pause(*row) if row else None


def _shift(db: sqlite3.Connection, account: str) -> tuple[int, int | None]:
    """What is added to this machine's time, and when that last changed."""
    row = db.execute("SELECT shift, shifted_at FROM clocks WHERE account = ?", (account,)).fetchone()
    return row if row else (0, None)


def _clock(db: sqlite3.Connection, account: str) -> ClockState:
    row = db.execute("SELECT readings, shift, shifted_at, warned FROM clocks WHERE account = ?", (account,)).fetchone()
    if row is None:
        return ClockState()
    return ClockState(tuple(Reading(*each) for each in json.loads(row[0])), row[1], row[2], bool(row[3]))


def _note_server_time(
    db: sqlite3.Connection, account: str, clock: ClockState, heard: ServerTime
) -> tuple[ClockState, bool]:
    """The clock's state with what an answer said, written down; and whether it is worth a warning now."""
    sent, answered, server = _micros(heard.sent_at), _micros(heard.answered_at), _micros(heard.server_time)
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


def _window(counter: QuotaCounter) -> int:
    return counter.quota.window_seconds * 1_000_000


def _marks(counter: QuotaCounter) -> str:
    return ", ".join("?" * len(counter.endpoints))


def _record(row: tuple[Any, ...]) -> CallRecord:
    call_id, account, endpoint, asked, why, lane, called_at, *ending = row
    return CallRecord(call_id, account, endpoint, asked, why, lane, _instant(called_at), *ending)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _span(micros: int) -> timedelta:
    return timedelta(microseconds=micros)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
