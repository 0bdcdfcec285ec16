"""Makes Dagster show what coverage says: plants as partitions, and which partitions are there.

Coverage is the truth. Events that were lost (a killed run, an empty instance, another grain) are recorded anew, without
a call, as is what is there and shown as failed, since a run that was to read it again was killed. An asset that shows
partitions of which nothing is there any more is wiped and recorded anew.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import dagster as dg

from assets.instance import kept_open
from assets.partitions import (
    PLANTS,
    PartitionPlan,
    keep_plan,
    partition_plan,
    partitions_lock,
    partitions_of,
    plan_file,
    read_key,
    settle_plan,
)
from assets.recording import INVENTORY, asset_key, partition_metadata, table_metadata
from assets.unfinished import running
from pipelines.lake.coverage import Coverage
from pipelines.lake.store import Lake
from pipelines.load.covered import Covered, covered_partitions
from pipelines.load.partitions import PARTITION_PERIODS
from pipelines.load.request import latest_local_date
from pipelines.load.services import state_dir
from pipelines.settings import Settings

REBUILT: Final = {"rebuilt_from": "coverage"}
"""Metadata of events that no run recorded."""

PROGRESS_EVERY: Final = 500

BY_DAY: Final = ("plant_hourly", "device_history")
"""Datasets of which a call answers for the dates that it names."""

Progress = Callable[[str, int, int], None]


@dataclass
class Reconciled:
    """What differed, by asset: partitions recorded anew, and partitions shown of which nothing was there."""

    plants: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    recorded: dict[str, int] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    complete: dict[str, int] = field(default_factory=dict)
    dates_from: date | None = None
    """Where dates begin as partitions now, if they began later."""

    @property
    def differed(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.plants or self.tables or self.recorded or self.withdrawn or self.dates_from)

    def as_dict(self) -> Mapping[str, Any]:
        """For `--json`."""
        return {
            "differed": self.differed,
            "plants_added": self.plants,
            "dates_from": self.dates_from.isoformat() if self.dates_from else None,
            "tables_recorded": self.tables,
            "partitions_recorded": self.recorded,
            "partitions_withdrawn": self.withdrawn,
            "partitions_complete": self.complete,
        }


def is_loaded(settings: Settings) -> bool:
    """Whether there is any coverage to go by."""
    return (state_dir(settings.home) / "coverage.sqlite").exists()


def reconcile(
    settings: Settings,
    instance: dg.DagsterInstance,
    now: datetime,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Reconciled:
    """Compare Dagster's records with coverage and make them alike; `dry_run` only tells. Asks the vendor nothing."""
    lake, coverage = Lake(settings.home), Coverage(state_dir(settings.home) / "coverage.sqlite")
    found = Reconciled()
    with partitions_lock(settings), kept_open(settings.home, ""):
        listed = lake.read("plants").sort("plant_code")["plant_code"].to_list()
        known = set(instance.get_dynamic_partitions(str(PLANTS.name)))
        found.plants = [code for code in listed if code not in known]
        if found.plants and not dry_run:
            instance.add_dynamic_partitions(str(PLANTS.name), found.plants)
        before = partition_plan(settings) if plan_file(settings).exists() else None
        plan = _plan(settings, coverage, len(listed), now, dry_run=dry_run)
        found.dates_from = plan.start if before and plan.start < before.start else None
        for name in INVENTORY:
            rows = lake.read(name)
            if rows.height and instance.get_latest_materialization_event(asset_key(name)) is None:
                found.tables.append(name)
                if not dry_run:
                    _report(instance, name, {**table_metadata(rows), **REBUILT})
        # First what is shown, then what is there: a load records an event after its coverage.
        shown = {
            name: {str(k) for k in instance.get_materialized_partitions(asset_key(name))} for name in PARTITION_PERIODS
        }
        for dataset, covered in covered_partitions(lake, coverage, plan.partitioning, now).items():
            asset = _Asset(instance, plan, dataset, covered, shown[dataset])
            _status(asset, found, progress, dry_run=dry_run, withdraws=not running(settings.home))
    return found


@dataclass(frozen=True, slots=True)
class _Asset:
    """One asset: what is there of it, and which partitions Dagster shows."""

    instance: dg.DagsterInstance
    plan: PartitionPlan
    dataset: str
    covered: Covered
    shown: set[str]


