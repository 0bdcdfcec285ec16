"""Runs the job `load` in this process, for the command line: same job, same events as in the UI."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg
from sqlalchemy.exc import OperationalError

from assets.instance import open_instance
from assets.jobs import OP, load_job, run_config
from assets.resources import Pvms
from pipelines.lake.errors import DiskFull
from pipelines.load.request import Listener, LoadReport, LoadRequest, WorkRequest
from pipelines.northbound.clock import Clock
from pipelines.settings import Settings

NO_ROOM_BYTES: Final = 1_000_000
"""With less than this left, an error of Dagster's SQLite files means a full disk, whatever words it has for it."""


def load_through_dagster(
    settings: Settings, request: LoadRequest | WorkRequest, listener: Listener, clock: Clock | None = None
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
    with _full_disk_as_sentence(settings.home), open_instance(settings) as instance:
        job = load_job(Pvms(settings, listener, clock))
        try:
            result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=True)
        except dg.DagsterExecutionInterruptedError as interrupted:
            raise KeyboardInterrupt from interrupted
        report = result.output_for_node(OP)
    assert isinstance(report, LoadReport)
    return report


@contextmanager
def _full_disk_as_sentence(home: Path) -> Iterator[None]:
    """Dagster's records are on the same disk as everything else, and it lets SQLite's errors through."""
    try:
        yield
    except OperationalError as error:
        if "disk is full" in str(error) or shutil.disk_usage(home).free < NO_ROOM_BYTES:
            raise DiskFull(home) from error
        raise
