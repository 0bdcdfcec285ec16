"""5-minute device history: one asset over the tables of all device types."""

import dagster as dg

from assets.extraction import periodic_asset
from assets.partitions import PartitionPlan


def build(plan: PartitionPlan) -> list[dg.AssetsDefinition]:
    """The history asset."""
    return [periodic_asset("device_history", plan)]
