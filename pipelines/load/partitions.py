"""Which partitions a load completed: those whose every wanted cell is covered, by coverage alone."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import polars as pl

from pipelines.lake.coverage import Coverage, Entry
from pipelines.load.fleet import Fleet
from pipelines.load.request import PERIODIC_DATASETS, CompletedPartition
from pipelines.planning.calendar import Period, first_of, next_period
from pipelines.planning.cells import Cell, Subject, wanted_cells

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

SAMPLE_ROWS: Final = 3
SAMPLE_COLUMNS: Final = 10

COVERED_STATES: Final = frozenset({"final", "provisional", "empty"})


def partition_first(dataset: str, period: date) -> date | None:
    """First day of the partition that a cell's period belongs to."""
    grain = PARTITION_PERIODS[dataset]
    return None if grain is None else first_of(grain, period)


@dataclass
class Touched:
    """The partitions of which the running range of a load has read something, with a few of their rows.

    Cleared from range to range, so that it doesn't grow with the number of days.
    """

    samples: dict[tuple[str, str, date | None], str | None] = field(default_factory=dict)

    def note(self, dataset: str, cells: Collection[Cell], subjects: Mapping[str, Subject], rows: pl.DataFrame) -> None:
        """Note the partitions of `cells`; `rows` are what was read of them."""
        keys = {(dataset, subjects[c.subject].plant_code, partition_first(dataset, c.period)) for c in cells}
        for key in keys - self.samples.keys():
            self.samples[key] = sample_table(rows.filter(pl.col("plant_code") == key[1]))


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
    """Partitions of one dataset that touch `start`..`end` and are complete, in the plants' order."""
    if dataset not in PERIODIC_DATASETS:
        yield from _observed_today(fleet, coverage, dataset, plants, now)
        return
    low, high = _span(dataset, start, end)
    subjects = fleet.subjects(dataset, plants)
    known = coverage.states(dataset, None, first_of("year", low), high)
    groups: dict[tuple[str, date | None], list[Entry | None]] = {}
    for cell in wanted_cells(dataset, subjects.values(), low, high, now):
        key = (subjects[cell.subject].plant_code, partition_first(dataset, cell.period))
        groups.setdefault(key, []).append(known.get((cell.subject, cell.period)))
    for (plant, first), entries in groups.items():
        covered = [entry for entry in entries if entry is not None and entry.state in COVERED_STATES]
        if len(covered) == len(entries):
            yield CompletedPartition(
                dataset=dataset,
                plant_code=plant,
                period=first,
                rows=sum(entry.rows for entry in covered),
                subjects=len({entry.subject for entry in covered}),
                provisional=any(entry.state == "provisional" for entry in covered),
                touched=(dataset, plant, first) in touched.samples,
                sample=touched.samples.get((dataset, plant, first)),
            )


def _observed_today(
    fleet: Fleet, coverage: Coverage, dataset: str, plants: Collection[str], now: datetime
) -> Iterable[CompletedPartition]:
    around = (now - timedelta(days=1)).date(), (now + timedelta(days=1)).date()
    chosen = fleet.plant_subjects(plants)
    for (subject, period), entry in sorted(coverage.states(dataset, None, *around).items()):
        if subject in chosen and entry.state in COVERED_STATES:
            yield CompletedPartition(dataset, subject, period, entry.rows, 1, provisional=False, touched=True)


def _span(dataset: str, start: date, end: date) -> tuple[date, date]:
    grain = PARTITION_PERIODS[dataset]
    if grain is None:
        return first_of("year", start), end
    if grain == "day":
        return start, end
    return first_of(grain, start), next_period(grain, end) - timedelta(days=1)
