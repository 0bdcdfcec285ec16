"""Many sweeps over independent parts of the wants, and the best plan of each."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final

from pipelines.planning.bounds import lower_bound, part, split
from pipelines.planning.exact import search
from pipelines.planning.sweep import Plan, Policy, Seat, Sweep, Want

POLICIES: Final = (Policy("near", "gain"), Policy("near", "all"), Policy("few", "gain"), Policy("few", "all"))
"""The sweeps that every part gets, in the order of how often they win on fleets."""

EFFORT: Final = 400_000
"""Cells that all sweeps over one part may visit together; a sweep visits about a million a second."""

PASSES: Final = 150
"""Sweeps over one part: the first few find nearly all there is to find, and small parts have the complete
search."""

SEARCH_EFFORT: Final = 200_000
"""Devices that the complete search may look at in all its states, per part and direction: it settles parts
of some dozen devices and days, and takes about a second where it settles nothing."""

SEARCHED_STARTS: Final = 60
"""Different starts up to which the complete search is tried; beyond, it settles nothing in its time."""


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
    best = _swept(wants, mirrored, seats, span, least)
    if len({start for want in wants for start in want.starts}) <= SEARCHED_STARTS:
        while len(best) > least:
            better = _searched(wants, mirrored, seats, span, len(best) - 1)
            if better is None:
                break
            best = better
    return best


def _swept(wants: Sequence[Want], mirrored: Sequence[Want], seats: int, span: int, least: int) -> list[list[Seat]]:
    """Return the best plan of as many sweeps as the effort allows, from left to right and back."""
    best: list[list[Seat]] | None = None
    effort = EFFORT
    size = sum(len(want.starts) for want in wants)
    for policy in islice(_policies(), PASSES // 2):
        for backwards in (False, True):
            plan = Sweep(mirrored if backwards else wants, seats, span, policy).run()
            if best is None or len(plan) < len(best):
                best = _turned(plan, wants) if backwards else [call for _, call in plan]
            effort -= size
            if len(best) <= least or effort < 0:
                return best
    assert best is not None
    return best


def _searched(
    wants: Sequence[Want], mirrored: Sequence[Want], seats: int, span: int, target: int
) -> list[list[Seat]] | None:
    nodes = SEARCH_EFFORT // len(wants)
    plan = search(wants, seats, span, target, nodes)
    if plan is not None:
        return [call for _, call in plan]
    plan = search(mirrored, seats, span, target, nodes)
    return _turned(plan, wants) if plan is not None else None


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
