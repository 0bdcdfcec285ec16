"""The fewest report calls: one instant selects the wanted period of up to 100 plants or devices [5.1.4]."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipelines.planning.cells import Cell, Subject


@dataclass(frozen=True, slots=True)
class ReportCall:
    """One call of a report endpoint.

    Up to 100 plants, or devices of one type, and the instant (`collectTime`, aware UTC) that selects the
    window of each in its own zone. `cells` are the wanted cells that the answer holds: for a daily report the
    wanted days of the selected month.
    """

    dataset: str
    device_type_id: int | None
    subjects: tuple[str, ...]
    instant: datetime
    cells: tuple[Cell, ...]


def pack_reports(
    dataset: str, cells: Iterable[Cell], subjects: Mapping[str, Subject], now: datetime | None = None
) -> list[ReportCall]:
    """Return the fewest calls that answer every wanted cell of one report dataset exactly once."""
    raise NotImplementedError


def lower_bound_reports(
    dataset: str, cells: Iterable[Cell], subjects: Mapping[str, Subject], now: datetime | None = None
) -> int:
    """Return a number of calls that no plan can go below."""
    raise NotImplementedError
