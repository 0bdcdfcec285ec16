"""Real-time values of plants and devices: a run polls once and appends, with the server's own time."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.extraction import GROUP, KINDS, OWNERS, fail_if_failed
from assets.loading import load_and_record
from assets.pools import NORTHBOUND
from assets.recording import asset_key
from assets.resources import RESOURCE, Pvms
from pipelines.load.request import REALTIME_DATASETS, LoadRequest
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
        group_name=GROUP,
        output_required=False,
        required_resource_keys={RESOURCE},
        pool=NORTHBOUND,
        metadata={"dataset": dataset, "endpoint": DATASETS[dataset].endpoint},
    )
    def poll(context: dg.AssetExecutionContext) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        today = pvms.latest_date
        report = load_and_record(context, pvms, LoadRequest(today, today, (dataset,), why="polled in Dagster"))
        fail_if_failed(report)
        # The load records the poll, as `pvms load` does.
        yield from ()

    return poll
