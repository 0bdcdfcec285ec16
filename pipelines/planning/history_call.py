"""One call of getDevHistoryKpi and the limits that it keeps [5.1.2.3]."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipelines.planning.cells import Cell
from schemas.endpoints import ENDPOINTS

HISTORY: Final = ENDPOINTS["getDevHistoryKpi"]

SEATS: Final = HISTORY.max_devices or 10
"""Devices of one type that a history call takes [5.1.2.3]."""

SPAN_SECONDS: Final = 3600 * (HISTORY.max_span_hours or 72)
"""The longest window of a history call: three days, taken as 72 hours [5.1.2.3]."""


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
