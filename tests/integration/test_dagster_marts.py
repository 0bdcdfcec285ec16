"""The dbt models as assets: the graph they stand in, and a run that builds and publishes them. dbt runs for real."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster_bench import DAY, Bench, bench, metadata_of

from assets.defs import build_defs
from assets.resources import Pvms
from pipelines.lake.publish import open_published
from pipelines.simulator.world import build_world
from schemas.datasets import DATASETS

pytestmark = pytest.mark.slow

FCT_PLANT_DAY = dg.AssetKey(["marts", "fct_plant_day"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("loaded"), build_world("single")) as one:
        assert one.load(DAY, DAY, datasets=("plant_daily", "plant_hourly", "device_history")).published
        yield one


@pytest.fixture(scope="module")
def defs(loaded: Bench) -> dg.Definitions:
    return build_defs(Pvms(loaded.settings, clock=loaded.clock))


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> AssetGraph:
    return defs.resolve_asset_graph()


def models(graph: AssetGraph) -> set[dg.AssetKey]:
    return {key for key in graph.get_all_asset_keys() if key.path[0] in ("staging", "marts")}


def test_every_asset_has_an_owner_a_description_and_a_kind(graph: AssetGraph) -> None:
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert len(nodes) > 50
    assert [
        node.key for node in nodes if not (node.owners and node.description and node.kinds and node.group_name)
    ] == []


def test_every_dataset_is_an_asset_of_its_name(graph: AssetGraph) -> None:
    raw = {key.path[1] for key in graph.get_all_asset_keys() if key.path[0] == "raw"}
    assert raw == {*DATASETS, "plant_versions", "device_versions"}
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"raw", "ops", "staging", "marts"}


def test_lineage_runs_from_the_vendors_data_to_the_marts(graph: AssetGraph) -> None:
    assert graph.get(dg.AssetKey(["staging", "stg_device_history_emi"])).parent_keys >= {
        dg.AssetKey(["raw", "device_history"])
    }
    above = {FCT_PLANT_DAY}
    while missing := {parent for key in above for parent in graph.get(key).parent_keys} - above:
        above |= missing
    assert {dg.AssetKey(["raw", name]) for name in ("plants", "plant_daily", "device_history")} <= above


def test_a_load_has_recorded_every_model_by_the_key_of_its_asset(loaded: Bench, graph: AssetGraph) -> None:
    recorded = set(loaded.instance.all_asset_keys())
    assert models(graph) <= recorded
    # Nor did it record anything that is no asset.
    assert recorded <= set(graph.get_all_asset_keys())
    event = loaded.instance.get_latest_materialization_event(FCT_PLANT_DAY)
    assert event is not None
    assert event.asset_materialization is not None
    assert metadata_of(event.asset_materialization)["dagster/row_count"] == count(loaded, "marts.fct_plant_day") > 0


def count(one: Bench, relation: str) -> int:
    connection = open_published(one.home)
    try:
        (row,) = connection.sql(f"select count(*) from {relation}").fetchall()
    finally:
        connection.close()
    return int(row[0])


def test_a_run_of_the_models_builds_the_lake_as_it_is_and_publishes(
    loaded: Bench, defs: dg.Definitions, graph: AssetGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A load that got as far as the lake.
    later = DAY - timedelta(days=3)
    with monkeypatch.context() as broken:
        broken.setattr("assets.loading.build_and_publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loaded.load(later, later, datasets=("plant_hourly",))
    assert count(loaded, "staging.stg_plant_hourly") == 24
    calls = loaded.calls()

    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=loaded.instance, asset_selection=sorted(models(graph)))
    assert result.success
    assert count(loaded, "staging.stg_plant_hourly") == 48
    assert loaded.calls() == calls
    built = {event.asset_key for event in result.get_asset_materialization_events()}
    assert built == models(graph)
    # The tests of the project are checks of the assets.
    checks = result.get_asset_check_evaluations()
    assert len(checks) > 20
    assert all(check.passed for check in checks)


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_model_that_fails_publishes_nothing(
    loaded: Bench, defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (loaded.home / "warehouse.duckdb").stat().st_ino
    # A folder in dbt's way stands for any failure of it.
    monkeypatch.setattr("assets.marts.dbt_environment", lambda home, **_: {"PVMS_BUILD_DB": str(home)})
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=loaded.instance, asset_selection=[FCT_PLANT_DAY], raise_on_error=False)
    assert not result.success
    assert (loaded.home / "warehouse.duckdb").stat().st_ino == before


def test_a_second_look_at_the_project_parses_nothing(loaded: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def parses(*_: object, **__: object) -> Path:
        raise AssertionError("dbt was started")

    monkeypatch.setattr("pipelines.lake.transform._invoke", parses)
    assert build_defs(Pvms(loaded.settings, clock=loaded.clock)).resolve_asset_graph()
