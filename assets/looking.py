"""Quota and backlog as assets of their own, and the job `look`: materializing one looks, records, and calls nobody."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

# Its name is not public, and what defines a job returns it.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.checks import BY_KEY
from assets.extraction import OWNERS
from assets.looks import BACKLOG, QUOTA, looks, record_power
from assets.resources import RESOURCE, Pvms

DESCRIPTIONS: Final = {
    QUOTA: "What each account's quota leaves of each endpoint, and when the next call may go out. A figure, not a "
    "table: `pvms status --json` has the same. Materializing it only looks.",
    BACKLOG: "What is wanted and not there yet: plant periods by state, calls left, days of quota until done. "
    "A figure, not a table: ops.coverage has every period. Materializing it only looks.",
}


def build() -> list[dg.AssetsDefinition]:
    """Quota and backlog, looked at together."""

    @dg.multi_asset(
        name="looking",
        specs=[
            dg.AssetSpec(key, description=text, owners=OWNERS, kinds={"sqlite"}, group_name="operations")
            for key, text in DESCRIPTIONS.items()
        ],
        required_resource_keys={RESOURCE},
        can_subset=True,
    )
    def looking(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        pvms: Pvms = context.resources.pvms
        for key, metadata in looks(pvms):
            if key in context.selected_asset_keys:
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        record_power(context, pvms)

    return [looking]


def look_job() -> UnresolvedAssetJobDefinition:
    """The job `look`: quota, backlog and all checks, without a call to the vendor."""
    return dg.define_asset_job(
        "look",
        selection=dg.AssetSelection.assets(QUOTA, BACKLOG) | dg.AssetSelection.checks(*BY_KEY),
        description="Looks at quota and backlog, and runs all checks on the published warehouse. Calls nobody.",
    )
