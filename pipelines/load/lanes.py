"""The sources of a fleet's work in the order of their worth, and what a backlog must leave to fresh data."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Final

from pipelines.load.fleet import Fleet
from pipelines.load.looks import AskedLook, FreshLook, Look, PastLook
from pipelines.load.services import Services
from pipelines.load.sources import Source
from pipelines.load.wanting import Wanting
from pipelines.northbound.lanes import Lane
from pipelines.planning.cells import Subject
from pipelines.planning.policy import Policy
from pipelines.planning.worth import FRESH_ORDER, REPORT_ORDER, Step
from schemas.datasets import DATASETS

TIERS: Final = (0, 1)
"""Inverters, meters and weather stations; then batteries and the rest."""


def make_sources(services: Services, fleet: Fleet, wanting: Wanting, policy: Policy) -> list[Source]:
    """Sources for everything that is wanted of a fleet, the most valuable first; none for an empty fleet."""
    if fleet.plants.is_empty():
        return []
    return list(_sources(services, fleet, wanting, policy))


def _sources(services: Services, fleet: Fleet, wanting: Wanting, policy: Policy) -> Iterator[Source]:
    everyone = {dataset: fleet.subjects(dataset) for dataset in FRESH_ORDER}
    # What different accounts see is apart: one's quota says nothing of the other's.
    groups = {
        dataset: [
            {one: subjects[one] for one in ids} for ids in fleet.by_accounts(DATASETS[dataset].endpoint, subjects)
        ]
        for dataset, subjects in everyone.items()
    }

    def source(what: str, dataset: str, lane: Lane, subjects: Mapping[str, Subject], look: Look) -> Source:
        plants = frozenset(subject.plant_code for subject in subjects.values())
        return Source(f"{dataset}, {what}", dataset, lane, wanting, everyone[dataset], look, plants)

    def fresh(dataset: str) -> Iterator[Source]:
        for subjects in groups[dataset]:
            yield source("fresh", dataset, "fresh", subjects, FreshLook(services, dataset, subjects, policy))

    def past(dataset: str, step: Step, tier: int | None = None) -> Iterator[Source]:
        what = "past" if tier is None else f"past, tier {tier}"
        for subjects in groups[dataset]:
            look = PastLook(services, dataset, step, tier, subjects, policy)
            yield source(what, dataset, "backlog", subjects, look)

    # A day's reports are a handful of calls and have quotas of their own: the newest first, then back to the start.
    for dataset in REPORT_ORDER:
        yield from fresh(dataset)
    for dataset in REPORT_ORDER:
        yield from past(dataset, Step.REPORTS)
    yield from fresh("device_history")
    for dataset in FRESH_ORDER:
        for subjects in groups[dataset]:
            look = AskedLook(services, dataset, subjects, policy, wanting)
            yield source("asked for", dataset, "backlog", subjects, look)
    for tier in TIERS:
        yield from past("device_history", Step.BACKLOG, tier)


def set_oldest(sources: list[Source], oldest: date | None) -> None:
    """Let the backlog of 5-minute data end at the oldest day that the server still has."""
    for source in sources:
        if source.dataset == "device_history" and isinstance(source.look, PastLook):
            source.look.oldest = oldest


def reserved_calls(services: Services, sources: list[Source], endpoint: str, now: datetime) -> int:
    """Calls of an endpoint's window that fresh data will need: so many a backlog must leave to them."""
    ledger = services.ledger
    _, window = ledger.quota(endpoint, services.client.counts)
    sharing = ledger.sharing(endpoint)
    return sum(
        source.look.reserve(now, window)
        for source in sources
        if isinstance(source.look, FreshLook) and source.endpoint in sharing
    )
