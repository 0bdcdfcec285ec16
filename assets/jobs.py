"""The job `load`: a range of dates of many datasets in one run, one event per completed partition.

Assets of different partitions can't share an asset job, so this is an op that records their events itself.
"""

from datetime import date, datetime, timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from assets.extraction import fail_if_failed
from assets.loading import load_and_record
from assets.pools import NORTHBOUND
from assets.resources import RESOURCE, Pvms, as_resource
from pipelines.load.request import LoadReport, LoadRequest, WorkRequest
from pipelines.northbound.clock import SystemClock


class LoadConfig(dg.Config):
    """What the job loads; dates as text (2025-03-30), empty lists mean all.

    Without dates: what is worth most now, of all that is wanted, for `minutes` at most (0: until all is done that can
    be done now).
    """

    start: str = ""
    end: str = ""
    datasets: list[str] = Field(default_factory=list)
    plants: list[str] = Field(default_factory=list)
    wait: bool = False
    minutes: int = Field(default=0, ge=0)
    force: bool = False
    refresh_inventory: bool = False
    why: str = "load job"
    fail_on_failures: bool = True

    def as_request(self, now: datetime) -> LoadRequest | WorkRequest:
        """The request that the core understands; ValueError for a text that is no date. `now` is aware."""
        if not self.start and not self.end:
            stop_at = now + timedelta(minutes=self.minutes) if self.minutes else None
            return WorkRequest(wait=self.wait, stop_at=stop_at)
        return LoadRequest(
            start=date.fromisoformat(self.start),
            end=date.fromisoformat(self.end),
            datasets=tuple(self.datasets),
            plants=tuple(self.plants),
            wait=self.wait,
            force=self.force,
            refresh_inventory=self.refresh_inventory,
            why=self.why,
        )


OP: Final = "load_dates"
"""A job and its op can't share a name."""


@dg.op(
    name=OP,
    required_resource_keys={RESOURCE},
    pool=NORTHBOUND,
    description="Loads dates within quota, records each completed partition, publishes the warehouse.",
)
def load_op(context: dg.OpExecutionContext, config: LoadConfig) -> LoadReport:
    """Load, and return the report."""
    pvms: Pvms = context.resources.pvms
    report = load_and_record(context, pvms, config.as_request((pvms.clock or SystemClock()).now()))
    if config.fail_on_failures:
        fail_if_failed(report)
    return report


def load_job(pvms: Pvms) -> dg.JobDefinition:
    """The job, bound to one `PVMS_HOME`."""

    @dg.job(
        name="load",
        resource_defs={RESOURCE: as_resource(pvms), "io_manager": dg.mem_io_manager},
        executor_def=dg.in_process_executor,
        description="Load local dates of everything that has a past, as `pvms load` does.",
    )
    def load() -> None:
        load_op()

    return load


def run_config(
    request: LoadRequest | WorkRequest,
    *,
    fail_on_failures: bool,
    quiet: bool = False,
    works_for: timedelta = timedelta(0),
) -> dg.RunConfig:
    """The job's configuration for a request; `quiet` prints no events. `works_for`: how long one without dates may."""
    if isinstance(request, WorkRequest):
        minutes = int(works_for / timedelta(minutes=1))
        config = LoadConfig(wait=request.wait, minutes=minutes, why="work", fail_on_failures=fail_on_failures)
    else:
        config = LoadConfig(
            start=request.start.isoformat(),
            end=request.end.isoformat(),
            datasets=list(request.datasets),
            plants=list(request.plants),
            wait=request.wait,
            force=request.force,
            refresh_inventory=request.refresh_inventory,
            why=request.why,
            fail_on_failures=fail_on_failures,
        )
    return dg.RunConfig(ops={OP: config}, loggers={"console": {"config": {"log_level": "CRITICAL"}}} if quiet else None)
