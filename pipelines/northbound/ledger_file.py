"""The ledger's file: its tables, and transactions that threads and processes share.

One connection per process is kept open; a lock lets one thread at a time use it. A process that was forked opens its
own. The file is in WAL mode, where a commit survives the death of its process in any case. Against the loss of power
a commit also waits for the disk, but at most once in `SYNC_EVERY_S` of real time: calls to the vendor take a second
or so, so that in practice each one waits, while a simulated year isn't held up by 60,000 of them. What a power cut
can make forgotten is the last second's calls.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock

LOCK_WAIT_S: Final = 60.0
"""How long one process waits for another's transaction; each takes milliseconds."""

SYNC_EVERY_S: Final = 1.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
    call_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    asked TEXT NOT NULL,
    why TEXT NOT NULL,
    lane TEXT NOT NULL DEFAULT 'asked',
    called_at INTEGER NOT NULL,   -- microseconds since 1970, by the server's clock, as all times but local_at
    local_at INTEGER,             -- the same instant by this machine's clock; null in rows of an earlier version
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
    level INTEGER NOT NULL DEFAULT 2,
    burst INTEGER NOT NULL DEFAULT 1,
    refused_at INTEGER,
    spent_until INTEGER NOT NULL DEFAULT 0,
    eased_at INTEGER,
    calm INTEGER NOT NULL DEFAULT 0,
    for_good INTEGER NOT NULL DEFAULT 0,
    quota TEXT,                   -- which quota it was learnt under; null: whichever
    PRIMARY KEY (account, counter)
);
CREATE TABLE IF NOT EXISTS pauses (
    account TEXT PRIMARY KEY,
    number INTEGER NOT NULL,      -- which in a row
    noted_at INTEGER NOT NULL,
    closed_until INTEGER NOT NULL,
    code INTEGER
);
CREATE TABLE IF NOT EXISTS clocks (
    account TEXT PRIMARY KEY,
    readings TEXT NOT NULL,       -- JSON: the last few of [skew, uncertainty, whole seconds]
    shift INTEGER NOT NULL,       -- what is added to this machine's time
    shifted_at INTEGER,
    warned INTEGER NOT NULL
);
"""

_ADDED_LATER: Final = {
    "calls": {"lane": "TEXT NOT NULL DEFAULT 'asked'", "local_at": "INTEGER"},
    "paces": {
        "level": "INTEGER NOT NULL DEFAULT 2",
        "burst": "INTEGER NOT NULL DEFAULT 1",
        "refused_at": "INTEGER",
        "spent_until": "INTEGER NOT NULL DEFAULT 0",
        "eased_at": "INTEGER",
        "calm": "INTEGER NOT NULL DEFAULT 0",
        "for_good": "INTEGER NOT NULL DEFAULT 0",
        "quota": "TEXT",
    },
}
"""Columns that files of earlier versions lack."""

_INHERITED: Final[list["_Handle"]] = []
"""Connections of a parent process: SQLite forbids both to use and to close them here."""


class _Handle:
    """A connection, the process that may use it, and the lock that its threads take turns by."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)


class LedgerFile:
    """Transactions on one SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and bring one of an earlier version up to date."""
        self._path = path
        self._guard = threading.Lock()
        self._handle: _Handle | None = None
        self._synced = float("-inf")
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite answers "locked" at once, without waiting, when two processes switch to WAL together.
        with FileLock(f"{path}.lock"), self._turn() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
            _migrate(db)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that only reads, and sees one state throughout."""
        with self._turn() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                _roll_back(db)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end, or rolled back for any error."""
        with self._turn() as db:
            began = time.monotonic()
            wait_for_disk = began - self._synced >= SYNC_EVERY_S
            db.execute(f"PRAGMA synchronous = {'FULL' if wait_for_disk else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                _roll_back(db)
                raise
            if wait_for_disk:
                self._synced = began

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._guard:
            handle, self._handle = self._handle, None
        if handle is not None and handle.pid == os.getpid():
            with handle.lock:
                handle.connection.close()

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            handle = self._handle
            if handle is not None and handle.pid != os.getpid():
                _INHERITED.append(handle)
                handle = None
            if handle is None:
                handle = self._handle = _Handle(self._path)
        with handle.lock:
            yield handle.connection


def _roll_back(db: sqlite3.Connection) -> None:
    # After some errors, a full disk among them, SQLite has done so by itself.
    if db.in_transaction:
        db.execute("ROLLBACK")


def _migrate(db: sqlite3.Connection) -> None:
    for table, columns in _ADDED_LATER.items():
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    # Earlier versions kept an even pace for good and didn't write down since when.
    db.execute("UPDATE paces SET refused_at = closed_until WHERE refused_at IS NULL")
