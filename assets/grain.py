"""Changes by what the assets by day are partitioned, days or months, and keeps what Dagster shows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import dagster as dg

from assets.partitions import (
    MAX_PARTITIONS,
    PartitionPlan,
    auto_grain,
    keep_plan,
    partition_plan,
    partitions_by_day,
    partitions_lock,
    plan_file,
)
from assets.reconcile import Progress, Reconciled, reconcile
from assets.unfinished import running, ui_lock
from pipelines.lake.store import Lake
from pipelines.load.partitions import Grain
from pipelines.load.request import UsageError, latest_local_date
from pipelines.settings import Grain as Setting
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class GrainChoice:
    """The grain in use, what `auto` would choose now, and how many partitions an asset by day has or would have."""

    start: date
    grain: Grain
    auto: Grain
    plants: int
    partitions_by_day: int

    def as_dict(self) -> Mapping[str, Any]:
        """For `--json`."""
        return {
            "grain": self.grain,
            "auto": self.auto,
            "start": self.start.isoformat(),
            "plants": self.plants,
            "partitions_by_day": self.partitions_by_day,
            "partitions_advised": MAX_PARTITIONS,
        }


def choice(settings: Settings, now: datetime) -> GrainChoice | None:
    """How the assets by day are partitioned; None before the first load."""
    if not plan_file(settings).exists():
        return None
    plan, plants = partition_plan(settings), Lake(settings.home).read("plants").height
    today = latest_local_date(now)
    days = partitions_by_day(plan.start, plants, today)
    return GrainChoice(plan.start, plan.grain, auto_grain(plan.start, plants, today), plants, days)


def change_grain(
    settings: Settings,
    instance: dg.DagsterInstance,
    to: Setting,
    now: datetime,
    progress: Progress | None = None,
) -> tuple[PartitionPlan, Reconciled]:
    """Partition by `to` from now on, and record anew what is complete by it. Nothing is asked, no data change.

    Raises:
        UsageError: nothing was ever loaded, or a load or `pvms ui` runs, which knows the other partitions.
    """
    known = choice(settings, now)
    if known is None:
        raise UsageError("Nothing was loaded here yet: PVMS_PARTITION_GRAIN says what the first load chooses.")
    with ui_lock(settings.home):
        if running(settings.home):
            raise UsageError("A load is running. Run this again when it has ended.")
        plan = partition_plan(settings).model_copy(update={"grain": known.auto if to == "auto" else to})
        with partitions_lock(settings):
            keep_plan(settings, plan)
        return plan, reconcile(settings, instance, now, progress=progress)
