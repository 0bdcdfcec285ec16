"""Which partitions are complete by coverage alone: what Dagster shows can be made anew from it.

A partition is complete if, when it was last read, everything that was listed of its plant then was covered. So a plant
or device that vanished keeps its history, and one that came later takes nothing away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import polars as pl

from pipelines.lake.coverage import Coverage, Entry
from pipelines.lake.store import Lake
from pipelines.load.fleet import connected_on
from pipelines.load.partitions import COVERED_STATES, PARTITION_PERIODS, Partitioning, partition_span, slots_of
from pipelines.load.request import PERIODIC_DATASETS, CompletedPartition, latest_local_date
from pipelines.planning.calendar import first_of, next_period, today
from pipelines.planning.cells import Subject, wanted_cells
from schemas.datasets import DATASETS

LISTED_LATELY: Final = timedelta(days=2)
"""Accounts are listed one after the other; what the newest listings of the fleet hold is listed still."""

Key = tuple[str, date | None]
"""Plant code and first day of a partition."""


@dataclass
class Covered:
    """One asset's partitions: the complete ones, by date, and those of which only a part is there."""

    complete: list[CompletedPartition] = field(default_factory=list)
    partly: set[Key] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Known:
    """A plant or device that was ever listed, and between which instants."""

    subject: Subject
    first_seen_at: datetime
    last_seen_at: datetime | None

    def was_listed(self, at: datetime) -> bool:
        """Whether a load at that time knew of it."""
        return self.first_seen_at <= at and (self.last_seen_at is None or at <= self.last_seen_at + timedelta(days=1))


def covered_partitions(lake: Lake, coverage: Coverage, how: Partitioning, now: datetime) -> dict[str, Covered]:
    """What is complete and what is partly there, by asset; `now` (aware) tells which partitions run on."""
    plants = _plants(lake)
    devices = _devices(lake, plants)
    return {name: _of_dataset(name, plants, devices, coverage, how, now) for name in PARTITION_PERIODS}


def _of_dataset(
    dataset: str,
    plants: Mapping[str, Known],
    devices: Mapping[str, Sequence[Known]],
    coverage: Coverage,
    how: Partitioning,
    now: datetime,
) -> Covered:
    found = Covered()
    span = coverage.span_of_read(dataset)
    for low, high in _pieces(how, dataset, *span) if span else ():
        groups: dict[Key, list[Entry]] = {}
        for (_, period), entry in coverage.states(dataset, None, low, high).items():
            groups.setdefault((entry.plant_code, how.first(dataset, period)), []).append(entry)
        for (plant, first), entries in sorted(groups.items(), key=lambda each: (each[0][1] or date.min, each[0][0])):
            there = [entry for entry in entries if entry.state in COVERED_STATES]
            if not there:
                continue
            of_plant = [plants[plant]] if plant in plants else []
            subjects = devices.get(plant, ()) if DATASETS[dataset].subject == "device" else of_plant
            if dataset in PERIODIC_DATASETS and not _is_complete(dataset, first, subjects, there, how):
                found.partly.add((plant, first))
                continue
            zone = plants[plant].subject.zone if plant in plants else None
            slots = slots_of(dataset, there, zone) if zone else 0
            found.complete.append(_completed(dataset, plant, first, there, how, now, slots))
    return found


def _is_complete(
    dataset: str, first: date | None, subjects: Sequence[Known], there: Sequence[Entry], how: Partitioning
) -> bool:
    """Whether all that was listed at the last reading is covered; of a month, the days that had ended by then."""
    read_at = max(entry.extracted_at for entry in there)
    covered = {(entry.subject, entry.period) for entry in there}
    low, high = (first, first) if first else (min(entry.period for entry in there), max(e.period for e in there))
    assert low is not None and high is not None
    start, end = partition_span(how, dataset, low, high)
    for known in subjects:
        if not known.was_listed(read_at):
            continue
        for cell in wanted_cells(dataset, [known.subject], start, end, read_at):
            running = how.is_coarse(dataset) and cell.period >= today(read_at, known.subject.zone)
            if not running and (cell.subject, cell.period) not in covered:
                return False
    return True


def _completed(
    dataset: str, plant: str, first: date | None, there: Sequence[Entry], how: Partitioning, now: datetime, slots: int
) -> CompletedPartition:
    grain = how.period(dataset)
    runs_on = bool(grain and first and how.is_coarse(dataset) and next_period(grain, first) > latest_local_date(now))
    return CompletedPartition(
        dataset=dataset,
        plant_code=plant,
        period=first,
        rows=sum(entry.rows for entry in there),
        subjects=len({entry.subject for entry in there}),
        provisional=runs_on or any(entry.state == "provisional" for entry in there),
        touched=False,
        slots=slots,
    )


def _pieces(how: Partitioning, dataset: str, low: date, high: date) -> Iterator[tuple[date, date]]:
    """Dates in pieces that cut no partition: months of days, years of months, else everything at once."""
    grain = how.period(dataset)
    if grain is None or grain == "year":
        yield first_of("year", low), high
        return
    piece = first_of("month" if grain == "day" else "year", low)
    while piece <= high:
        following = next_period("month" if grain == "day" else "year", piece)
        yield piece, following - timedelta(days=1)
        piece = following


def _plants(lake: Lake) -> dict[str, Known]:
    rows = lake.read("plants").filter(pl.col("time_zone").is_not_null())
    seen = _last_seen(rows)
    return {
        row["plant_code"]: Known(
            Subject(
                row["plant_code"],
                row["plant_code"],
                None,
                row["time_zone"],
                connected_on(row["grid_connection_date"]),
            ),
            row["first_seen_at"],
            last,
        )
        for row, last in zip(rows.iter_rows(named=True), seen, strict=True)
    }


def _devices(lake: Lake, plants: Mapping[str, Known]) -> dict[str, list[Known]]:
    rows = lake.read("devices").filter(pl.col("plant_code").is_in(list(plants)))
    found: dict[str, list[Known]] = {}
    for row, last in zip(rows.iter_rows(named=True), _last_seen(rows), strict=True):
        plant = plants[row["plant_code"]].subject
        one = Subject(str(row["device_id"]), plant.id, row["device_type_id"], plant.zone, plant.connected)
        found.setdefault(plant.id, []).append(Known(one, row["first_seen_at"], last))
    return found


def _last_seen(rows: pl.DataFrame) -> list[datetime | None]:
    """When each row was listed last; None for what is listed still."""
    newest = rows["last_seen_at"].max()
    return [None if newest - at < LISTED_LATELY else at for at in rows["last_seen_at"]]
