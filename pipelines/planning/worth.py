"""The order of worth: what a new account is asked for first, and what can wait.

Inventory; reports back to the grid connection, which are cheap and feed most KPIs; fresh data; then the 5-minute
backlog, newest first, inverters, meters and weather stations before batteries and sensors. Rules only: what is
covered is the caller's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Final, Literal

from pipelines.planning.calendar import first_of, today
from pipelines.planning.cells import Cell, Subject, serves, wanted_cells
from pipelines.planning.policy import EARLIEST, FROM_GRID_CONNECTION, Policy
from pipelines.planning.waves import FRESH_REACH, KnownWaves, Wave, block_of, first_fresh_day, fresh_waves
from schemas.datasets import DATASETS

TIER_0: Final = frozenset({1, 38, 17, 47, 10})
"""Inverters (1, 38), meters (17, 47) and weather stations (10): what most KPIs of 5-minute data rest on."""

REPORT_ORDER: Final = (
    "plant_daily",
    "plant_monthly",
    "plant_yearly",
    "device_daily",
    "device_monthly",
    "device_yearly",
    "plant_hourly",
)
"""Reports, the most telling for a call first. Hourly ones cost a call a day, and the daily ones tell which days have
no data."""

FRESH_ORDER: Final = (*REPORT_ORDER, "device_history")

BACKLOG_DAYS: Final = 30
"""Days of history planned at once: whole 3-day windows, so that the cuts cost no call."""

BEYOND: Final = timedelta(days=10)
"""Of the days before a piece of 5-minute data so many are looked at when it is planned: a call at its edge takes days
of both sides, and after ten days it makes no difference who went along."""

SLOT: Final = timedelta(minutes=5)
WELL_COVERED_SHARE: Final = 0.95
"""Of a day's 5-minute slots: what the completeness of KPIs asks for."""


class Step(IntEnum):
    """What is asked for, best first."""

    INVENTORY = 0
    REPORTS = 1
    FRESH = 2
    BACKLOG = 3

    @property
    def lane(self) -> Literal["fresh", "backlog"]:
        """The lane of its calls in the ledger: reports of the past and the backlog leave a reserve to the others."""
        return "fresh" if self in (Step.INVENTORY, Step.FRESH) else "backlog"


@dataclass(frozen=True, slots=True)
class Piece:
    """Local dates `first`..`last` of one dataset and, for 5-minute data, one tier: planned at once, in this order."""

    step: Step
    dataset: str
    tier: int | None
    first: date
    last: date


def tier_of(device_type_id: int) -> int:
    """Return 0 for inverters, meters and weather stations, 1 for batteries, sensors and the rest."""
    return 0 if device_type_id in TIER_0 else 1


def report_lacks_data(state: str, rows: int) -> bool:
    """Whether a settled daily report says that the plant had no data on that day, by the coverage of its cell."""
    return rows == 0 and state in ("empty", "final")


def covered_by_realtime(samples: int, day_length: timedelta = timedelta(days=1)) -> bool:
    """Whether real-time samples of a device and local day make its history no longer urgent."""
    return samples >= WELL_COVERED_SHARE * (day_length / SLOT)


def followed(dataset: str, subjects: Iterable[Subject], policy: Policy) -> list[Subject]:
    """Return those of which the policy wants the dataset, each as if connected on the first date that it wants.

    A group without a depth wants its fresh data all the same; one with a depth wants nothing before it.
    """
    return [
        replace(subject, connected=policy.start(dataset, subject) or subject.connected)
        for subject in subjects
        if policy.wanted(dataset, subject)
    ]


def scheduled(
    dataset: str, wanted: Iterable[Subject], policy: Policy, now: datetime, known: KnownWaves | None = None
) -> list[Wave]:
    """Return the waves of `followed` subjects, with each group's own freshness.

    `known` keeps waves from one reckoning for the same subjects to the next.
    """
    return fresh_waves(dataset, wanted, now, lambda subject: policy.group_of(subject.plant_code).freshness_days, known)


def first_wanted(subjects: Mapping[str, Iterable[Subject]], policy: Policy, now: datetime) -> date:
    """Return the first local date that is wanted of any of these subjects by dataset: fresh data, or the past.

    A depth that reaches back to the grid connection counts as far as that is known, and not before `EARLIEST`.
    """
    first = min(first_fresh_day(now, group.freshness_days) for group in policy.groups)
    for dataset, each_of in subjects.items():
        for subject in each_of:
            limits = _limits(dataset, subject, policy, now, None)
            if limits is None:
                continue
            since_connection = policy.depth(dataset, subject) == FROM_GRID_CONNECTION
            if not since_connection:
                first = min(first, limits[0])
            elif subject.connected:
                first = min(first, max(limits[0], EARLIEST))
    return first


