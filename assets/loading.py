"""The one way in which jobs and assets load: the core's `run_load`, with Dagster as a listener."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

import dagster as dg
import duckdb

from assets.checks import now_of, record_checks
from assets.instance import kept_open
from assets.looks import record_looks
from assets.partitions import PLANTS, PartitionPlan, partition_plan, partitions_lock, settle_plan
from assets.reconcile import reconcile
from assets.recording import Context, RecordingListener, asset_key
from assets.resources import Pvms
from assets.transformed import record_models
from assets.unfinished import declare_failed, forget, marked, unfinished, without_a_word
from pipelines.interrupts import keyboard_interrupts
from pipelines.lake.errors import NoWarehouse
from pipelines.lake.transform import TransformReport
from pipelines.load.after import FORESEEABLE
from pipelines.load.build import build_and_publish, needs_build
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.partitions import PARTITION_PERIODS, Partitioning
from pipelines.load.request import LoadReport, LoadRequest, Waiting, WorkRequest
from pipelines.load.run import run_load
from pipelines.load.work import run_work
from pipelines.owner_files import read_policy
from pipelines.planning.worth import FRESH_ORDER, first_wanted

FORCE_TAG: Final = "pvms/force"
"""Of runs that read again what is final; set on a run, or on a backfill, it makes them do so."""

WAITING_TAG: Final = "pvms/waiting"
WAITS_UNTIL_TAG: Final = "pvms/waits_until"
"""What the quota left undone, and when the first of it may go on (UTC)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A load with what Dagster wants to know of it.

    `request_id`: the row of the request table that several runs share; not `remember`: an earlier run has written
    it down. `owed`: partitions that this run records also if nothing of them is to be read.
    """

    request: LoadRequest
    request_id: str | None = None
    remember: bool = True
    owed: Collection[str] = ()


def load_and_record(context: Context, pvms: Pvms, request: LoadRequest | WorkRequest | Part) -> LoadReport:
    """Run one load, or what is worth most now; record what is complete, build and publish the warehouse.

    The warehouse is built if something was read, now or by an earlier run that did not get to publish it. What the
    quota left undone stays in the request table, and the run's tags say what waits and until when.

    Raises:
        Whatever `run_load` and `build_and_publish` raise.
    """
    part = request if isinstance(request, Part) else None
    request = request.request if isinstance(request, Part) else request
    home = pvms.settings.home
    left = unfinished(home)
    declare_failed(context.instance, without_a_word(home))
    run_id = context.run.run_id
    # Dagster raises an exception of its own, which dbt, locks and thread pools don't recognise and so don't clean up
    # after; it takes KeyboardInterrupt for the same thing.
    with keyboard_interrupts(), marked(home, run_id) as mark, kept_open(home, run_id), pvms.services() as services:
        listed_before = current_fleet(services).listed_at
        forced = isinstance(request, LoadRequest) and request.force
        if forced:
            context.instance.add_run_tags(run_id, {FORCE_TAG: "true"})
        owed = part.owed if part else ()
        recorder = RecordingListener(context, partition_plan(pvms.settings), pvms.listener, owed=owed, forced=forced)
        listed = False

        def inventory_known(fleet: Fleet) -> Partitioning:
            nonlocal listed
            mark.reads = True
            listed = fleet.listed_at != listed_before
            before = recorder.plan
            recorder.plan = register_plants(context.instance, pvms, fleet, first_date(pvms, request, fleet))
            if recorder.plan.differs_from(pvms.settings):
                recorder.message(recorder.plan.kept())
            many = recorder.plan.too_many(fleet.plants.height, pvms.latest_date)
            if many and recorder.plan != before:
                recorder.message(many)
            recorder.inventory(services.lake, listed=listed)
            return recorder.plan.partitioning

        if isinstance(request, LoadRequest):
            report = run_load(
                request,
                services,
                recorder,
                build=False,
                on_inventory=inventory_known,
                request_id=part.request_id if part else None,
                remember=part is None or part.remember,
            )
        else:
            report = run_work(services, recorder, request, build=False, on_inventory=inventory_known)
        recorder.realtime(report)
        transformed: TransformReport | None = None
        if listed or left or needs_build(services, report):
            transformed = build_and_publish(services, pvms.listener)
            report.published = True
            record_models(context, home, transformed)
            if left:
                # A killed process may have taken events with it.
                reconcile(pvms.settings, context.instance, services.clock.now())
            forget(home, left)
        look_at(context, pvms, transformed)
    tell(context, report)
    return report


def look_at(context: Context, pvms: Pvms, transformed: TransformReport | None) -> None:
    """Look at what was published: checks, quota, backlog. Never fails a load.

    Where no model was built nothing there is new, and only checks that the run has announced are made.
    """
    built = transformed is not None and bool(transformed.nodes)
    try:
        record_checks(context, pvms, published=built)
        if built:
            record_looks(context, pvms)
    except NoWarehouse:
        context.log.info("Nothing was published yet that checks could look at.")
    except (*FORESEEABLE, duckdb.Error) as error:
        context.log.warning(f"What was published could not be looked at: {error}")


def first_date(pvms: Pvms, request: LoadRequest | WorkRequest, fleet: Fleet) -> date:
    """The first date that a load is about: partitions reach back to it."""
    if isinstance(request, LoadRequest):
        return request.start
    policy = read_policy(pvms.settings.policy_file, pvms.settings)
    return first_wanted({name: fleet.subjects(name).values() for name in FRESH_ORDER}, policy, now_of(pvms))


def tell(context: Context, report: LoadReport) -> None:
    """Write the outcome into the run's log: what is not there and why, then everything. What waits is a tag, too."""
    for refusal in report.refusals:
        context.log.warning(f"Refused: {refusal.what}: {refusal.why}")
    for waiting in report.waiting:
        context.log.warning(
            f"The quota ended {waiting.dataset}: {waiting.calls} calls with {waiting.cells} periods are left; "
            f"the next may go out at {waiting.next_at or 'an unknown time'}."
        )
    if report.waiting:
        times = [waiting.next_at for waiting in report.waiting if waiting.next_at is not None]
        what = "; ".join(f"{waiting.dataset}: {waiting.calls} calls" for waiting in report.waiting)
        until = min(times).strftime("%Y-%m-%dT%H:%MZ") if times else "unknown"
        context.instance.add_run_tags(context.run.run_id, {WAITING_TAG: what, WAITS_UNTIL_TAG: until})
        for waiting in report.waiting:
            if waiting.dataset in PARTITION_PERIODS:
                context.log_event(waiting_observation(waiting))
    context.log.info(f"{report.as_dict()}")


def waiting_observation(waiting: Waiting) -> dg.AssetObservation:
    """What of an asset waits for quota, shown among its events."""
    until = waiting.next_at
    return dg.AssetObservation(
        asset_key=asset_key(waiting.dataset),
        description=f"The quota left {waiting.cells} periods undone; they are continued by themselves.",
        metadata={
            "waiting_periods": waiting.cells,
            "waiting_calls": waiting.calls,
            "waits_until": dg.MetadataValue.timestamp(until) if until else "unknown",
        },
    )


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
