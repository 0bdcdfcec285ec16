"""What a load is asked to do and what it reports: frozen data, no behaviour beyond the exit code."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from pipelines.load.selection import Block, ForcedSince

PERIODIC_DATASETS: Final = (
    "plant_daily",
    "plant_hourly",
    "plant_monthly",
    "plant_yearly",
    "device_daily",
    "device_monthly",
    "device_yearly",
    "device_history",
)
"""Datasets with a past, cheapest and most telling first: reports answer most questions for few calls."""

DEFAULT_DATASETS: Final = (*PERIODIC_DATASETS, "alarms")
"""What `pvms load` takes when no dataset is named: everything that has a past, and alarms once as of now."""

REALTIME_DATASETS: Final = ("plant_realtime", "device_realtime")

LOADABLE_DATASETS: Final = (*DEFAULT_DATASETS, *REALTIME_DATASETS)

EXIT_DONE: Final = 0
EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_QUOTA: Final = 3
EXIT_REFUSED: Final = 4
EXIT_INTERRUPTED: Final = 130


def latest_local_date(now: datetime) -> date:
    """The calendar date at UTC+14, the first place where a day begins."""
    return (now + timedelta(hours=14)).date()


class UsageError(ValueError):
    """The request itself can't be carried out: a future date, an unknown plant; nothing was asked of the vendor."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """Local dates `start`..`end`, both included, of the named datasets and plants (empty: all).

    `blocks`: what of them is meant, where that isn't all of it. `force`: also what is there and final, unless it was
    read after `force_since` (aware, by the server's clock; None: the load's begin).
    """

    start: date
    end: date
    datasets: tuple[str, ...] = ()
    plants: tuple[str, ...] = ()
    wait: bool = False
    force: bool = False
    refresh_inventory: bool = False
    why: str = "load"
    blocks: tuple[Block, ...] = ()
    force_since: datetime | None = None

    @property
    def wanted_datasets(self) -> tuple[str, ...]:
        """The datasets in the order in which they are asked."""
        named = self.datasets or DEFAULT_DATASETS
        return tuple(name for name in LOADABLE_DATASETS if name in named)

    def forced(self, now: datetime) -> ForcedSince | None:
        """What is read again on purpose; `now` is the server's time at the load's begin."""
        return ForcedSince(self.force_since or now) if self.force else None


@dataclass(frozen=True, slots=True)
class WorkRequest:
    """Whatever is wanted by settings, policy and earlier loads, in the order of worth, as far as the rules allow now.

    `wait`: until nothing is left. `keep_up`: for good, or up to `stop_at` (aware), sleeping in between.
    """

    wait: bool = False
    keep_up: bool = False
    stop_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CompletedPartition:
    """One partition of one asset whose every wanted cell is covered.

    `period` is the first day of the partition (day, month or year), None where the asset has plants alone.
    `touched`: this load read some of it. `sample`: a few of the rows read, as a Markdown table. `empty`: periods of
    subjects that were answered without a row. `calls`: what this load's reading of it cost; a call that carries
    several partitions counts for each by its share of the call's seats. `slots`: rows that there would be if every
    subject had one for each interval, nights included; 0 where rows have no interval.
    """

    dataset: str
    plant_code: str
    period: date | None
    rows: int
    subjects: int
    provisional: bool
    touched: bool
    sample: str | None = None
    empty: int = 0
    calls: float = 0.0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the vendor refused for good: a dataset (401), a plant (20056), a period."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the quota left undone of one dataset, and when its next call may go out.

    `why`: what closed it in place of a quota that is used up, if anything did.
    """

    dataset: str
    calls: int
    cells: int
    next_at: datetime | None
    why: str | None = None


@dataclass
class LoadReport:
    """The outcome of a load; grows while it runs, read at its end."""

    calls: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    already_covered: int = 0
    provisional: int = 0
    empty: int = 0
    suspect: int = 0
    quarantined: int = 0
    unreadable_cells: int = 0
    implausible_values: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    completed: int = 0
    published: bool = False
    next_work_at: datetime | None = None
    """When there may be something to do again; known where what is worth most was asked for."""
    _refused_still: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all there, 1 a call failed, 3 the quota ended it, 4 something was refused for good; 1 wins, then 3."""
        if self.failures:
            return EXIT_ERROR
        if self.waiting:
            return EXIT_QUOTA
        if self.refusals:
            return EXIT_REFUSED
        return EXIT_DONE

    @property
    def total_calls(self) -> int:
        """Calls that went out, log-ins included."""
        return sum(self.calls.values())

    def refuse(self, what: str, why: str) -> None:
        """Note a refusal once."""
        refusal = Refusal(what, why)
        if refusal not in self.refusals:
            self.refusals.append(refusal)

    def refuse_still(self, dataset: str, plant: str, why: str) -> None:
        """Note what was refused within the last day and isn't asked again yet: one line per reason."""
        datasets, plants = self._refused_still.setdefault(why, (set(), set()))
        before = _still(datasets, plants, why)
        datasets.add(dataset)
        plants.add(plant)
        self.refusals = [each for each in self.refusals if each != before]
        self.refusals.append(_still(datasets, plants, why))

    def wait_for(self, waiting: Waiting) -> None:
        """Note what the quota leaves undone; further ranges of one dataset are added up."""
        for index, known in enumerate(self.waiting):
            if known.dataset == waiting.dataset:
                self.waiting[index] = Waiting(
                    known.dataset, known.calls + waiting.calls, known.cells + waiting.cells, known.next_at, known.why
                )
                return
        self.waiting.append(waiting)

    def as_dict(self) -> Mapping[str, object]:
        """The report for `--json`."""
        return {
            "exit_code": self.exit_code,
            "calls": self.calls,
            "rows": self.rows,
            "periods": self.cells,
            "periods_already_there": self.already_covered,
            "periods_provisional": self.provisional,
            "periods_empty": self.empty,
            "periods_suspect": self.suspect,
            "records_quarantined": self.quarantined,
            "unreadable_cells": self.unreadable_cells,
            "implausible_values": self.implausible_values,
            "refused": [{"what": r.what, "why": r.why} for r in self.refusals],
            "waiting": [
                {
                    "dataset": w.dataset,
                    "calls": w.calls,
                    "periods": w.cells,
                    "next_at": w.next_at.isoformat() if w.next_at else None,
                    "why": w.why,
                }
                for w in self.waiting
            ],
            "failures": self.failures,
            "partitions_completed": self.completed,
            "warehouse_published": self.published,
            "next_work_at": self.next_work_at.isoformat() if self.next_work_at else None,
        }


def _still(datasets: Collection[str], plants: Collection[str], why: str) -> Refusal:
    """A refusal that holds on: a plant in all its datasets, or a dataset of all its plants."""
    what = next(iter(sorted(datasets)), "") if len(datasets) == 1 else f"{len(datasets)} datasets"
    if len(plants) == 1:
        (plant,) = plants
        what = f"plant {plant}" if len(datasets) > 1 else f"{what} of plant {plant}"
    elif plants:
        what += f" of {len(plants)} plants"
    return Refusal(what, f"{why} It is asked again a day after the refusal; --force asks at once.")


class Listener(Protocol):
    """Who watches a load: the command line draws progress, Dagster records partitions."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of a stage are behind us."""

    def message(self, text: str) -> None:
        """A sentence for the person who watches."""

    def completed(self, partition: CompletedPartition) -> None:
        """Every wanted cell of this partition is durable and covered."""


class Silent:
    """A listener that watches nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def completed(self, partition: CompletedPartition) -> None:
        """Ignore."""
