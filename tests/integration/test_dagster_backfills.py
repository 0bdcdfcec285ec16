"""A backfill is many runs; together they ask no more than one run would. Without the daemon, and without dbt."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.execution.backfill import PartitionBackfill
from dagster_bench import DAY, Bench, Watcher, bench, metadata_of, no_dbt

from assets import alarms, inventory, reports
from assets.jobs import load_job, run_config
from assets.loading import FORCE_TAG, WAITS_UNTIL_TAG
from assets.partitions import partition_plan
from assets.resources import RESOURCE, Pvms, as_resource
from pipelines.load.request import WorkRequest
from pipelines.load.request_table import RequestTable, table_file
from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

DAYS = [DAY - timedelta(days=back) for back in (23, 22, 21, 20)]
HOURLY = dg.AssetKey(["raw", "plant_hourly"])


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("demo")


@pytest.fixture(scope="module", autouse=True)
def _without_dbt() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.load.build.run_dbt", no_dbt)
        yield


@pytest.fixture
def fleet(tmp_path: Path, world: World) -> Iterator[Bench]:
    policy = tmp_path / "policy.toml"
    policy.write_text('[default]\ndatasets = ["plant_hourly"]\nsince = "none"\n', encoding="utf-8")
    files = {"quotas_file": quotas(tmp_path, 1000), "policy_file": policy}
    with bench(tmp_path, world, history_start=DAYS[0], **files) as one:
        run(one, ["plants"])
        yield one


def quotas(folder: Path, limit: int) -> Path:
    file = folder / "quotas.toml"
    file.write_text(f"[dynamic.getKpiStationHour]\nlimit = {limit}\n", encoding="utf-8")
    return file


def assets_of(one: Bench) -> list[dg.AssetsDefinition]:
    plan = partition_plan(one.settings)
    return [*inventory.build(), *reports.build(plan), *alarms.build(plan)]


def run(one: Bench, names: Sequence[str], *, ok: bool = True, **tags: str) -> dg.ExecuteInProcessResult:
    watch = Pvms(one.settings, Watcher(), one.clock)
    result = dg.materialize(
        assets_of(one),
        selection=[dg.AssetKey(["raw", name]) for name in names],
        instance=one.instance,
        resources={RESOURCE: as_resource(watch)},
        tags={f"dagster/{name}": value for name, value in tags.items() if name != "force"}
        | ({FORCE_TAG: tags["force"]} if "force" in tags else {}),
        raise_on_error=ok,
    )
    assert result.success is ok
    return result


def plants_of(one: Bench) -> list[str]:
    return list(one.instance.get_dynamic_partitions("plants"))


def launch(one: Bench, backfill_id: str, keys: Sequence[str], asset: dg.AssetKey = HOURLY) -> None:
    """What the UI's button writes down."""
    one.instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=backfill_id,
            asset_graph=AssetGraph.from_assets(assets_of(one)),
            partition_names=keys,
            asset_selection=[asset],
            backfill_timestamp=one.clock.now().timestamp(),
            tags={},
            dynamic_partitions_store=one.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )


def rectangle(one: Bench, days: Sequence[date]) -> list[str]:
    """Plants that were there: nothing is wanted of a day before the grid connection."""
    return [f"{day}|{plant}" for day in days for plant in there(one)]


def there(one: Bench) -> list[str]:
    return sorted(plant.code for plant in one.world.plants if plant.grid_connection.date() < DAYS[0])


def run_day(one: Bench, backfill_id: str, day: date, *, name: str = "plant_hourly", **tags: str) -> None:
    """One of the runs that Dagster makes of it: all plants of a date."""
    plants = plants_of(one)
    corners = {"start": f"{day}|{plants[0]}", "end": f"{day}|{plants[-1]}"}
    run(
        one,
        [name],
        backfill=backfill_id,
        asset_partition_range_start=corners["start"],
        asset_partition_range_end=corners["end"],
        **tags,
    )


def recorded_by(one: Bench, backfill_id: str) -> set[str]:
    """What Dagster takes for done by the backfill: events of its runs."""
    runs = {each.run_id for each in one.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id}))}
    records = one.instance.fetch_materializations(HOURLY, limit=1000).records
    return {str(record.partition_key) for record in records if record.run_id in runs}


def requests(one: Bench) -> Mapping[str, str]:
    return {each.id: each.state for each in RequestTable(table_file(one.home)).unfinished()}


