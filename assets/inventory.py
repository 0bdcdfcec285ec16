"""The inventory: plants and devices. A run lists them anew and makes every plant a partition."""

from collections.abc import Iterator

import dagster as dg

from assets.extraction import KINDS, OWNERS, POOL, fail_if_failed
from assets.loading import load_and_record
from assets.recording import asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.fleet import current_fleet
from pipelines.load.request import LoadRequest, latest_local_date
from pipelines.northbound.clock import SystemClock
from schemas.datasets import DATASETS


def build() -> list[dg.AssetsDefinition]:
    """Plants and devices, listed together."""

    @dg.multi_asset(
        name="inventory",
        specs=[
            dg.AssetSpec(
                asset_key(name),
                description=f"{DATASETS[name].description} What the vendor no longer lists keeps its row.",
                owners=OWNERS,
                kinds=KINDS,
                group_name="extraction",
            )
            for name in ("plants", "devices")
        ],
        required_resource_keys={RESOURCE},
        pool=POOL,
    )
    def inventory(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        pvms: Pvms = context.resources.pvms
        today = latest_local_date((pvms.clock or SystemClock()).now())
        request = LoadRequest(today, today, ("plants",), refresh_inventory=True, why="inventory in Dagster")
        fail_if_failed(load_and_record(context, pvms, request))
        with pvms.services() as services:
            fleet = current_fleet(services)
        counts = {"plants": fleet.plants.height, "devices": fleet.devices.height}
        for name, count in counts.items():
            yield dg.MaterializeResult(asset_key=asset_key(name), metadata={"dagster/row_count": count})

    return [inventory]
