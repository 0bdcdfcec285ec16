"""The ledger: every call, written down before it is made, and what may be called now.

The vendor counts calls per account and endpoint in windows (reference 4.2, 6.2, 4.1) but doesn't say when a window
starts. A rolling window on disk is right under each reading: a call holds its seat from before it leaves until one
window after it came back, because the server may have counted it anywhere in between. A process that dies
leaves its call counted. What a 407 adds to that is in :mod:`pipelines.northbound.budget`, the rest that a busy system
is given in :mod:`pipelines.northbound.pauses`; all of it is put together in
:mod:`pipelines.northbound.allowances`.

The ledger's times are the server's. Its methods take this machine's time and give it back, and add the skew that the
answers have shown on the way; all processes share it through the file.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.northbound import budget
from pipelines.northbound.allowances import CONTESTED, Allowance, Asked, exhausted, look
from pipelines.northbound.budget import burst_shown
from pipelines.northbound.lanes import Lane
from pipelines.northbound.ledger_file import LedgerFile
from pipelines.northbound.ledger_state import (
    clock_of,
    instant_of,
    marks,
    micros,
    note_server_time,
    pace_of,
    pause_of,
    put_pace,
    shift_of,
    span,
    window_of,
)
from pipelines.northbound.pauses import STEPS, next_pause
from pipelines.northbound.quotas import FleetCounts as FleetCounts
from pipelines.northbound.quotas import QuotaBook, QuotaOverride
from pipelines.northbound.skew import FARTHEST, ServerTime
from schemas.endpoints import READ_ENDPOINTS

LONGEST_CALL: Final = timedelta(microseconds=budget.LONGEST_CALL)

KEPT_FOR: Final = timedelta(days=400)
"""Older calls are dropped."""

PRUNE_EVERY: Final = 500
"""Calls between two looks for old ones."""


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
    words: str | None = None
    """What was wrong with it, with the server's own words where it sent some."""


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
        asked = Asked(account, self._book.counter(endpoint), counts, lane, reserved)
        with self._file.reading() as db:
            found = look(db, asked, now)
        if found.strays:
            # Rows from the future have to be marked, so that their time begins to run.
            with self._file.writing() as db:
                found = look(db, asked, now, mark=True)
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
            found = look(db, Asked(account, counter, counts, lane, reserved), now, mark=True)
            if not found.allowance.granted:
                raise exhausted(found.allowance, endpoint)
            cursor = db.execute(
                "INSERT INTO calls (account, endpoint, asked, why, lane, called_at, local_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (account, endpoint, asked, why, lane, found.instant, micros(now)),
            )
            if found.pace.level:
                put_pace(db, account, counter, found.pace.called(found.instant, found.window, found.allowance.limit))
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
        words: str | None = None,
        counted: bool = True,
        counts: FleetCounts | None = None,
        server_time: ServerTime | None = None,
    ) -> timedelta | None:
        """Write down how a call ended. ``counted=False`` gives the seat back: the request never left.
        ``words``: what was wrong, without any secret.

        ``server_time`` is what the answer said. Returns the clock's skew when that is worth a warning that hasn't
        been given yet, else None.
        """
        with self._file.writing() as db:
            account, endpoint, local_at = db.execute(
                "SELECT account, endpoint, COALESCE(local_at, called_at) FROM calls WHERE call_id = ?", (call_id,)
            ).fetchone()
            clock = clock_of(db, account)
            warn = False
            if server_time is not None:
                clock, warn = note_server_time(db, account, clock, server_time)
            began, ended = local_at + clock.shift, micros(now) + clock.shift
            db.execute(
                "UPDATE calls SET outcome = ?, fail_code = ?, words = ?, row_count = ?, byte_count = ?, ms = ?, "
                "called_at = ?, ended_at = ?, counted = ? WHERE call_id = ?",
                (outcome, fail_code, words, rows, bytes, ms, began, ended, int(counted), call_id),
            )
            self._learn_from_ending(
                db, call_id, account, endpoint, began, ended, outcome, counted, counts or FleetCounts()
            )
            if call_id % PRUNE_EVERY == 0 and abs(clock.skew or 0) <= FARTHEST:
                # Not by a clock that may stand years ahead.
                db.execute("DELETE FROM calls WHERE called_at < ?", (ended - KEPT_FOR // timedelta(microseconds=1),))
        return span(clock.skew) if warn and clock.skew is not None else None

    def note_refusal(
        self, account: str, endpoint: str, now: datetime, counts: FleetCounts, *, call_id: int | None = None
    ) -> datetime:
        """Remember a 407: closed for one pace (window / limit), twice that at the next in a row, up to a window.

        Its calls are paced from then on, see :mod:`pipelines.northbound.budget`. ``call_id``: the call that was
        refused; one that had left before the last refusal was known doesn't count again. Returns when it opens.
        """
        counter = self._book.counter(endpoint)
        limit, window = counter.limit(counts), window_of(counter)
        with self._file.writing() as db:
            shift, _ = shift_of(db, account)
            instant = micros(now) + shift
            found = db.execute("SELECT called_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
            began = found[0] if found else instant
            granted = db.execute(
                f"SELECT called_at, COALESCE(ended_at, called_at) FROM calls WHERE account = ? "  # noqa: S608
                f"AND endpoint IN ({marks(counter)}) AND called_at > ? AND outcome = 'ok'",
                (account, *counter.endpoints, instant - window),
            ).fetchall()
            (under_way,) = db.execute(
                f"SELECT count(*) FROM calls WHERE account = ? AND endpoint IN ({marks(counter)}) "  # noqa: S608
                "AND called_at > ? AND ended_at IS NULL AND call_id IS NOT ?",
                (account, *counter.endpoints, instant - budget.LONGEST_CALL, call_id),
            ).fetchone()
            pace = pace_of(db, account, counter).refused(
                began, instant, window, limit, burst_shown(granted, window, limit), under_way
            )
            put_pace(db, account, counter, pace)
            return instant_of(max(instant, pace.opens(instant, window, limit, None)) - shift)

    def note_busy(self, account: str, now: datetime, code: int | None, *, call_id: int | None = None) -> datetime:
        """Remember that the vendor's system was busy: the whole account rests for a minute, then longer.

        ``call_id``: the call that was answered so; one that had left before the account began to rest doesn't
        make the rest longer. Returns when it ends.
        """
        with self._file.writing() as db:
            shift, _ = shift_of(db, account)
            instant = micros(now) + shift
            found = db.execute("SELECT called_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
            pause = next_pause(pause_of(db, account), found[0] if found else instant, instant, code)
            db.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)",
                (account, pause.number, pause.noted_at, pause.closed_until, pause.code),
            )
            return instant_of(pause.closed_until - shift)

    def note_contested(self, account: str, now: datetime, until: datetime) -> None:
        """Remember that another program ends the account's sessions: the whole account rests until then."""
        with self._file.writing() as db:
            shift = clock_of(db, account).shift
            db.execute(
                # A longer rest that the vendor asked for stands.
                "INSERT INTO pauses VALUES (?, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET "
                "number = excluded.number, noted_at = excluded.noted_at, closed_until = excluded.closed_until, "
                "code = excluded.code WHERE excluded.closed_until > pauses.closed_until OR pauses.closed_until > ?",
                # One that lies further ahead than any rest was written under a wrong clock.
                (account, 1, micros(now) + shift, micros(until) + shift, CONTESTED, micros(now) + shift + STEPS[-1]),
            )

    def server_now(self, account: str, now: datetime) -> datetime:
        """This machine's ``now`` by the server's clock, to within a few seconds."""
        with self._file.reading() as db:
            return instant_of(micros(now) + shift_of(db, account)[0])

    def clock(self, account: str) -> ClockReport:
        """How far this machine's clock is from the server's."""
        with self._file.reading() as db:
            state = clock_of(db, account)
        return ClockReport(None if state.skew is None else span(state.skew), span(state.shift))

    def learnt(self, account: str, endpoint: str, counts: FleetCounts) -> Learnt | None:
        """What refusals have taught about an endpoint; None if there never was one."""
        counter = self._book.counter(endpoint)
        limit, window = counter.limit(counts), window_of(counter)
        with self._file.reading() as db:
            pace, (shift, _) = pace_of(db, account, counter), shift_of(db, account)
        if pace.refused_at is None:
            return None
        spacing = pace.spacing(window, limit)
        return Learnt(
            endpoint=endpoint,
            paced=pace.level > budget.BURSTS,
            burst=limit if pace.level == budget.BURSTS else pace.burst,
            spacing=span(spacing),
            slower=max(1, round(spacing * limit / window)),
            refused_at=instant_of(pace.refused_at - shift),
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
                "byte_count, ms, words FROM calls WHERE COALESCE(local_at, called_at) >= ? "
                "AND account = COALESCE(?, account) ORDER BY called_at, call_id",
                (micros(since) if since else -(2**62), account),
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
        pace = pace_of(db, account, counter)
        if pace.refused_at is not None:
            limit, window = counter.limit(counts), window_of(counter)
            learnt = pace
            if not counted:
                learnt = learnt.given_back(window, limit)
            elif pace.level:
                (later,) = db.execute(
                    f"SELECT count(*) FROM calls WHERE account = ? AND endpoint IN ({marks(counter)}) "  # noqa: S608
                    "AND call_id >= ? AND counted = 1",
                    (account, *counter.endpoints, call_id),
                ).fetchone()
                learnt = learnt.ended(ended, max(1, later), window, limit)
            if outcome == "ok":
                learnt = learnt.succeeded(began, ended, window)
            if learnt != pace:
                put_pace(db, account, counter, learnt)
        if outcome == "ok" and endpoint in READ_ENDPOINTS:
            # A login that succeeds says little about a system that was too busy for data.
            db.execute("DELETE FROM pauses WHERE account = ? AND noted_at < ?", (account, began))


def _record(row: tuple[Any, ...]) -> CallRecord:
    call_id, account, endpoint, asked, why, lane, called_at, *ending = row
    return CallRecord(call_id, account, endpoint, asked, why, lane, instant_of(called_at), *ending)
