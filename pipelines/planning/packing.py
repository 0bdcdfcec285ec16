"""The fewest device-history calls that carry every wanted day of every device [5.1.2.3].

This module knows cells, subjects and the vendor's limits; the search itself (search.py) and the bound
(bounds.py) see numbers only.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pipelines.planning.bounds import lower_bound
from pipelines.planning.calendar import Window, local_day
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.search import solve
from pipelines.planning.sweep import Want
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


def pack_history(cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> list[HistoryCall]:
    """Return calls that carry every wanted cell exactly once, as few as the packer can find.

    For one zone's devices that all want the same contiguous days it is exactly ceil(devices / 10) times the
    fewest windows of whole local days. Sorted by start, then device type. KeyError for a cell of an unknown
    subject, ValueError for one that is no device.
    """
    calls = []
    for device_type_id, devices in _by_type(cells, subjects).items():
        wants = [device.want for device in devices]
        for seats in solve(wants, SEATS, SPAN_SECONDS):
            carried = [(devices[seat.device], seat.first, seat.last) for seat in seats]
            calls.append(_call(device_type_id, carried))
    return sorted(calls, key=lambda call: (call.start, call.device_type_id, call.device_ids))


def lower_bound_history(cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> int:
    """Return a number of calls that no plan can go below (how it is reckoned: bounds.py)."""
    total = 0
    for devices in _by_type(cells, subjects).values():
        wants = [device.want for device in devices]
        mirrored = [want.mirrored(SPAN_SECONDS) for want in wants]
        # The bound's groups grow from left to right; from right to left they can come out better.
        total += max(lower_bound(side, SEATS, SPAN_SECONDS) for side in (wants, mirrored))
    return total


def window_of(cell: Cell, subjects: Mapping[str, Subject]) -> Window:
    """Return the UTC window of a history cell: the local day of its device."""
    return local_day(cell.period, subjects[cell.subject].zone)


@dataclass(frozen=True, slots=True)
class _Device:
    id: str
    cells: tuple[Cell, ...]
    want: Want


def _by_type(cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> dict[int, list[_Device]]:
    wanted: dict[str, set[Cell]] = defaultdict(set)
    for cell in cells:
        wanted[cell.subject].add(cell)
    by_type: dict[int, list[_Device]] = defaultdict(list)
    # Devices of one zone and plant side by side, so that calls follow plants where it costs nothing.
    for device_id in sorted(wanted, key=lambda name: (subjects[name].zone, subjects[name].plant_code, name)):
        subject = subjects[device_id]
        if subject.device_type_id is None:
            raise ValueError(f"{device_id} is a plant: only devices have a 5-minute history")
        own = tuple(sorted(wanted[device_id]))
        windows = [local_day(cell.period, subject.zone) for cell in own]
        spans = [(int(w.start.timestamp()), int(w.end.timestamp())) for w in windows]
        by_type[subject.device_type_id].append(_Device(device_id, own, Want.of(spans, SPAN_SECONDS)))
    return dict(sorted(by_type.items()))


def _call(device_type_id: int, carried: Sequence[tuple[_Device, int, int]]) -> HistoryCall:
    start = min(device.want.starts[first] for device, first, _ in carried)
    end = max(device.want.ends[last - 1] for device, _, last in carried)
    return HistoryCall(
        device_type_id,
        tuple(device.id for device, _, _ in carried),
        datetime.fromtimestamp(start, UTC),
        datetime.fromtimestamp(end, UTC),
        tuple(cell for device, first, last in carried for cell in device.cells[first:last]),
    )


def fill_seats(
    calls: Sequence[HistoryCall], extra_cells: Iterable[Cell], subjects: Mapping[str, Subject]
) -> list[HistoryCall]:
    """Return the same number of calls, carrying also those extra cells that fit for free."""
    raise NotImplementedError
