"""What a load would cost: calls, the least possible, quota and days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a load at one endpoint.

    `least_possible` is a bound that no plan can go below. `quota_per_day` is None where the flow control sets
    no limit. `days` is how many days of quota the calls take, today's remainder included: 0 when nothing is
    to be called, 1 when today's free quota is enough, None when the quota is zero and it never ends.
    """

    endpoint: str
    calls: int
    least_possible: int
    quota_per_day: int | None
    free_now: int | None
    days: int | None


def estimate(
    endpoint: str,
    calls: int,
    least_possible: int,
    quota_per_day: int | None,
    free_now: int | None = None,
) -> Estimate:
    """Return the estimate for one endpoint; `free_now` is what is left of today's quota (None: all of it)."""
    days = _days(calls, quota_per_day, free_now)
    return Estimate(endpoint, calls, least_possible, quota_per_day, free_now, days)


def _days(calls: int, quota: int | None, free_now: int | None) -> int | None:
    if calls == 0:
        return 0
    if quota is None:
        return 1
    first_day = quota if free_now is None else min(free_now, quota)
    if calls <= first_day:
        return 1
    if quota <= 0:
        return None
    return 1 + ceil((calls - max(first_day, 0)) / quota)


def estimates(
    calls: Mapping[str, int],
    least_possible: Mapping[str, int],
    quota_per_day: Mapping[str, int | None],
    free_now: Mapping[str, int] | None = None,
) -> list[Estimate]:
    """Return an estimate per endpoint of `calls`, in its order; endpoints without a quota entry are free."""
    free = free_now or {}
    return [
        estimate(name, count, least_possible[name], quota_per_day.get(name), free.get(name))
        for name, count in calls.items()
    ]


def days_until_done(parts: Iterable[Estimate]) -> int | None:
    """Return the days until all endpoints are done: they run side by side, so the slowest decides."""
    longest = 0
    for part in parts:
        if part.days is None:
            return None
        longest = max(longest, part.days)
    return longest
