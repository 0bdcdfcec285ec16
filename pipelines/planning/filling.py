"""What else a planned history call can carry for free: further days of its devices, further devices."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.history_call import SEATS, SPAN_SECONDS, HistoryCall

SPAN = timedelta(seconds=SPAN_SECONDS)


def fill_seats(
    calls: Sequence[HistoryCall], extra_cells: Iterable[Cell], subjects: Mapping[str, Subject]
) -> list[HistoryCall]:
    """Return the same calls, in the same order, carrying also those extra cells that fit for free.

    A call's window grows up to 72 hours where that takes more cells along, to either side; free seats go to
    the devices of its type that have most to carry in the window. No cell is carried twice, extra cells that
    a call already carries are left as they are, and no rule of a history call is broken.
    """
    carried = {cell for call in calls for cell in call.cells}
    pool = _Pool((cell for cell in extra_cells if cell not in carried), subjects)
    return [_filled(call, pool) for call in calls]


class _Pool:
    """Extra cells not yet taken, by type and start, so that a call looks only at those near its window."""

    def __init__(self, cells: Iterable[Cell], subjects: Mapping[str, Subject]) -> None:
        self._by_type: dict[int, dict[datetime, dict[Cell, datetime]]] = defaultdict(lambda: defaultdict(dict))
        self._types: dict[Cell, tuple[int, datetime]] = {}
        for cell in cells:
            subject = subjects[cell.subject]
            window = local_day(cell.period, subject.zone)
            if subject.device_type_id is None or not window.length:
                continue
            self._by_type[subject.device_type_id][window.start][cell] = window.end
            self._types[cell] = (subject.device_type_id, window.start)
        self._starts = {kind: sorted(starts) for kind, starts in self._by_type.items()}

    def near(self, device_type_id: int, start: datetime, end: datetime) -> list[tuple[datetime, datetime, Cell]]:
        """Return start, end and cell of what lies within [start, end], by start."""
        starts = self._starts.get(device_type_id, [])
        buckets = self._by_type.get(device_type_id, {})
        return [
            (at, cell_end, cell)
            for at in starts[bisect_left(starts, start) : bisect_right(starts, end)]
            for cell, cell_end in buckets[at].items()
            if cell_end <= end
        ]

    def take(self, cells: Iterable[Cell]) -> None:
        """Remove cells that a call has taken along."""
        for cell in cells:
            kind, start = self._types.pop(cell)
            del self._by_type[kind][start][cell]


def _filled(call: HistoryCall, pool: _Pool) -> HistoryCall:
    """Return the call with the best window that still holds its own, and what fits into that."""
    reach = pool.near(call.device_type_id, call.end - SPAN, call.start + SPAN)
    if not reach:
        return call
    earliest = call.end - SPAN
    starts = {max(earliest, min(start, call.start)) for start, _, _ in reach} | {call.start}
    # Of equally good windows the latest: newer days are worth more.
    candidates = sorted(starts, reverse=True)
    options = (_fitting(call, reach, start) for start in candidates)
    best = max(options, key=len)
    if not best:
        return call
    pool.take(cell for _, _, cell in best)
    new_devices = dict.fromkeys(cell.subject for _, _, cell in best if cell.subject not in call.device_ids)
    return replace(
        call,
        device_ids=(*call.device_ids, *new_devices),
        start=min(call.start, *(start for start, _, _ in best)),
        end=max(call.end, *(end for _, end, _ in best)),
        cells=(*call.cells, *(cell for _, _, cell in best)),
    )


def _fitting(
    call: HistoryCall, reach: Sequence[tuple[datetime, datetime, Cell]], start: datetime
) -> list[tuple[datetime, datetime, Cell]]:
    """Return what the call would take along if its window began at `start`."""
    inside = [extra for extra in reach if extra[0] >= start and extra[1] <= start + SPAN]
    by_device: dict[str, list[tuple[datetime, datetime, Cell]]] = defaultdict(list)
    for extra in inside:
        by_device[extra[2].subject].append(extra)
    aboard = set(call.device_ids)
    others = sorted((name for name in by_device if name not in aboard), key=lambda name: -len(by_device[name]))
    chosen = [name for name in call.device_ids if name in by_device] + others[: SEATS - len(aboard)]
    return [extra for name in chosen for extra in by_device[name]]