def test_the_first_run_reads_all_and_the_others_find_it(fleet: Bench) -> None:
    keys = rectangle(fleet, DAYS)
    launch(fleet, "one", keys)
    before = fleet.calls()["getKpiStationHour"]
    run_day(fleet, "one", DAYS[1])
    assert recorded_by(fleet, "one") == set(keys)
    for day in (DAYS[0], DAYS[2], DAYS[3]):
        run_day(fleet, "one", day)
    assert fleet.calls()["getKpiStationHour"] - before == len(DAYS)
    assert fleet.partitions("plant_hourly") == set(keys)
    assert len(fleet.events("plant_hourly")) == len(keys), "each is recorded once"
    assert requests(fleet) == {}

    # What was there before is recorded as this backfill's, or Dagster would call it failed.
    launch(fleet, "two", keys)
    for day in DAYS:
        run_day(fleet, "two", day)
    assert recorded_by(fleet, "two") == set(keys)
    assert fleet.calls()["getKpiStationHour"] - before == len(DAYS)

    # On purpose it is read again, once by all runs together, and shown apart.
    fleet.clock.advance(3600)
    launch(fleet, "three", keys)
    for day in DAYS:
        fleet.clock.advance(60)
        run_day(fleet, "three", day, force="true")
    assert fleet.calls()["getKpiStationHour"] - before == 2 * len(DAYS)
    again = [each for each in fleet.events("plant_hourly") if "read_again_on_purpose" in metadata_of(each)]
    assert {str(each.partition) for each in again} == set(keys)


def test_what_the_quota_leaves_waits_and_is_continued(fleet: Bench) -> None:
    quotas(fleet.home, 2)
    keys = rectangle(fleet, DAYS)
    launch(fleet, "short", keys)
    for day in DAYS:
        run_day(fleet, "short", day)
    assert fleet.calls()["getKpiStationHour"] == 2
    done = fleet.partitions("plant_hourly")
    assert done == recorded_by(fleet, "short")
    assert len(done) == 2 * len(there(fleet))
    (asked,) = RequestTable(table_file(fleet.home)).unfinished()
    assert (asked.id, asked.state, asked.calls) == ("short/plant_hourly", "waiting", 2)
    assert asked.next_at is not None
    newest = fleet.runs()[0]
    assert newest.status is dg.DagsterRunStatus.SUCCESS
    waited = [each for each in fleet.runs() if WAITS_UNTIL_TAG in each.tags]
    assert {each.tags["pvms/waiting"] for each in waited} == {"plant_hourly: 1 calls", "plant_hourly: 2 calls"}
    observed = fleet.instance.fetch_observations(HOURLY, limit=9).records
    assert {each.run_id for each in observed} == {each.run_id for each in waited}

    # The next day has room for its own fresh dates, which come first, and for what waits.
    quotas(fleet.home, 40)
    fleet.clock.advance(25 * 3600)
    config = run_config(WorkRequest(), fail_on_failures=False)
    job = load_job(Pvms(fleet.settings, clock=fleet.clock))
    assert job.execute_in_process(instance=fleet.instance, run_config=config).success
    assert set(keys) <= fleet.partitions("plant_hourly")
    assert requests(fleet) == {}


def test_a_run_that_fails_halfway_keeps_what_it_did_and_the_next_goes_on(
    fleet: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = rectangle(fleet, DAYS)
    launch(fleet, "broken", keys)

    def stop(self: Watcher, stage: str, done: int, total: int) -> None:
        if stage == "plant_hourly" and done == 2:
            raise RuntimeError("a fault")

    with monkeypatch.context() as broken:
        broken.setattr(Watcher, "progress", stop)
        plants = plants_of(fleet)
        first, last = f"{DAYS[0]}|{plants[0]}", f"{DAYS[0]}|{plants[-1]}"
        run(
            fleet,
            ["plant_hourly"],
            ok=False,
            backfill="broken",
            asset_partition_range_start=first,
            asset_partition_range_end=last,
        )
    assert len(fleet.partitions("plant_hourly")) == 2 * len(there(fleet))
    assert requests(fleet) == {"broken/plant_hourly": "open"}
    for day in DAYS[1:]:
        run_day(fleet, "broken", day)
    assert fleet.partitions("plant_hourly") == set(keys)
    assert fleet.calls()["getKpiStationHour"] == len(DAYS)


def test_a_diagonal_is_no_rectangle(fleet: Bench) -> None:
    few = there(fleet)[: len(DAYS)]
    keys = [f"{day}|{plant}" for day, plant in zip(DAYS, few, strict=True)]
    launch(fleet, "diagonal", keys)
    run(fleet, ["plant_hourly"], backfill="diagonal", partition=keys[0])
    assert recorded_by(fleet, "diagonal") >= set(keys)
    # Of each plant its one day; a call may take two plants whose zones are a day apart.
    assert fleet.calls()["getKpiStationHour"] <= len(DAYS)
    asked = [record.body["stationCodes"] for record in fleet.simulator.log.calls("getKpiStationHour")]
    assert sorted(",".join(asked).split(",")) == sorted(few)


def test_runs_of_a_backfill_poll_alarms_once(fleet: Bench) -> None:
    alarm_key = dg.AssetKey(["raw", "alarms"])
    launch(fleet, "alarms", rectangle(fleet, DAYS), alarm_key)
    fleet.clock.advance(60)
    for day in DAYS:
        run_day(fleet, "alarms", day, name="alarms")
    assert fleet.calls()["getAlarmList"] == 1
