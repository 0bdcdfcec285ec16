"""The job behind `pvms load`: what Dagster knows afterwards. dbt is left out here; raw and ops are built for real."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster_bench import DAY, NOW, Bench, Watcher, bench, metadata_of, no_dbt

from assets.home import dagster_home
from assets.jobs import load_job, run_config
from assets.loading import register_plants
from assets.partitions import partition_plan
from assets.resources import Pvms
from assets.unfinished import marked, unfinished
from assets.webserver import KilledRuns
from pipelines.lake.errors import LakeError
from pipelines.lake.publish import open_published
from pipelines.load.fleet import current_fleet
from pipelines.load.request import DEFAULT_DATASETS, LoadRequest, UsageError
from pipelines.northbound.errors import QuotaExhausted
from pipelines.simulator.world import World, build_world

NEXT = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@pytest.fixture(scope="module", autouse=True)
def _without_dbt() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.load.build.run_dbt", no_dbt)
        yield


@pytest.fixture(scope="module")
def loaded(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home into which two days of everything were loaded."""
    with bench(tmp_path_factory.mktemp("loaded"), world) as one:
        watcher = Watcher()
        report = one.load(DAY, NEXT, watcher)
        assert report.exit_code == 0
        assert report.published
        assert report.completed == len(watcher.partitions)
        yield one


@pytest.fixture
def fresh(world: World, tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, world) as one:
        yield one


def expected(plant: str) -> dict[str, set[str]]:
    days = {f"{day}|{plant}" for day in (DAY, NEXT)}
    return {
        "device_history": days,
        "plant_hourly": days,
        "plant_daily": {f"2025-06-01|{plant}"},
        "device_daily": {f"2025-06-01|{plant}"},
        "plant_monthly": {f"2025-01-01|{plant}"},
        "device_monthly": {f"2025-01-01|{plant}"},
        "plant_yearly": {plant},
        "device_yearly": {plant},
        # As of now, whatever dates were asked for.
        "alarms": {f"2025-06-10|{plant}"},
    }


def matrix(one: Bench) -> dict[str, set[str]]:
    return {name: one.partitions(name) for name in DEFAULT_DATASETS}


def test_exactly_the_completed_partitions_are_there(loaded: Bench) -> None:
    assert matrix(loaded) == expected(loaded.plant)


def test_an_event_tells_rows_devices_and_shows_a_few(loaded: Bench) -> None:
    (second, first) = loaded.events("device_history")
    assert (first.partition, second.partition) == (f"{DAY}|{loaded.plant}", f"{NEXT}|{loaded.plant}")
    told = metadata_of(first)
    tables = (
        "device_history_residential_inverter",
        "device_history_residential_battery",
        "device_history_power_sensor",
    )
    mine = [loaded.rows(name) for name in tables]
    there = [frame.filter(frame["local_date"] == DAY) for frame in mine]
    assert told["dagster/partition_row_count"] == sum(frame.height for frame in there) > 800
    slots = 288 * told["devices"]
    assert told["slots_with_rows_pct"] == round(100 * told["dagster/partition_row_count"] / slots, 1) > 40
    assert told["devices"] == 3
    assert told["provisional"] is False
    assert str(DAY) in told["sample"]
    assert str(NEXT) not in told["sample"]


def test_events_tell_what_their_partitions_cost_in_calls(loaded: Bench) -> None:
    shares = [metadata_of(each)["calls"] for each in loaded.events("device_history")]
    # A call carries both days of all devices of one type.
    assert shares == [pytest.approx(loaded.calls()["getDevHistoryKpi"] / 2)] * 2 == [1.5, 1.5]


def test_a_month_that_runs_on_is_provisional(loaded: Bench) -> None:
    (event,) = loaded.events("plant_daily")
    assert metadata_of(event)["provisional"] is True


def test_the_inventory_is_recorded_with_its_rows(loaded: Bench) -> None:
    counts = {name: metadata_of(loaded.events(name)[0])["dagster/row_count"] for name in ("plants", "devices")}
    assert counts == {"plants": 1, "devices": len(loaded.world.devices)}


def test_plants_are_partitions(loaded: Bench) -> None:
    assert loaded.instance.get_dynamic_partitions("plants") == [loaded.plant]
    assert partition_plan(loaded.settings).start == DAY


