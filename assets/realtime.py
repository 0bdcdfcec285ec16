"""Real-time values of plants and devices: a run polls once and appends, with the server's own time."""

import dagster as dg

from assets.extraction import KINDS, OWNERS, POOL, fail_if_failed
from assets.loading import load_and_record
from assets.recording import asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.request import REALTIME_DATASETS, LoadRequest, latest_local_date
from pipelines.northbound.clock import SystemClock
from schemas.datasets import DATASETS


def build() -> list[dg.AssetsDefinition]:
    """One asset per real-time dataset, unpartitioned."""
    return [_realtime_asset(name) for name in REALTIME_DATASETS]


def _realtime_asset(dataset: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(dataset),
        description=f"{DATASETS[dataset].description} A run polls once.",
        owners=OWNERS,
        kinds=KINDS,
        group_name="extraction",
        required_resource_keys={RESOURCE},
        pool=POOL,
    )
    def poll(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        pvms: Pvms = context.resources.pvms
        today = latest_local_date((pvms.clock or SystemClock()).now())
        report = load_and_record(context, pvms, LoadRequest(today, today, (dataset,), why="polled in Dagster"))
        fail_if_failed(report)
        return dg.MaterializeResult(metadata={"dagster/row_count": sum(report.rows.values())})

    return poll