def _status(asset: _Asset, found: Reconciled, progress: Progress | None, *, dry_run: bool, withdraws: bool) -> None:
    """Make one asset's partitions alike. While loads run nothing is withdrawn: they may just have recorded it."""
    plan, dataset, shown = asset.plan, asset.dataset, asset.shown
    complete = {str(plan.key(dataset, each.plant_code, each.period)): each for each in asset.covered.complete}
    there = complete.keys() | {str(plan.key(dataset, plant, first)) for plant, first in asset.covered.partly}
    if complete:
        found.complete[dataset] = len(complete)
    lost = {key for key in shown - there if _is_of(plan, dataset, key)} if withdraws else set()
    if lost:
        found.withdrawn[dataset] = len(lost)
        shown = set()
        if not dry_run:
            # Single partitions can't be taken back from SQLite.
            asset.instance.wipe_assets([asset_key(dataset)])
    shown -= _failed(asset, complete.keys() & shown)
    missing = [(key, partition) for key, partition in complete.items() if key not in shown]
    if missing:
        found.recorded[dataset] = len(missing)
    for done, (key, partition) in enumerate(missing if not dry_run else ()):
        if progress is not None and done % PROGRESS_EVERY == 0:
            progress(f"{dataset} in Dagster", done, len(missing))
        _report(asset.instance, dataset, {**partition_metadata(partition), **REBUILT}, key)


def _failed(asset: _Asset, keys: Collection[str]) -> set[str]:
    """Partitions that Dagster shows red: it knows them, but the last run that was to bring them failed."""
    if not keys:
        return set()
    definition = partitions_of(asset.dataset, asset.plan)
    statuses = asset.instance.get_status_by_partition(asset_key(asset.dataset), list(keys), definition) or {}
    return {key for key, status in statuses.items() if status is dg.AssetPartitionStatus.FAILED}


def _is_of(plan: PartitionPlan, dataset: str, key: str) -> bool:
    """Whether a key belongs to the partitions as they are now: of another grain, or of before, they show nothing."""
    plant, first = read_key(key)
    return str(plan.key(dataset, plant, first)) == key and (first is None) == (PARTITION_PERIODS[dataset] is None)


def _plan(settings: Settings, coverage: Coverage, plants: int, now: datetime, *, dry_run: bool) -> PartitionPlan:
    """The choice that was made; where it is lost, the one that the first load would make for what is there."""
    spans = {name: span for name in PARTITION_PERIODS if (span := coverage.span_of_read(name))}
    if plan_file(settings).exists():
        known = partition_plan(settings)
        # Of these nothing is read but what was asked for; a call for other reports answers for a month or a year.
        asked = [spans[name][0] for name in BY_DAY if name in spans]
        plan = known.model_copy(update={"start": min([known.start, *asked])})
        if plan != known and not dry_run:
            keep_plan(settings, plan)
        return plan
    if dry_run or not spans:
        return partition_plan(settings)
    by_day = [span for name, span in spans.items() if PARTITION_PERIODS[name] == "day"]
    first = min(span[0] for span in by_day or spans.values())
    return settle_plan(settings, first, plants, latest_local_date(now))


def _report(instance: dg.DagsterInstance, dataset: str, metadata: Mapping[str, Any], key: str | None = None) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=asset_key(dataset), partition=key, metadata=metadata)
    )


def lines_of(found: Reconciled, *, dry_run: bool = False) -> list[str]:
    """What was done, or would be, as sentences for a person; none if nothing differed."""
    lines = []
    if found.plants:
        lines.append(f"{len(found.plants):,} plants {'would become' if dry_run else 'became'} partitions.")
    if found.dates_from:
        verb = "would be" if dry_run else "are"
        lines.append(f"Dates {verb} partitions from {found.dates_from} on: earlier ones had been read.")
    if found.recorded or found.tables:
        count = sum(found.recorded.values())
        names = ", ".join([*found.tables, *found.recorded])
        verb = "would be" if dry_run else "were"
        lines.append(f"{count:,} partitions that are there {verb} recorded anew in Dagster ({names}).")
    if found.withdrawn:
        count, names = sum(found.withdrawn.values()), ", ".join(found.withdrawn)
        verb = "would be" if dry_run else "are"
        lines.append(f"{count:,} partitions of which nothing is there {verb} shown no more ({names}).")
    return lines
