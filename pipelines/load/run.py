"""One load from request to published warehouse. The order is always file, then coverage, then event."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from pipelines.load.after import after_load
from pipelines.load.asking import Asker, LoadStopped
from pipelines.load.blocks import ranges
from pipelines.load.build import build_and_publish, needs_build
from pipelines.load.fleet import Fleet
from pipelines.load.instants import load_instant
from pipelines.load.inventory import ensure_inventory
from pipelines.load.partitions import Partitioning, Touched, completed_partitions
from pipelines.load.periodic import PeriodicLoad
from pipelines.load.refused import SharedRefusals, write_refused
from pipelines.load.request import (
    PERIODIC_DATASETS,
    Listener,
    LoadReport,
    LoadRequest,
    Silent,
    UsageError,
    latest_local_date,
)
from pipelines.load.request_table import Asked, left_of, periodic
from pipelines.load.room import DiskFillsUp, check_room
from pipelines.load.services import Services, server_now
from pipelines.load.wanting import Wanting
from pipelines.owner_files import OWNER_FILES
from pipelines.settings import Settings


def run_load(
    request: LoadRequest,
    services: Services,
    listener: Listener | None = None,
    *,
    build: bool = True,
    on_inventory: Callable[[Fleet], Partitioning] | None = None,
    request_id: str | None = None,
    remember: bool = True,
) -> LoadReport:
    """Load what is wanted and not there, within quota; build and publish the warehouse.

    What was done stays, however the load ends, and what was not is kept in the request table. `build=False` leaves
    the warehouse to the caller; `on_inventory` is told the fleet before anything else is asked, and says how the
    assets are partitioned. `request_id`: under which several loads share one row of that table; not `remember`: an
    earlier load has written down what this one asks for.

    Raises:
        UsageError: a future date or an unknown plant, before any data is asked for.
        QuotaExhausted: not even the inventory could be asked for.
    """
    watch = listener or Silent()
    report = LoadReport()
    check_dates(request, services.clock.now())
    check_owner_files(services.settings)
    services.lake.fold()  # what an earlier, killed load left behind
    asked = note_request(services, request, request_id) if remember else None
    if asked is not None and request.force:
        request = replace(request, force_since=asked.request.force_since)
    made_before = services.calls_made()
    refusals = SharedRefusals(services.refused_file, services.coverage, services.clock)
    asker = Asker(services.clients, services.clock, report, watch, request.wait)
    if request.force:
        for client in services.clients.values():
            client.forget_denials()
    else:
        asker.refused_plants, asker.share, asker.search = refusals.plants, refusals.share, refusals.search
    asked_for: tuple[str, ...] = ()
    try:
        fleet = ensure_inventory(services, asker, report, watch, request.refresh_inventory)
        try:
            request = without_gone(request, fleet, services, report)
        except UsageError:
            if asked is not None:
                services.requests.forget(asked.id)
            raise
        asked_for = tuple(code for code in request.plants if code in fleet.zones) or tuple(fleet.zones)
        touched = Touched(on_inventory(fleet) if on_inventory else Partitioning())
        _load_datasets(request, services, watch, report, asker, fleet, touched)
        if asked is not None:
            _settle(services, asked, report)
    except (LoadStopped, DiskFillsUp) as stopped:
        text = stopped.error.describe() if isinstance(stopped, LoadStopped) else str(stopped)
        if not any(text in known for known in report.failures):
            report.failures.append(text)
        return _finish(services, report, watch, made_before, build and bool(report.rows))
    finally:
        asker.share()
        if request.force:
            open_again = [
                code for code in asked_for if code in asker.answered_plants and code not in asker.refused_plants
            ]
            write_refused(services.refused_file, asker.refused_plants, services.clock.now(), open_again=open_again)
    return _finish(services, report, watch, made_before, build)


NOTHING: Final = ("nothing",)
"""No dataset: no plant is left to ask about."""


def note_request(services: Services, request: LoadRequest, request_id: str | None = None) -> Asked | None:
    """Keep what a load is to bring, so that others go on with it if this one can't; None if it has no past."""
    if not periodic(request):
        return None
    kept = replace(request, force_since=server_now(services)) if request.force and not request.force_since else request
    return services.requests.note(kept, services.clock.now(), request_id)


