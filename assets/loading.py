"""The one way in which jobs and assets load: the core's `run_load`, with Dagster as a listener."""

from datetime import date

import dagster as dg
from filelock import FileLock

from assets.instance import kept_open
from assets.partitions import PLANTS, PartitionPlan, partition_plan, settle_plan
from assets.recording import Context, RecordingListener
from assets.resources import Pvms
from assets.transformed import record_models
from assets.unfinished import declare_failed, forget, marked, unfinished
from pipelines.interrupts import keyboard_interrupts
from pipelines.lake.paths import paths_of
from pipelines.load.build import build_and_publish, needs_build
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.partitions import Partitioning
from pipelines.load.request import LoadReport, LoadRequest, WorkRequest
from pipelines.load.run import run_load
from pipelines.load.work import run_work
from pipelines.planning.waves import FRESH_REACH
from pipelines.settings import Settings


def load_and_record(context: Context, pvms: Pvms, request: LoadRequest | WorkRequest) -> LoadReport:
    """Run one load, or what is worth most now; record what is complete, build and publish the warehouse.

    The warehouse is built if something was read, now or by an earlier run that did not get to publish it.

    Raises:
        Whatever `run_load` and `build_and_publish` raise.
    """
    home = pvms.settings.home
    left = unfinished(home)
    declare_failed(context.instance, left)
    run_id = context.run.run_id
    # Dagster raises an exception of its own, which dbt, locks and thread pools don't recognise and so don't clean up
    # after; it takes KeyboardInterrupt for the same thing.
    with keyboard_interrupts(), marked(home, run_id) as mark, kept_open(home, run_id), pvms.services() as services:
        listed_before = current_fleet(services).listed_at
        recorder = RecordingListener(context, partition_plan(pvms.settings), pvms.listener)
        listed = False

        def inventory_known(fleet: Fleet) -> Partitioning:
            nonlocal listed
            mark.reads = True
            listed = fleet.listed_at != listed_before
            recorder.plan = register_plants(context.instance, pvms, fleet, first_date(pvms, request))
            if recorder.plan.differs_from(pvms.settings):
                recorder.message(recorder.plan.kept())
            recorder.inventory(services.lake, listed=listed)
            return recorder.plan.partitioning

        if isinstance(request, LoadRequest):
            report = run_load(request, services, recorder, build=False, on_inventory=inventory_known)
        else:
            report = run_work(services, recorder, request, build=False, on_inventory=inventory_known)
        recorder.realtime(report)
        if listed or left or needs_build(services, report):
            transformed = build_and_publish(services, pvms.listener)
            report.published = True
            record_models(context, home, transformed)
            forget(home, left)
    tell(context, report)
    return report


def first_date(pvms: Pvms, request: LoadRequest | WorkRequest) -> date:
    """The first date that a load is about: partitions reach back to it."""
    if isinstance(request, LoadRequest):
        return request.start
    return pvms.settings.history_start or pvms.latest_date - FRESH_REACH


def tell(context: Context, report: LoadReport) -> None:
    """Write the outcome into the run's log: what is not there and why, then everything."""
    for refusal in report.refusals:
        context.log.warning(f"Refused: {refusal.what}: {refusal.why}")
    for waiting in report.waiting:
        context.log.warning(
            f"The quota ended {waiting.dataset}: {waiting.calls} calls with {waiting.cells} periods are left; "
            f"the next may go out at {waiting.next_at or 'an unknown time'}."
        )
    context.log.info(f"{report.as_dict()}")


def register_plants(instance: dg.DagsterInstance, pvms: Pvms, fleet: Fleet, start: date) -> PartitionPlan:
    """Make every plant of the inventory a partition, and settle start and grain of the dates.

    Several loads may do this at once, so they do it one after the other.
    """
    with partitions_lock(pvms.settings):
        known = set(instance.get_dynamic_partitions(str(PLANTS.name)))
        fresh = [code for code in fleet.plants["plant_code"] if code not in known]
        if fresh:
            instance.add_dynamic_partitions(str(PLANTS.name), fresh)
        return settle_plan(pvms.settings, start, fleet.plants.height, pvms.latest_date)


def partitions_lock(settings: Settings) -> FileLock:
    """Held while partitions are changed."""
    locks = paths_of(settings.home).locks
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / "partitions.lock")
