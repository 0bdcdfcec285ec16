"""Deletes rows for good: of a plant, or of the time before a date. File first, then coverage, then the warehouse."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import orjson
import polars as pl

from pipelines.lake.errors import LakeError
from pipelines.load.services import Services
from pipelines.planning.calendar import first_of
from pipelines.planning.cells import period_of
from schemas.columns import Table
from schemas.datasets import DATASETS

OWNER: Final = "upkeep"
"""Under this name nothing is ever claimed: whoever claims is a load."""

_WITH_A_PAST: Final = tuple(each.name for each in DATASETS.values() if each.period in ("day", "month", "year"))

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What is to go: all of a plant, or all that lies wholly before a local date."""

    plant: str | None = None
    before: date | None = None


def refuse_while_loading(services: Services) -> None:
    """Rows that a load is about to land would be filed by what is being changed.

    Raises:
        LakeError: a load is running.
    """
    if services.coverage.claimed_by_others(OWNER, services.clock.now()):
        raise LakeError("A load is running in this PVMS_HOME. Wait until it ends, or end it, and try again.")


def rows_to_forget(services: Services, wanted: Forgetting) -> dict[str, int]:
    """How many rows of each table would go; nothing is changed."""
    found: dict[str, int] = {}
    for name, table in services.lake.tables.items():
        test = _test(services, table, wanted)
        if test is not None:
            number = services.lake.read(name, [table.columns[0].name], where=test).height
            found |= {name: number} if number else {}
    return found


def forget(services: Services, wanted: Forgetting, progress: Progress = lambda stage, done, total: None) -> int:
    """Delete; how many rows are gone. The caller publishes the warehouse afterwards.

    A kill leaves whole tables, some of them with rows that should go: the same command goes on from there. Replaced
    files stay on the disk for a week, for readers that have them open (`pipelines.lake.delta.KEEP_OLD_FILES`).

    Raises:
        LakeError: a load is running.
        DiskFull: no space is left to rewrite a file.
    """
    refuse_while_loading(services)
    services.lake.fold()
    # Answers of a listing that isn't complete hold plants as they were sent.
    services.unfinished_file.unlink(missing_ok=True)
    gone = 0
    for number, (name, table) in enumerate(services.lake.tables.items(), 1):
        test = _test(services, table, wanted)
        if test is not None:
            gone += _forget_rows(services, name, test)
        progress("forget", number, len(services.lake.tables))
    limits = {} if wanted.before is None else {each: _limit(each, wanted.before) for each in _WITH_A_PAST}
    services.coverage.forget(wanted.plant, limits)
    return gone


def _forget_rows(services: Services, name: str, test: pl.Expr) -> int:
    gone = 0
    for partition in services.lake.partitions(name):
        before = services.lake.rows_of(name, partition).height
        # Null is no reason to delete.
        left = services.lake.rewrite(name, partition, partial(_without, test=test))
        gone += 0 if left is None else before - left
    return gone


def _without(frame: pl.DataFrame, test: pl.Expr) -> pl.DataFrame:
    return frame.filter(~test.fill_null(value=False))


def _test(services: Services, table: Table, wanted: Forgetting) -> pl.Expr | None:
    """Which rows of a table go; None if the table holds nothing of the kind."""
    names = {each.name for each in table.columns}
    if wanted.plant is not None:
        if "plant_code" in names:
            return pl.col("plant_code") == wanted.plant
        if table.name == "account_devices":
            # Who sees a device goes with it, also if a kill came between the two.
            left = services.lake.read("devices", ["device_id"], where=pl.col("plant_code") != wanted.plant)
            return ~pl.col("device_id").is_in(left["device_id"].to_list())
        # Set-aside records are kept as they were sent, and name their plant in some place.
        quoted = orjson.dumps(wanted.plant).decode()
        return pl.col("record").str.contains(quoted, literal=True) if table.name == "quarantine" else None
    assert wanted.before is not None
    midnight = datetime(wanted.before.year, wanted.before.month, wanted.before.day, tzinfo=UTC)
    if "local_date" in names:
        return pl.col("local_date") < _limit(table.dataset, wanted.before)
    if table.name == "alarms":
        return pl.col("cleared_before") < midnight
    return pl.col("extracted_at") < midnight if table.name == "quarantine" else None


def _limit(dataset: str | None, before: date) -> date:
    """A month or a year goes only if it was over by then."""
    if dataset is None or DATASETS[dataset].period not in ("month", "year"):
        return before
    return first_of(period_of(dataset), before)
