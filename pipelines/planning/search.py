"""Many sweeps over independent parts of the wants, and the best plan of each."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from pipelines.planning.bounds import lower_bound, part, split
from pipelines.planning.sweep import Plan, Policy, Seat, Sweep, Want

POLICIES: Final = (
    Policy("near", "gain"),
    Policy("near", "all"),
    Policy("few", "gain"),
    Policy("gain", "gain"),
    Policy("few", "all"),
    Policy("gain", "all"),
)
"""The sweeps that every part gets, in the order of how often they win on fleets."""

EFFORT: Final = 400_000
"""Cells that all sweeps over one part may visit together; a sweep visits about a million a second."""


def solve(wants: Sequence[Want], seats: int, span: int) -> list[list[Seat]]:
    """Return the seats of each call; together they carry every span of every want exactly once."""
    return [
        [_seat(seat, *members[seat.device]) for seat in call]
        for members, cuts in _parts(wants, span)
        for call in _solve_part(cuts, seats, span)
    ]


def _seat(seat: Seat, device: int, offset: int) -> Seat:
    return Seat(device, seat.first + offset, seat.last + offset)


def _parts(wants: Sequence[Want], span: int) -> Iterator[tuple[list[tuple[int, int]], list[Want]]]:
    """Yield the independent parts: per device its number and first position, and what it wants there."""
    edges = [-(1 << 60), *split(wants, span), 1 << 60]
    for start, end in pairwise(edges):
        members, cuts = [], []
        for device, want in enumerate(wants):
            first, last = part(want, start, end)
            if first < last:
                members.append((device, first))
                cuts.append(want if last - first == len(want.starts) else want.cut(first, last, span))
        if cuts:
            yield members, cuts


def _solve_part(wants: Sequence[Want], seats: int, span: int) -> list[list[Seat]]:
    mirrored = [want.mirrored(span) for want in wants]
    least = max(lower_bound(side, seats, span) for side in (wants, mirrored))
    effort = EFFORT
    best: list[list[Seat]] | None = None
    size = sum(len(want.starts) for want in wants)
    for policy in _policies():
        for backwards in (False, True):
            plan = Sweep(mirrored if backwards else wants, seats, span, policy).run()
            if best is None or len(plan) < len(best):
                best = _turned(plan, wants) if backwards else [call for _, call in plan]
            effort -= size
            if len(best) <= least or effort < 0:
                return best
    raise AssertionError("the policies never end")


def _policies() -> Iterator[Policy]:
    yield from POLICIES
    seed = 0
    while True:
        seed += 1
        for policy in POLICIES:
            yield Policy(policy.relieve, policy.rest, seed)


def _turned(plan: Plan, wants: Sequence[Want]) -> list[list[Seat]]:
    """Return the calls of a sweep over mirrored wants in the positions of the wants themselves."""
    turned = []
    for _, call in plan:
        lengths = [(seat, len(wants[seat.device].starts)) for seat in call]
        turned.append([Seat(seat.device, n - seat.last, n - seat.first) for seat, n in lengths])
    return turned