def backlog_end(dataset: str, zone: str, now: datetime) -> date:
    """Return the last local day of the backlog; later days are fresh data, which come due by themselves."""
    return today(now, zone) - FRESH_REACH - timedelta(days=1)


def pieces(
    subjects: Mapping[str, Iterable[Subject]], policy: Policy, now: datetime, oldest: date | None = None
) -> Iterator[Piece]:
    """Yield the past in the order of worth: reports, then 5-minute data by tier, each newest first.

    `subjects` by dataset. `oldest` is the oldest local day of which the server still has 5-minute data.
    """
    for dataset in REPORT_ORDER:
        ranges = _ranges(dataset, subjects.get(dataset, ()), policy, now, None)
        for first, last in ranges.values():
            yield from (Piece(Step.REPORTS, dataset, None, *cut) for cut in cuts(dataset, first, last))
    ranges = _ranges("device_history", subjects.get("device_history", ()), policy, now, oldest)
    for tier, (begin, end) in sorted(ranges.items(), key=lambda item: item[0] or 0):
        for first, last in cuts("device_history", begin, end):
            yield Piece(Step.BACKLOG, "device_history", tier, first, last)


def beyond(piece: Piece) -> Piece:
    """Return the days before a piece that are looked at when it is planned."""
    return replace(piece, first=piece.first - BEYOND, last=piece.first - timedelta(days=1))


def past_cells(
    piece: Piece,
    subjects: Iterable[Subject],
    policy: Policy,
    now: datetime,
    oldest: date | None = None,
    lacks_data: Callable[[str, date], bool] = lambda plant_code, day: False,
) -> list[Cell]:
    """Return the cells of a piece: nothing before a plant's grid connection, nor before what its group wants.

    `lacks_data` tells of a plant's day whether its daily report is there and empty: 5-minute and hourly data of such
    a day aren't asked for.
    """
    by_range: dict[tuple[date, date], list[Subject]] = defaultdict(list)
    for subject in subjects:
        limits = _limits(piece.dataset, subject, policy, now, oldest)
        if limits and (piece.tier is None or _tier(piece.dataset, subject) == piece.tier):
            first, last = max(limits[0], piece.first), min(limits[1], piece.last)
            if first <= last:
                by_range[first, last].append(subject)
    plants = {subject.id: subject.plant_code for group in by_range.values() for subject in group}
    cells = (
        cell
        for (first, last), group in by_range.items()
        for cell in wanted_cells(piece.dataset, group, first, last, now)
    )
    if piece.dataset not in ("device_history", "plant_hourly", "device_daily"):
        return list(cells)
    return [cell for cell in cells if not lacks_data(plants[cell.subject], cell.period)]


def _tier(dataset: str, subject: Subject) -> int | None:
    return tier_of(subject.device_type_id) if dataset == "device_history" and subject.device_type_id else None


def _limits(
    dataset: str, subject: Subject, policy: Policy, now: datetime, oldest: date | None
) -> tuple[date, date] | None:
    start = policy.start(dataset, subject)
    if start is None or not serves(dataset, subject) or not policy.wanted(dataset, subject):
        return None
    if oldest and dataset == "device_history":
        start = max(start, oldest)
    end = backlog_end(dataset, subject.zone, now)
    return (start, end) if start <= end else None


def _ranges(
    dataset: str, subjects: Iterable[Subject], policy: Policy, now: datetime, oldest: date | None
) -> dict[int | None, tuple[date, date]]:
    """The dates that any subject of each tier wants."""
    found: dict[int | None, tuple[date, date]] = {}
    for subject in subjects:
        limits = _limits(dataset, subject, policy, now, oldest)
        if limits:
            tier = _tier(dataset, subject)
            known = found.get(tier, limits)
            found[tier] = (min(known[0], limits[0]), max(known[1], limits[1]))
    return found


def cuts(dataset: str, first: date, last: date) -> Iterator[tuple[date, date]]:
    """Cut dates where calls end anyway, newest first, always at the same dates."""
    window = DATASETS[dataset].window
    while last >= first:
        if window in ("range", "day"):
            begin = block_of(last, BACKLOG_DAYS)[0]
        elif window == "month":
            begin = first_of("year", last)
        else:
            begin = first
        yield max(begin, first), last
        last = max(begin, first) - timedelta(days=1)
