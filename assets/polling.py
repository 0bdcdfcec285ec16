"""The job `realtime`: an hour of polling in one run, for a run of Dagster's own costs more than a poll."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from assets.extraction import fail_if_failed
from assets.instance import kept_open
from assets.loading import look_at
from assets.partitions import partition_plan
from assets.pools import REALTIME
from assets.reconcile import reconcile
from assets.recording import Context, RecordingListener
from assets.resources import RESOURCE, Pvms, as_resource
from assets.transformed import record_models
from assets.unfinished import forget, marked, unfinished
from pipelines.interrupts import keyboard_interrupts
from pipelines.load.build import build_and_publish, needs_build
from pipelines.load.partitions import touched_partitions
from pipelines.load.polling import Polled, run_polling

JOB: Final = "realtime"
OP: Final = "poll_realtime"


class PollConfig(dg.Config):
    """How long the loop runs."""

    minutes: int = Field(default=60, ge=5, le=24 * 60)


@dg.op(
    name=OP,
    required_resource_keys={RESOURCE},
    pool=REALTIME,
    description="Polls plants and devices every 5 minutes and alarms every 30, then publishes and looks at it.",
)
def poll_op(context: dg.OpExecutionContext, config: PollConfig) -> None:
    """Poll for the configured time."""
    poll_and_record(context, context.resources.pvms, timedelta(minutes=config.minutes))


def poll_and_record(context: Context, pvms: Pvms, length: timedelta) -> Polled:
    """Poll for so long, record it; at the end build and publish the warehouse once, and look at it.

    Raises:
        dagster.Failure: a call failed; what was polled is kept and published.
    """
    home, run_id = pvms.settings.home, context.run.run_id
    left = unfinished(home)
    with keyboard_interrupts(), marked(home, run_id) as mark, kept_open(home, run_id), pvms.services() as services:
        mark.reads = True
        recorder = RecordingListener(context, partition_plan(pvms.settings), pvms.listener)
        polled = run_polling(services, services.clock.now() + length, recorder, partitioning=recorder.plan.partitioning)
        report = polled.report
        recorder.realtime(report)
        if polled.fleet is not None:
            now = services.clock.now()
            for partition in touched_partitions(polled.touched, polled.fleet, services.coverage, now):
                # A day of observation is recorded once, not every hour: its event is kept for good.
                recorder.completed(replace(partition, touched=False))
        if left or needs_build(services, report):
            transformed = build_and_publish(services, pvms.listener)
            record_models(context, home, transformed)
            if left:
                # A killed process may have taken events with it.
                reconcile(pvms.settings, context.instance, services.clock.now())
            forget(home, left)
            look_at(context, pvms, transformed)
    for failure in report.failures:
        context.log.warning(failure)
    context.log.info(f"{report.as_dict()}")
    if polled.stopped is not None or (report.failures and not polled.slots):
        # A call that failed among many costs a slot, which history brings; it's no failed hour.
        fail_if_failed(report)
    return polled


def realtime_job(pvms: Pvms) -> dg.JobDefinition:
    """The job, bound to one `PVMS_HOME`."""

    @dg.job(
        name=JOB,
        resource_defs={RESOURCE: as_resource(pvms), "io_manager": dg.mem_io_manager},
        executor_def=dg.in_process_executor,
        description="Poll real-time values and alarms for an hour.",
    )
    def realtime() -> None:
        poll_op()

    return realtime
