"""The job `realtime` within Dagster: an hour of polls in one run, by a clock that doesn't wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster_bench import DAY, NOW, Bench, bench, metadata_of, no_dbt

from assets.checks import BY_KEY
from assets.looks import QUOTA
from assets.polling import JOB, OP, realtime_job
from assets.recording import TICK_TAG
from assets.resources import Pvms
from assets.ticks import KEEP_RUNS, LOOP, tidy_tick
from assets.unfinished import unfinished
from pipelines.lake.publish import open_published
from pipelines.lake.transform import TransformReport
from pipelines.northbound.clock import ManualClock
from pipelines.simulator.world import build_world

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _without_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.load.build.run_dbt", no_dbt)


@contextmanager
def listing(home: Path, *faults: str) -> Iterator[Bench]:
    """A home whose plants are listed."""
    with bench(home, build_world("single"), faults=faults) as one:
        one.load(DAY, DAY, datasets=("plant_daily",))
        yield one


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[Bench]:
    with listing(tmp_path) as one:
        yield one


def poll(one: Bench, minutes: int = 60) -> dg.DagsterRun:
    """Run the job in this process, as the daemon does in one of its own."""
    job = realtime_job(Pvms(one.settings, clock=one.clock))
    config = {"ops": {OP: {"config": {"minutes": minutes}}}}
    tags = {TICK_TAG: LOOP}
    done = job.execute_in_process(instance=one.instance, run_config=config, raise_on_error=False, tags=tags)
    assert done.dagster_run.job_name == JOB
    return done.dagster_run


def test_an_hour_of_polls_is_one_run_and_is_published_and_looked_at(
    listed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.load.build.run_dbt", lambda *_, **__: TransformReport({"model.a.b": "success"}, 0.0))
    before = listed.calls()
    run = poll(listed)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    made = listed.calls() - before
    assert (made["getStationRealKpi"], made["getAlarmList"], made["login"]) == (12, 2, 0)
    assert timedelta(minutes=55) < listed.clock.now() - NOW <= timedelta(hours=1)
    rows = {}
    for name in ("plant_realtime", "device_realtime"):
        (event,) = listed.events(name)
        rows[name] = metadata_of(event)["dagster/row_count"]
    # An inverter, its battery and a power sensor; each once in each slot.
    assert rows == {"plant_realtime": 12, "device_realtime": 36}
    assert {f"{NOW.date()}|{listed.plant}"} == listed.partitions("alarms")
    assert unfinished(listed.home) == []
    looked_at(listed, run)
    # A week later the run goes; what it has completed stays known.
    tidy_tick(listed.instance, ManualClock(datetime.now(UTC) + KEEP_RUNS + timedelta(hours=1)))
    assert listed.instance.get_run_by_id(run.run_id) is None
    assert {f"{NOW.date()}|{listed.plant}"} == listed.partitions("alarms")
    connection = open_published(listed.home)
    try:
        assert connection.sql("select count(*) from raw.plant_realtime").fetchall() == [(12,)]
    finally:
        connection.close()


def looked_at(one: Bench, run: dg.DagsterRun) -> None:
    """Every check has a verdict by this run, and quota and backlog are recorded."""
    found = one.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(BY_KEY))
    assert found.keys() == set(BY_KEY)
    assert {known.run_id for known in found.values()} == {run.run_id}
    fresh = found[dg.AssetCheckKey(dg.AssetKey(["raw", "plant_realtime"]), "freshness")]
    assert fresh.status is AssetCheckExecutionRecordStatus.SUCCEEDED
    assert one.instance.get_latest_materialization_event(QUOTA) is not None


def test_a_call_that_fails_among_many_is_no_failed_hour(tmp_path: Path) -> None:
    with listing(tmp_path, "other_shape=getStationRealKpi,every=4") as one:
        assert poll(one).status is dg.DagsterRunStatus.SUCCESS
        assert 6 <= one.rows("plant_realtime").height < 12


def test_an_hour_without_a_server_ends_at_once_and_says_why(listed: Bench) -> None:
    listed.simulator.stop()
    run = poll(listed)
    assert run.status is dg.DagsterRunStatus.FAILURE
    failures = listed.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert "127.0.0.1" in str(failures[0].dagster_event)
    assert listed.clock.now() - NOW < timedelta(minutes=30)
