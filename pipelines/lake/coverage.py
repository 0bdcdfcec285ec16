"""What is loaded, per device or plant and period: the truth that plans and Dagster's partitions mirror."""

import os
import socket
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import orjson
import polars as pl

from pipelines.lake.durable import full_disk_as_sentence, lives
from pipelines.sqlite_file import SqliteFile
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

State = Literal["missing", "provisional", "final", "empty", "suspect", "denied"]

_STATES: Final = frozenset(get_args(State))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

ASKED: Final = "asked for by name"
"""The reason of a missing cell that a load was given the dates of; others are missing by the owner's policy."""

_LEFT_UNDONE: Final = f"state in ('suspect', 'denied') or reason = '{ASKED}'"
_MISSING_TOO: Final = "state in ('missing', 'suspect', 'denied')"

# Each names its index: left to itself, SQLite walks the primary key over years of what is done.
_AMONG_LEFT_UNDONE: Final = f"cell indexed by cell_left_undone where ({_LEFT_UNDONE})"
_AMONG_NOT_THERE: Final = f"cell indexed by cell_not_there where ({_MISSING_TOO})"
_AMONG_NOT_FINAL: Final = "cell indexed by cell_not_final where state <> 'final'"

_DEFINITION: Final = f"""
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
create table if not exists claim (
    dataset text not null,
    subject text not null,
    period text not null,
    owner text not null,
    pid integer not null,
    until integer not null,
    primary key (dataset, period, subject)
) without rowid;
create index if not exists claim_by_owner on claim (owner);
create index if not exists cell_not_final on cell (dataset, period) where state <> 'final';
create index if not exists cell_left_undone on cell (dataset, period) where {_LEFT_UNDONE};
create index if not exists cell_not_there on cell (dataset, period) where {_MISSING_TOO};
create table if not exists retired (subject text primary key) without rowid;
-- Nothing will come any more of what no account lists: it isn't missing.
create view if not exists live_cell as
    select * from cell where not (state = 'missing' and subject in (select subject from retired));
"""  # noqa: S608

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

_DECLARE: Final = """
insert into cell (dataset, subject, period, plant_code, state, rows, extracted_at, reason)
values (?, ?, ?, ?, 'missing', 0, null, ?)
on conflict (dataset, period, subject) do update set reason = excluded.reason
where cell.state = 'missing' and excluded.reason is not null and cell.reason is null
"""

# An empty period that was read over a week after it is as empty as it will be.
_UNSETTLED: Final = f"""
select
    sum(state in ('denied', 'suspect', 'provisional')
        or (state = 'empty' and extracted_at < (julianday(period) - 2440587.5 + 9) * 86400e6)),
    sum(state = 'missing')
from {_AMONG_NOT_FINAL} and dataset = ? and period between ? and ?
"""  # noqa: S608

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
from live_cell
group by dataset, plant_code, period
order by dataset, plant_code, period
"""


class Entry(NamedTuple):
    """What is known of one cell: a dataset's period (its first local date) of one plant or device."""

    dataset: str
    subject: str
    plant_code: str
    period: date
    state: State
    rows: int
    extracted_at: datetime
    reason: str | None = None


LEASE: Final = timedelta(minutes=15)
"""How long cells that are being asked for are kept from others: longer than a call with all its waits takes."""

CellKey = tuple[str, str, date]
"""Dataset, subject and period of one cell."""


