"""The dbt project as assets: staging and marts. A run builds them from the lake as it is and publishes."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from pipelines.lake.transform import BUILD_ARGUMENTS, dbt_environment, dbt_project_dir, write_manifest
from pipelines.lake.warehouse import build_lock, publish

from assets.extraction import OWNERS
from assets.resources import RESOURCE, Pvms
from pipelines.load.build import prepare
from pipelines.settings import Settings


class Translator(DagsterDbtTranslator):
    """Models belong to us and are grouped by their schema; twelve history tables are one source asset."""

    def __init__(self) -> None:
        """Several dbt sources share one asset: `device_history_*` and `device_realtime_*`."""
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Every asset has an owner."""
        return OWNERS

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """`staging` or `marts`."""
        return str(dbt_resource_props["fqn"][1])


def build(settings: Settings) -> list[dg.AssetsDefinition]:
    """All dbt models as one definition; parses the project once if its manifest is not there or is stale."""
    manifest = write_manifest(settings.home)

    @dbt_assets(
        manifest=manifest, dagster_dbt_translator=Translator(), name="warehouse", required_resource_keys={RESOURCE}
    )
    def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
        pvms: Pvms = context.resources.pvms
        home = pvms.settings.home
        with pvms.services() as services, build_lock(home):
            prepare(services)
            os.environ.update(dbt_environment(home))
            yield from dbt_cli().cli(list(BUILD_ARGUMENTS), context=context).stream()
            publish(home)

    return [warehouse]


def dbt_cli() -> DbtCliResource:
    """dbt of this very environment, whatever PATH says."""
    project = dbt_project_dir()
    return DbtCliResource(
        project_dir=str(project),
        profiles_dir=str(project),
        dbt_executable=str(Path(sys.executable).parent / "dbt"),
    )
