"""Dagster's records made anew from coverage: after a lost instance, another grain, vanished plants. dbt is left out."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster_bench import DAY, Bench, bench, metadata_of, no_dbt

from assets.grain import change_grain, choice
from assets.home import dagster_home
from assets.launch import load_through_dagster
from assets.partitions import keep_plan, partition_plan, partitions_of
from assets.reconcile import lines_of, reconcile
from assets.unfinished import marked, ui_lock
from pipelines.lake.coverage import Coverage
from pipelines.load.request import DEFAULT_DATASETS, Silent, UsageError, WorkRequest
from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

NEXT = DAY + timedelta(days=1)
DATASETS = ("plant_hourly", "plant_daily", "plant_yearly", "alarms")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("demo")


@pytest.fixture(scope="module", autouse=True)
def _without_dbt() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.load.build.run_dbt", no_dbt)
        yield


@pytest.fixture
def loaded(tmp_path: Path, world: World) -> Iterator[Bench]:
    with bench(tmp_path, world) as one:
        assert one.load(DAY, NEXT, datasets=DATASETS).exit_code == 0
        # One day of a single plant: its neighbours are not there.
        assert one.load(NEXT + timedelta(days=1), NEXT + timedelta(days=1), datasets=("plant_hourly",)).exit_code == 0
        yield one


def matrix(one: Bench) -> dict[str, set[str]]:
    return {name: {str(key) for key in one.partitions(name)} for name in DEFAULT_DATASETS}


def lose_instance(one: Bench) -> None:
    one.close()
    shutil.rmtree(dagster_home(one.home))


def test_an_empty_instance_shows_the_same_afterwards(loaded: Bench) -> None:
    before, plants = matrix(loaded), loaded.instance.get_dynamic_partitions("plants")
    calls = loaded.calls()
    assert not reconcile(loaded.settings, loaded.instance, loaded.clock.now()).differed
    lose_instance(loaded)

    told = reconcile(loaded.settings, loaded.instance, loaded.clock.now(), dry_run=True)
    assert told.differed
    assert told.plants == list(plants)
    assert not any(matrix(loaded).values()), "a dry run changes nothing"
    done = reconcile(loaded.settings, loaded.instance, loaded.clock.now())
    assert done.as_dict() == told.as_dict()
    assert matrix(loaded) == before
    assert loaded.instance.get_dynamic_partitions("plants") == plants
    assert len(loaded.events("plants")) == 1
    event = metadata_of(loaded.events("plant_hourly")[0])
    assert (event["dagster/partition_row_count"], event["rebuilt_from"]) == (24, "coverage")
    assert event["slots_with_rows_pct"] == 100
    assert loaded.calls() == calls

    # What was lost by one asset alone.
    loaded.instance.wipe_assets([dg.AssetKey(["raw", "plant_hourly"])])
    again = reconcile(loaded.settings, loaded.instance, loaded.clock.now())
    assert (list(again.recorded), again.plants, again.tables) == (["plant_hourly"], [], [])
    assert matrix(loaded) == before


def test_what_a_load_without_dates_reads_is_in_the_matrix(tmp_path: Path, world: World) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f"[default]\ndatasets = ['plant_hourly', 'device_history']\nfreshness_days = 3\n"
        f"[groups.deep]\nplants = ['{world.plants[0].code}']\nsince = {DAY - timedelta(days=20)}\n",
        encoding="utf-8",
    )
    with bench(tmp_path / "home", world, policy_file=policy) as one:
        assert one.load(DAY, DAY, datasets=("plant_hourly",)).exit_code == 0
        assert partition_plan(one.settings).start == DAY
        for _ in range(3):
            load_through_dagster(one.settings, WorkRequest(), Silent(), clock=one.clock)
            one.clock.advance(86_400)
        keys = {name: {str(key) for key in one.partitions(name)} for name in ("plant_hourly", "device_history")}
        assert min(keys["plant_hourly"]).startswith(str(DAY - timedelta(days=20)))
        assert min(keys["device_history"]) < f"{DAY - timedelta(days=3)}"
        assert {name: shown(one, name) for name in keys} == keys


def test_dates_that_were_read_before_the_first_partition_become_partitions(loaded: Bench) -> None:
    before = shown(loaded, "plant_hourly")
    keep_plan(loaded.settings, partition_plan(loaded.settings).model_copy(update={"start": NEXT}))
    assert shown(loaded, "plant_hourly") < before
    now = loaded.clock.now()
    told = reconcile(loaded.settings, loaded.instance, now, dry_run=True)
    assert told.dates_from == DAY
    assert lines_of(told, dry_run=True) == [f"Dates would be partitions from {DAY} on: earlier ones had been read."]
    assert partition_plan(loaded.settings).start == NEXT
    # A setting is no reading: the next load makes partitions of what it wants.
    loaded.settings = replace(loaded.settings, history_start=DAY - timedelta(days=50))
    assert reconcile(loaded.settings, loaded.instance, now).as_dict() == told.as_dict()
    assert shown(loaded, "plant_hourly") == before
    assert not reconcile(loaded.settings, loaded.instance, now).differed


def test_what_is_there_is_not_left_red_by_a_run_that_failed(loaded: Bench) -> None:
    key, definition = f"{DAY}|{loaded.plant}", partitions_of("plant_hourly", partition_plan(loaded.settings))

    @dg.asset(key=["raw", "plant_hourly"], partitions_def=definition)
    def killed() -> None:
        raise RuntimeError("killed")

    def status() -> dg.AssetPartitionStatus | None:
        found = loaded.instance.get_status_by_partition(killed.key, [key], definition)
        assert found is not None
        return found[key]

    dg.materialize([killed], partition_key=key, instance=loaded.instance, raise_on_error=False)
    assert status() is dg.AssetPartitionStatus.FAILED
    now, calls = loaded.clock.now(), loaded.calls()
    assert reconcile(loaded.settings, loaded.instance, now, dry_run=True).recorded == {"plant_hourly": 1}
    assert reconcile(loaded.settings, loaded.instance, now).recorded == {"plant_hourly": 1}
    assert status() is dg.AssetPartitionStatus.MATERIALIZED
    assert not reconcile(loaded.settings, loaded.instance, now).differed
    assert loaded.calls() == calls


def test_what_is_not_there_is_shown_no_more(loaded: Bench) -> None:
    before = matrix(loaded)
    stray = f"{DAY - timedelta(days=400)}|{loaded.plant}"
    key = dg.AssetKey(["raw", "plant_hourly"])
    loaded.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=stray))
    with marked(loaded.home, "a run that may just have recorded it"):
        assert not reconcile(loaded.settings, loaded.instance, loaded.clock.now()).withdrawn
    assert reconcile(loaded.settings, loaded.instance, loaded.clock.now()).withdrawn == {"plant_hourly": 1}
    assert matrix(loaded) == before


def test_a_plant_that_vanished_and_one_that_came_change_nothing_of_what_was_there(loaded: Bench) -> None:
    before = matrix(loaded)
    # A device or plant that is declared later for dates that were complete when they were read.
    Coverage(loaded.home / "state" / "coverage.sqlite").declare([("plant_hourly", "NE=new", "NE=new", DAY)])
    gone = loaded.world.plants[0].code
    lake_plants = loaded.rows("plants")
    assert gone in lake_plants["plant_code"].to_list()
    lose_instance(loaded)
    loaded.clock.advance(40 * 86_400)
    reconcile(loaded.settings, loaded.instance, loaded.clock.now())
    assert matrix(loaded) == before


def test_the_grain_changes_without_losing_status(loaded: Bench) -> None:
    before = matrix(loaded)
    now = loaded.clock.now()
    found = choice(loaded.settings, now)
    assert found is not None
    assert (found.grain, found.auto) == ("day", "day")
    with ui_lock(loaded.home), pytest.raises(UsageError, match="pvms ui"):
        change_grain(loaded.settings, loaded.instance, "month", now)
    with marked(loaded.home, "a run"), pytest.raises(UsageError, match="load is running"):
        change_grain(loaded.settings, loaded.instance, "month", now)
    assert matrix(loaded) == before

    plan, done = change_grain(loaded.settings, loaded.instance, "month", now)
    assert plan.grain == partition_plan(loaded.settings).grain == "month"
    plants = [plant.code for plant in loaded.world.plants if plant.grid_connection.date() < DAY]
    # 7 to 9 June are there, and 10 June runs on: the month that began with the first load is complete so far.
    assert shown(loaded, "plant_hourly") == {f"2025-06|{plant}" for plant in plants}
    assert done.recorded["plant_hourly"] == len(plants)
    newest = loaded.events("plant_hourly")[0]
    assert metadata_of(newest)["provisional"] is True
    assert metadata_of(newest)["dagster/partition_row_count"] == 72
    assert shown(loaded, "plant_daily") == before["plant_daily"]
    calls = loaded.calls()
    loaded.load(DAY, NEXT, datasets=("plant_hourly",))
    assert loaded.calls() == calls, "the same data are there"

    back, _ = change_grain(loaded.settings, loaded.instance, "auto", now)
    assert back.grain == "day"
    assert shown(loaded, "plant_hourly") == before["plant_hourly"]
    assert json.loads((loaded.home / "state" / "partitions.json").read_text(encoding="utf-8"))["grain"] == "day"


def shown(one: Bench, dataset: str) -> set[str]:
    """What the matrix shows: materialized, and of the partitions as they are now."""
    valid = partitions_of(dataset, partition_plan(one.settings))
    keys = {str(key) for key in valid.get_partition_keys(dynamic_partitions_store=one.instance)}
    return keys & {str(key) for key in one.partitions(dataset)}
