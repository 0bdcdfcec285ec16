"""Builds the assets of datasets that have a past: one function, told apart by the catalog alone."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from assets.loading import load_and_record
from assets.partitions import PartitionPlan, asset_period, partitions_of, read_key
from assets.recording import asset_key
from assets.resources import RESOURCE
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.planning.calendar import next_period
from schemas.datasets import DATASETS

OWNERS: Final = ["team:data"]
KINDS: Final = {"deltalake", "parquet"}
POOL: Final = "northbound"
"""One account has one quota: runs that call the vendor share a pool."""


def periodic_asset(dataset: str, plan: PartitionPlan) -> dg.AssetsDefinition:
    """The asset of one dataset, partitioned by plant and date; a run covers all its partitions at once."""
    spec = DATASETS[dataset]

    @dg.asset(
        key=asset_key(dataset),
        description=f"{spec.description} Endpoint {spec.endpoint}. A run asks only for what is missing or provisional.",
        partitions_def=partitions_of(dataset, plan),
        backfill_policy=dg.BackfillPolicy.single_run(),
        owners=OWNERS,
        kinds=KINDS,
        group_name="extraction",
        output_required=False,
        required_resource_keys={RESOURCE},
        pool=POOL,
        metadata={"dataset": dataset, "endpoint": spec.endpoint},
    )
    def extract(context: dg.AssetExecutionContext) -> Iterator[Any]:
        request = request_for(dataset, list(context.partition_keys), plan)
        report = load_and_record(context, context.resources.pvms, request)
        fail_if_failed(report)
        # Nothing is yielded: each completed partition has its own event already.
        yield from ()

    return extract


def request_for(dataset: str, keys: list[str], plan: PartitionPlan) -> LoadRequest:
    """The load that brings these partitions."""
    parts = [read_key(key) for key in keys]
    plants = tuple(dict.fromkeys(plant for plant, _ in parts))
    firsts = [first for _, first in parts if first is not None]
    start = min(firsts, default=date.today())  # noqa: DTZ011  a yearly call answers the whole life whatever the date
    period = asset_period(dataset, plan)
    end = next_period(period, max(firsts)) - timedelta(days=1) if period and firsts else start
    return LoadRequest(start=start, end=end, datasets=(dataset,), plants=plants, why="materialized in Dagster")


def fail_if_failed(report: LoadReport) -> None:
    """Turn a load with failures into a failed run that says what failed; what was done is recorded.

    Raises:
        dagster.Failure: with one line a failure.
    """
    if report.failures:
        raise dg.Failure(
            description="\n".join(report.failures), metadata={"report": dg.MetadataValue.json(dict(report.as_dict()))}
        )
