"""A read-only look at the published warehouse, and which days a check of 5-minute data reads."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import duckdb

from pipelines.checks.outcome import Row

NEWEST_DAYS: Final = 7
"""The newest days are always looked at: a fault in the field shows there first, and a week holds each kind of day."""

LANDED_DAYS: Final = 24
"""So many more that landed in the last day, so that a backfill is looked at too; together a month of day files."""

LATELY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Look:
    """An open connection, the instant (aware UTC) at which it is looked, and how many days old history may be."""

    connection: duckdb.DuckDBPyConnection
    now: datetime
    freshness_days: int = 1

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query, by column name."""
        found = self.connection.execute(query, list(values))
        names = [each[0] for each in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def row(self, query: str, *values: Any) -> Row:
        """The one row of a query."""
        (only,) = self.rows(query, *values)
        return only

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The local dates whose 5-minute data are looked at, newest first."""
        known = self.rows(
            "select period, max(extracted_at) as landed_at from ops.coverage "
            "where dataset = 'device_history' and rows > 0 group by period order by period desc"
        )
        newest = [each["period"] for each in known[:NEWEST_DAYS]]
        landed = [each["period"] for each in known[NEWEST_DAYS:] if each["landed_at"] >= self.now - LATELY]
        return (*newest, *landed[:LANDED_DAYS])

    @property
    def chosen(self) -> str:
        """The condition on `local_date` that reads these days' files alone."""
        return in_dates("local_date", self.days)

    @property
    def span(self) -> dict[str, Any]:
        """The days, for whoever reads the outcome."""
        if not self.days:
            return {"days": 0}
        return {"days": len(self.days), "first_day": min(self.days), "last_day": max(self.days)}


def in_dates(column: str, dates: tuple[date, ...]) -> str:
    """`column in (...)` with the dates written out: only then DuckDB leaves the other days' files closed."""
    if not dates:
        return "false"
    return f"{column} in ({', '.join(f'date {chr(39)}{each}{chr(39)}' for each in sorted(dates))})"
