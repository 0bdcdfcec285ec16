"""The fewest device-history calls that carry every wanted day of every device [5.1.2.3]."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.planning.cells import Cell, Subject


@dataclass(frozen=True, slots=True)
class HistoryCall:
    """One call of getDevHistoryKpi.

    Up to 10 devices of one type, and a half-open UTC window of at most 72 hours. `cells` are the wanted local
    days that it carries; each lies inside the window as a whole. The answer holds more where a device of the
    call has other days in the window.
    """

    device_type_id: int
    device_ids: tuple[str, ...]
    start: datetime
    end: datetime
    cells: tuple[Cell, ...]


def pack_history(cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> list[HistoryCall]:
    """Return calls that carry every wanted cell exactly once, as few as the packer can find."""
    raise NotImplementedError


def fill_seats(
    calls: Sequence[HistoryCall], extra_cells: Iterable[Cell], subjects: Mapping[str, Subject]
) -> list[HistoryCall]:
    """Return the same number of calls, carrying also those extra cells that fit for free."""
    raise NotImplementedError


def lower_bound_history(cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> int:
    """Return a number of calls that no plan can go below."""
    raise NotImplementedError
