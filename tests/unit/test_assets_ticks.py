"""What starts by itself, and above all what doesn't."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets import polling, ticks
from assets.jobs import load_job
from assets.recording import TICK_TAG
from assets.resources import Pvms
from assets.ticks import AT_MOST_EVERY, AT_WORK_WITHIN, KEEP_RUNS, REST_AFTER_FAILURES
from assets.unfinished import marked
from pipelines.load.due import note_next_work
from pipelines.load.request import LoadRequest
from pipelines.load.request_table import RequestTable, table_file
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def pvms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pvms:
    # However full the disk of the machine that tests.
    monkeypatch.setattr(ticks, "lacks_room", lambda _: None)
    return Pvms(Settings(home=tmp_path, env_file=None))


@dg.job(name="load")
def _load() -> None: ...


@dg.job(name=polling.JOB)
def _loop() -> None: ...


def _run(
    instance: dg.DagsterInstance, job: dg.JobDefinition, status: dg.DagsterRunStatus, *, by_hand: bool = False
) -> str:
    """A run that a tick has started, or a person, and that has come so far."""
    run = instance.create_run_for_job(
        job, tags={} if by_hand else {TICK_TAG: ticks.LOOP if job is _loop else ticks.WORK}
    )
    event = {
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterRunStatus.STARTED: dg.DagsterEventType.RUN_START,
    }[status]
    instance.report_dagster_event(dg.DagsterEvent(event.value, job.name), run.run_id)
    return run.run_id


def test_all_are_off_until_the_setting_says_on(pvms: Pvms, tmp_path: Path) -> None:
    for on in (False, True):
        site = Pvms(Settings(home=tmp_path, env_file=None, ticks=on))
        built = ticks.build(site, load_job(site), polling.realtime_job(site))
        wanted = dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED
        assert {each.name: each.default_status for each in built} == dict.fromkeys(("work", "realtime", "tidy"), wanted)


def _ended(instance: dg.DagsterInstance) -> datetime:
    """When the last run ended: Dagster stamps it by the machine's clock."""
    end = instance.get_run_records(limit=1)[0].end_time
    assert end is not None
    return datetime.fromtimestamp(end, tz=UTC)


def test_the_worker_starts_once_and_then_when_its_note_says(instance, pvms, clock) -> None:
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.RunRequest)
    _run(instance, _load, dg.DagsterRunStatus.SUCCESS)
    note_next_work(pvms.settings.home, clock.now(), clock.now())
    lately = ticks.work_tick(instance, pvms, clock, clock)
    assert isinstance(lately, dg.SkipReason)
    clock.advance(AT_MOST_EVERY.total_seconds())
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.RunRequest)
    note_next_work(pvms.settings.home, clock.now() + timedelta(hours=5), clock.now())
    clock.advance(4 * 3600)
    waiting = ticks.work_tick(instance, pvms, clock, clock)
    assert isinstance(waiting, dg.SkipReason)
    assert "nothing to do before" in str(waiting.skip_message)
    clock.advance(3600)
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.RunRequest)


def test_what_a_backfill_left_starts_the_worker_when_it_may_go_on(instance, pvms, clock) -> None:
    home, now = pvms.settings.home, clock.now()
    note_next_work(home, now + timedelta(hours=20), now - timedelta(hours=1))
    table = RequestTable(table_file(home))
    asked = table.note(LoadRequest(now.date(), now.date(), ("plant_hourly",)), now, "backfill/plant_hourly")
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.RunRequest)
    table.settle(asked.id, now, periods=3, calls=1, next_at=now + timedelta(hours=2))
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.SkipReason)
    clock.advance(2 * 3600)
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.RunRequest)
    table.settle(asked.id, now, periods=0)
    assert isinstance(ticks.work_tick(instance, pvms, clock, clock), dg.SkipReason)


