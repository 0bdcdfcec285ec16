"""Tells Dagster what a load completed: one event per partition, after its data and coverage are durable."""

from datetime import date
from typing import Any

import dagster as dg

from assets.partitions import PartitionPlan, asset_period, partition_key
from pipelines.load.request import CompletedPartition, Listener
from pipelines.planning.calendar import first_of


def asset_key(dataset: str) -> dg.AssetKey:
    """Asset = table: `raw/plant_daily`."""
    return dg.AssetKey(["raw", dataset])


class RecordingListener:
    """Passes progress on to whoever watches and records completed partitions as materializations.

    A partition is recorded if the load read some of it, or if Dagster didn't know it yet (its event was lost
    with a killed process). Where the asset's grain is coarser than coverage's, the events of its days fall
    together on one key.
    """

    def __init__(
        self, context: dg.OpExecutionContext | dg.AssetExecutionContext, plan: PartitionPlan, watch: Listener
    ) -> None:
        """`context` is that of the running op or asset."""
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
        key = asset_key(partition.dataset)
        name = partition_key(partition.plant_code, self._first(partition))
        if not partition.touched and name in self._materialized(partition.dataset, key):
            return
        self._context.log_event(
            dg.AssetMaterialization(asset_key=key, partition=name, metadata=partition_metadata(partition))
        )
        self._materialized(partition.dataset, key).add(name)
        self.recorded += 1

    def _first(self, partition: CompletedPartition) -> date | None:
        grain = asset_period(partition.dataset, self.plan)
        return first_of(grain, partition.period) if grain and partition.period else partition.period

    def _materialized(self, dataset: str, key: dg.AssetKey) -> set[str]:
        if dataset not in self._known:
            self._known[dataset] = set(self._context.instance.get_materialized_partitions(key))
        return self._known[dataset]


def partition_metadata(partition: CompletedPartition) -> dict[str, Any]:
    """Row count, number of plants or devices, whether it is provisional, and a few rows."""
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": partition.rows,
        "subjects": partition.subjects,
        "provisional": partition.provisional,
    }
    if partition.sample:
        metadata["sample"] = dg.MetadataValue.md(partition.sample)
    return metadata
