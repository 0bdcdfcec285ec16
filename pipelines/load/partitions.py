"""Which partitions a load completed: those whose every wanted cell is covered, by coverage alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal

import polars as pl

from pipelines.lake.coverage import Coverage, Entry
from pipelines.load.fleet import Fleet
from pipelines.load.request import PERIODIC_DATASETS, CompletedPartition, latest_local_date
from pipelines.planning.calendar import Period, first_of, local_day, next_period, today
from pipelines.planning.cells import Cell, Subject, wanted_cells
from pipelines.planning.worth import SLOT

PARTITION_PERIODS: dict[str, Period | None] = {
    "device_history": "day",
    "plant_hourly": "day",
    "plant_daily": "month",
    "device_daily": "month",
    "plant_monthly": "year",
    "device_monthly": "year",
    "plant_yearly": None,
    "device_yearly": None,
    "alarms": "day",
}
"""How each asset is partitioned beside its plants (None: by plants alone)."""

INTERVALS: Final = {"device_history": SLOT, "plant_hourly": timedelta(hours=1)}
"""Datasets with rows at fixed intervals of a local day."""

Grain = Literal["day", "month"]

SAMPLE_ROWS: Final = 3
SAMPLE_COLUMNS: Final = 10

COVERED_STATES: Final = frozenset({"final", "provisional", "empty"})


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How the assets of one `PVMS_HOME` are partitioned by date.

    `grain` is that of the assets by day; large fleets have months there. No partition reaches further back than
    `start`, so a month in which it lies is complete without the days before it.
    """

    grain: Grain = "day"
    start: date | None = None

    def period(self, dataset: str) -> Period | None:
        """The date grain of an asset's partitions; None where plants alone partition it."""
        period = PARTITION_PERIODS[dataset]
        return self.grain if period == "day" else period

    def first(self, dataset: str, period: date) -> date | None:
        """First day of the partition that a cell's period belongs to."""
        grain = self.period(dataset)
        return None if grain is None else first_of(grain, period)

    def is_coarse(self, dataset: str) -> bool:
        """Whether a partition holds several days that are loaded one by one."""
        return self.period(dataset) != PARTITION_PERIODS[dataset]


@dataclass
class Touched:
    """The partitions of which the running range of a load has read something: a few of their rows, what they cost.

    Cleared from range to range, so that it doesn't grow with the number of days. `wanted`: whether anybody will be
    told of them. `calls`: of each answered call, the share of its cells that lie in the partition, summed.
    """

    partitioning: Partitioning = field(default_factory=Partitioning)
    wanted: bool = True
    samples: dict[tuple[str, str, date | None], str | None] = field(default_factory=dict)
    calls: dict[tuple[str, str, date | None], float] = field(default_factory=dict)

    def note(self, dataset: str, cells: Collection[Cell], subjects: Mapping[str, Subject], rows: pl.DataFrame) -> None:
        """Note the partitions of `cells`, which one call has answered; `rows` are what was read of them."""
        if not self.wanted:
            return
        keys = Counter(
            (dataset, subjects[c.subject].plant_code, self.partitioning.first(dataset, c.period)) for c in cells
        )
        for key, count in keys.items():
            self.calls[key] = self.calls.get(key, 0.0) + count / len(cells)
        for key in keys.keys() - self.samples.keys():
            self.samples[key] = sample_table(self._rows_of(dataset, key[1], key[2], rows))

    def clear(self) -> None:
        """Begin anew, for the next range."""
        self.samples.clear()
        self.calls.clear()

    def _rows_of(self, dataset: str, plant_code: str, first: date | None, rows: pl.DataFrame) -> pl.DataFrame:
        mine = rows.filter(pl.col("plant_code") == plant_code)
        grain = self.partitioning.period(dataset)
        if grain is None or first is None or "local_date" not in rows.columns:
            return mine
        return mine.filter(pl.col("local_date").is_between(first, next_period(grain, first), closed="left"))


