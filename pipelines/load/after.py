"""What every load ends with, however it was started: whoever is not looking is told."""

import logging
import sqlite3
from typing import Final

import polars as pl
from deltalake.exceptions import DeltaError

from pipelines.lake.errors import LakeError
from pipelines.load import notify
from pipelines.load.request import LoadReport
from pipelines.load.services import Services
from pipelines.load.watch import watch
from pipelines.northbound.errors import NorthboundError

_log = logging.getLogger(__name__)

FORESEEABLE: Final = (
    *(OSError, sqlite3.Error, DeltaError, pl.exceptions.PolarsError),
    *(LakeError, NorthboundError, ValueError, LookupError),
)
"""A disk, a file of state or a table that can't be read: the load that has just ended was no worse for it."""


def after_load(services: Services, report: LoadReport) -> None:
    """Called at the end of each load (`run_load`, the worker's round): evaluates what is worth telling, and tells it.

    Does nothing where neither PVMS_NOTIFY_URL nor PVMS_NOTIFY_COMMAND is set. Never fails a load.
    """
    if not notify.wanted(services.settings):
        return
    try:
        watch(services.settings, services.clock.now(), services=services, report=report)
    except FORESEEABLE as error:
        _log.warning("What is to be told after a load could not be found out: %s", error)
