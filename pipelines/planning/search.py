"""Many sweeps over independent parts of the wants, and the best plan of each."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count, islice, pairwise, product
from typing import Final

from pipelines.planning.bounds import lower_bound, part, split
from pipelines.planning.exact import search
from pipelines.planning.sweep import Plan, Policy, Seat, State, Sweep, Want

POLICIES: Final = (Policy("near", "gain"), Policy("near", "all"), Policy("few", "gain"), Policy("few", "all"))
"""The ways to fill free seats that every stage tries, in the order of how often they win on fleets; then
the same with equally good devices shuffled."""

STAGES: Final = (6 * 86_400, 2 * 86_400)
"""Seconds of one stage; after each the best states go on. Fleets gain from longer stages here and shorter
ones there, so both are tried where the effort allows."""

EFFORT: Final = 1_500_000
"""Cells that all sweeps of one plan may visit together; a sweep visits about half a million a second."""

TRIES: Final = range(6, 49)
"""Fewest and most ways in which one stage is tried: below, chance decides; above, little is found."""

TRIES_PER_STATE: Final = 6
"""Of so many tries one state goes on to the next stage."""

SEARCH_EFFORT: Final = 200_000
"""Devices that the complete search may look at in all its states, per part and direction: it settles parts
of some dozen devices and days, and takes about a second where it settles nothing."""

SEARCHED_STARTS: Final = 60
"""Different starts up to which the complete search is tried; beyond, it settles nothing in its time."""


def solve(wants: Sequence[Want], seats: int, span: int, passes: int = 4 * TRIES.stop) -> list[list[Seat]]:
    """Return the seats of each call; together they carry every span of every want exactly once.

    `passes` is about how many times the sweeps may go over all wants; more passes find fewer calls.
    """
    return [
        [_seat(seat, *members[seat.device]) for seat in call]
        for members, cuts in _parts(wants, span)
        for call in _solve_part(cuts, seats, span, passes)
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


def _solve_part(wants: Sequence[Want], seats: int, span: int, passes: int) -> list[list[Seat]]:
    if max(want.ends[-1] for want in wants) - min(want.starts[0] for want in wants) <= span:
        # One window holds everything (a fresh day): nothing is to be searched.
        whole = [Seat(device, 0, len(want.starts)) for device, want in enumerate(wants)]
        return [whole[first : first + seats] for first in range(0, len(whole), seats)]
    mirrored = [want.mirrored(span) for want in wants]
    least = max(lower_bound(side, seats, span) for side in (wants, mirrored))
    best = _swept(Sweep(wants, seats, span), Sweep(mirrored, seats, span), least, passes)
    if len({start for want in wants for start in want.starts}) <= SEARCHED_STARTS:
        while len(best) > least:
            better = _searched(wants, mirrored, seats, span, len(best) - 1)
            if better is None:
                break
            best = better
    return best


def _swept(forwards: Sweep, backwards: Sweep, least: int, passes: int) -> list[list[Seat]]:
    """Return the best plan of as many sweeps as the passes allow, from left to right and back."""
    tries = min(max(passes // (2 * len(STAGES)), TRIES.start), TRIES.stop - 1)
    rounds = min(max(passes // tries, 1), 2 * len(STAGES))
    best: list[list[Seat]] | None = None
    for stage, sweep in islice(product(STAGES, (forwards, backwards)), rounds):
        plan = _staged(sweep, stage, tries)
        if best is None or len(plan) < len(best):
            best = _turned(plan, forwards.wants) if sweep is backwards else [call for _, call in plan]
        if len(best) <= least:
            break
    assert best is not None
    return best


def _staged(sweep: Sweep, stage: int, tries: int) -> Plan:
    """Return the plan of the best state at the end, where after each stage only the best few went on."""
    states = [sweep.begin()]
    keep = max(1, tries // TRIES_PER_STATE)
    policies = _policies()
    first = 0
    while first < len(sweep.times):
        stop = bisect_left(sweep.times, sweep.times[first] + stage, lo=first)
        tried = [
            sweep.advance(state, first, stop, policy)
            for state in states
            for policy in (*POLICIES, *islice(policies, max(0, tries // len(states) - len(POLICIES))))
        ]
        distinct: dict[tuple[int, ...], State] = {}
        for state in sorted(tried, key=sweep.score):
            distinct.setdefault(tuple(state.positions), state)
        states = list(islice(distinct.values(), keep))
        first = stop
    return min((state.plan for state in states), key=len)


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
    """Yield shuffled policies, no two alike; the seeds are counted, so that a plan is the same every time."""
    for seed in count():
        for policy in POLICIES:
            yield Policy(policy.relieve, policy.rest, seed)


def _turned(plan: Plan, wants: Sequence[Want]) -> list[list[Seat]]:
    """Return the calls of a sweep over mirrored wants in the positions of the wants themselves."""
    turned = []
    for _, call in plan:
        lengths = [(seat, len(wants[seat.device].starts)) for seat in call]
        turned.append([Seat(seat.device, n - seat.last, n - seat.first) for seat, n in lengths])
    return turned
