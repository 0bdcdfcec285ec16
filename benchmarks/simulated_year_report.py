"""The figures of a simulated year, and which of its promises were broken."""

import argparse
import resource
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from simulated_year_rules import Findings, Fleet, counted, judge, plants_of

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Cell, Subject, final_margin
from pipelines.planning.packing import lower_bound_history
from pipelines.simulator.fleet import HISTORY_TYPES, REPORT_TYPES
from pipelines.simulator.flow import limit_of
from pipelines.simulator.log import RequestRecord
from pipelines.simulator.view import View
from pipelines.simulator.world import World

POLICY = "dynamic"
HISTORY = "getDevHistoryKpi"
USELESS = frozenset({"html", "empty_body", "cut_body", "cut_connection", "other_shape", "empty_data"})
"""Faults that take a call's seat and give nothing for it, though the vendor's answer was a success."""

DEAD_SESSION, REFUSED = 305, 20056
CELLS_A_CALL = 30
"""10 devices, 3 days."""

SETTLED = timedelta(days=3)
"""What ended so long before the end of the run must be there (a block of fresh days comes on top)."""

_DAY = timedelta(days=1)
Wanted = dict[str, list[tuple[str, date]]]


def summary(
    options: argparse.Namespace, played: Any, home: Path, start: datetime, burst: int, close_enough: float
) -> tuple[dict[str, Any], list[str]]:
    """All figures, and a sentence for each promise that was broken."""
    world = World(options.fleet)
    counts = View(world).counts
    fleet = Fleet(counts, {str(device.id): device.plant_code for device in world.devices})
    found = judge(
        played.records, fleet, policy=POLICY, window=options.window, clients=options.processes, kills=played.kills
    )
    end = start + timedelta(days=options.days)
    rows, cells = _cells(options, home, world, start, end)
    figures: dict[str, Any] = {
        "run": f"{options.days} days, window {options.window}, {options.processes} processes, faults {options.faults}, "
        f"freshness {options.freshness}, backlog {options.backlog} days",
        "calls": dict(sorted(found.calls.items())) | {"together": sum(found.calls.values())},
        "refusals": dict(sorted(found.refusals.items())),
        "faults played": dict(sorted(found.played.items())),
        "processes killed": played.kills,
        "buckets revealed by a 407": found.revealed_buckets,
        "avoidable": found.avoidable,
        "wanted periods": cells,
        "backlog": _backlog(options, played.records, world, rows, start, burst),
        "cost": _cost(played, found),
    }
    failures = Counter(text for worker in played.workers for text in worker["failures"])
    figures["failures told"] = {str(count): text[:150] for text, count in failures.most_common(8)}
    return figures, _broken(options, found, figures, played, close_enough)


def _cost(played: Any, found: Findings) -> Mapping[str, Any]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    calls = sum(found.calls.values())
    workers = children.ru_utime + children.ru_stime
    return {
        "real seconds": round(played.seconds, 1),
        "CPU seconds of the workers": round(workers, 1),
        "CPU seconds of the simulator": round(played.server_cpu_s, 1),
        "worker's CPU ms a call": round(1000 * workers / max(1, calls), 1),
        "peak MiB of a worker": max((each["peak_mib"] for each in played.workers), default=0),
        "jumps of the clock": played.jumps,
    }


# What must be there --------------------------------------------------------------------------------------------------


def _cells(
    options: argparse.Namespace, home: Path, world: World, start: datetime, end: datetime
) -> tuple[pl.DataFrame, Mapping[str, Any]]:
    if options.dense:
        from simulated_year_lake import stored as rows_of
    else:
        from simulated_year_lake import landed as rows_of
    rows = rows_of(home)
    wanted = _wanted(options, world, start, end)
    expected = pl.DataFrame(
        [(dataset, subject, f"{day}") for dataset, cells in wanted.items() for subject, day in cells],
        schema={"dataset": pl.String(), "subject": pl.String(), "local_date": pl.String()},
        orient="row",
    )
    by_cell = rows.group_by("dataset", "subject", "local_date").agg(pl.len().alias("rows"), pl.col("times").sum())
    joined = expected.join(by_cell, on=["dataset", "subject", "local_date"], how="left")
    missing = joined.filter(pl.col("rows").is_null())
    told: dict[str, Any] = {
        "wanted": expected.height,
        "with exactly one row": joined.filter(pl.col("rows") == 1).height,
        "with several rows": joined.filter(pl.col("rows") > 1).height,
        "missing": missing.height,
        "rows landed, repeats included": int(rows["times"].sum() or 0),
    }
    keys = ["dataset", "local_date", "subject"]
    for dataset, day, subject in missing.select(keys).sort(keys).head(5).iter_rows():
        told[f"missing {dataset} {subject}"] = day
    for dataset, count in missing["dataset"].value_counts().iter_rows():
        told[f"missing of {dataset}"] = count
    return rows, told


