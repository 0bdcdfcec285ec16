"""What starts by itself: sensors that start a run only when there is something for it to do.

`work` starts the worker when its last run said that there is something to do again: the inventory, reports, fresh
days of each zone, the backlog within what quota is left, provisional re-reads; and when a backfill or another load with
dates left something that may go on. `realtime` keeps an hour's polling loop running, which polls alarms too. `tidy`
deletes old runs of both: their data are in the lake, and the partitions that they completed are recorded apart from
them.

Two clocks: Dagster stamps its runs by the machine's, work comes due by that of `Pvms`, which may be another in tests.

All are off until PVMS_TICKS is on (`pvms ui --ticks`); each can be switched in the UI as well.
"""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Final

import dagster as dg

from assets import jobs
from assets.recording import TICK_TAG
from assets.resources import Pvms
from assets.unfinished import declare_failed, has_mark, without_a_word
from pipelines.load.due import next_work
from pipelines.load.request import WorkRequest
from pipelines.load.request_table import requests_due
from pipelines.load.room import lacks_room
from pipelines.northbound.clock import Clock, SystemClock

WORK: Final = "work"
LOOP: Final = "realtime"

LOOK_EVERY = timedelta(seconds=30)

AT_MOST_EVERY: Final = timedelta(minutes=15)
"""From one worker's beginning to the next one's: quota that opens call by call is used by few runs, with few builds."""

WORKS_FOR: Final = timedelta(hours=1)
"""A worker that always finds more to do (a quota by the minute) ends after so long, and what it read is published."""

REST_AFTER_FAILURES: Final = tuple(timedelta(minutes=minutes) for minutes in (0, 1, 5, 15, 30))
"""Rest after runs that failed one after the other: one that was killed is made up for at once, and what trying
doesn't cure (a wrong password is not even tried) costs a run each half hour, no more."""

AT_WORK_WITHIN: Final = timedelta(minutes=10)
"""A run that began so long ago and holds no lock file died before it could make one (a machine that went down)."""

KEEP_RUNS: Final = timedelta(days=7)
TIDY_EVERY: Final = timedelta(hours=1)
DELETE_AT_ONCE: Final = 50
FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

Tick = dg.RunRequest | dg.SkipReason


def build(pvms: Pvms, loading: dg.JobDefinition, loop: dg.JobDefinition) -> list[dg.SensorDefinition]:
    """The sensors of one `PVMS_HOME`, running from the start where its settings say so."""
    status = dg.DefaultSensorStatus.RUNNING if pvms.settings.ticks else dg.DefaultSensorStatus.STOPPED
    clock, machine = pvms.clock or SystemClock(), SystemClock()

    @dg.sensor(
        name=WORK,
        job=loading,
        minimum_interval_seconds=int(LOOK_EVERY.total_seconds()),
        default_status=status,
        description="Starts the worker when there is something to do: reports, fresh days, backlog, re-reads.",
    )
    def work(context: dg.SensorEvaluationContext) -> Tick:
        return work_tick(context.instance, pvms, clock, machine)

    @dg.sensor(
        name=LOOP,
        job=loop,
        minimum_interval_seconds=int(LOOK_EVERY.total_seconds()),
        default_status=status,
        description="Keeps the real-time loop running: one run an hour, a poll every 5 minutes.",
    )
    def realtime(context: dg.SensorEvaluationContext) -> Tick:
        return realtime_tick(context.instance, pvms, machine)

    @dg.sensor(
        name="tidy",
        job=loop,
        minimum_interval_seconds=int(TIDY_EVERY.total_seconds()),
        default_status=status,
        description="Deletes the runs that ticks have started after a week; starts nothing.",
    )
    def tidy(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return tidy_tick(context.instance, machine)

    return [work, realtime, tidy]


def work_tick(instance: dg.DagsterInstance, pvms: Pvms, clock: Clock, machine: Clock) -> Tick:
    """Start the worker if its last run's note says so, or something that was asked for by dates; if none is at it."""
    declare_failed(instance, without_a_word(pvms.settings.home))
    now = clock.now()
    full = lacks_room(pvms.settings.home)
    if full is not None:
        return dg.SkipReason(full)
    rest = _rest(instance, pvms.settings.home, WORK, machine.now())
    if rest is not None:
        return rest
    note = next_work(pvms.settings.home)
    if note is not None:
        due = now if requests_due(pvms.settings.home, now) else note.at or now
        begins = max(due, note.begun_at + AT_MOST_EVERY)
        if begins > now:
            return dg.SkipReason(f"There is nothing to do before {_moment(begins)}.")
    config = jobs.run_config(WorkRequest(), fail_on_failures=True, works_for=WORKS_FOR)
    return dg.RunRequest(run_config=config, tags={TICK_TAG: WORK})


def realtime_tick(instance: dg.DagsterInstance, pvms: Pvms, machine: Clock) -> Tick:
    """Start the next loop if there is an inventory and none runs."""
    if next_work(pvms.settings.home) is None:
        return dg.SkipReason("Waits for the first run of the worker, which comes before the loop.")
    declare_failed(instance, without_a_word(pvms.settings.home))
    full = lacks_room(pvms.settings.home)
    if full is not None:
        return dg.SkipReason(full)
    rest = _rest(instance, pvms.settings.home, LOOP, machine.now())
    return rest or dg.RunRequest(tags={TICK_TAG: LOOP})


def tidy_tick(instance: dg.DagsterInstance, machine: Clock) -> dg.SkipReason:
    """Delete finished runs of ticks that are older than `KEEP_RUNS`; a few at a time, oldest first."""
    before = machine.now() - KEEP_RUNS
    old = instance.get_run_records(
        filters=dg.RunsFilter(tags={TICK_TAG: [WORK, LOOP]}, statuses=FINISHED, created_before=before),
        limit=DELETE_AT_ONCE,
        ascending=True,
    )
    for record in old:
        instance.delete_run(record.dagster_run.run_id)
    return dg.SkipReason(f"Deleted {len(old)} runs of ticks from before {_moment(before)}.")


def _rest(instance: dg.DagsterInstance, home: Path, tick: str, now: datetime) -> dg.SkipReason | None:
    """Why a sensor starts no further run now: one of its own is under way, or its last ones have failed."""
    runs = instance.get_run_records(filters=dg.RunsFilter(tags={TICK_TAG: tick}), limit=len(REST_AFTER_FAILURES))
    under_way = [record for record in runs if not record.dagster_run.is_finished]
    for record in under_way:
        begun = record.start_time and datetime.fromtimestamp(record.start_time, tz=UTC)
        if begun and now - begun > AT_WORK_WITHIN and not has_mark(home, record.dagster_run.run_id):
            declare_failed(instance, [record.dagster_run.run_id])
    if under_way:
        return dg.SkipReason("A run of it is under way.")
    failed = list(takewhile(lambda record: record.dagster_run.status == dg.DagsterRunStatus.FAILURE, runs))
    if not failed or failed[0].end_time is None:
        return None
    until = datetime.fromtimestamp(failed[0].end_time, tz=UTC) + REST_AFTER_FAILURES[len(failed) - 1]
    if until <= now:
        return None
    return dg.SkipReason(f"{len(failed)} runs in a row failed; the next may start at {_moment(until)}.")


def _moment(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
