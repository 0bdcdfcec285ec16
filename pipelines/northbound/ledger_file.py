"""The ledger's file: its tables.

A commit that waits for the disk does so at most once in `SYNC_EVERY_S` of real time: calls to the vendor take a second
or so, so that in practice each one waits, while a simulated year isn't held up by 60,000 of them. What a power cut
can make forgotten is the last second's calls.
"""

import sqlite3
from pathlib import Path
from typing import Final

from pipelines.sqlite_file import SqliteFile

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
    words TEXT,                   -- what was wrong, for people; null where nothing was
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
    withstood INTEGER NOT NULL DEFAULT 0,
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
    "calls": {"lane": "TEXT NOT NULL DEFAULT 'asked'", "local_at": "INTEGER", "words": "TEXT"},
    "paces": {
        "level": "INTEGER NOT NULL DEFAULT 2",
        "burst": "INTEGER NOT NULL DEFAULT 1",
        "refused_at": "INTEGER",
        "spent_until": "INTEGER NOT NULL DEFAULT 0",
        "eased_at": "INTEGER",
        "calm": "INTEGER NOT NULL DEFAULT 0",
        "for_good": "INTEGER NOT NULL DEFAULT 0",
        "withstood": "INTEGER NOT NULL DEFAULT 0",
        "quota": "TEXT",
    },
}
"""Columns that files of earlier versions lack."""


class LedgerFile(SqliteFile):
    """Transactions on the ledger."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and bring one of an earlier version up to date."""
        super().__init__(path, _SCHEMA, migrate=_migrate, sync_every_s=SYNC_EVERY_S)


def _migrate(db: sqlite3.Connection) -> None:
    for table, columns in _ADDED_LATER.items():
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    # Earlier versions kept an even pace for good and didn't write down since when.
    db.execute("UPDATE paces SET refused_at = closed_until WHERE refused_at IS NULL")
