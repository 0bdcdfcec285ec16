"""What of a load's dates and plants is meant, where that is no rectangle, and what is to be read again on purpose."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pipelines.planning.calendar import Period, first_of
from pipelines.planning.cells import Cell, period_of

if TYPE_CHECKING:
    # Commands that read no data shouldn't wait for what the lake imports.
    from pipelines.lake.coverage import Entry


@dataclass(frozen=True, slots=True)
class Block:
    """Local dates `start`..`end`, both included, of the named plants (empty: all)."""

    plants: tuple[str, ...]
    start: date
    end: date


Chooses = Callable[[str, date], bool]
"""Whether a period (its first local date) of a plant is meant."""


def blocks_of(days: Mapping[str, Iterable[tuple[date, date]]]) -> tuple[Block, ...]:
    """Blocks for spans of dates (both included) by plant; plants with the same dates share theirs."""
    alike: dict[tuple[tuple[date, date], ...], list[str]] = {}
    for plant, spans in days.items():
        alike.setdefault(joined(spans), []).append(plant)
    return tuple(Block(tuple(plants), *span) for spans, plants in alike.items() for span in spans)


def joined(spans: Iterable[tuple[date, date]]) -> tuple[tuple[date, date], ...]:
    """Spans of dates in their order, those that touch made one."""
    found: list[tuple[date, date]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + timedelta(days=1):
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def chooser(blocks: Sequence[Block], period: Period) -> Chooses | None:
    """What the blocks say of a dataset's periods; None where there are none, and everything is meant."""
    if not blocks:
        return None
    spans: dict[str, list[tuple[date, date]]] = {}
    for block in blocks:
        for plant in block.plants or ("",):
            spans.setdefault(plant, []).append((first_of(period, block.start), block.end))
    everybody = spans.pop("", [])

    def chooses(plant: str, first: date) -> bool:
        return any(start <= first <= end for start, end in (*everybody, *spans.get(plant, ())))

    return chooses


class Forced(Protocol):
    """Says which cells are read again on purpose, however final they are."""

    def asks_again(self, cell: Cell, plant_code: str, entry: "Entry | None") -> bool:
        """Whether this cell wasn't read since somebody asked for it on purpose."""
        ...


@dataclass(frozen=True, slots=True)
class ForcedSince:
    """Everything that was read at `since` or before."""

    since: datetime

    def asks_again(self, cell: Cell, plant_code: str, entry: "Entry | None") -> bool:
        """Also what was never read."""
        return entry is None or entry.extracted_at <= self.since


@dataclass(frozen=True)
class ForcedBlocks:
    """Blocks of datasets, each with the instant since when a reading counts."""

    blocks: Mapping[str, Sequence[tuple[datetime, Sequence[Block]]]]

    def __post_init__(self) -> None:
        """Make the choosers once."""
        made = {
            dataset: [(since, chooser(blocks, period_of(dataset))) for since, blocks in asked]
            for dataset, asked in self.blocks.items()
        }
        object.__setattr__(self, "_choosers", made)

    def spans(self, dataset: str) -> list[tuple[date, date]]:
        """First and last dates of the dataset's blocks."""
        return [(block.start, block.end) for _, blocks in self.blocks.get(dataset, ()) for block in blocks]

    def asks_again(self, cell: Cell, plant_code: str, entry: "Entry | None") -> bool:
        """Whether one of the blocks holds the cell, and it wasn't read since."""
        known: Mapping[str, Sequence[tuple[datetime, Chooses | None]]] = self.__dict__["_choosers"]
        return any(
            (entry is None or entry.extracted_at <= since) and (chooses is None or chooses(plant_code, cell.period))
            for since, chooses in known.get(cell.dataset, ())
        )
