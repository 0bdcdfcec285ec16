"""The one way in which jobs and assets load: the core's `run_load`, with Dagster as a listener."""

import dagster as dg

from assets.partitions import PLANTS, PartitionPlan, partition_plan, settle_plan
from assets.recording import RecordingListener
from assets.resources import Pvms
from pipelines.load.build import build_and_publish
from pipelines.load.fleet import Fleet
from pipelines.load.request import LoadReport, LoadRequest, latest_local_date
from pipelines.load.run import run_load
from pipelines.load.services import Services

Context = dg.OpExecutionContext | dg.AssetExecutionContext


def load_and_record(context: Context, pvms: Pvms, request: LoadRequest) -> LoadReport:
    """Run one load, record each completed partition, build and publish the warehouse.

    Raises:
        Whatever `run_load` raises.
    """
    with pvms.services() as services:
        listener = RecordingListener(context, partition_plan(pvms.settings), pvms.listener)

        def inventory_known(fleet: Fleet) -> None:
            listener.plan = register_plants(context.instance, services, fleet, request)

        report = run_load(request, services, listener, build=False, on_inventory=inventory_known)
        if needs_build(services, report):
            build_and_publish(services, pvms.listener)
            report.published = True
    context.log.info(f"{report.as_dict()}")
    return report


def needs_build(services: Services, report: LoadReport) -> bool:
    """Whether the published warehouse would change: something landed, or there is none yet."""
    return bool(report.rows or report.cells) or not (services.settings.home / "warehouse.duckdb").exists()


def register_plants(
    instance: dg.DagsterInstance, services: Services, fleet: Fleet, request: LoadRequest
) -> PartitionPlan:
    """Make every plant of the inventory a partition, and settle start and grain of the dates."""
    known = set(instance.get_dynamic_partitions(str(PLANTS.name)))
    fresh = [code for code in fleet.plants["plant_code"] if code not in known]
    if fresh:
        instance.add_dynamic_partitions(str(PLANTS.name), fresh)
    today = latest_local_date(services.clock.now())
    return settle_plan(services.settings, request.start, fleet.plants.height, today)
