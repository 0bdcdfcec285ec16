"""Goes on with what was asked for by dates, in the UI or by `pvms load`, and what a quota or a kill left undone."""

from datetime import datetime

from assets.loading import load_and_record
from assets.recording import Context
from assets.resources import Pvms
from pipelines.load.request import LoadReport, WorkRequest
from pipelines.load.request_table import requests_due as due
from pipelines.settings import Settings


def continue_requests(context: Context, pvms: Pvms, *, stop_at: datetime | None = None) -> LoadReport:
    """Do what is worth most now: fresh data first, then what is still asked for, then the backlog, within quota.

    Records each partition that it completes, and keeps in the request table what is left and until when. `stop_at`
    (aware): when to end at the latest.

    Raises:
        Whatever `run_work` and `build_and_publish` raise.
    """
    return load_and_record(context, pvms, WorkRequest(stop_at=stop_at))


def requests_due(settings: Settings, now: datetime) -> bool:
    """Whether a run of `continue_requests` may bring something of what was asked for by dates; asks the vendor nothing.

    False while every request waits for a quota that frees later. Cheap enough for every tick.
    """
    return due(settings.home, now)
