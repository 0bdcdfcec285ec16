"""The fewest device-history calls that carry every wanted day of every device [5.1.2.3].

This module turns cells and subjects into numbers and back; the search itself (search.py) and the bound
(bounds.py) see numbers only.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.planning.beam import WIDTH, Beam
from pipelines.planning.bounds import lower_bound
from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.filling import fill_seats
from pipelines.planning.history_call import SEATS, SPAN_SECONDS, HistoryCall
from pipelines.planning.search import EFFORT, solve
from pipelines.planning.sweep import Want

__all__ = ["HistoryCall", "fill_seats", "lower_bound_history", "pack_history", "pack_newest_first"]


def pack_history(cells: Iterable[Cell], subjects: Mapping[str, Subject], effort: int = EFFORT) -> list[HistoryCall]:
    """Return calls that carry every wanted cell exactly once, as few as the packer can find.

    For one zone's devices that all want the same contiguous days it is exactly ceil(devices / 10) times the
    fewest windows of whole local days. Small sets take the least possible. A fleet in several zones stays
    within 5 % of lower_bound_history for a day to a month, or 6 % where single days are missing at random all
    over a month; a year of such fleets comes to 5-7 %. The same cells always give the same plan.
    `effort` is about how many cells the search may visit.

    Sorted by start, then device type. KeyError for a cell of an unknown subject, ValueError for one that is
    no device.
    """
    calls = []
    by_type = _by_type(cells, subjects)
    wanted = sum(len(device.cells) for devices in by_type.values() for device in devices)
    for device_type_id, devices in by_type.items():
        wants = [device.want for device in devices]
        for seats in solve(wants, SEATS, SPAN_SECONDS, effort // wanted):
            carried = [(devices[seat.device], seat.first, seat.last) for seat in seats]
            calls.append(_call(device_type_id, carried))
    return sorted(calls, key=lambda call: (call.start, call.device_type_id, call.device_ids))


def pack_newest_first(
    cells: Iterable[Cell], older: Iterable[Cell], subjects: Mapping[str, Subject], width: int = WIDTH
) -> list[HistoryCall]:
    """Return calls that carry every wanted cell of one piece of a longer past, newest first.

    `older` are wanted too, but in the next piece: they ride along where that spares calls then, so that the pieces
    of a year together take as few calls as a plan of the whole year. Some days of them suffice, ten at best. No cell
    is carried twice. `width` is how many plans are followed side by side. Sorted and raising as `pack_history`.
    """
    must = set(cells)
    calls = []
    for device_type_id, devices in _by_type(must.union(older), subjects).items():
        # With time running backwards the newest days come first.
        wants = [device.want.mirrored(SPAN_SECONDS) for device in devices]
        stop = [sum(cell in must for cell in device.cells) for device in devices]
        for seats in Beam(wants, SEATS, SPAN_SECONDS, stop).plan(width):
            carried = [
                (device, len(device.cells) - seat.last, len(device.cells) - seat.first)
                for device, seat in ((devices[seat.device], seat) for seat in seats)
            ]
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
