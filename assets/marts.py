"""The dbt project as assets: staging and marts. A run builds them from the lake as it is and publishes."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import dagster as dg
import orjson
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

from assets.extraction import OWNERS
from assets.resources import RESOURCE, Pvms
from pipelines.lake.built_views import views_are_current
from pipelines.lake.database import build_lock
from pipelines.lake.paths import paths_of
from pipelines.lake.publish import publish
from pipelines.lake.transform import BUILD_COMMAND, dbt_environment, parse_project, project_folder
from pipelines.load.build import prepare
from pipelines.settings import Settings

NAME: Final = "warehouse"


class Translator(DagsterDbtTranslator):
    """Models belong to us and are grouped by their schema; several source tables are one asset."""

    def __init__(self) -> None:
        """`device_history_*` and `device_realtime_*` are one asset each."""
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Every asset has an owner."""
        return OWNERS

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """`staging` or `marts`."""
        return str(dbt_resource_props["schema"])


def build(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All dbt models as one definition, and the tables of schema ops that stand beside them.

    Parses the project if its manifest is not there or is stale.
    """
    manifest = parse_project(settings.home)

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=Translator(),
        name=NAME,
        required_resource_keys={RESOURCE},
    )
    def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        home = pvms.settings.home
        with pvms.services() as services, build_lock(home):
            prepare(services)
            threads, memory = pvms.settings.duckdb_threads, pvms.settings.duckdb_memory
            os.environ.update(dbt_environment(home, threads=threads, memory_limit=memory))
            target = paths_of(home).dbt / "dagster"
            command = [*BUILD_COMMAND]
            if not views_are_current(paths_of(home), project_folder()):
                # What an earlier project made of 5-minute rows may differ in columns and in meaning.
                command.append("--full-refresh")
            yield from dbt_cli().cli(command, context=context, target_path=target).stream()
            publish(home, threads=threads, memory_limit=memory)

    return [warehouse, *ops_tables(manifest)]


def ops_tables(manifest: Path) -> list[dg.AssetSpec]:
    """What every build of the warehouse writes anew without being asked: ledger, coverage, the owner's files."""
    sources = orjson.loads(manifest.read_bytes())["sources"].values()
    return [
        dg.AssetSpec(
            dg.AssetKey([source["schema"], source["name"]]),
            description=source["description"],
            owners=OWNERS,
            kinds={"duckdb"},
            group_name="operations",
        )
        for source in sources
        if source["schema"] == "ops"
    ]


def dbt_cli() -> DbtCliResource:
    """dbt of this very environment, whatever PATH says."""
    project = str(project_folder())
    return DbtCliResource(
        project_dir=project, profiles_dir=project, dbt_executable=str(Path(sys.executable).parent / "dbt")
    )
