"""The five-minute grid of one local month: the block in which the model computes."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.calendar import DAY_MS, HOUR_MS, SLOT_MS, day_start, month_days, next_month, offset_ms


@dataclass(frozen=True, slots=True, eq=False)
class MonthGrid:
    """Slots of a local month.

    `times` are instants in ms; day d holds the slots `starts[d] : starts[d + 1]` (288 of them, 276 or 300 when
    clocks change); `hour` is the wall clock in hours, `day_of_slot` the index of the local day.
    """

    first: date
    zone: str
    days: tuple[date, ...]
    times: NDArray[np.int64]
    starts: NDArray[np.int64]
    hour: NDArray[np.float32]
    day_of_slot: NDArray[np.int16]

    @property
    def size(self) -> int:
        """Number of slots."""
        return int(self.times.size)

    def position(self, ms: int) -> int:
        """Index of the first slot that is not before an instant (it may lie outside)."""
        return -((int(self.times[0]) - ms) // SLOT_MS)


@lru_cache(maxsize=256)
def month_grid(first: date, zone: str) -> MonthGrid:
    """The grid of the month that starts with `first`."""
    days = month_days(first)
    edges = np.array([day_start(day, zone) for day in [*days, next_month(first)]], dtype=np.int64)
    times = np.arange(edges[0], edges[-1], SLOT_MS, dtype=np.int64)
    starts = (edges - edges[0]) // SLOT_MS
    day_of_slot = np.repeat(np.arange(len(days), dtype=np.int16), np.diff(starts))
    offsets = np.array([offset_ms(int(edge), zone) for edge in edges], dtype=np.int64)
    shift = offsets[day_of_slot]
    for index in np.flatnonzero(np.diff(offsets)):
        # The clock changes within this day: read it slot by slot.
        inside = slice(int(starts[index]), int(starts[index + 1]))
        shift[inside] = [offset_ms(int(ms), zone) for ms in times[inside]]
    hour = (((times + shift) % DAY_MS) / HOUR_MS).astype(np.float32)
    return MonthGrid(first, zone, tuple(days), times, starts, hour, day_of_slot)
