"""The inventory: plants, devices and their versions. A run lists them anew and makes every plant a partition."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.extraction import GROUP, KINDS, OWNERS, fail_if_failed
from assets.loading import load_and_record
from assets.pools import NORTHBOUND
from assets.recording import INVENTORY, asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.request import LoadRequest
from schemas.tables import TABLES


def build() -> list[dg.AssetsDefinition]:
    """Plants, devices and what they were before, listed together."""

    @dg.multi_asset(
        name="inventory",
        specs=[
            dg.AssetSpec(
                asset_key(name),
                description=TABLES[name].description,
                owners=OWNERS,
                kinds=KINDS,
                group_name=GROUP,
                # The load records them, as in every other run that lists them.
                skippable=True,
            )
            for name in INVENTORY
        ],
        required_resource_keys={RESOURCE},
        pool=NORTHBOUND,
        # One of them alone can't be listed, but it can be selected.
        can_subset=True,
    )
    def inventory(context: dg.AssetExecutionContext) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        today = pvms.latest_date
        request = LoadRequest(today, today, ("plants",), refresh_inventory=True, why="inventory in Dagster")
        fail_if_failed(load_and_record(context, pvms, request))
        yield from ()

    return [inventory]
