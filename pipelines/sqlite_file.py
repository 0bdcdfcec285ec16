"""An SQLite file of ours: transactions that threads and processes share.

One connection per process is kept open; a lock lets one thread at a time use it. A process that was forked opens its
own. The file is in WAL mode, where a commit survives the death of its process in any case; against the loss of power
a durable commit also waits for the disk.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock

LOCK_WAIT_S: Final = 60.0
"""How long one process waits for another's transaction; each takes milliseconds."""

_INHERITED: Final[list["_Handle"]] = []
"""Connections of a parent process: SQLite forbids both to use and to close them here."""


class _Handle:
    """A connection, the process that may use it, and the lock that its threads take turns by."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)


class SqliteFile:
    """Transactions on one file."""

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        migrate: Callable[[sqlite3.Connection], None] = lambda db: None,
        sync_every_s: float = 0.0,
    ) -> None:
        """Open or create the file; `schema` creates what isn't there, `migrate` mends what an earlier version left.

        Durable commits wait for the disk at most once in `sync_every_s` of real time.
        """
        self._path = path
        self._sync_every_s = sync_every_s
        self._guard = threading.Lock()
        self._handle: _Handle | None = None
        self._synced = float("-inf")
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite answers "locked" at once, without waiting, when two processes switch to WAL together.
        with FileLock(f"{path}.lock"), self._turn() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(schema)
            migrate(db)

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
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end, or rolled back for any error.

        It takes the write lock at once, so that two writers wait instead of failing. `durable`: it is to survive a
        power cut.
        """
        with self._turn() as db:
            began = time.monotonic()
            wait_for_disk = durable and began - self._synced >= self._sync_every_s
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
