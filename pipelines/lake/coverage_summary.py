"""What is loaded, in a few figures a dataset: added up inside SQLite, so that a long history stays quick to look at."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from pipelines.lake.coverage import Coverage
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

STATES: Final = ("missing", "denied", "suspect", "provisional", "final", "empty")
"""The state that asks for most attention first, as in ops.coverage."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_RANK: Final = " ".join(f"when '{state}' then {rank}" for rank, state in enumerate(STATES))

_PLANT_PERIODS: Final = f"""
select dataset, rank, count(*), min(period), max(period), sum(rows), max(extracted_at), max(iif(rows > 0, period, null))
from (
    select dataset, period, min(case state {_RANK} end) as rank, sum(rows) as rows, max(extracted_at) as extracted_at
    from live_cell where not (state in ('missing', 'suspect') and plant_code in (select * from gone))
    group by dataset, plant_code, period
)
group by dataset, rank
"""  # noqa: S608  built from constants

_REFUSED: Final = """
select dataset, coalesce(reason, ''), count(*), max(extracted_at) from cell where state = 'denied'
group by dataset, reason order by dataset, count(*) desc
"""

_DOUBTFUL: Final = """
select dataset, plant_code, period, min(extracted_at) from cell where state = 'suspect' and extracted_at is not null
group by dataset, plant_code, period
"""

NO_KINDS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """One dataset: how many plant periods are in each state, from when to when, and about how many calls are left."""

    dataset: str
    first: date
    last: date
    newest_data: date | None
    """The newest period (its first local date) that rows are there of."""
    newest_final: date | None
    first_provisional: date | None
    """The oldest period that some plant is to be read again of, because it wasn't over when it was read."""
    rows: int
    states: Mapping[str, int]
    last_read_at: datetime | None
    calls_left: int


@dataclass(frozen=True, slots=True)
class Denied:
    """Why device or plant periods of a dataset are denied, in the words that were kept."""

    dataset: str
    reason: str
    periods: int
    last_at: datetime | None


class Doubtful(NamedTuple):
    """A plant's period of which something was answered with nothing at all, and when the first of it was read."""

    dataset: str
    plant_code: str
    period: date
    read_at: datetime


def doubtful(path: Path) -> list[Doubtful]:
    """Every plant period of which something is suspect."""
    Coverage(path)
    with closing(sqlite3.connect(path, timeout=60)) as db:
        rows = db.execute(_DOUBTFUL).fetchall()
    return [Doubtful(d, plant, date.fromisoformat(p), _EPOCH + timedelta(microseconds=at)) for d, plant, p, at in rows]


def summary(
    path: Path, kinds: Mapping[str, int] = NO_KINDS, doubted: Iterable[Doubtful] = (), gone: Collection[str] = ()
) -> list[DatasetSummary]:
    """Every dataset that coverage knows, in the catalog's order.

    `kinds`: the type of each device, as no call takes devices of two; `doubted`: what of the suspect may be asked for
    now. Both go into the number of calls that are left. Of `gone` plants, which are listed no more, nothing is asked,
    so nothing is missing or in doubt.
    """
    Coverage(path)  # makes what a file of an earlier version lacks
    with closing(sqlite3.connect(path, timeout=60)) as db:
        db.execute("create temp table gone (plant_code text primary key) without rowid")
        db.executemany("insert into gone values (?)", [(each,) for each in set(gone)])
        groups = db.execute(_PLANT_PERIODS).fetchall()
        left = _calls_left(db, kinds, doubted)
    found = []
    for name in (name for name in DATASETS if any(row[0] == name for row in groups)):
        mine = [row for row in groups if row[0] == name]
        newest = [row[7] for row in mine if row[7]]
        final = [row[4] for row in mine if STATES[row[1]] in ("final", "empty")]
        open_ = [row[3] for row in mine if STATES[row[1]] == "provisional"]
        read = [row[6] for row in mine if row[6] is not None]
        found.append(
            DatasetSummary(
                dataset=name,
                first=date.fromisoformat(min(row[3] for row in mine)),
                last=date.fromisoformat(max(row[4] for row in mine)),
                newest_data=date.fromisoformat(max(newest)) if newest else None,
                newest_final=date.fromisoformat(max(final)) if final else None,
                first_provisional=date.fromisoformat(open_[0]) if open_ else None,
                rows=sum(row[5] for row in mine),
                states={state: sum(row[2] for row in mine if STATES[row[1]] == state) for state in STATES},
                last_read_at=_instant(max(read)) if read else None,
                calls_left=left.get(name, 0),
            )
        )
    return found


def denied(path: Path) -> list[Denied]:
    """The reasons of what is denied, those with most periods first."""
    with closing(sqlite3.connect(path, timeout=60)) as db:
        return [Denied(d, reason, count, _instant(at)) for d, reason, count, at in db.execute(_REFUSED).fetchall()]


def _calls_left(db: sqlite3.Connection, kinds: Mapping[str, int], doubted: Iterable[Doubtful]) -> dict[str, int]:
    """About how many calls carry what is missing: the subjects of each window and type, so many at a time."""
    db.execute("create temp table kind (subject text primary key, device_type integer) without rowid")
    db.executemany("insert or ignore into kind values (?, ?)", kinds.items())
    db.execute("create temp table due (dataset text, plant_code text, period text)")
    db.executemany("insert into due values (?, ?, ?)", [(d, plant, p.isoformat()) for d, plant, p, _ in doubted])
    # The window of one call: three days of history, wherever they begin; a day, month or year of reports, or a life.
    windows = {
        "range": [f"cast((julianday(period) + {begin}) / 3 as integer)" for begin in range(3)],
        "day": ["period"],
        "month": ["substr(period, 1, 7)"],
        "year": ["substr(period, 1, 4)"],
        "life": ["''"],
    }
    left = {}
    for name, spec in DATASETS.items():
        if spec.window not in windows:
            continue
        endpoint = ENDPOINTS[spec.endpoint]
        seats = endpoint.max_plants if spec.subject == "plant" else endpoint.max_devices
        calls: dict[int | None, int] = {}
        for window in windows[spec.window]:
            query = (
                "select device_type, sum((subjects + ?1 - 1) / ?1) from ("  # noqa: S608  built from constants
                "select device_type, count(distinct subject) as subjects "
                "from live_cell left join kind using (subject) where dataset = ?2 and (state = 'missing' or "
                "state = 'suspect' and (dataset, plant_code, period) in (select * from due)) "
                "and plant_code not in (select * from gone) "
                f"group by {window}, device_type) group by device_type"
            )
            for kind, count in db.execute(query, (seats or 1, name)):
                calls[kind] = min(count, calls.get(kind, count))
        left[name] = sum(calls.values())
    return left


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