def declare_requests(services: Services, fleet: Fleet) -> None:
    """Write down what killed loads did not get to: then the worker finds it like all that was asked for by dates."""
    for asked in services.requests.unfinished():
        if asked.state != "open":
            continue
        request = asked.request
        wanting = Wanting(services, fleet, LoadReport(), blocks=request.blocks)
        plants = [code for code in request.plants if code in fleet.zones]
        for dataset in periodic(request) if plants or not request.plants else ():
            for start, end in ranges(dataset, request.start, request.end):
                wanting.todo(dataset, fleet.subjects(dataset, plants), start, end, tell=False)
        services.requests.settle(asked.id, services.clock.now(), left_of(asked, services.coverage))


def _settle(services: Services, asked: Asked, report: LoadReport) -> None:
    names = set(periodic(asked.request))
    waiting = [each for each in report.waiting if each.dataset in names]
    services.requests.settle(
        asked.id,
        services.clock.now(),
        left_of(asked, services.coverage),
        sum(each.calls for each in waiting) or None,
        min((each.next_at for each in waiting if each.next_at is not None), default=None),
    )


def _load_datasets(
    request: LoadRequest,
    services: Services,
    watch: Listener,
    report: LoadReport,
    asker: Asker,
    fleet: Fleet,
    touched: Touched,
) -> None:
    periodic = PeriodicLoad(services, request, fleet, asker, report, watch.progress, touched)

    def tell(dataset: str, start: date, end: date) -> None:
        now = services.clock.now()
        for partition in completed_partitions(
            touched, fleet, services.coverage, dataset, start, end, request.plants, now
        ):
            report.completed += 1
            watch.completed(partition)
        touched.clear()

    try:
        for dataset in request.wanted_datasets:
            if dataset not in PERIODIC_DATASETS:
                check_room(services.settings.home)
                load_instant(services, request, fleet, asker, report, dataset, touched)
                if dataset == "alarms":
                    tell(dataset, request.start, request.end)
                continue
            ending = None
            for start, end in ranges(dataset, request.start, request.end):
                if ending is not None:
                    periodic.leave(dataset, start, end, ending)
                    continue
                try:
                    ending = periodic.run(dataset, start, end)
                finally:
                    # Also when the load ends here: what has landed is told.
                    tell(dataset, start, end)
    finally:
        services.lake.fold(lambda done, total: watch.progress("fold", done, total))


def _finish(
    services: Services, report: LoadReport, watch: Listener, made_before: Counter[str], build: bool
) -> LoadReport:
    report.calls = dict(services.calls_made() - made_before)
    if build and needs_build(services, report):
        build_and_publish(services, watch)
        report.published = True
    after_load(services, report)
    return report


def check_owner_files(settings: Settings) -> None:
    """Read the owner's files before the first call is spent.

    Raises:
        SettingsError: naming the file, the line and the column.
    """
    for kind, read in OWNER_FILES.items():
        read(getattr(settings, f"{kind}_file"))


def check_dates(request: LoadRequest, now: datetime) -> None:
    """Refuse a range that ends before it starts or lies in the future everywhere on earth.

    Raises:
        UsageError: with the latest date that exists now.
    """
    if request.end < request.start:
        raise UsageError(f"--to {request.end} lies before --from {request.start}.")
    latest = latest_local_date(now)
    if request.end > latest:
        raise UsageError(f"{request.end} lies in the future; the latest date that has begun anywhere is {latest}.")


def without_gone(request: LoadRequest, fleet: Fleet, services: Services, report: LoadReport) -> LoadRequest:
    """The request without plants that are listed no more, or whose zone is unknown; these are told as refused.

    Raises:
        UsageError: a plant that was never listed.
    """
    missing = [code for code in request.plants if code not in fleet.zones]
    if not missing:
        return request
    known = set(services.lake.read("plants")["plant_code"])
    check_plants(replace(request, plants=tuple(code for code in missing if code not in known)), fleet)
    for code in missing:
        if code not in fleet.without_zone:
            report.refuse(f"plant {code}", "it is listed no more, so nothing is asked about it. Its data stay.")
    left = tuple(code for code in request.plants if code in fleet.zones)
    return replace(request, plants=left, datasets=request.datasets if left else NOTHING)


def check_plants(request: LoadRequest, fleet: Fleet) -> None:
    """Refuse plant codes that no account sees.

    Raises:
        UsageError: naming them and a few that exist.
    """
    unknown = [code for code in request.plants if code not in fleet.zones]
    if unknown:
        some = ", ".join(list(fleet.zones)[:5])
        raise UsageError(
            f"Unknown plant {', '.join(unknown)}. {len(fleet.zones)} plants are listed, such as {some}; "
            "raw.plants lists them all, "
            "--refresh-inventory asks the vendor anew."
        )
