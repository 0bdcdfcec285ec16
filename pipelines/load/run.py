"""One load from request to published warehouse. The order is always file, then coverage, then event."""

from collections import Counter
from datetime import date, datetime, timedelta

from pipelines.load.asking import Asker, LoadStopped
from pipelines.load.build import build_and_publish
from pipelines.load.fleet import Fleet
from pipelines.load.instants import load_instant
from pipelines.load.inventory import ensure_inventory
from pipelines.load.partitions import completed_partitions
from pipelines.load.periodic import PeriodicLoad
from pipelines.load.request import (
    PERIODIC_DATASETS,
    Listener,
    LoadReport,
    LoadRequest,
    Silent,
    UsageError,
)
from pipelines.load.services import Services


def run_load(
    request: LoadRequest, services: Services, listener: Listener | None = None, *, build: bool = True
) -> LoadReport:
    """Load what is wanted and not there, within quota; build and publish the warehouse.

    What was done stays, however the load ends. `build=False` leaves the warehouse to the caller.

    Raises:
        UsageError: a future date or an unknown plant, before any data is asked for.
        QuotaExhausted: not even the inventory could be asked for.
    """
    watch = listener or Silent()
    report = LoadReport()
    check_dates(request, services.clock.now())
    services.lake.fold()  # what an earlier, killed load left behind
    begun_at = services.clock.now()
    asker = Asker(services.client, services.clock, report, watch, request.wait)
    try:
        fleet = ensure_inventory(services, asker, report, watch, request.refresh_inventory)
        check_plants(request, fleet)
        _load_datasets(request, services, watch, report, asker, fleet)
    except LoadStopped as stopped:
        text = stopped.error.describe()
        if text not in report.failures:
            report.failures.append(text)
        return _finish(services, report, watch, begun_at, build and bool(report.rows))
    return _finish(services, report, watch, begun_at, build)


def _load_datasets(
    request: LoadRequest, services: Services, watch: Listener, report: LoadReport, asker: Asker, fleet: Fleet
) -> None:
    periodic = PeriodicLoad(services, request, fleet, asker, report, watch.progress)
    begun: list[str] = []
    try:
        for dataset in request.wanted_datasets:
            begun.append(dataset)
            if dataset in PERIODIC_DATASETS:
                periodic.run(dataset)
            else:
                load_instant(services, request, fleet, asker, report, dataset)
    finally:
        # Also when the load ends early: what has landed is folded and its partitions are told.
        services.lake.fold(lambda done, total: watch.progress("fold", done, total))
        for dataset in begun:
            _tell_completed(request, services, watch, report, fleet, dataset)


def _tell_completed(
    request: LoadRequest, services: Services, watch: Listener, report: LoadReport, fleet: Fleet, dataset: str
) -> None:
    if dataset.endswith("realtime"):
        return
    for partition in completed_partitions(
        fleet, services.coverage, dataset, request.start, request.end, request.plants, services.clock.now()
    ):
        report.completed.append(partition)
        watch.completed(partition)


def _finish(services: Services, report: LoadReport, watch: Listener, begun_at: datetime, build: bool) -> LoadReport:
    made = services.client.ledger.calls(begun_at)
    report.calls = dict(Counter(call.endpoint for call in made if call.account == services.client.account))
    if build:
        build_and_publish(services, watch)
        report.published = True
    return report


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


def latest_local_date(now: datetime) -> date:
    """The calendar date at UTC+14, the first place where a day begins."""
    return (now + timedelta(hours=14)).date()


def check_plants(request: LoadRequest, fleet: Fleet) -> None:
    """Refuse plant codes that the account doesn't see.

    Raises:
        UsageError: naming them and a few that exist.
    """
    unknown = [code for code in request.plants if code not in fleet.zones]
    if unknown:
        some = ", ".join(list(fleet.zones)[:5])
        raise UsageError(
            f"Unknown plant {', '.join(unknown)}. This account sees {len(fleet.zones)} plants, such as {some}; "
            '`pvms sql "select plant_code, plant_name from raw.plants"` lists them, '
            "--refresh-inventory asks the vendor anew."
        )