def test_a_load_that_reads_nothing_records_nothing(loaded: Bench) -> None:
    final = ["device_history", "plant_hourly"]
    before = {name: len(loaded.events(name)) for name in (*final, "alarms", "plants", "devices")}
    calls = loaded.calls()
    report = loaded.load(DAY, NEXT, datasets=(*final,))
    assert report.completed == 4
    assert not report.published
    assert loaded.calls() == calls
    assert {name: len(loaded.events(name)) for name in before} == before


def test_provisional_periods_are_recorded_again_when_read_again(loaded: Bench) -> None:
    before = len(loaded.events("plant_daily"))
    loaded.load(NOW.date(), NOW.date(), datasets=("plant_daily",), force=True)
    assert len(loaded.events("plant_daily")) == before + 1


def test_a_real_time_poll_is_recorded(loaded: Bench) -> None:
    assert loaded.events("plant_realtime") == []
    report = loaded.load(DAY, DAY, datasets=("plant_realtime", "device_realtime"))
    polled = {
        name: metadata_of(loaded.events(name)[0])["dagster/row_count"] for name in ("plant_realtime", "device_realtime")
    }
    assert polled == {"plant_realtime": 1, "device_realtime": sum(report.rows.values()) - 1}


def test_nothing_is_printed_and_wrong_usage_is_said_as_such(
    loaded: Bench, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dagster would copy what is printed through files that helper processes follow.
    monkeypatch.setattr("dagster._core.execution.compute_logs.subprocess", None)
    assert loaded.load(DAY, DAY, datasets=("plant_hourly",)).exit_code == 0
    with pytest.raises(UsageError, match="NE=0"):
        loaded.load(DAY, DAY, plants=("NE=0",))
    with pytest.raises(UsageError, match="2025-06-12"):
        loaded.load(DAY, date(2025, 6, 12))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no such plant"),
        LakeError("the lake"),
        QuotaExhausted("used up", endpoint="stations", next_at=NOW),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_error_that_ends_a_load_comes_out_as_it_is(
    loaded: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("assets.loading.run_load", fail)
    with pytest.raises(type(error)) as caught:
        loaded.load(DAY, DAY)
    assert caught.value is error
    assert loaded.runs()[0].status is dg.DagsterRunStatus.FAILURE
    # It ended before anything was read, so nothing waits to be published.
    assert unfinished(loaded.home) == []


def test_events_that_were_lost_are_made_good_without_a_call(fresh: Bench) -> None:
    names = ("plant_hourly", "device_daily")
    fresh.load(DAY, NEXT, datasets=names)
    fresh.close()
    shutil.rmtree(dagster_home(fresh.home))
    calls = fresh.calls()
    assert not fresh.load(DAY, NEXT, datasets=names).published
    assert fresh.calls() == calls
    assert {name: fresh.partitions(name) for name in names} == {name: expected(fresh.plant)[name] for name in names}
    assert [metadata_of(each)["dagster/partition_row_count"] for each in fresh.events("plant_hourly")] == [24, 24]
    assert len(fresh.events("plants")) == 1


class Interrupter(Watcher):
    """Presses Ctrl-C when a stage begins."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def progress(self, stage: str, done: int, total: int) -> None:
        super().progress(stage, done, total)
        if stage == self.stage:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("stage", ["device_daily", "warehouse"])
def test_an_interrupt_keeps_what_was_done(fresh: Bench, stage: str) -> None:
    names = ("plant_hourly", "device_daily")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fresh.load(DAY, DAY, Interrupter(stage), datasets=names)
    assert signal.getsignal(signal.SIGINT) is handler
    assert fresh.runs()[0].status is dg.DagsterRunStatus.FAILURE
    assert unfinished(fresh.home) == [fresh.runs()[0].run_id]
    assert fresh.partitions("plant_hourly") == {f"{DAY}|{fresh.plant}"}
    assert len(fresh.partitions("device_daily")) == (stage == "warehouse")

    assert fresh.load(DAY, DAY, datasets=names).published
    assert len(fresh.partitions("device_daily")) == 1
    # What had been read and was final is not asked again, nor recorded again.
    assert [fresh.calls()[name] for name in ("stations", "getKpiStationHour", "getDevKpiDay")] == [1, 1, 2]
    assert len(fresh.events("plant_hourly")) == 1


def test_changed_owner_files_are_published_without_a_call(world: World, fresh: Bench, tmp_path: Path) -> None:
    fresh.load(DAY, DAY, datasets=("plant_daily",))
    calls = fresh.calls()

    def tariffs() -> int:
        with open_published(fresh.home) as warehouse:
            (count,) = warehouse.execute("select count(*) from ops.tariffs").fetchone() or (None,)
            return int(count)

    assert not fresh.load(DAY, DAY, datasets=("plant_daily",)).published
    file = tmp_path / "tariffs.csv"
    head = "plant_code,valid_from,valid_to,purchase_price_per_kwh\n"
    file.write_text(f"{head}{fresh.plant},2025-01-01,2025-12-31,0.3\n", encoding="utf-8")
    changed = replace(fresh, settings=replace(fresh.settings, tariffs_file=file))
    assert changed.load(DAY, DAY, datasets=("plant_daily",)).published
    assert tariffs() == 1
    assert not changed.load(DAY, DAY, datasets=("plant_daily",)).published
    # A plant that nobody knows is told of, for its rows count for nothing.
    watcher = Watcher()
    file.write_text(f"{head}elsewhere,2025-01-01,2025-12-31,0.3\n", encoding="utf-8")
    assert changed.load(DAY, DAY, watcher, datasets=("plant_daily",)).published
    assert [text for text in watcher.messages if "elsewhere" in text and "PVMS_TARIFFS_FILE" in text]
    # Taken away again, it is gone from the warehouse, too.
    assert fresh.load(DAY, DAY, datasets=("plant_daily",)).published
    assert tariffs() == 0
    assert fresh.calls() == calls


def killed_run(one: Bench) -> str:
    """Leave behind what a killed process leaves: a run that Dagster thinks is going on, and its lock file."""
    job = load_job(Pvms(one.settings, clock=one.clock))
    config = run_config(LoadRequest(DAY, DAY), fail_on_failures=True).to_config_dict()
    run = one.instance.create_run_for_job(job, run_config=config, status=dg.DagsterRunStatus.STARTED)
    (one.home / "state" / "runs").mkdir(exist_ok=True)
    (one.home / "state" / "runs" / f"{run.run_id}.lock").touch()
    return run.run_id


def status_of(one: Bench, run_id: str) -> dg.DagsterRunStatus:
    run = one.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_killed_run_is_declared_failed_and_its_data_are_published(loaded: Bench) -> None:
    before = (loaded.home / "warehouse.duckdb").stat().st_ino
    killed = killed_run(loaded)
    report = loaded.load(DAY, DAY, datasets=("plant_hourly",))
    assert report.published
    assert not report.rows
    assert (loaded.home / "warehouse.duckdb").stat().st_ino != before
    assert status_of(loaded, killed) is dg.DagsterRunStatus.FAILURE
    assert unfinished(loaded.home) == []


def test_the_ui_tells_of_a_killed_load_though_no_other_load_comes(fresh: Bench) -> None:
    killed, going_on = killed_run(fresh), killed_run(fresh)
    watch = KilledRuns(fresh.settings)
    with marked(fresh.home, going_on):
        watch.tell()
        assert status_of(fresh, killed) is dg.DagsterRunStatus.FAILURE
        assert status_of(fresh, going_on) is dg.DagsterRunStatus.STARTED
    # What it read is still to be published by the next one.
    assert killed in unfinished(fresh.home)


def test_a_run_that_goes_on_elsewhere_is_left_alone(loaded: Bench) -> None:
    other = killed_run(loaded)
    with marked(loaded.home, other):
        assert not loaded.load(DAY, DAY, datasets=("plant_hourly",)).published
        assert status_of(loaded, other) is dg.DagsterRunStatus.STARTED


def test_a_failed_build_is_made_good_by_the_next_load(fresh: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise LakeError("a model failed")

        broken.setattr("pipelines.load.build.run_dbt", fail)
        with pytest.raises(LakeError):
            fresh.load(DAY, DAY, datasets=("plant_hourly",))
    assert not (fresh.home / "warehouse.duckdb").exists()
    # The data are there and so are their events; only the warehouse was missing.
    assert fresh.partitions("plant_hourly") == {f"{DAY}|{fresh.plant}"}
    assert fresh.load(DAY, DAY, datasets=("plant_hourly",)).published
    connection = open_published(fresh.home)
    try:
        assert connection.sql("select count(*) from raw.plant_hourly").fetchall() == [(24,)]
    finally:
        connection.close()


def test_plants_are_registered_once_and_in_order(loaded: Bench) -> None:
    pvms = Pvms(loaded.settings, clock=loaded.clock)
    with pvms.services() as services:
        fleet = current_fleet(services)
    for _ in range(2):
        register_plants(loaded.instance, pvms, fleet, DAY)
    assert loaded.instance.get_dynamic_partitions("plants") == [loaded.plant]
