"""The vendor's reports of plants and devices, by hour, day, month and year."""

import dagster as dg

from assets.extraction import periodic_asset
from assets.partitions import PartitionPlan
from pipelines.load.request import PERIODIC_DATASETS


def build(plan: PartitionPlan) -> list[dg.AssetsDefinition]:
    """One asset per report."""
    return [periodic_asset(name, plan) for name in PERIODIC_DATASETS if name != "device_history"]
