"""The ledger: every call, written down before it is made, and what may be called now.

The vendor counts calls per account and endpoint in windows (reference 4.2, 6.2, 4.1) but doesn't say when a window
starts. A rolling window on disk is right under each reading: a call holds its seat from before it leaves until one
window after it came back, because the server may have counted it anywhere in between. A process that dies
leaves its call counted.

When the vendor says 407 all the same, the endpoint is kept to an even pace of window / limit from then on: users'
logs look like a bucket that refills at that pace.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.lanes import Lane
from schemas.endpoints import ENDPOINTS, Quota

LONGEST_CALL: Final = timedelta(seconds=90)
"""A call without an ending (its process died) is taken to have ended this long after it began: the connect
and read time-outs of the transport together, and some."""

CLOCK_TOLERANCE: Final = timedelta(minutes=2)
"""A row that lies further in the future was written under a wrong clock. It counts as made when that is first
noticed, so that it blocks for one window and no longer."""

LOCK_WAIT_S: Final = 60.0
"""How long one process waits for another's transaction; each takes milliseconds."""

_Seat = tuple[int, bool]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
    call_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    asked TEXT NOT NULL,
    why TEXT NOT NULL,
    lane TEXT NOT NULL DEFAULT 'asked',
    called_at INTEGER NOT NULL,   -- microseconds since 1970, UTC
    ended_at INTEGER,             -- null: not known to have ended
    counted INTEGER NOT NULL DEFAULT 1,
    noticed_at INTEGER,           -- for a call from the future: when a right clock first saw it
    outcome TEXT,
    fail_code INTEGER,
    row_count INTEGER,
    byte_count INTEGER,
    ms REAL
);
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (account, endpoint, called_at);
CREATE TABLE IF NOT EXISTS paces (
    account TEXT NOT NULL,
    counter TEXT NOT NULL,
    refusals INTEGER NOT NULL,    -- in a row
    closed_until INTEGER NOT NULL,
    PRIMARY KEY (account, counter)
);
"""


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """What the account manages: the quotas are formulas over these."""

    plants: int = 0
    devices_by_type: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allowance:
    """May the endpoint be called? ``next_at`` is the earliest instant if not now; ``used`` of ``limit`` seats."""

    granted: bool
    next_at: datetime | None
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as the ledger knows it; ``outcome`` is None for a call whose process died."""

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


