"""Moves rows between local days after a plant's time zone was corrected: nothing is asked of the vendor.

File first, then coverage, then the zone in raw.plants. So a killed run leaves the old zone, and the same command goes
on: what was moved stays where it is, the rest follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Final

import polars as pl

from pipelines.lake.coverage import Entry, State
from pipelines.lake.decode import label_period_of
from pipelines.lake.delta import Partition
from pipelines.lake.local_dates import local_dates
from pipelines.lake.merging import newest_of_each_key
from pipelines.load.forget import Progress, refuse_while_loading
from pipelines.load.landing import subject_column
from pipelines.load.plant_zones import resolve_zones
from pipelines.load.services import Services
from pipelines.planning.calendar import local_date_of, local_day
from schemas.columns import Table

BY_INSTANT: Final = ("device_history", "plant_hourly")
"""Datasets whose rows are instants of a day; the others' rows are labels of a whole period."""

REPORTS: Final = ("plant_daily", "plant_monthly", "plant_yearly", "device_daily", "device_monthly", "device_yearly")

_SETTLED: Final = ("final", "empty")


@dataclass(frozen=True, slots=True)
class Correction:
    """A plant whose rows are filed by `filed`, though `zone` is what is known of it now, from `source`."""

    plant: str
    filed: str
    zone: str
    source: str


def corrections(services: Services) -> list[Correction]:
    """The plants whose zone differs from the one by which their rows are filed."""
    plants = services.lake.read("plants").drop_nulls("time_zone")
    known = resolve_zones(services, plants)
    return [
        Correction(row["plant_code"], row["time_zone"], *known[row["plant_code"]])
        for row in plants.sort("plant_code").iter_rows(named=True)
        if row["plant_code"] in known and known[row["plant_code"]][0] != row["time_zone"]
    ]


def rows_to_move(services: Services, correction: Correction) -> dict[str, int]:
    """How many rows of each table would get another local date; nothing is changed."""
    found: dict[str, int] = {}
    for name, table in _dated(services).items():
        columns = [_instant(table), "local_date"]
        mine = services.lake.read(name, columns, where=pl.col("plant_code") == correction.plant)
        number = int((_dates(table, mine, correction.zone) != mine["local_date"]).sum())
        found |= {name: number} if number else {}
    return found


def refile(services: Services, correction: Correction, progress: Progress = lambda stage, done, total: None) -> int:
    """Move the plant's rows, and know its periods anew; how many rows moved. The caller publishes afterwards.

    A local day that now takes rows of a day that was never read is wanted again: the next load asks for it.

    Raises:
        LakeError: a load is running.
        DiskFull: no space is left; the same command goes on.
    """
    refuse_while_loading(services)
    services.lake.fold()
    tables = _dated(services)
    moved = 0
    for number, (name, table) in enumerate(tables.items(), 1):
        for partition in services.lake.partitions(name):
            moved += _move(services, table, partition, correction)
        progress(f"refile {correction.plant}", number, len(tables))
    entries: dict[str, list[Entry]] = {each: _by_instant(services, each, correction) for each in BY_INSTANT}
    entries |= {each: _by_label(services, each, correction) for each in REPORTS}
    services.coverage.replace(correction.plant, entries)
    services.lake.update("plants", partial(_with_zone, correction=correction))
    return moved


def _dated(services: Services) -> dict[str, Table]:
    tables = services.lake.tables
    return {name: table for name, table in tables.items() if {"local_date", "plant_code"} <= _names(table)}


def _names(table: Table) -> set[str]:
    return {each.name for each in table.columns}


def _instant(table: Table) -> str:
    return "collect_time" if "collect_time" in _names(table) else "polled_at"


def _dates(table: Table, rows: pl.DataFrame, zone: str) -> pl.Series:
    zones = pl.Series("zone", [zone] * rows.height, dtype=pl.String())
    return local_dates(rows[_instant(table)], zones, label_period_of(table))


