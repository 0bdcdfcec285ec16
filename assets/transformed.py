"""Tells Dagster which dbt models a load has built, so that the UI doesn't show them as never built."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dagster as dg

from assets.recording import Context
from pipelines.lake.publish import open_published
from pipelines.lake.transform import TransformReport

BUILT: Final = "success"
BUILT_KINDS: Final = ("model.", "seed.")

RELATIONS: Final = """
select table_name, schema_name, estimated_size from duckdb_tables()
union all
select view_name, schema_name, null from duckdb_views() where not internal
"""


def record_models(context: Context, home: Path, report: TransformReport) -> None:
    """One event per model or seed that was built, by the same key (schema, name) as the dbt assets have."""
    places = published_relations(home)
    for node, status in report.nodes.items():
        name = node.rpartition(".")[2]
        if not node.startswith(BUILT_KINDS) or status != BUILT or name not in places:
            continue
        schema, rows = places[name]
        metadata: dict[str, Any] = {} if rows is None else {"dagster/row_count": rows}
        context.log_event(dg.AssetMaterialization(asset_key=dg.AssetKey([schema, name]), metadata=metadata))


def published_relations(home: Path) -> Mapping[str, tuple[str, int | None]]:
    """Schema and number of rows of each relation of dbt's schemas, by name; views would have to be read to count."""
    connection = open_published(home)
    try:
        found = connection.execute(RELATIONS).fetchall()
    finally:
        connection.close()
    return {name: (schema, rows) for name, schema, rows in found if schema not in ("raw", "ops", "pvms")}
