"""Active alarms, partitioned by plant and the local day on which they were observed."""

import dagster as dg

from assets.extraction import partitioned_asset
from assets.partitions import PartitionPlan

DESCRIPTION = (
    "Active alarms as of now. The vendor serves no past ones, so a run fills the partitions of today, whichever "
    "day was selected; an alarm that is gone gets the interval in which it was cleared."
)


def build(plan: PartitionPlan) -> list[dg.AssetsDefinition]:
    """The alarm asset."""
    return [partitioned_asset("alarms", plan, DESCRIPTION)]