class Ledger:
    """The calls of all accounts in one SQLite file, shared by all processes of one machine."""

    def __init__(self, path: Path, *, flow_control: str = "dynamic") -> None:
        """Open or create the file; ``flow_control`` is dynamic (4.2), static (6.2) or oauth (4.1)."""
        self._path = path
        self._policy = flow_control
        if flow_control not in ENDPOINTS["stations"].quotas:
            known = ", ".join(ENDPOINTS["stations"].quotas)
            raise ValueError(f"flow control is one of {known}, not {flow_control!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite answers "locked" at once, without waiting, when two processes switch to WAL together.
        with FileLock(f"{path}.lock"), closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
            _migrate(db)

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
        """What the windows say at ``now``, without taking a seat; ``lane`` and ``reserved`` as in :meth:`reserve`."""
        with closing(self._connect()) as db:
            return self._allowance(db, account, endpoint, _micros(now), counts, lane, reserved)

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
        have made in it; the other lanes pass over ``reserved``.

        Committed when this returns. QuotaExhausted if no seat is free, also when another process was quicker.
        """
        with self._transaction() as db:
            instant = _micros(now)
            allowance = self._allowance(db, account, endpoint, instant, counts, lane, reserved)
            if not allowance.granted:
                raise QuotaExhausted(
                    f"the quota is used up ({allowance.used} of {allowance.limit} calls)",
                    next_at=allowance.next_at,
                    endpoint=endpoint,
                )
            cursor = db.execute(
                "INSERT INTO calls (account, endpoint, asked, why, lane, called_at) VALUES (?, ?, ?, ?, ?, ?)",
                (account, endpoint, asked, why, lane, instant),
            )
            assert cursor.lastrowid is not None
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
    ) -> None:
        """Write down how a call ended. ``counted=False`` gives the seat back: the request never left."""
        with self._transaction() as db:
            db.execute(
                "UPDATE calls SET outcome = ?, fail_code = ?, row_count = ?, byte_count = ?, ms = ?, "
                "ended_at = ?, counted = ? WHERE call_id = ?",
                (outcome, fail_code, rows, bytes, ms, _micros(now), int(counted), call_id),
            )
            if outcome == "ok":
                found = db.execute("SELECT account, endpoint FROM calls WHERE call_id = ?", (call_id,)).fetchone()
                account, endpoint = found
                db.execute(
                    "UPDATE paces SET refusals = 0 WHERE account = ? AND counter = ?",
                    (account, self._counter(endpoint)),
                )

    def note_refusal(self, account: str, endpoint: str, now: datetime, counts: FleetCounts) -> datetime:
        """Remember a 407: closed for one pace (window / limit), twice that at the next in a row, up to a window.

        From then on the endpoint's calls are spaced at that pace, for good. Returns when it opens again.
        """
        quota = self._quota(endpoint)
        window = timedelta(seconds=quota.window_seconds)
        with self._transaction() as db:
            counter = self._counter(endpoint)
            row = db.execute(
                "SELECT refusals FROM paces WHERE account = ? AND counter = ?", (account, counter)
            ).fetchone()
            refusals = (int(row[0]) if row else 0) + 1
            pause = min(window, self._pace(quota, counts) * 2 ** min(refusals - 1, 30))
            opens: datetime = now + pause
            db.execute(
                "INSERT INTO paces VALUES (?, ?, ?, ?) ON CONFLICT (account, counter) "
                "DO UPDATE SET refusals = excluded.refusals, closed_until = excluded.closed_until",
                (account, counter, refusals, _micros(opens)),
            )
        return opens

    def calls(self, since: datetime | None = None) -> list[CallRecord]:
        """Every call made at or after ``since`` (all without it), oldest first."""
        with closing(self._connect()) as db:
            found = db.execute(
                "SELECT call_id, account, endpoint, asked, why, lane, called_at, outcome, fail_code, row_count, "
                "byte_count, ms FROM calls WHERE called_at >= ? ORDER BY called_at, call_id",
                (_micros(since) if since else -(2**62),),
            ).fetchall()
        return [_record(row) for row in found]

    def _allowance(
        self,
        db: sqlite3.Connection,
        account: str,
        endpoint: str,
        now: int,
        counts: FleetCounts,
        lane: Lane,
        reserved: int,
    ) -> Allowance:
        quota = self._quota(endpoint)
        limit = _limit(quota, counts)
        window = quota.window_seconds * 1_000_000
        seats = self._seats(db, account, endpoint, now, window)
        ends = [end for end, _ in seats]
        opens = _opens_at(seats, limit, window, reserved if lane == "backlog" else 0)
        pace = db.execute(
            "SELECT closed_until FROM paces WHERE account = ? AND counter = ?",
            (account, self._counter(endpoint)),
        ).fetchone()
        if pace is not None:
            spacing = _span_micros(self._pace(quota, counts))
            # Never closed for more than a window: what lies further was written under a wrong clock.
            opens.extend([pace[0]] if pace[0] <= now + window else [])
            opens.extend(end + spacing for end in ends[-1:])
        if lane == "backlog" and reserved >= limit:
            return Allowance(False, None, len(ends), limit)
        next_at = max(opens, default=now)
        granted = next_at <= now
        return Allowance(granted, None if granted else _instant(next_at), len(ends), limit)

    def _seats(self, db: sqlite3.Connection, account: str, endpoint: str, now: int, window: int) -> list[_Seat]:
        """The calls that still hold a seat, oldest first: when it ended (microseconds), and whether a backlog's."""
        sharing = self._sharing(endpoint)
        longest = _span_micros(LONGEST_CALL)
        future = now + _span_micros(CLOCK_TOLERANCE)
        found = db.execute(
            "SELECT called_at, ended_at, noticed_at, lane = 'backlog' FROM calls WHERE account = ? AND counted = 1 "
            "AND endpoint IN (SELECT value FROM json_each(?)) AND called_at > ?",
            (account, json.dumps(sharing), now - window - 2 * longest),
        ).fetchall()
        if any(called_at > future and noticed_at is None for called_at, _, noticed_at, _ in found):
            db.execute("UPDATE calls SET noticed_at = ? WHERE called_at > ? AND noticed_at IS NULL", (now, future))
        seats = []
        for called_at, ended_at, noticed_at, backlog in found:
            if called_at > future or noticed_at is not None:
                end = noticed_at or now
            else:
                end = called_at + longest if ended_at is None else max(called_at, ended_at)
            if end + window > now:
                seats.append((end, bool(backlog)))
        return sorted(seats)

    def _quota(self, endpoint: str) -> Quota:
        quotas = ENDPOINTS[endpoint].quotas
        # Login and logout have the same limit everywhere, so the catalog doesn't list them under each policy.
        return quotas.get(self._policy) or quotas["dynamic"]

    def _sharing(self, endpoint: str) -> list[str]:
        """The endpoints whose calls one counter counts, this one among them."""
        shared = self._quota(endpoint).shared
        if not shared:
            return [endpoint]
        quotas = {name: known.quotas.get(self._policy) for name, known in ENDPOINTS.items()}
        return [name for name, quota in quotas.items() if quota is not None and quota.shared == shared]

    def _counter(self, endpoint: str) -> str:
        """The name that what a 407 taught is kept under: another policy has to learn anew."""
        return f"{self._policy}:{self._quota(endpoint).shared or endpoint}"

    @staticmethod
    def _pace(quota: Quota, counts: FleetCounts) -> timedelta:
        return timedelta(seconds=quota.window_seconds) / _limit(quota, counts)

    def _connect(self) -> sqlite3.Connection:
        # A connection per use: calls are scarce, and no handle is shared between threads or across a fork.
        return sqlite3.connect(self._path, timeout=LOCK_WAIT_S, isolation_level=None)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _record(row: tuple[Any, ...]) -> CallRecord:
    call_id, account, endpoint, asked, why, lane, called_at, *ending = row
    return CallRecord(call_id, account, endpoint, asked, why, lane, _instant(called_at), *ending)


def _opens_at(seats: Sequence[_Seat], limit: int, window: int, reserved: int) -> list[int]:
    """When so many seats have come free that one call more fits; nothing if it does now.

    A reserve shrinks by each call that the other lanes have made in the window, and grows again as those leave it.
    """
    used, others = len(seats), sum(not backlog for _, backlog in seats)
    opens: list[int] = []
    for end, backlog in seats:
        if used + max(0, reserved - others) < limit:
            break
        opens = [end + window]
        used -= 1
        others -= not backlog
    return opens


def _migrate(db: sqlite3.Connection) -> None:
    """Bring a file of an earlier version up to date."""
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(calls)")}
    if "lane" not in columns:
        db.execute("ALTER TABLE calls ADD COLUMN lane TEXT NOT NULL DEFAULT 'asked'")


def _limit(quota: Quota, counts: FleetCounts) -> int:
    # The formulas give 0 for an account with nothing, and before the first listing; one call is always worth it.
    return max(1, quota.limit(counts.plants, counts.devices_by_type))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _span_micros(span: timedelta) -> int:
    return -(-span // timedelta(microseconds=1))


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
