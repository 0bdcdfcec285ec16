"""Points that hit every span, each point at most so many: the core of the report packer."""

import heapq
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Span = tuple[int, int]
"""First and last second, both included."""


def stab(spans: Sequence[Span], capacity: int) -> list[list[int]]:
    """Return groups of at most `capacity` spans, by index, that share a second each; as few as possible.

    The span that ends first needs a point no later than its end, and moving that point to the end loses
    nothing. Of the spans that are open there, those that end first go along: any later point that would have
    taken one of them takes a longer one instead. So this is not only quick but least.
    """
    by_start = sorted(range(len(spans)), key=lambda index: (spans[index][0], spans[index][1], index))
    by_end = sorted(range(len(spans)), key=lambda index: (spans[index][1], spans[index][0], index))
    taken = [False] * len(spans)
    open_now: list[tuple[int, int, int]] = []
    groups = []
    opened = 0
    for index in by_end:
        if taken[index]:
            continue
        point = spans[index][1]
        while opened < len(by_start) and spans[by_start[opened]][0] <= point:
            candidate = by_start[opened]
            heapq.heappush(open_now, (spans[candidate][1], spans[candidate][0], candidate))
            opened += 1
        group: list[int] = []
        while open_now and len(group) < capacity:
            candidate = heapq.heappop(open_now)[2]
            taken[candidate] = True
            group.append(candidate)
        groups.append(group)
    return groups


def least_points(spans: Sequence[Span], capacity: int) -> int:
    """Return a number of points that no choice can go below.

    Spans that lie within one stretch of time need a point per `capacity` of them, and stretches that don't
    overlap need different points; this is the best sum over such stretches.
    """
    if not spans:
        return 0
    ends = sorted({end for _, end in spans})
    edges = sorted({start for start, _ in spans})
    # Per edge: how many spans lie between it and the end that is looked at, and how many ends lie before it.
    inside = np.zeros(len(edges), dtype=np.int64)
    closed = np.searchsorted(np.array(ends), np.array(edges), side="left")
    best = np.zeros(len(ends) + 1, dtype=np.int64)
    by_end: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (start, end), count in Counter(spans).items():
        by_end[end].append((start, count))
    for position, end in enumerate(ends):
        for start, count in by_end[end]:
            inside[: bisect_left(edges, start) + 1] += count
        usable = closed <= position
        sums = best[closed[usable]] - (-inside[usable] // capacity)
        best[position + 1] = max(int(best[position]), int(sums.max(initial=0)))
    return int(best[-1])