def _wanted(options: argparse.Namespace, world: World, start: datetime, end: datetime) -> Wanted:
    """Every period that must be there at the end: dataset -> (subject, first local day)."""
    since = start.date() - timedelta(days=options.backlog)
    last = (end - SETTLED).date() - timedelta(days=options.freshness)
    first_of = {plant.code: plant.first_day for plant in world.plants}
    subjects = {
        "plant": [(plant.code, plant.first_day) for plant in world.plants],
        "history": [(str(d.id), first_of[d.plant_code]) for d in world.devices if d.type_id in HISTORY_TYPES],
        "report": [(str(d.id), first_of[d.plant_code]) for d in world.devices if d.type_id in REPORT_TYPES],
    }
    wanted: Wanted = {}
    for dataset, kind in (
        ("plant_hourly", "plant"),
        ("plant_daily", "plant"),
        ("device_daily", "report"),
        ("device_history", "history"),
    ):
        wanted[dataset] = [(name, day) for name, first in subjects[kind] for day in _days(max(since, first), last)]
    for prefix in ("plant", "device"):
        kind = "plant" if prefix == "plant" else "report"
        for dataset, grain in ((f"{prefix}_monthly", "month"), (f"{prefix}_yearly", "year")):
            wanted[dataset] = [
                (name, period)
                for name, first in subjects[kind]
                for period in _periods(grain, max(since, first), last - timedelta(days=2))
            ]
    return wanted


def _days(first: date, last: date) -> Sequence[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]


