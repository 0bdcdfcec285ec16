"""Is there a plan with fewer calls? A complete search over who takes the free seats, for small parts."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pipelines.planning.sweep import Plan, Seat, Want

_Kind = tuple[int, int]
"""A want's number among the different wants, and a position in it: devices of one kind are alike."""


def search(wants: Sequence[Want], seats: int, span: int, target: int, nodes: int) -> Plan | None:
    """Return a plan of at most `target` calls, or None if there is none or `nodes` states didn't find one.

    Rests on the facts that sweep.py names, so that a search that ends by itself is a proof.
    """
    return _Search(wants, seats, span, target, nodes).run()


class _OutOfNodes(Exception):
    pass


class _Search:
    def __init__(self, wants: Sequence[Want], seats: int, span: int, target: int, nodes: int) -> None:
        self.wants = wants
        self.seats = seats
        self.span = span
        self.target = target
        self.nodes = nodes
        numbers: dict[Want, int] = {}
        self.kind = [numbers.setdefault(want, len(numbers)) for want in wants]
        self.hopeless: dict[frozenset[tuple[_Kind, int]], int] = {}

    def run(self) -> Plan | None:
        try:
            return self._descend(tuple(0 for _ in self.wants), 0)
        except _OutOfNodes:
            return None

    def _descend(self, positions: tuple[int, ...], used: int) -> Plan | None:
        self.nodes -= 1
        if self.nodes < 0:
            raise _OutOfNodes
        open_now = [d for d, want in enumerate(self.wants) if positions[d] < len(want.starts)]
        if not open_now:
            return []
        needed = sum(self.wants[d].least[positions[d]] for d in open_now)
        if used - (-needed // self.seats) > self.target:
            return None
        state = frozenset(Counter((self.kind[d], positions[d]) for d in open_now).items())
        if self.hopeless.get(state, used + 1) <= used:
            return None
        start = min(self.wants[d].starts[positions[d]] for d in open_now)
        due = [d for d in open_now if self.wants[d].starts[positions[d]] == start]
        calls = -(-len(due) // self.seats)
        for riders in self._fills(start, positions, open_now, calls * self.seats - len(due)):
            seated = [self._seat(d, positions[d], start) for d in (*due, *riders)]
            moved = list(positions)
            for seat in seated:
                moved[seat.device] = seat.last
            rest = self._descend(tuple(moved), used + calls)
            if rest is not None:
                chunks = [seated[at : at + self.seats] for at in range(0, len(seated), self.seats)]
                return [(start, chunk) for chunk in chunks] + rest
        self.hopeless[state] = used
        return None

    def _seat(self, device: int, first: int, start: int) -> Seat:
        return Seat(device, first, bisect_right(self.wants[device].ends, start + self.span, lo=first))

    def _fills(self, start: int, positions: tuple[int, ...], open_now: Sequence[int], free: int) -> Iterator[list[int]]:
        """Yield every different choice of devices that aren't due for the free seats, promising ones first."""
        alike: dict[_Kind, list[int]] = defaultdict(list)
        for d in open_now:
            at = positions[d]
            if self.wants[d].starts[at] > start and self.wants[d].ends[at] <= start + self.span:
                alike[self.kind[d], at].append(d)

        def promise(devices: list[int]) -> tuple[bool, int]:
            seat = self._seat(devices[0], positions[devices[0]], start)
            want = self.wants[seat.device]
            return want.least[seat.last] == want.least[seat.first], want.starts[seat.first]

        groups = sorted(alike.values(), key=promise)
        yield from _choices(groups, min(free, sum(len(group) for group in groups)))


def _choices(groups: Sequence[list[int]], count: int) -> Iterator[list[int]]:
    """Yield every way to take `count` devices from the groups, where those of one group are alike."""
    if count == 0:
        yield []
        return
    if not groups:
        return
    first, others = groups[0], groups[1:]
    least = max(0, count - sum(len(group) for group in others))
    for taken in range(min(count, len(first)), least - 1, -1):
        for rest in _choices(others, count - taken):
            yield first[:taken] + rest
