"""What is wanted: one cell per dataset, subject and period, and when a period can be called final."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple, cast

from pipelines.planning.calendar import Period, first_of, period_window, periods_touching, today
from schemas.datasets import DATASETS

HISTORY_MARGIN: Final = timedelta(hours=1)
"""5-minute data reach the server within minutes, and a data logger that lost its line for a while sends the
rest when it is back; an hour after midnight a connected plant's day is whole."""

REPORT_MARGIN: Final = timedelta(hours=6)
"""Reports are summarised with a delay and look small at first [8.5]. The delay is not documented; 6 hours
puts the first final read of a day into the local morning, before the next day's production begins."""

LONG_REPORT_MARGIN: Final = timedelta(hours=30)
"""A month or a year is summed from its days, so its last day must be final first; one day more lets a late
correction of that last day arrive. One call re-reads a whole year of months, so waiting costs nothing."""


class Cell(NamedTuple):
    """What can be wanted, covered or missing: one period of one subject in one dataset.

    A plain tuple, since a day's work makes and compares a hundred thousand of them.

    `subject` is a plant code, or a device id as text. `period` is the first local day of the period; for
    device history and the hourly and daily reports it is the local day itself.
    """

    dataset: str
    subject: str
    period: date


@dataclass(frozen=True, slots=True)
class Subject:
    """A plant or a device as the planner sees it.

    `device_type_id` is None for plants. `zone` is the IANA zone of the plant. Nothing is wanted before
    `connected`, the local date on which the plant was connected to the grid, if that is known.
    """

    id: str
    plant_code: str
    device_type_id: int | None
    zone: str
    connected: date | None = None


@cache
def period_of(dataset: str) -> Period:
    """Return the period of one cell of a dataset; ValueError for datasets that have no past."""
    period = DATASETS[dataset].period
    if period not in ("day", "month", "year"):
        raise ValueError(f"{dataset} has no past: it is read as of now")
    return cast(Period, period)


def serves(dataset: str, subject: Subject) -> bool:
    """Whether the dataset has rows for this subject: plants for plant datasets, the right device types."""
    spec = DATASETS[dataset]
    if spec.subject == "plant":
        return subject.device_type_id is None
    return subject.device_type_id in spec.device_types


def wanted_cells(dataset: str, subjects: Iterable[Subject], start: date, end: date, now: datetime) -> list[Cell]:
    """Return the cells of all periods that hold a local date from `start` to `end`, both included.

    Left out are subjects that the dataset doesn't serve, periods that ended before the plant was connected,
    periods that start after the plant's own today, and dates that the zone skipped. Sorted by subject as
    given, then period.
    """
    period = period_of(dataset)
    cells: list[Cell] = []
    ranges: dict[tuple[str, date], list[date]] = {}
    for subject in subjects:
        if not serves(dataset, subject):
            continue
        begin = max(start, subject.connected) if subject.connected else start
        key = subject.zone, begin
        if key not in ranges:
            ranges[key] = _firsts(period, subject.zone, begin, end, now)
        cells.extend([Cell(dataset, subject.id, first) for first in ranges[key]])
    return cells


def _firsts(period: Period, zone: str, begin: date, end: date, now: datetime) -> list[date]:
    last = min(end, today(now, zone))
    if begin > last:
        return []
    return [first for first in periods_touching(period, begin, last) if period_window(period, first, zone).length]


@cache
def final_margin(dataset: str) -> timedelta:
    """Return how long after a period's end a read of it counts as final."""
    if dataset == "device_history":
        return HISTORY_MARGIN
    return REPORT_MARGIN if period_of(dataset) == "day" else LONG_REPORT_MARGIN


def is_final(period: Period, first: date, zone: str, read_at: datetime, margin: timedelta) -> bool:
    """Whether a read at `read_at` (aware) saw the whole local period and the margin after its end."""
    return read_at >= period_window(period, first_of(period, first), zone).end + margin
