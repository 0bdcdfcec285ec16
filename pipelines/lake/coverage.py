"""What is loaded, per device or plant and period: the truth that plans and Dagster's partitions mirror."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

import orjson
import polars as pl

from pipelines.lake.durable import full_disk_as_sentence
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

State = Literal["missing", "provisional", "final", "empty", "suspect", "denied"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PATIENCE_SECONDS: Final = 60
"""How long a writer waits for another process's transaction; those take milliseconds."""

_DEFINITION: Final = """
create table if not exists cell (
    dataset text not null,
    subject text not null,
    period text not null,
    plant_code text not null,
    state text not null,
    rows integer not null,
    extracted_at integer,
    reason text,
    primary key (dataset, period, subject)
) without rowid;
"""

# A refusal teaches nothing about what was read and settled before it. An answer that is older than what is known
# (two loads at once) changes nothing. Rows that an earlier answer brought stay in the lake, so a refusal or an
# empty answer keeps their count. Emptiness where provisional rows were is doubted once; said twice, they stand.
_RECORD: Final = """
insert into cell (dataset, subject, period, plant_code, state, rows, extracted_at, reason)
values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict (dataset, period, subject) do update set
    plant_code = excluded.plant_code,
    state = case
        when excluded.state = 'empty' and cell.rows > 0 then iif(cell.state = 'provisional', 'suspect', 'final')
        else excluded.state
    end,
    rows = case when excluded.state = 'denied' or excluded.rows = 0 then cell.rows else excluded.rows end,
    extracted_at = excluded.extracted_at,
    reason = excluded.reason
where excluded.state <> 'missing'
  and (cell.extracted_at is null or excluded.extracted_at >= cell.extracted_at)
  and not (excluded.state = 'denied' and cell.state in ('final', 'empty'))
"""

_ROLLUP: Final = """
select
    dataset, plant_code, period,
    count(*) as wanted,
    sum(state in ('provisional', 'final', 'empty')) as covered,
    sum(rows) as rows,
    case
        when sum(state = 'missing') > 0 then 'missing'
        when sum(state = 'denied') > 0 then 'denied'
        when sum(state = 'suspect') > 0 then 'suspect'
        when sum(state = 'provisional') > 0 then 'provisional'
        when sum(state = 'final') > 0 then 'final'
        else 'empty'
    end as state,
    max(extracted_at) as extracted_at
from cell
group by dataset, plant_code, period
order by dataset, plant_code, period
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one cell: a dataset's period (its first local date) of one plant or device."""

    dataset: str
    subject: str
    plant_code: str
    period: date
    state: State
    rows: int
    extracted_at: datetime
    reason: str | None = None


class Coverage:
    """The coverage file, shared by all processes of one home."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            DiskFull: no space is left.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_as_sentence(path.parent), closing(self._connect()) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(_DEFINITION)

    def declare(self, cells: Iterable[tuple[str, str, str, date]]) -> None:
        """Write down wanted cells (dataset, subject, plant_code, period) as missing; what is known stays."""
        rows = [(d, s, p.isoformat(), plant, "missing", 0, None, None) for d, s, plant, p in cells]
        with self._transaction() as connection:
            connection.executemany("insert or ignore into cell values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def record(self, entries: Iterable[Entry]) -> None:
        """Keep the latest state of each cell, all or none; a refusal never hides what was settled before it."""
        rows = [_as_row(each) for each in entries]
        with self._transaction() as connection:
            connection.executemany(_RECORD, rows)

    def states(
        self, dataset: str, subjects: Collection[str] | None, start: date, end: date
    ) -> dict[tuple[str, date], Entry]:
        """What was read or refused, by subject and period, for periods from `start` to `end`, both included.

        Cells that are declared only have state "missing" and 1970 as time of extraction.
        """
        query = (
            "select subject, period, plant_code, state, rows, extracted_at, reason from cell "
            "where dataset = ? and period between ? and ?"
        )
        values: list[str] = [dataset, start.isoformat(), end.isoformat()]
        if subjects is not None:
            query += " and subject in (select value from json_each(?))"
            values.append(orjson.dumps(list(subjects)).decode())
        with closing(self._connect()) as connection:
            found = connection.execute(query, values).fetchall()
        # Cells of one answer share their time and many share their date: made once each.
        dates = {text: date.fromisoformat(text) for text in {row[1] for row in found}}
        instants = {at: _EPOCH + (at or 0) * _MICROSECOND for at in {row[5] for row in found}}
        return {
            (subject, dates[period]): Entry(dataset, subject, plant, dates[period], state, rows, instants[at], reason)
            for subject, period, plant, state, rows, at, reason in found
        }

    def rollup(self) -> pl.DataFrame:
        """The rows of ops.coverage, one per dataset, plant and period.

        The state is the one that asks for most attention: missing, denied, suspect, provisional, final, empty.
        """
        with closing(self._connect()) as connection:
            found = connection.execute(_ROLLUP).fetchall()
        schema = polars_schema(TABLES["coverage"])
        read = {**schema, "period": pl.String(), "extracted_at": pl.Int64()}
        return pl.DataFrame(found, schema=read, orient="row").with_columns(
            pl.col("period").str.to_date("%Y-%m-%d"),
            pl.from_epoch("extracted_at", "us").dt.replace_time_zone("UTC"),
        )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_PATIENCE_SECONDS, isolation_level=None)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction that takes the lock at once, so that two writers wait instead of failing."""
        with full_disk_as_sentence(self.path.parent), closing(self._connect()) as connection:
            connection.execute("pragma synchronous = full")
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            connection.execute("commit")


def _as_row(entry: Entry) -> tuple[str, str, str, str, str, int, int | None, str | None]:
    if entry.state not in get_args(State):
        raise ValueError(f"{entry.state} is no state of coverage")
    instant = None if entry.state == "missing" else (entry.extracted_at - _EPOCH) // _MICROSECOND
    return (
        entry.dataset,
        entry.subject,
        entry.period.isoformat(),
        entry.plant_code,
        entry.state,
        entry.rows,
        instant,
        entry.reason,
    )