def test_no_second_run_beside_one_that_is_under_way(instance, pvms, clock) -> None:
    note_next_work(pvms.settings.home, None, clock.now() - timedelta(days=1))
    looks = ((_load, lambda: ticks.work_tick(instance, pvms, clock, clock)),)
    looks += ((_loop, lambda: ticks.realtime_tick(instance, pvms, clock)),)
    for job, tick in looks:
        _run(instance, job, dg.DagsterRunStatus.STARTED, by_hand=True)
        assert isinstance(tick(), dg.RunRequest)
        _run(instance, job, dg.DagsterRunStatus.STARTED)
        assert isinstance(tick(), dg.SkipReason)


def test_a_run_that_died_before_it_was_at_work_is_not_waited_for(instance, pvms, clock) -> None:
    note_next_work(pvms.settings.home, None, clock.now() - timedelta(days=1))
    run_id = _run(instance, _loop, dg.DagsterRunStatus.STARTED)
    machine = ManualClock(datetime.now(UTC))
    assert isinstance(ticks.realtime_tick(instance, pvms, machine), dg.SkipReason)
    machine.advance(AT_WORK_WITHIN.total_seconds() + 60)
    with marked(pvms.settings.home, run_id):
        assert isinstance(ticks.realtime_tick(instance, pvms, machine), dg.SkipReason)
    assert isinstance(ticks.realtime_tick(instance, pvms, machine), dg.SkipReason)
    run = instance.get_run_by_id(run_id)
    assert run is not None and run.status is dg.DagsterRunStatus.FAILURE
    machine = ManualClock(_ended(instance))
    assert isinstance(ticks.realtime_tick(instance, pvms, machine), dg.RunRequest)


def test_failures_in_a_row_make_it_rest_longer(instance, pvms, clock) -> None:
    for rest in REST_AFTER_FAILURES:
        _run(instance, _load, dg.DagsterRunStatus.FAILURE)
        held = ManualClock(_ended(instance) + rest - timedelta(seconds=10))
        if rest:
            reason = ticks.work_tick(instance, pvms, clock, held)
            assert isinstance(reason, dg.SkipReason)
            assert "failed" in str(reason.skip_message)
        held.advance(20)
        assert isinstance(ticks.work_tick(instance, pvms, clock, held), dg.RunRequest)


def test_nothing_starts_on_a_full_disk(instance, pvms, clock, monkeypatch) -> None:
    note_next_work(pvms.settings.home, None, clock.now() - timedelta(days=1))
    monkeypatch.setattr(ticks, "lacks_room", lambda _: "Only 1.0 GB are left.")
    looks = ticks.work_tick(instance, pvms, clock, clock), ticks.realtime_tick(instance, pvms, clock)
    for reason in looks:
        assert isinstance(reason, dg.SkipReason)
        assert "are left" in str(reason.skip_message)


def test_the_loop_waits_for_an_inventory_and_goes_on_at_once(instance, pvms, clock) -> None:
    assert isinstance(ticks.realtime_tick(instance, pvms, clock), dg.SkipReason)
    note_next_work(pvms.settings.home, None, clock.now())
    _run(instance, _loop, dg.DagsterRunStatus.SUCCESS)
    assert isinstance(ticks.realtime_tick(instance, pvms, ManualClock(_ended(instance))), dg.RunRequest)


def test_old_runs_of_ticks_are_deleted_and_no_others(instance) -> None:
    started = [_run(instance, job, dg.DagsterRunStatus.SUCCESS) for job in (_loop, _load)]
    failed = _run(instance, _load, dg.DagsterRunStatus.FAILURE)
    running = _run(instance, _loop, dg.DagsterRunStatus.STARTED)
    by_hand = _run(instance, _load, dg.DagsterRunStatus.SUCCESS, by_hand=True)
    machine = ManualClock(_ended(instance))
    ticks.tidy_tick(instance, machine)
    assert {run.run_id for run in instance.get_runs()} == {*started, failed, running, by_hand}
    machine.advance((KEEP_RUNS + timedelta(minutes=1)).total_seconds())
    assert "Deleted 3 runs" in str(ticks.tidy_tick(instance, machine).skip_message)
    assert {run.run_id for run in instance.get_runs()} == {running, by_hand}
