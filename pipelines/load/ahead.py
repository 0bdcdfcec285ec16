"""What the policy wants of the past that no load has got to yet: counted, not planned, so that looking stays quick."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pipelines.load.fleet import Fleet
from pipelines.planning.calendar import Period, first_of
from pipelines.planning.cells import Subject, period_of
from pipelines.planning.policy import Policy
from pipelines.planning.worth import FRESH_ORDER, backlog_end
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

PERIODS_A_CALL: Final = {"range": 3, "day": 1, "month": 30, "year": 12}
"""About how many periods of one subject a call answers for."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A dataset's periods (of devices or plants) that are wanted and unknown to coverage, and about how many calls."""

    dataset: str
    periods: int
    calls: int


def ahead_of(coverage_file: Path, fleet: Fleet, policy: Policy, now: datetime, oldest: date | None) -> list[Ahead]:
    """Count what lies ahead, by dataset; `oldest` is the first local day that the server has 5-minute data of."""
    wanted: list[tuple[str, str, date, date]] = []
    for dataset in FRESH_ORDER:
        for subject in fleet.subjects(dataset).values():
            limits = _limits(dataset, subject, policy, now, oldest)
            if limits is not None:
                wanted.append((dataset, subject.id, *limits))
    known = _known(coverage_file, wanted)
    found = []
    for dataset in FRESH_ORDER:
        mine = [(first, last) for name, _, first, last in wanted if name == dataset]
        periods = sum(_count(period_of(dataset), first, last) for first, last in mine) - known.get(dataset, 0)
        if periods > 0:
            found.append(Ahead(dataset, periods, _calls(dataset, periods, len(mine))))
    return found


def _limits(
    dataset: str, subject: Subject, policy: Policy, now: datetime, oldest: date | None
) -> tuple[date, date] | None:
    start = policy.start(dataset, subject) if policy.wanted(dataset, subject) else None
    if start is None:
        return None
    if oldest is not None and dataset == "device_history":
        start = max(start, oldest)
    end = backlog_end(dataset, subject.zone, now)
    return (start, end) if start <= end else None


def _known(path: Path, wanted: list[tuple[str, str, date, date]]) -> Mapping[str, int]:
    """How many of the wanted cells coverage knows, by dataset."""
    if not wanted or not path.exists():
        return {}
    rows = [
        (dataset, subject, first_of(period_of(dataset), first).isoformat(), last.isoformat())
        for dataset, subject, first, last in wanted
    ]
    with closing(sqlite3.connect(path, timeout=60)) as db:
        db.execute(
            "create temp table wanted (dataset text, subject text, first text, last text, "
            "primary key (dataset, subject))"
        )
        db.executemany("insert or ignore into wanted values (?, ?, ?, ?)", rows)
        # The order of a cross join stands: one look-up for each cell.
        counted = db.execute(
            "select c.dataset, count(*) from cell c cross join wanted w on w.dataset = c.dataset and "
            "w.subject = c.subject and c.period between w.first and w.last group by c.dataset"
        ).fetchall()
    return dict(counted)


def _count(period: Period, first: date, last: date) -> int:
    if period == "day":
        return (last - first).days + 1
    if period == "month":
        return (last.year - first.year) * 12 + last.month - first.month + 1
    return last.year - first.year + 1


def _calls(dataset: str, periods: int, subjects: int) -> int:
    spec = DATASETS[dataset]
    endpoint = ENDPOINTS[spec.endpoint]
    seats = (endpoint.max_plants if spec.subject == "plant" else endpoint.max_devices) or 1
    if spec.window == "life":
        return -(-subjects // seats)
    return -(-periods // (seats * PERIODS_A_CALL[spec.window]))
