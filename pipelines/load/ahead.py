"""What the policy wants that no load has got to yet: counted, not planned, so that looking stays quick.

Of the past, which no load begins before its turn; and of the last days, which a load without dates asks for first.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final, NamedTuple

from pipelines.load.fleet import Fleet
from pipelines.load.looks import EVER, NEVER, FreshLook
from pipelines.load.services import Services
from pipelines.load.wanting import due_again
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
    """A dataset's periods (of devices or plants) that are wanted and not begun, and about how many calls they take."""

    dataset: str
    periods: int
    calls: int


class _Wanted(NamedTuple):
    """The first and last period that is wanted of a plant (type 0) or device."""

    dataset: str
    subject: str
    kind: int
    first: date
    last: date


def ahead_of(coverage_file: Path, fleet: Fleet, policy: Policy, now: datetime, oldest: date | None) -> list[Ahead]:
    """Count what lies ahead, by dataset; `oldest` is the first local day that the server has 5-minute data of."""
    wanted: list[_Wanted] = []
    for dataset in FRESH_ORDER:
        for subject in fleet.subjects(dataset).values():
            limits = _limits(dataset, subject, policy, now, oldest)
            if limits is not None:
                wanted.append(_Wanted(dataset, subject.id, subject.device_type_id or 0, *limits))
    known = _known(coverage_file, wanted)
    found = []
    for dataset in FRESH_ORDER:
        calls = periods = 0
        # No call takes devices of two types.
        for kind in dict.fromkeys(one.kind for one in wanted if one.dataset == dataset):
            mine = [one for one in wanted if (one.dataset, one.kind) == (dataset, kind)]
            new = sum(_count(period_of(dataset), one.first, one.last) for one in mine) - known.get((dataset, kind), 0)
            if new > 0:
                periods += new
                calls += _calls(dataset, new, len(mine))
        if periods:
            found.append(Ahead(dataset, periods, calls))
    return found


def due_of(
    services: Services, fleet: Fleet, policy: Policy, now: datetime, closed: Collection[str] = ()
) -> tuple[list[Ahead], datetime | None]:
    """Count what has come due of the last days and wasn't read since, by dataset; and when the next days come due.

    What coverage calls missing, doubted or refused is left out: that is counted there. So are `closed` plants.
    """
    found, instants = [], [NEVER]
    for dataset in FRESH_ORDER:
        subjects = {key: each for key, each in fleet.subjects(dataset).items() if each.plant_code not in closed}
        look = FreshLook(services, dataset, subjects, policy)
        cells = look.todo((EVER.date(), NEVER.date()), now, keep=False)
        instants.append(look.next_look(now))
        if not cells:
            continue
        periods = [cell.period for cell in cells]
        known = services.coverage.not_final(dataset, min(periods), max(periods))
        kinds: dict[int | None, Counter[str]] = {}
        for cell in cells:
            entry, subject = known.get((cell.subject, cell.period)), subjects[cell.subject]
            # A call leaves out again what was read a short while ago, though it has come due since.
            if entry is None or (entry.state in ("provisional", "empty") and due_again(cell, entry, subject.zone, now)):
                kinds.setdefault(subject.device_type_id, Counter())[cell.subject] += 1
        if kinds:
            calls = sum(_calls(dataset, own.total(), len(own)) for own in kinds.values())
            found.append(Ahead(dataset, sum(own.total() for own in kinds.values()), calls))
    soonest = min(instants)
    return found, soonest if soonest < NEVER else None


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


def _known(path: Path, wanted: list[_Wanted]) -> Mapping[tuple[str, int], int]:
    """How many of the wanted cells coverage knows, by dataset and type of device."""
    if not wanted or not path.exists():
        return {}
    rows = [
        (
            one.dataset,
            one.subject,
            one.kind,
            first_of(period_of(one.dataset), one.first).isoformat(),
            one.last.isoformat(),
        )
        for one in wanted
    ]
    with closing(sqlite3.connect(path, timeout=60)) as db:
        db.execute(
            "create temp table wanted (dataset text, subject text, kind integer, first text, last text, "
            "primary key (dataset, subject))"
        )
        db.executemany("insert or ignore into wanted values (?, ?, ?, ?, ?)", rows)
        # The order of a cross join stands: one look-up for each cell.
        counted = db.execute(
            "select c.dataset, w.kind, count(*) from cell c cross join wanted w on w.dataset = c.dataset and "
            "w.subject = c.subject and c.period between w.first and w.last group by c.dataset, w.kind"
        ).fetchall()
    return {(dataset, kind): count for dataset, kind, count in counted}


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
    batches = -(-subjects // seats)
    if spec.window == "life":
        return batches
    # A call takes many subjects, but of one window; the periods spread over the subjects.
    return batches * -(-periods // (subjects * PERIODS_A_CALL[spec.window]))
