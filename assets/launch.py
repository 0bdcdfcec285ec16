"""Runs the job `load` in this process, for the command line: same job, same events as in the UI."""

import logging

import dagster as dg

from assets.instance import open_instance
from assets.jobs import load_job, run_config
from assets.resources import Pvms
from pipelines.load.request import Listener, LoadReport, LoadRequest
from pipelines.northbound.clock import Clock
from pipelines.settings import Settings


def load_through_dagster(
    settings: Settings, request: LoadRequest, listener: Listener, clock: Clock | None = None
) -> LoadReport:
    """Load and record in Dagster's instance of this `PVMS_HOME`.

    Raises:
        The error that ended the load, unwrapped: UsageError, NorthboundError, LakeError, ...
        KeyboardInterrupt: interrupted; the run is recorded as failed.
    """
    settings.account  # noqa: B018  a missing account is said before anything is created
    # A person who watches has the progress and the error itself; Dagster keeps its own words in the run's log.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    config = run_config(request, fail_on_failures=False, quiet=True)
    with open_instance(settings) as instance:
        job = load_job(Pvms(settings, listener, clock))
        try:
            result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=True)
        except dg.DagsterExecutionInterruptedError as interrupted:
            raise KeyboardInterrupt from interrupted
        report = result.output_for_node("load")
    assert isinstance(report, LoadReport)
    return report
