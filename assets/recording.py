"""Tells Dagster what a load completed: one event per partition, after its data and coverage are durable."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.partitions import PartitionPlan
from pipelines.lake.store import Lake
from pipelines.load.partitions import sample_table
from pipelines.load.request import REALTIME_DATASETS, CompletedPartition, Listener, LoadReport
from schemas.datasets import DATASETS

INVENTORY: Final = ("plants", "devices", "plant_versions", "device_versions")
"""Tables that a listing writes, together."""

SUBJECTS: Final = {"plant": "plants", "device": "devices"}

TICK_TAG: Final = "pvms/tick"
"""Names the sensor, on the runs that one has started."""

Context = dg.OpExecutionContext | dg.AssetExecutionContext


def asset_key(dataset: str) -> dg.AssetKey:
    """Asset = table: `raw/plant_daily`."""
    return dg.AssetKey(["raw", dataset])


class RecordingListener:
    """Passes progress on to whoever watches and records what is there as materializations.

    A partition is recorded if the load read some of it, if Dagster didn't know it yet (its event was lost with a
    killed process), or if it is owed to a backfill.
    """

    def __init__(
        self,
        context: Context,
        plan: PartitionPlan,
        watch: Listener,
        *,
        owed: Collection[str] = (),
        forced: bool = False,
    ) -> None:
        """`context` is that of the running op or asset; `owed` are keys, `forced` whether it reads again on purpose."""
        self._owed = set(owed)
        self._forced = forced
        self._context = context
        self.plan = plan
        self._watch = watch
        self._known: dict[str, set[str]] = {}
        self.recorded = 0

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass on."""
        self._watch.progress(stage, done, total)

    def message(self, text: str) -> None:
        """Pass on, and keep in the run's log."""
        self._context.log.info(text)
        self._watch.message(text)

    def completed(self, partition: CompletedPartition) -> None:
        """Record one partition."""
        self._watch.completed(partition)
        name = self.plan.key(partition.dataset, partition.plant_code, partition.period)
        known = self._materialized(partition.dataset)
        if not partition.touched and str(name) in known and str(name) not in self._owed:
            return
        metadata = partition_metadata(partition)
        if self._forced and partition.touched:
            metadata["read_again_on_purpose"] = True
        self._record(asset_key(partition.dataset), metadata, name)
        known.add(str(name))
        self._owed.discard(str(name))

    def inventory(self, lake: Lake, *, listed: bool) -> None:
        """Record plants and devices if they were listed anew, or if Dagster doesn't know them yet."""
        for name in INVENTORY:
            if listed or not self._is_known(asset_key(name)):
                self._record(asset_key(name), table_metadata(lake.read(name)))

    def realtime(self, report: LoadReport) -> None:
        """Record the polls of this load."""
        for name in REALTIME_DATASETS:
            rows = {table: count for table, count in report.rows.items() if table.startswith(name)}
            if rows:
                self._record(asset_key(name), {"dagster/row_count": sum(rows.values()), "rows_by_table": rows})

    def _record(self, key: dg.AssetKey, metadata: Mapping[str, Any], partition: str | None = None) -> None:
        event = dg.AssetMaterialization(asset_key=key, partition=partition, metadata=metadata)
        if partition is not None and TICK_TAG in self._context.run.tags:
            # The run of a tick is deleted after a while; what it has completed stays known.
            self._context.instance.report_runless_asset_event(event)
        else:
            self._context.log_event(event)
        self.recorded += 1

    def _materialized(self, dataset: str) -> set[str]:
        if dataset not in self._known:
            self._known[dataset] = set(self._context.instance.get_materialized_partitions(asset_key(dataset)))
        return self._known[dataset]

    def _is_known(self, key: dg.AssetKey) -> bool:
        return self._context.instance.get_latest_materialization_event(key) is not None


def partition_metadata(partition: CompletedPartition) -> dict[str, Any]:
    """Rows and their share of all slots, plants or devices, what came empty, if it is provisional, calls, a sample."""
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": partition.rows,
        SUBJECTS[DATASETS[partition.dataset].subject]: partition.subjects,
        "empty_periods": partition.empty,
        "provisional": partition.provisional,
        "calls": round(partition.calls, 3),
    }
    if partition.slots:
        metadata["slots_with_rows_pct"] = round(100 * partition.rows / partition.slots, 1)
    if partition.sample:
        metadata["sample"] = dg.MetadataValue.md(partition.sample)
    return metadata


def table_metadata(frame: pl.DataFrame) -> dict[str, Any]:
    """Row count and a few rows."""
    metadata: dict[str, Any] = {"dagster/row_count": frame.height}
    sample = sample_table(frame)
    if sample:
        metadata["sample"] = dg.MetadataValue.md(sample)
    return metadata
