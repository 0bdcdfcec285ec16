"""Puts the definitions together; tests call it with their own settings."""

import dagster as dg

from assets import alarms, checks, history, inventory, looking, marts, realtime, reports, ticks
from assets.jobs import load_job
from assets.partitions import partition_plan
from assets.polling import realtime_job
from assets.resources import RESOURCE, Pvms, as_resource


def build_defs(pvms: Pvms) -> dg.Definitions:
    """Everything that the code location holds, for one `PVMS_HOME`."""
    plan = partition_plan(pvms.settings)
    loading, loop = load_job(pvms), realtime_job(pvms)
    return dg.Definitions(
        assets=[
            *inventory.build(),
            *reports.build(plan),
            *history.build(plan),
            *alarms.build(plan),
            *realtime.build(),
            *marts.build(pvms.settings),
            *looking.build(),
        ],
        asset_checks=checks.build(),
        jobs=[loading, loop, looking.look_job()],
        sensors=ticks.build(pvms, loading, loop),
        resources={RESOURCE: as_resource(pvms)},
        executor=dg.in_process_executor,
    )