class Coverage:
    """The coverage file, shared by all processes of one home."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            DiskFull: no space is left.
        """
        self.path = path
        with full_disk_as_sentence(path.parent):
            self._file = SqliteFile(path, _DEFINITION)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def declare(self, cells: Iterable[tuple[str, str, str, date]], *, asked: bool = False) -> None:
        """Write down wanted cells (dataset, subject, plant_code, period) as missing; what is known stays.

        `asked`: a load was given their dates, so that they come before what is missing by policy.
        """
        reason = ASKED if asked else None
        rows = [(d, s, p.isoformat(), plant, reason) for d, s, plant, p in cells]
        with self._transaction() as connection:
            connection.executemany(_DECLARE, rows)

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
        with self._file.reading() as connection:
            found = connection.execute(query, values).fetchall()
        return _entries(dataset, found)

    def claim(self, cells: Collection[CellKey], owner: str, now: datetime) -> set[CellKey]:
        """Keep these cells from other owners while they are asked for; returns those that nobody else holds.

        What another holds is left to it for LEASE, or until its process has ended.
        """
        instant, until = _micros(now), _micros(now + LEASE)
        # Another may have looked at the clock after us and been quicker; one far ahead went by a wrong clock.
        too_late = _micros(now + 2 * LEASE)
        with self._transaction(durable=False) as connection:
            connection.execute("delete from claim where until <= ? or until > ?", (instant, too_late))
            others = connection.execute("select distinct owner, pid from claim where owner <> ?", (owner,)).fetchall()
            for other, pid in others:
                if not _is_alive(other, pid):
                    connection.execute("delete from claim where owner = ?", (other,))
            connection.executemany(
                "insert or ignore into claim values (?, ?, ?, ?, ?, ?)",
                [(d, s, p.isoformat(), owner, os.getpid(), until) for d, s, p in cells],
            )
            held = connection.execute("select dataset, subject, period from claim where owner = ?", (owner,)).fetchall()
        mine = {(d, s, p) for d, s, p in held}
        return {cell for cell in cells if (cell[0], cell[1], cell[2].isoformat()) in mine}

    def release(self, owner: str) -> None:
        """Let go of everything that an owner holds: its answers are recorded, or it has none."""
        with self._transaction(durable=False) as connection:
            connection.execute("delete from claim where owner = ?", (owner,))

    def claimed_by_others(self, owner: str, now: datetime) -> bool:
        """Whether another process is asking for anything just now."""
        with self._file.reading() as connection:
            found = connection.execute(
                "select distinct owner, pid from claim where owner <> ? and until > ?", (owner, _micros(now))
            ).fetchall()
        return any(_is_alive(other, pid) for other, pid in found)

    def entries_of(self, cells: Collection[CellKey]) -> dict[tuple[str, date], Entry]:
        """What is known of exactly these cells, by subject and period."""
        found: dict[tuple[str, date], Entry] = {}
        with self._file.reading() as connection:
            for dataset, subject, period in cells:
                row = connection.execute(
                    "select plant_code, state, rows, extracted_at, reason from cell "
                    "where dataset = ? and period = ? and subject = ?",
                    (dataset, period.isoformat(), subject),
                ).fetchone()
                if row is not None:
                    plant, state, rows, at, reason = row
                    instant = _EPOCH + (at or 0) * _MICROSECOND
                    found[subject, period] = Entry(dataset, subject, plant, period, state, rows, instant, reason)
        return found

    def keys(self, dataset: str, start: date, end: date) -> set[tuple[str, date]]:
        """Subject and period of everything that was declared, read or refused of the periods from `start` to `end`."""
        with self._file.reading() as connection:
            found = connection.execute(
                "select subject, period from cell where dataset = ? and period between ? and ?",
                (dataset, start.isoformat(), end.isoformat()),
            ).fetchall()
        dates = {text: date.fromisoformat(text) for text in {row[1] for row in found}}
        return {(subject, dates[period]) for subject, period in found}

    def not_final(self, dataset: str, start: date, end: date) -> dict[tuple[str, date], Entry]:
        """What isn't final of the periods from `start` to `end`, by subject and period: few of many."""
        with self._file.reading() as connection:
            found = connection.execute(
                "select subject, period, plant_code, state, rows, extracted_at, reason "  # noqa: S608
                f"from {_AMONG_NOT_FINAL} and dataset = ? and period between ? and ?",
                (dataset, start.isoformat(), end.isoformat()),
            ).fetchall()
        return _entries(dataset, found)

    def silent(self, dataset: str, subjects: Collection[str]) -> set[str]:
        """Those of the subjects of which the dataset has never had rows, and which were found empty before."""
        with self._file.reading() as connection:
            found = connection.execute(
                "select subject from cell where dataset = ? and subject in (select value from json_each(?)) "
                "group by subject having max(rows) = 0 and sum(state = 'empty') > 0",
                (dataset, orjson.dumps(list(subjects)).decode()),
            ).fetchall()
        return {subject for (subject,) in found}

    def unsettled(self, dataset: str, start: date, end: date) -> tuple[int, int]:
        """How many cells come back by themselves (refused, suspect, provisional, empty of late), and how many miss."""
        with self._file.reading() as connection:
            row = connection.execute(_UNSETTLED, (dataset, start.isoformat(), end.isoformat())).fetchone()
        return row[0] or 0, row[1] or 0

    def count_left(
        self, dataset: str, plants: Collection[str], start: date, end: date, read_after: datetime | None = None
    ) -> int:
        """How many declared cells of these plants (empty: all) are missing; or weren't read after an instant, if given.

        What is retired isn't missing, and what is refused isn't left to be read.
        """
        query = "select count(*) from live_cell where dataset = ? and period between ? and ? "
        values: list[str | int] = [dataset, start.isoformat(), end.isoformat()]
        if read_after is None:
            query += "and state <> 'final' and state = 'missing'"
        else:
            query += "and (state = 'missing' or (state <> 'denied' and extracted_at <= ?))"
            values.append(_micros(read_after))
        if plants:
            query += " and plant_code in (select value from json_each(?))"
            values.append(orjson.dumps(list(plants)).decode())
        with self._file.reading() as connection:
            (count,) = connection.execute(query, values).fetchone()
        return int(count)

    def span_left_undone(self, dataset: str, *, also_missing: bool) -> tuple[date, date] | None:
        """The first and last period that was asked for by name and isn't there, refused or doubted; None if all is.

        `also_missing`: or declared at all.
        """
        among = _AMONG_NOT_THERE if also_missing else _AMONG_LEFT_UNDONE
        # One end at a time: asked for both at once, SQLite looks at everything between them.
        ends = (
            f"select (select min(period) from {among} and dataset = ?1), "  # noqa: S608
            f"(select max(period) from {among} and dataset = ?1)"
        )
        with self._file.reading() as connection:
            low, high = connection.execute(ends, (dataset,)).fetchone()
        return (date.fromisoformat(low), date.fromisoformat(high)) if low else None

    def span_of_read(self, dataset: str) -> tuple[date, date] | None:
        """The first and last period of which something was read or refused; None before the first reading."""
        with self._file.reading() as connection:
            low, high = connection.execute(
                "select min(period), max(period) from cell where dataset = ? and state <> 'missing'", (dataset,)
            ).fetchone()
        return (date.fromisoformat(low), date.fromisoformat(high)) if low else None

    def left_undone(self, dataset: str, start: date, end: date, *, also_missing: bool) -> dict[tuple[str, date], Entry]:
        """These cells of the periods from `start` to `end`, by subject and period."""
        among = _AMONG_NOT_THERE if also_missing else _AMONG_LEFT_UNDONE
        with self._file.reading() as connection:
            found = connection.execute(
                "select subject, period, plant_code, state, rows, extracted_at, reason "  # noqa: S608
                f"from {among} and dataset = ? and period between ? and ?",
                (dataset, start.isoformat(), end.isoformat()),
            ).fetchall()
        return _entries(dataset, found)

    def newest_with_rows(self, dataset: str) -> date | None:
        """The latest period of which there are rows; None before the first."""
        with self._file.reading() as connection:
            found = connection.execute(
                "select period from cell where dataset = ? and rows > 0 order by period desc limit 1", (dataset,)
            ).fetchone()
        return date.fromisoformat(found[0]) if found else None

    def retire(self, subjects: Collection[str]) -> None:
        """Say which plants and devices are retired, all of them: what is missing of these isn't counted."""
        with self._transaction() as connection:
            connection.execute("delete from retired")
            connection.executemany("insert into retired values (?)", [(each,) for each in sorted(set(subjects))])

    def disbelieve(self, plant_code: str, since: datetime, datasets: Collection[str]) -> int:
        """Take back that a plant's periods were empty, as answers since an instant said; how many those are.

        What has a reason was settled without an answer, by the plant's report. The others are missing again, and come
        back by themselves, as what a load was given the dates of. `datasets`: those whose past can be asked for.
        """
        with self._transaction() as connection:
            return connection.execute(
                "update cell set state = 'missing', reason = ?, extracted_at = null "
                "where plant_code = ? and state = 'empty' and rows = 0 and reason is null and extracted_at > ? "
                "and dataset in (select value from json_each(?))",
                (ASKED, plant_code, _micros(since), orjson.dumps(sorted(datasets)).decode()),
            ).rowcount

    def of_plant(self, plant_code: str, dataset: str) -> list[Entry]:
        """What is known of a plant's periods of a dataset, its devices' included."""
        query = (
            "select subject, period, plant_code, state, rows, extracted_at, reason from cell "
            "where plant_code = ? and dataset = ?"
        )
        with self._file.reading() as connection:
            found = connection.execute(query, (plant_code, dataset)).fetchall()
        return list(_entries(dataset, found).values())

    def replace(self, plant_code: str, entries: Mapping[str, Iterable[Entry]]) -> None:
        """Know of a plant's periods nothing but this, by dataset, all or none: their rows were filed anew."""
        rows = {dataset: [_as_row(each) for each in some] for dataset, some in entries.items()}
        with self._transaction() as connection:
            for dataset, some in rows.items():
                connection.execute("delete from cell where plant_code = ? and dataset = ?", (plant_code, dataset))
                connection.executemany("insert into cell values (?, ?, ?, ?, ?, ?, ?, ?)", some)

    def has_rows(self, plant_code: str) -> bool:
        """Whether anything that was read of a plant or its devices brought rows."""
        with self._file.reading() as connection:
            query = "select exists(select 1 from cell where plant_code = ? and rows > 0)"
            return bool(connection.execute(query, (plant_code,)).fetchone()[0])

    def forget(self, plant_code: str | None, before: Mapping[str, date]) -> int:
        """Know nothing any more of a plant, and of periods before each dataset's date; how many cells that were."""
        gone = 0
        with self._transaction() as connection:
            if plant_code is not None:
                gone += connection.execute("delete from cell where plant_code = ?", (plant_code,)).rowcount
            for dataset, day in before.items():
                query = "delete from cell where dataset = ? and period < ?"
                gone += connection.execute(query, (dataset, day.isoformat())).rowcount
        return gone

    def rollup(self) -> pl.DataFrame:
        """The rows of ops.coverage, one per dataset, plant and period.

        The state is the one that asks for most attention: missing, denied, suspect, provisional, final, empty.
        """
        with self._file.reading() as connection:
            found = connection.execute(_ROLLUP).fetchall()
        schema = polars_schema(TABLES["coverage"])
        read = {**schema, "period": pl.String(), "extracted_at": pl.Int64()}
        return pl.DataFrame(found, schema=read, orient="row").with_columns(
            pl.col("period").str.to_date("%Y-%m-%d"),
            pl.from_epoch("extracted_at", "us").dt.replace_time_zone("UTC"),
        )

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A write transaction. `durable`: it survives a power cut; a claim needn't."""
        with full_disk_as_sentence(self.path.parent), self._file.writing(durable=durable) as connection:
            yield connection


