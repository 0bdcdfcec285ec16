"""Which months a relation may hold, told without reading it."""

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from pipelines.export.relations import Relation

DATE_COLUMN = "local_date"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of local dates, cut to the dates that are wanted; `first` and `last` are included."""

    first: date
    last: date

    @property
    def folder(self) -> str:
        """`year=2026/month=03`: numbers to every reader, and in order to a person."""
        return f"year={self.first.year}/month={self.first.month:02d}"


def is_stored_by_month(relation: Relation) -> bool:
    """Whether the export of a relation is a folder per month; others are one file."""
    has_own = relation.has("year") or relation.has("month")
    dated = any(each.name == DATE_COLUMN and each.type == "DATE" for each in relation.columns)
    return dated and not has_own


def months_of(
    connection: duckdb.DuckDBPyConnection, relation: Relation, since: date | None, until: date | None
) -> list[Month]:
    """The months that may hold rows from `since` to `until`, both included, in order.

    A view over the lake is asked for its files, not for its rows: a view of 5-minute rows takes minutes to scan.
    """
    days = _days_of_files(connection, relation) if relation.is_view else None
    if days is None:
        days = _days_of_rows(connection, relation)
    found = [each for each in days if (since is None or each >= since) and (until is None or each <= until)]
    return [
        Month(max(first, since or first), min(_last_day(first), until or date.max))
        for first in sorted({each.replace(day=1) for each in found})
    ]


def _last_day(first: date) -> date:
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _days_of_rows(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[date]:
    query = f"select distinct {DATE_COLUMN} from {relation.sql} where {DATE_COLUMN} is not null"  # noqa: S608
    return [day for (day,) in connection.execute(query).fetchall()]


def _days_of_files(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[date] | None:
    """The days of the files behind a view, and their neighbours, for an interval is filed by its start.

    None where the view doesn't read files by day. Which files a view of the marts reads isn't known: all of them.
    """
    behind = relation.name if relation.schema == "raw" else relation.name.removeprefix("stg_")
    query = """
        select distinct try_cast(regexp_extract(path, 'local_date=([0-9-]+)', 1) as date)
        from pvms.lake_files
        where table_name = $table or not exists (from duckdb_views() where schema_name = 'raw' and view_name = $table)
    """
    try:
        found = [day for (day,) in connection.execute(query, {"table": behind}).fetchall() if day is not None]
    except duckdb.CatalogException:
        return None
    around = (timedelta(days=step) for step in (-1, 0, 1))
    return sorted({day + step for step in around for day in found}) or None