def _move(services: Services, table: Table, partition: Partition, correction: Correction) -> int:
    """Bring a partition's rows of the plant to where they belong: first there, then away from here."""
    here = services.lake.rows_of(table.name, partition)
    mine = here.filter(pl.col("plant_code") == correction.plant)
    dated = mine.with_columns(_dates(table, mine, correction.zone))
    number = int((dated["local_date"] != mine["local_date"]).sum())
    if not number:
        return 0
    made_of = services.lake.partition_of(table.name)
    assert made_of is not None
    for (place,), rows in dated.group_by(made_of.alias("_place")):
        if place != partition:
            services.lake.rewrite(table.name, place, partial(_with_rows, table=table, rows=rows))
    services.lake.rewrite(table.name, partition, partial(_redated, table=table, correction=correction, place=made_of))
    return number


def _with_rows(frame: pl.DataFrame, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    return newest_of_each_key(table, pl.concat([frame, rows.select(frame.columns)]))


def _redated(frame: pl.DataFrame, table: Table, correction: Correction, place: pl.Expr) -> pl.DataFrame:
    """The plant's rows with their right dates, less those that belong to another partition."""
    mine = pl.col("plant_code") == correction.plant
    old, others = frame.filter(mine), frame.filter(~mine)
    new = old.with_columns(_dates(table, old, correction.zone))
    stays = new.filter(new.select(place.alias("_"))["_"] == old.select(place.alias("_"))["_"])
    return newest_of_each_key(table, pl.concat([others, stays]))


def _with_zone(plants: pl.DataFrame, correction: Correction) -> pl.DataFrame:
    mine = pl.col("plant_code") == correction.plant
    return plants.with_columns(
        pl.when(mine).then(pl.lit(correction.zone)).otherwise(pl.col("time_zone")).alias("time_zone"),
        pl.when(mine).then(pl.lit(correction.source)).otherwise(pl.col("time_zone_source")).alias("time_zone_source"),
    )


def _by_instant(services: Services, dataset: str, correction: Correction) -> list[Entry]:
    """A new day is as settled as the old days that it takes rows from; wanted again where one of them is not known."""
    old = {(each.subject, each.period): each for each in services.coverage.of_plant(correction.plant, dataset)}
    counts = _counts(services, dataset, correction)
    days = {(subject, day + timedelta(days=step)) for subject, day in old for step in (-1, 0, 1)}
    entries = []
    for subject, day in sorted(days):
        parts = [old.get((subject, each)) for each in _days_behind(day, correction)]
        known = [each for each in parts if each is not None]
        if not known or (len(known) < len(parts) and (subject, day) not in old):
            continue
        state: State = "missing"
        if len(known) == len(parts) and all(each.state in _SETTLED for each in known):
            state = "final" if counts.get((subject, day)) else "empty"
        elif len(known) == len(parts) and len({each.state for each in known}) == 1:
            state = known[0].state
        oldest = min(each.extracted_at for each in known)
        number = counts.get((subject, day), 0)
        entries.append(Entry(dataset, subject, correction.plant, day, state, number, oldest, known[0].reason))
    return entries


def _days_behind(day: date, correction: Correction) -> list[date]:
    """The old local days that a new one takes its instants from."""
    window = local_day(day, correction.zone)
    if not window.length:
        return [day]
    ends = window.start, window.end - timedelta(microseconds=1)
    first, last = (local_date_of(each, correction.filed) for each in ends)
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]


def _by_label(services: Services, dataset: str, correction: Correction) -> list[Entry]:
    """A report's period is known as before, but for rows that are filed under another one now."""
    counts = _counts(services, dataset, correction)
    entries = []
    for each in services.coverage.of_plant(correction.plant, dataset):
        number = counts.get((each.subject, each.period), 0)
        lost = number == 0 and each.rows > 0
        state: State = "missing" if lost else each.state
        entries.append(
            Entry(dataset, each.subject, each.plant_code, each.period, state, number, each.extracted_at, each.reason)
        )
    return entries


def _counts(services: Services, dataset: str, correction: Correction) -> Mapping[tuple[str, date], int]:
    subject = subject_column(dataset)
    found: dict[tuple[str, date], int] = {}
    for name, table in _dated(services).items():
        if table.dataset == dataset:
            mine = services.lake.read(name, [subject, "local_date"], where=pl.col("plant_code") == correction.plant)
            for one, day, number in mine.group_by(subject, "local_date").len().iter_rows():
                found[str(one), day] = number
    return found
