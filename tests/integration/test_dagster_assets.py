"""Assets materialised one by one land what `pvms load` lands, for as many calls. dbt is left out here."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg
import pytest
from dagster_bench import DAY, NOW, Bench, bench, metadata_of, no_dbt

from assets import alarms, history, inventory, realtime, reports
from assets.partitions import partition_plan
from assets.recording import INVENTORY
from pipelines.lake.publish import open_published
from pipelines.load.request import DEFAULT_DATASETS, PERIODIC_DATASETS, LoadReport
from pipelines.simulator.world import World, build_world
from schemas.tables import TABLES

DAYS = [DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)]
TABLES_COMPARED = [name for name, table in TABLES.items() if table.dataset in PERIODIC_DATASETS]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@pytest.fixture(scope="module", autouse=True)
def _without_dbt() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.load.build.run_dbt", no_dbt)
        yield


def assets_of(one: Bench) -> list[dg.AssetsDefinition]:
    plan = partition_plan(one.settings)
    return [*inventory.build(), *reports.build(plan), *history.build(plan), *alarms.build(plan), *realtime.build()]


def materialize(
    one: Bench, names: Sequence[str], *, first: str | None = None, last: str | None = None, ok: bool = True
) -> dg.ExecuteInProcessResult:
    """As the UI does: one run over a partition, or over the rectangle between two corners."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
    result = dg.materialize(
        assets_of(one),
        selection=[dg.AssetKey(["raw", name]) for name in names],
        instance=one.instance,
        resources=one.resources,
        tags={name: value for name, value in tags.items() if value},
        raise_on_error=ok,
    )
    assert result.success is ok
    return result


@pytest.fixture(scope="module")
def by_command(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("command"), world, history_start=DAY) as one:
        one.load(DAYS[0], DAYS[-1])
        yield one


@pytest.fixture(scope="module")
def by_hand(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The same three days, materialised asset by asset: inventory, then each dataset's partitions as one range."""
    with bench(tmp_path_factory.mktemp("hand"), world, history_start=DAY) as one:
        materialize(one, ["plants", "plant_versions", "devices", "device_versions"])
        assert [len(one.events(name)) for name in INVENTORY] == [1, 1, 1, 1]
        plant = one.plant
        materialize(one, ["plant_yearly", "device_yearly"], first=plant)
        materialize(one, ["plant_monthly", "device_monthly"], first=f"2025-01-01|{plant}")
        materialize(one, ["plant_daily", "device_daily"], first=f"2025-06-01|{plant}")
        by_day = ["plant_hourly", "device_history", "alarms"]
        materialize(one, by_day, first=f"{DAYS[0]}|{plant}", last=f"{DAYS[-1]}|{plant}")
        yield one


@pytest.mark.parametrize("table", TABLES_COMPARED)
def test_a_materialised_asset_lands_what_a_load_lands(by_command: Bench, by_hand: Bench, table: str) -> None:
    assert by_hand.rows(table).equals(by_command.rows(table))


def test_there_was_something_to_compare(by_command: Bench) -> None:
    filled = {name for name in TABLES_COMPARED if by_command.rows(name).height}
    assert {"plant_hourly", "plant_daily", "device_daily", "plant_yearly", "device_history_power_sensor"} <= filled


def test_it_costs_no_more_calls(by_command: Bench, by_hand: Bench) -> None:
    assert by_hand.calls() == by_command.calls()


def test_dagster_shows_the_same_partitions(by_command: Bench, by_hand: Bench) -> None:
    for name in DEFAULT_DATASETS:
        # A partition selected by month or year is read whole; the load recorded the same one.
        assert by_hand.partitions(name) == by_command.partitions(name), name


def test_a_range_is_one_run_with_an_event_for_each_partition(by_hand: Bench) -> None:
    records = by_hand.instance.fetch_materializations(dg.AssetKey(["raw", "plant_hourly"]), limit=10).records
    assert len({record.run_id for record in records}) == 1
    events = by_hand.events("plant_hourly")
    assert sorted(str(each.partition) for each in events) == [f"{day}|{by_hand.plant}" for day in DAYS]
    assert [metadata_of(each)["dagster/partition_row_count"] for each in events] == [24, 24, 24]


def test_the_warehouse_is_published(by_hand: Bench) -> None:
    connection = open_published(by_hand.home)
    try:
        assert connection.sql("select count(*) from raw.plant_hourly").fetchall() == [(72,)]
        assert connection.sql("select count(*) from ops.api_calls").fetchall() == [(by_hand.calls().total(),)]
    finally:
        connection.close()


def test_a_final_partition_asks_and_records_nothing(by_hand: Bench) -> None:
    calls, events = by_hand.calls(), len(by_hand.events("plant_hourly"))
    materialize(by_hand, ["plant_hourly"], first=f"{DAYS[0]}|{by_hand.plant}")
    assert by_hand.calls() == calls
    assert len(by_hand.events("plant_hourly")) == events


def test_the_day_that_runs_is_materialised_as_provisional(by_hand: Bench) -> None:
    key = f"{NOW.date()}|{by_hand.plant}"
    materialize(by_hand, ["plant_hourly"], first=key)
    (event,) = [each for each in by_hand.events("plant_hourly") if each.partition == key]
    assert metadata_of(event)["provisional"] is True


def test_a_poll_is_recorded_once(by_hand: Bench) -> None:
    materialize(by_hand, ["plant_realtime"])
    (event,) = by_hand.events("plant_realtime")
    assert metadata_of(event)["dagster/row_count"] == by_hand.rows("plant_realtime").height == 1


def test_an_unknown_plant_fails_with_a_sentence(by_hand: Bench) -> None:
    by_hand.instance.add_dynamic_partitions("plants", ["NE=0"])
    try:
        result = materialize(by_hand, ["plant_hourly"], first=f"{DAY}|NE=0", ok=False)
    finally:
        by_hand.instance.delete_dynamic_partition("plants", "NE=0")
    (failure,) = result.get_step_failure_events()
    assert "Unknown plant NE=0" in str(failure.step_failure_data.error)


def test_a_call_that_fails_fails_the_run_and_keeps_the_rest(by_hand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> LoadReport:
        return LoadReport(failures=["The server said 500."])

    monkeypatch.setattr("assets.loading.run_load", fails)
    result = materialize(by_hand, ["plant_hourly"], first=f"{DAY}|{by_hand.plant}", ok=False)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert failure.step_failure_data.user_failure_data.description == "The server said 500."


# --- Several plants, one of which the account may not see ---


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    world = build_world("demo")
    with bench(tmp_path_factory.mktemp("fleet"), world, history_start=DAY) as one:
        materialize(one, ["plants"])
        assert [len(one.events(name)) for name in INVENTORY] == [1, 1, 1, 1]
        yield one


def test_a_rectangle_of_plants_and_days_is_one_run_and_as_few_calls_as_one_load(fleet: Bench) -> None:
    plants = [plant.code for plant in fleet.world.plants]
    assert fleet.instance.get_dynamic_partitions("plants") == sorted(plants)
    middle = sorted(plants)[1:4]
    calls = fleet.calls()
    materialize(fleet, ["plant_hourly"], first=f"{DAYS[0]}|{middle[0]}", last=f"{DAYS[1]}|{middle[-1]}")
    assert fleet.partitions("plant_hourly") == {f"{day}|{plant}" for day in DAYS[:2] for plant in middle}
    # One call a day, for all plants that share it.
    assert (fleet.calls() - calls)["getKpiStationHour"] == 2
