"""Builds the assets of datasets that have a past: one function, told apart by the catalog alone."""

import warnings
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from assets.loading import load_and_record
from assets.partitions import PartitionPlan, partitions_of, read_key
from assets.recording import asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.planning.calendar import next_period
from schemas.datasets import DATASETS

OWNERS: Final = ["team:data"]
KINDS: Final = {"deltalake", "parquet"}
GROUP: Final = "extraction"
ZONES_APART: Final = timedelta(days=2)
"""Where it is latest on earth the calendar shows up to two days more than where it is earliest."""

POOL: Final = "northbound"
"""One account has one quota: runs that call the vendor share a pool."""


def periodic_asset(dataset: str, plan: PartitionPlan) -> dg.AssetsDefinition:
    """The asset of one dataset, partitioned by plant and date; a run covers all its partitions at once."""
    spec = DATASETS[dataset]
    description = f"{spec.description} Endpoint {spec.endpoint}. A run asks only for what is missing or provisional."
    return partitioned_asset(dataset, plan, description)


def partitioned_asset(dataset: str, plan: PartitionPlan, description: str) -> dg.AssetsDefinition:
    """An asset that loads the partitions of its run. Each complete one has its own event, so it yields nothing."""

    def extract(context: dg.AssetExecutionContext) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        request = request_for(dataset, list(context.partition_keys), plan, pvms.latest_date)
        fail_if_failed(load_and_record(context, pvms, request))
        yield from ()

    with warnings.catch_warnings():
        # A backfill policy is called beta, in words that nobody who runs this could act upon.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            key=asset_key(dataset),
            description=description,
            partitions_def=partitions_of(dataset, plan),
            backfill_policy=dg.BackfillPolicy.single_run(),
            owners=OWNERS,
            kinds=KINDS,
            group_name=GROUP,
            output_required=False,
            required_resource_keys={RESOURCE},
            pool=POOL,
            metadata={"dataset": dataset, "endpoint": DATASETS[dataset].endpoint},
        )(extract)


def request_for(dataset: str, keys: Sequence[str], plan: PartitionPlan, latest: date) -> LoadRequest:
    """The load that brings these partitions, up to the latest date that can be asked for.

    Yearly reports have plants alone: one call answers a whole life, whatever date is named.
    """
    parts = [read_key(key) for key in keys]
    plants = tuple(dict.fromkeys(plant for plant, _ in parts))
    how = plan.partitioning
    period = how.period(dataset)
    firsts = [first for _, first in parts if first is not None]
    start, end = latest - ZONES_APART, latest
    if period is not None and firsts:
        start = max(min(firsts), plan.start) if how.is_coarse(dataset) else min(firsts)
        end = min(next_period(period, max(firsts)) - timedelta(days=1), latest)
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