_Row = tuple[str, str, str, State, int, int | None, str | None]
"""Subject, period, plant code, state, rows, time of extraction, reason."""


def _entries(dataset: str, found: Sequence[_Row]) -> dict[tuple[str, date], Entry]:
    # Cells of one answer share their time and many share their date: made once each.
    dates = {text: date.fromisoformat(text) for text in {row[1] for row in found}}
    instants = {at: _EPOCH + (at or 0) * _MICROSECOND for at in {row[5] for row in found}}
    return {
        (subject, dates[period]): Entry(dataset, subject, plant, dates[period], state, rows, instants[at], reason)
        for subject, period, plant, state, rows, at, reason in found
    }


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


@cache
def this_place() -> str:
    """Where process numbers mean the same: this machine, and in it this container."""
    try:
        return f"{socket.gethostname()}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux
        return socket.gethostname()


def _is_alive(owner: str, pid: int) -> bool:
    """Whether a claim's process is there; of one that can't be seen from here only the lease tells."""
    place, slash, _ = owner.partition("/")
    return bool(slash and place != this_place()) or lives(pid)


def _as_row(entry: Entry) -> tuple[str, str, str, str, str, int, int | None, str | None]:
    if entry.state not in _STATES:
        raise ValueError(f"{entry.state} is no state of coverage")
    instant = None if entry.state == "missing" else _micros(entry.extracted_at)
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
