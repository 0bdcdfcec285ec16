"""The partitions of every asset: plants are dynamic, dates are days, months or years.

Keys: `date|plant` where there is a date (`2025-03-30|NE=33554785`), the plant code alone for yearly reports.
Months and years are named by their first day; where months stand in for days (grain `month`) they are named `2025-03`,
so that a day that was recorded before the grain changed is not taken for its month.
"""

import json
from datetime import date
from pathlib import Path
from typing import Final

import dagster as dg
from filelock import FileLock
from pydantic import BaseModel

from pipelines.lake.durable import write_durably
from pipelines.lake.paths import paths_of
from pipelines.load.partitions import Grain, Partitioning
from pipelines.planning.calendar import Period, first_of
from pipelines.settings import Settings

PLANTS: Final = dg.DynamicPartitionsDefinition(name="plants")

FIRST_ZONE: Final = "Etc/GMT-14"
"""UTC+14 (the sign is POSIX's): day keys reach the date that has begun in the first zone on earth."""

MAX_PARTITIONS: Final = 80_000
"""Plants x days above which `auto` partitions by month; Dagster advises at most 100,000 partitions an asset."""

DAYS_TO_COME: Final = 3 * 366
"""The choice has to hold for three more years."""

MONTH: Final = "%Y-%m"

DEFAULT_START: Final = date(2024, 1, 1)
"""First date of the partitions while nothing says otherwise."""


class PartitionPlan(BaseModel):
    """What was chosen for one `PVMS_HOME`; kept on disk, because changing it makes other partitions."""

    start: date
    grain: Grain

    @property
    def partitioning(self) -> Partitioning:
        """The same for the rooms below, which know nothing of Dagster."""
        return Partitioning(self.grain, self.start)

    def key(self, dataset: str, plant_code: str, first: date | None) -> str:
        """The key of one partition of an asset."""
        return partition_key(plant_code, first, coarse=self.partitioning.is_coarse(dataset))

    def differs_from(self, settings: Settings) -> bool:
        """Whether the setting names another grain than the one in use."""
        return settings.partition_grain not in ("auto", self.grain)

    def too_many(self, plants: int, today: date) -> str:
        """A sentence, if an asset by day has more partitions than Dagster bears well; else nothing."""
        count = partitions_by_day(self.start, plants, today)
        if self.grain == "month" or count <= MAX_PARTITIONS:
            return ""
        return (
            f"An asset by day has {count:,} partitions from {self.start} on, three years to come included; above "
            f"{MAX_PARTITIONS:,} Dagster's pages get slow. `pvms grain auto` makes them months."
        )

    def kept(self) -> str:
        """The sentence that says so."""
        return (
            f"PVMS_PARTITION_GRAIN has no effect: this PVMS_HOME is partitioned by {self.grain} already. "
            "`pvms grain` changes it."
        )


def plan_file(settings: Settings) -> Path:
    """Where the choice is kept."""
    return settings.home / "state" / "partitions.json"


def partition_plan(settings: Settings) -> PartitionPlan:
    """The choice that was made, or the default one if none was made yet."""
    path = plan_file(settings)
    if path.exists():
        return PartitionPlan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    start = settings.history_start or DEFAULT_START
    return PartitionPlan(start=start, grain="month" if settings.partition_grain == "month" else "day")


def settle_plan(settings: Settings, start: date, plants: int, today: date) -> PartitionPlan:
    """Make the choice at the first load; later only move the start back when earlier dates are wanted.

    `auto` becomes `month` where plants x wanted days, three years to come included, pass MAX_PARTITIONS.
    """
    first = min(start, settings.history_start or start)
    if plan_file(settings).exists():
        known = partition_plan(settings)
        plan = known.model_copy(update={"start": min(known.start, first)})
        if plan == known:
            return known
    else:
        chosen = settings.partition_grain
        plan = PartitionPlan(start=first, grain=auto_grain(first, plants, today) if chosen == "auto" else chosen)
    keep_plan(settings, plan)
    return plan


def keep_plan(settings: Settings, plan: PartitionPlan) -> None:
    """Write the choice down."""
    path = plan_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, plan.model_dump_json().encode())


def auto_grain(start: date, plants: int, today: date) -> Grain:
    """What `auto` chooses for a fleet of so many plants."""
    return "month" if partitions_by_day(start, plants, today) > MAX_PARTITIONS else "day"


def partitions_by_day(start: date, plants: int, today: date) -> int:
    """How many partitions an asset by day would have, three years to come included."""
    return plants * ((today - start).days + DAYS_TO_COME)


def partitions_of(dataset: str, plan: PartitionPlan) -> dg.PartitionsDefinition:
    """The partitions definition of one asset."""
    period = plan.partitioning.period(dataset)
    if period is None:
        return PLANTS
    dates = _dates(period, plan.start, coarse=plan.partitioning.is_coarse(dataset))
    return dg.MultiPartitionsDefinition({"date": dates, "plant": PLANTS})


def _dates(period: Period, start: date, *, coarse: bool) -> dg.TimeWindowPartitionsDefinition:
    first = first_of(period, start).isoformat()
    if period == "day":
        return dg.DailyPartitionsDefinition(start_date=first, timezone=FIRST_ZONE, end_offset=1)
    if period == "month":
        fmt, begin = (MONTH, first[:7]) if coarse else ("%Y-%m-%d", first)
        return dg.MonthlyPartitionsDefinition(start_date=begin, timezone=FIRST_ZONE, end_offset=1, fmt=fmt)
    return dg.TimeWindowPartitionsDefinition(
        start=first, fmt="%Y-%m-%d", cron_schedule="0 0 1 1 *", timezone=FIRST_ZONE, end_offset=1
    )


def partition_key(plant_code: str, first: date | None, *, coarse: bool = False) -> str:
    """The key of one partition; `coarse`: of a month that stands in for its days."""
    if first is None:
        return plant_code
    day = first.strftime(MONTH) if coarse else first.isoformat()
    return dg.MultiPartitionKey({"date": day, "plant": plant_code})


def read_key(key: str) -> tuple[str, date | None]:
    """Plant code and first date of a key."""
    if isinstance(key, dg.MultiPartitionKey):
        parts = key.keys_by_dimension
        return parts["plant"], _first_day(parts["date"])
    day, bar, plant = key.partition("|")
    return (plant, _first_day(day)) if bar else (key, None)


def _first_day(text: str) -> date:
    return date.fromisoformat(text if len(text) > len("2025-03") else f"{text}-01")


def partitions_lock(settings: Settings) -> FileLock:
    """Held while partitions are changed."""
    locks = paths_of(settings.home).locks
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / "partitions.lock")
