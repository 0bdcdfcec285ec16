"""What a run of a backfill is a part of. Dagster splits a backfill of plants x dates into many runs, one
per plant or per date.

So that they cost no more calls than one run would, the first of them reads the whole target; the others find it in
coverage. What one of them has walked stands in the request table, under the backfill's and the asset's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import dagster as dg

BACKFILL_ID_TAG: Final = "dagster/backfill"

RECORDS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill's share of one asset: the partition keys that it targets, and when it was launched (aware)."""

    id: str
    keys: tuple[str, ...]
    launched_at: datetime


def backfill_of(context: dg.AssetExecutionContext) -> Backfill | None:
    """The backfill that this run is a part of; None if it is a run by itself."""
    backfill_id = context.run.tags.get(BACKFILL_ID_TAG)
    found = context.instance.get_backfill(backfill_id) if backfill_id else None
    if found is None or found.asset_backfill_data is None:
        return None
    subset = found.asset_backfill_data.target_subset.partitions_subsets_by_asset_key.get(context.asset_key)
    launched_at = datetime.fromtimestamp(found.backfill_timestamp, UTC)
    return Backfill(found.backfill_id, tuple(subset.get_partition_keys()) if subset else (), launched_at)


def unrecorded(context: dg.AssetExecutionContext, backfill: Backfill, keys: Sequence[str]) -> set[str]:
    """Those of the keys that no run of the backfill has recorded.

    Dagster takes what its runs have not recorded for failed, also where it was there before.
    """
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            context.asset_key, asset_partitions=list(keys), after_timestamp=backfill.launched_at.timestamp()
        ),
        limit=max(RECORDS_AT_ONCE, 2 * len(keys)),
    ).records
    runs = {
        record.dagster_run.run_id
        for record in context.instance.get_run_records(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill.id}))
    }
    done = {str(record.partition_key) for record in records if record.run_id in runs}
    return {key for key in map(str, keys) if key not in done}
