"""What a load would cost in calls, against the least possible, and how many days of quota that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipelines.load.asking import Asker
from pipelines.load.fleet import Fleet
from pipelines.load.inventory import ensure_inventory
from pipelines.load.request import PERIODIC_DATASETS, Listener, LoadReport, LoadRequest
from pipelines.load.run import check_dates, check_owner_files, check_plants
from pipelines.load.services import Services
from pipelines.load.wanting import Wanting
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.estimate import Estimate, estimate
from pipelines.planning.packing import lower_bound_history
from pipelines.planning.reports import lower_bound_reports
from schemas.datasets import DATASETS

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True)
class Cost:
    """The estimates by dataset, and how many wanted periods are there already."""

    estimates: Mapping[str, Estimate]
    wanted: int
    covered: int


def cost_of(request: LoadRequest, services: Services, listener: Listener) -> Cost:
    """Plan a load without making it; asks the vendor for nothing beyond a stale inventory.

    Raises:
        UsageError: as `run_load`.
        LoadStopped: there is no inventory and it can't be had.
    """
    check_dates(request, services.clock.now())
    check_owner_files(services.settings)
    report = LoadReport()
    asker = Asker(services.clients, services.clock, report, listener, wait=False)
    fleet = ensure_inventory(services, asker, report, listener, request.refresh_inventory)
    check_plants(request, fleet)
    load = Wanting(services, fleet, report, request.force)
    estimates: dict[str, Estimate] = {}
    wanted = 0
    for dataset in request.wanted_datasets:
        if dataset not in PERIODIC_DATASETS:
            continue
        subjects = fleet.subjects(dataset, request.plants)
        todo = load.todo(dataset, subjects, request.start, request.end, declare=False)
        wanted += len(todo)
        calls = len(load.plan(dataset, todo, subjects))
        estimates[dataset] = _estimate(
            services, fleet, dataset, calls, least_possible(services, dataset, todo, subjects)
        )
    return Cost(estimates, wanted + report.already_covered, report.already_covered)


def least_possible(services: Services, dataset: str, todo: list[Cell], subjects: Mapping[str, Subject]) -> int:
    """A number of calls that no plan can go below."""
    if DATASETS[dataset].window == "range":
        return lower_bound_history(todo, subjects)
    return lower_bound_reports(dataset, todo, subjects, services.clock.now())


def _estimate(services: Services, fleet: Fleet, dataset: str, calls: int, least: int) -> Estimate:
    endpoint = DATASETS[dataset].endpoint
    per_day = free = 0
    for client in services.clients.values():
        limit, window = client.ledger.quota(endpoint, client.counts)
        allowance = client.allowance(endpoint)
        whole_day = limit * max(1, DAY_SECONDS // int(window.total_seconds()))
        per_day += whole_day
        free += whole_day if window.total_seconds() < DAY_SECONDS else max(0, allowance.limit - allowance.used)
    return estimate(endpoint, calls, least, per_day, free)
