"""Runs checks on the published warehouse of a home, all over one connection."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import duckdb

from pipelines.checks.catalog import CHECKS, Check
from pipelines.checks.look import Look
from pipelines.checks.outcome import Outcome
from pipelines.lake.publish import open_published
from pipelines.settings import Settings


def run_checks(settings: Settings, now: datetime, checks: Iterable[Check] = CHECKS) -> Iterator[tuple[Check, Outcome]]:
    """Each check with its outcome, in order. A check that can't be run has failed, and says why; the others go on.

    Raises:
        NoWarehouse: nothing was published yet.
        UnreadableWarehouse: the file is damaged, or another DuckDB release wrote it.
    """
    connection = open_published(settings.home, threads=settings.duckdb_threads, memory_limit=settings.duckdb_memory)
    try:
        look = Look(connection, now, settings.history_freshness_days)
        for check in checks:
            yield check, outcome_of(check, look)
    finally:
        connection.close()


def outcome_of(check: Check, look: Look) -> Outcome:
    """The outcome of one check; an error of the database becomes one: a lost file has to be said."""
    try:
        return check.look(look)
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        sentence = f"This check could not be run: {reason} Look whether lake/ is whole, then run `pvms load`."
        return Outcome(False, "ERROR", 0, 0, "things", sentence)
