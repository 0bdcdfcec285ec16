"""Active alarms, partitioned by plant and the local day on which they were observed."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.extraction import KINDS, OWNERS, POOL, fail_if_failed, request_for
from assets.loading import load_and_record
from assets.partitions import PartitionPlan, partitions_of
from assets.recording import asset_key
from assets.resources import RESOURCE


def build(plan: PartitionPlan) -> list[dg.AssetsDefinition]:
    """The alarm asset."""

    @dg.asset(
        key=asset_key("alarms"),
        description="Active alarms as of now. The vendor serves no past ones, so a run fills the partitions of today, "
        "whichever day was selected; an alarm that is gone gets the interval in which it was cleared.",
        partitions_def=partitions_of("alarms", plan),
        backfill_policy=dg.BackfillPolicy.single_run(),
        owners=OWNERS,
        kinds=KINDS,
        group_name="extraction",
        output_required=False,
        required_resource_keys={RESOURCE},
        pool=POOL,
    )
    def alarms(context: dg.AssetExecutionContext) -> Iterator[Any]:
        request = request_for("alarms", list(context.partition_keys), plan)
        fail_if_failed(load_and_record(context, context.resources.pvms, request))
        yield from ()

    return [alarms]
