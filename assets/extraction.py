"""Builds the assets of datasets that have a past: one function, told apart by the catalog alone."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from assets.backfills import backfill_of, unrecorded
from assets.loading import FORCE_TAG, Part, load_and_record
from assets.partitions import PartitionPlan, partitions_of, read_key
from assets.pools import NORTHBOUND
from assets.recording import asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.load.selection import Block, blocks_of
from pipelines.load.services import server_now
from pipelines.planning.calendar import next_period
from schemas.datasets import DATASETS

OWNERS: Final = ["team:data"]
KINDS: Final = {"deltalake", "parquet"}
GROUP: Final = "extraction"
ZONES_APART: Final = timedelta(days=2)
"""Where it is latest on earth the calendar shows up to two days more than where it is earliest."""


def periodic_asset(dataset: str, plan: PartitionPlan) -> dg.AssetsDefinition:
    """The asset of one dataset, partitioned by plant and date; a run covers all its partitions at once."""
    spec = DATASETS[dataset]
    description = f"{spec.description} Endpoint {spec.endpoint}. A run asks only for what is missing or provisional."
    return partitioned_asset(dataset, plan, description)


class ReadConfig(dg.Config):
    """How a run of a partitioned asset reads."""

    force: bool = Field(
        default=False,
        description="Read again also what is final. The run tag pvms/force=true says the same for all runs of a "
        "backfill.",
    )


def partitioned_asset(dataset: str, plan: PartitionPlan, description: str) -> dg.AssetsDefinition:
    """An asset that loads the partitions of its run. Each complete one has its own event, so it yields nothing."""

    def extract(context: dg.AssetExecutionContext, config: ReadConfig) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        force = config.force or context.run.tags.get(FORCE_TAG, "").lower() == "true"
        fail_if_failed(load_and_record(context, pvms, part_of_run(context, pvms, dataset, plan, force=force)))
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
            pool=NORTHBOUND,
            metadata={"dataset": dataset, "endpoint": DATASETS[dataset].endpoint},
        )(extract)


def part_of_run(
    context: dg.AssetExecutionContext, pvms: Pvms, dataset: str, plan: PartitionPlan, *, force: bool
) -> Part:
    """What a run is to load: its own partitions; as part of a backfill all of that, until a run has walked it.

    What is read again on purpose counts from the backfill's launch, so that its runs read it once together.
    """
    own = request_for(dataset, list(context.partition_keys), plan, pvms.latest_date, force=force)
    backfill = backfill_of(context)
    if backfill is None:
        return Part(own)
    owed = unrecorded(context, backfill, context.partition_keys)
    whole_id = f"{backfill.id}/{dataset}"
    with pvms.services() as services:
        now = services.clock.now()
        known = services.requests.get(whole_id)
        # Readings bear the server's time.
        since = known.request.force_since if known else backfill.launched_at + (server_now(services) - now)
    if not backfill.keys or (known is not None and not known.is_due(now)):
        return Part(replace(own, force_since=since), remember=False, owed=owed)
    whole = request_for(dataset, backfill.keys, plan, pvms.latest_date, force=force)
    return Part(replace(whole, force_since=since), request_id=whole_id, owed=owed)


def request_for(
    dataset: str, keys: Sequence[str], plan: PartitionPlan, latest: date, *, force: bool = False
) -> LoadRequest:
    """The load that brings these partitions, up to the latest date that can be asked for.

    Yearly reports have plants alone: one call answers a whole life, whatever date is named.
    """
    parts = [read_key(key) for key in keys]
    plants = tuple(dict.fromkeys(plant for plant, _ in parts))
    how = plan.partitioning
    period = how.period(dataset)
    start, end = latest - ZONES_APART, latest
    blocks: tuple[Block, ...] = ()
    if period is not None and any(first is not None for _, first in parts):
        days: dict[str, list[tuple[date, date]]] = {}
        for plant, first in parts:
            if first is not None and first <= latest:
                begin = max(first, plan.start) if how.is_coarse(dataset) else first
                last = min(next_period(period, first) - timedelta(days=1), latest)
                days.setdefault(plant, []).append((begin, last))
        blocks = blocks_of(days)
        start = min((block.start for block in blocks), default=latest)
        end = max((block.end for block in blocks), default=latest)
    return LoadRequest(
        start=start,
        end=end,
        datasets=(dataset,),
        plants=plants,
        force=force,
        why="read again on purpose" if force else "materialized in Dagster",
        blocks=blocks if len(blocks) > 1 else (),
    )


def fail_if_failed(report: LoadReport) -> None:
    """Turn a load with failures into a failed run that says what failed; what was done is recorded.

    Raises:
        dagster.Failure: with one line a failure.
    """
    if report.failures:
        raise dg.Failure(
            description="\n".join(report.failures), metadata={"report": dg.MetadataValue.json(dict(report.as_dict()))}
        )