def sample_table(rows: pl.DataFrame) -> str | None:
    """The first rows and columns as a Markdown table; None if there are none."""
    if rows.is_empty():
        return None
    few = rows.head(SAMPLE_ROWS).select(rows.columns[:SAMPLE_COLUMNS])
    lines = [few.columns, ["---"] * few.width, *([str(value) for value in row] for row in few.iter_rows())]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def completed_partitions(
    touched: Touched,
    fleet: Fleet,
    coverage: Coverage,
    dataset: str,
    start: date,
    end: date,
    plants: Collection[str],
    now: datetime,
) -> Iterable[CompletedPartition]:
    """Partitions of one dataset that are complete: those of `start`..`end` and `plants` (empty: all), in their order.

    Also those beyond that a call took along in its empty seats.
    """
    if dataset not in PERIODIC_DATASETS:
        yield from _observed_today(touched, fleet, coverage, dataset, plants, now)
        return
    how = touched.partitioning
    begin = how.first(dataset, start)
    beside = [key for key in touched.samples if key[0] == dataset]
    firsts = [first for _, _, first in beside if first is not None]
    low, high = partition_span(how, dataset, min([start, *firsts]), max([end, *firsts]))
    subjects = fleet.subjects(dataset, {*plants, *(plant for _, plant, _ in beside)} if plants else ())
    known = coverage.states(dataset, None, first_of("year", low), high)
    groups: dict[tuple[str, date | None], list[Entry | None]] = {}
    for cell in wanted_cells(dataset, subjects.values(), low, high, now):
        if how.is_coarse(dataset) and cell.period >= today(now, subjects[cell.subject].zone):
            # The running month is as complete as it can be once all days that have ended are there.
            continue
        key = (subjects[cell.subject].plant_code, how.first(dataset, cell.period))
        groups.setdefault(key, []).append(known.get((cell.subject, cell.period)))
    for (plant, first), entries in groups.items():
        meant = (not plants or plant in plants) and (begin is None or first is None or begin <= first <= end)
        if not meant and (dataset, plant, first) not in touched.samples:
            continue
        covered = [entry for entry in entries if entry is not None and entry.state in COVERED_STATES]
        if len(covered) == len(entries):
            yield CompletedPartition(
                dataset=dataset,
                plant_code=plant,
                period=first,
                rows=sum(entry.rows for entry in covered),
                subjects=len({entry.subject for entry in covered}),
                provisional=_runs_on(how, dataset, first, now) or any(e.state == "provisional" for e in covered),
                touched=(dataset, plant, first) in touched.samples,
                sample=touched.samples.get((dataset, plant, first)),
                empty=sum(entry.state == "empty" for entry in covered),
                calls=touched.calls.get((dataset, plant, first), 0.0),
                slots=slots_of(dataset, covered, subjects[covered[0].subject].zone) if covered else 0,
            )


def slots_of(dataset: str, entries: Iterable[Entry], zone: str) -> int:
    """Rows that there would be of these days of one plant, if none were lacking; 0 where rows have no interval."""
    interval = INTERVALS.get(dataset)
    if interval is None:
        return 0
    days = Counter(entry.period for entry in entries)
    windows = ((local_day(day, zone), count) for day, count in days.items())
    return sum(count * ((window.end - window.start) // interval) for window, count in windows)


def touched_partitions(
    touched: Touched, fleet: Fleet, coverage: Coverage, now: datetime
) -> Iterable[CompletedPartition]:
    """Partitions of all datasets that were touched and are complete."""
    for dataset in sorted({key[0] for key in touched.samples}):
        firsts = [first for name, _, first in touched.samples if name == dataset and first is not None]
        plants = {plant for name, plant, _ in touched.samples if name == dataset}
        latest = latest_local_date(now)
        for partition in completed_partitions(
            touched, fleet, coverage, dataset, min(firsts, default=latest), max(firsts, default=latest), plants, now
        ):
            if partition.touched:
                yield partition


def _observed_today(
    touched: Touched, fleet: Fleet, coverage: Coverage, dataset: str, plants: Collection[str], now: datetime
) -> Iterable[CompletedPartition]:
    """Partitions of the days of observation around today; a month is as complete as its last poll."""
    around = (now - timedelta(days=1)).date(), (now + timedelta(days=1)).date()
    chosen = fleet.plant_subjects(plants)
    for (subject, period), entry in sorted(coverage.states(dataset, None, *around).items()):
        if subject in chosen and entry.state in COVERED_STATES:
            key = (dataset, subject, touched.partitioning.first(dataset, period))
            yield CompletedPartition(
                dataset=dataset,
                plant_code=subject,
                period=key[2],
                rows=entry.rows,
                subjects=1,
                provisional=False,
                touched=key in touched.samples,
                sample=touched.samples.get(key),
                calls=touched.calls.get(key, 0.0),
            )


def partition_span(how: Partitioning, dataset: str, start: date, end: date) -> tuple[date, date]:
    """The dates, both included, of all partitions that `start`..`end` touches."""
    grain = how.period(dataset)
    if grain is None:
        return first_of("year", start), end
    low = first_of(grain, start)
    if how.is_coarse(dataset) and how.start is not None:
        low = max(low, how.start)
    return low, next_period(grain, end) - timedelta(days=1)


def _runs_on(how: Partitioning, dataset: str, first: date | None, now: datetime) -> bool:
    """Whether a partition of several days has days to come."""
    grain = how.period(dataset)
    if grain is None or first is None or not how.is_coarse(dataset):
        return False
    return next_period(grain, first) > latest_local_date(now)