def _periods(grain: str, first: date, last: date) -> Sequence[date]:
    """First days of the months or years that hold `first` or later and have ended by `last`."""
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month - 1)
    if grain == "month":
        return [date(number // 12, number % 12 + 1, 1) for number in months]
    return [date(year, 1, 1) for year in range(first.year, last.year)]


# How fast the backlog was ------------------------------------------------------------------------------------------


def _backlog(
    options: argparse.Namespace,
    records: Sequence[RequestRecord],
    world: World,
    rows: pl.DataFrame,
    start: datetime,
    burst: int,
) -> Mapping[str, Any]:
    """When the last 5-minute day before the start was there, against the least that the quota alone allows."""
    zones = {plant.code: (plant.zone, plant.first_day) for plant in world.plants}
    subjects = {
        str(d.id): Subject(str(d.id), d.plant_code, d.type_id, *zones[d.plant_code])
        for d in world.devices
        if d.type_id in HISTORY_TYPES
    }
    newest = start.date() - 2 * _DAY
    backlog = _day_cells(subjects, start.date() - timedelta(days=options.backlog), newest)
    fresh = _day_cells(subjects, start.date(), start.date() + (options.freshness - 1) * _DAY)
    least_calls, fresh_calls = lower_bound_history(backlog, subjects), lower_bound_history(fresh, subjects)
    a_day = fresh_calls / options.freshness
    first_due = max(_hours_until_due(start, zone) for zone, _ in zones.values())
    limit = limit_of(POLICY, HISTORY, View(world).counts)
    assert limit is not None
    at = pl.DataFrame(
        [(cell.subject, f"{cell.period}") for cell in backlog],
        schema={"subject": pl.String(), "local_date": pl.String()},
        orient="row",
    ).join(rows.filter(pl.col("dataset") == "device_history"), on=["subject", "local_date"], how="left")
    missing = at["first_at"].null_count()
    done = None if missing else datetime.fromtimestamp((at["first_at"].max() or 0) + 1, UTC)
    until_done = [r for r in records if r.endpoint == HISTORY and (done is None or r.at <= done)]
    lost = sum(map(_is_lost, until_done))
    alone = _alone(until_done, records, {str(d.id): d.plant_code for d in world.devices})
    least, least_with_faults = (
        _least_days(calls, a_day, first_due, limit.calls, options.window, burst)
        for calls in (least_calls, least_calls + lost + alone)
    )
    days = None if done is None else max(0.0, (done - start) / _DAY)
    return {
        "device days": len(backlog),
        "least calls": least_calls,
        "fresh need, calls a day": round(a_day, 2),
        "quota, calls a day": limit.calls,
        "calls counted till done": len(counted(until_done, HISTORY)),
        "seats lost to faults": lost,
        "calls more for plants that were refused for weeks": alone,
        "missing device days": missing,
        "done on day": None if days is None else round(days, 2),
        "least days": round(least, 2),
        "least days with these faults": round(least_with_faults, 2),
        "days too many": None if days is None else round(days - least_with_faults, 2),
        # Whether the newest fresh day is read before the last of the backlog: no finer can a short run be judged.
        "grain": round(max(1.0, a_day / (limit.calls - a_day)), 2),
        "ratio": None if days is None else round(days / max(least_with_faults, 1 / 24), 4),
    }


def _is_lost(record: RequestRecord) -> bool:
    """Whether a call took a seat and gave nothing. The vendor doesn't say that refused or failed calls aren't counted,
    so a careful ledger holds their seats; but a dead session names no account whose calls could be counted."""
    return record.fail_code != DEAD_SESSION and (not record.ok or record.fault in USELESS)


def _alone(taken: Sequence[RequestRecord], records: Sequence[RequestRecord], plant_of: Mapping[str, str]) -> int:
    """Calls beyond the least about nothing but plants that were refused for a while: what they missed goes alone."""
    asked = [(plants_of(r.body, plant_of), r) for r in records if r.fail_code == REFUSED]
    away = {plant for plants, _ in asked if len(plants) == 1 for plant in plants}
    late = [r for r in taken if r.ok and away and plants_of(r.body, plant_of) <= away]
    by_type = Counter(r.body["devTypeId"] for r in late)
    rows = Counter[int]()
    for record in late:
        rows[record.body["devTypeId"]] += record.rows
    return sum(calls - -(-rows[kind] // CELLS_A_CALL) for kind, calls in by_type.items())


def _day_cells(subjects: Mapping[str, Subject], first: date, last: date) -> list[Cell]:
    return [
        Cell("device_history", subject.id, day)
        for subject in subjects.values()
        for day in _days(max(first, subject.connected or first), last)
    ]


def _hours_until_due(start: datetime, zone: str) -> int:
    """Whole hours after the start at which the local day before it has settled: the first day of fresh data."""
    end = local_day(start.date() - _DAY, zone).end + final_margin("device_history")
    return -((start - end) // timedelta(hours=1))


def _least_days(backlog: int, a_day: float, first_due: int, limit: int, window: str, burst: int) -> float:
    """Days until the calls that the quota grants beside fresh need come to those of the backlog.

    A rolling window and a calendar day grant all of a day's calls at once, a bucket its burst and then evenly. Fresh
    days are reckoned when they have settled in all zones, from the one before the start on (at hour `first_due`):
    it is no part of the backlog.
    """
    hours = 0
    while True:
        days = hours / 24
        granted = burst + limit * days if window == "bucket" else limit * (hours // 24 + 1)
        fresh = a_day * max(0, (hours - first_due) // 24 + 1)
        if granted >= backlog + fresh:
            return days
        hours += 1


# What was promised -------------------------------------------------------------------------------------------------


def _broken(
    options: argparse.Namespace, found: Findings, figures: Mapping[str, Any], played: Any, close_enough: float
) -> list[str]:
    cells, backlog = figures["wanted periods"], figures["backlog"]
    broken = []
    if found.avoidable:
        broken.append(f"{len(found.avoidable)} avoidable calls, the first: {found.avoidable[0]}")
    if cells["with exactly one row"] != cells["wanted"]:
        broken.append(f"{cells['missing']} wanted periods are missing, {cells['with several rows']} have several rows")
    if backlog["ratio"] is None:
        broken.append(f"the backlog isn't done: {backlog['missing device days']} device days are missing")
    elif backlog["ratio"] > close_enough and backlog["days too many"] > backlog["grain"]:
        broken.append(f"the backlog took {backlog['ratio']} times as long as the quota alone makes it")
    early = sum(worker["early"] for worker in played.workers)
    if early:
        broken.append(f"a worker stopped {early} times before the end")
    return broken
