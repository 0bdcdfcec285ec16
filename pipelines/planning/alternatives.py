"""What it would cost to keep an account's 5-minute data up to date and to fetch its past, in several ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from pipelines.planning.worth import tier_of

SOON_DAYS: Final = 14
"""A backlog that is done by then is no reason to let fresh data wait."""

WORTH_WAITING: Final = 1.25
"""Fresh data wait a day longer only if the backlog would else take this many times as long."""

LONG_DAYS: Final = 60
"""A backlog that takes longer is worth asking for another account."""

LATE: Final = "5-minute KPIs up to {days} day{s} late; reports unaffected"
FRESHNESS: Final = (1, 2, 3)
MORE_ACCOUNTS: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several accounts that split the plants has and needs: calls a day, and its part of the backlog."""

    quota: float
    fresh: float
    backlog: float


@dataclass(frozen=True, slots=True)
class Situation:
    """The history calls of a portfolio, by device type: of the past in all, of fresh data a day for each freshness.

    `quota` is what one account may call a day, `accounts` how many there are, `freshness` the setting as it is.
    `others` is what other interfaces take of the same quota a day (0 where history has its own).
    """

    quota: float
    backlog: Mapping[int, int]
    fresh: Mapping[int, Mapping[int, float]]
    accounts: int = 1
    freshness: int = 1
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way: calls a day for fresh data, calls of the backlog, whole days until it is done (None: never).

    `effect` says in a sentence what it means for the KPIs.
    """

    key: str
    name: str
    fresh_a_day: float
    backlog: int
    days: int | None
    effect: str
    available: bool = True


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The alternative to take, and why."""

    alternative: Alternative
    reason: str


def speed_up(accounts: int, quota: float, fresh: float, shares: Sequence[Share] = ()) -> float:
    """Return how many times as fast the backlog runs with several accounts as with one.

    Where all see all plants, n accounts of `quota` calls a day with `fresh` calls of fresh need have nQ - F left for
    it instead of Q - F. Accounts that split the plants (`shares`) have smaller quotas, as these grow with the plants,
    and the one that is done last decides. Infinite where one account's quota is less than the fresh need.
    """
    alone = quota - fresh
    if alone <= 0:
        return float("inf")
    if not shares:
        return (accounts * quota - fresh) / alone
    together = max(_days(share.backlog, share.quota - share.fresh) for share in shares)
    return (sum(share.backlog for share in shares) / alone) / together if together else float("inf")


def days_until_done(backlog: float, quota: float, fresh: float) -> int | None:
    """Return whole days until a backlog is done beside the fresh need; None where nothing is left for it."""
    if backlog <= 0:
        return 0
    return ceil(backlog / (quota - fresh)) if quota > fresh else None


def alternatives(now: Situation) -> list[Alternative]:
    """Return the ways to go: freshness 1 to 3, with real time, only the first tier, more accounts."""
    found = [_freshness(now, days) for days in FRESHNESS]
    found.append(_real_time(now))
    first_tier = _restricted(now, 0)
    if first_tier.backlog != now.backlog or first_tier.fresh != now.fresh:
        found.append(
            _way(
                first_tier,
                "tier_0",
                "inverters, meters, EMI only",
                "no 5-minute data of batteries and other types; their days stay in reports",
            )
        )
    found += [
        _way(
            _with(now, accounts=count),
            f"accounts_{count}",
            f"{count} accounts that see all plants",
            f"{_late(now.freshness)}; owners must let each account see their plants",
        )
        for count in MORE_ACCOUNTS
        if count > now.accounts
    ]
    return found


def recommend(ways: Sequence[Alternative]) -> Recommendation:
    """Return the freshest way that doesn't make the past wait much longer than it must, of those at hand."""
    by_days = [way for way in ways if way.key.startswith("freshness_")]
    fastest = min((way.days for way in by_days if way.days is not None), default=None)
    if fastest is None:
        return Recommendation(by_days[-1], "Even so the quota doesn't cover fresh data; another account is needed.")
    for way in by_days:
        if way.days is not None and (way.days <= SOON_DAYS or way.days <= WORTH_WAITING * fastest):
            return Recommendation(way, _reason(way, by_days[0], ways))
    raise AssertionError("the fastest way is never too slow")


def _reason(way: Alternative, first: Alternative, ways: Sequence[Alternative]) -> str:
    if not way.backlog:
        return "There is no backlog, so fresh data needn't wait."
    if way is first:
        text = f"The past is there in {_in_days(way.days)}, and no 5-minute day waits longer than it must."
    elif first.days is None:
        text = f"Day by day the quota leaves nothing for the past; this way it is there in {_in_days(way.days)}."
    else:
        text = f"The past is there in {_in_days(way.days)} instead of {_in_days(first.days)}."
    more = next((each for each in ways if each.key.startswith("accounts_")), None)
    if way.days is not None and way.days > LONG_DAYS and more is not None and more.days is not None:
        text += f" That is long: with {more.name} it takes {_in_days(more.days)}."
    return text


def _in_days(days: int | None) -> str:
    return f"{days:,} day{'s' if days != 1 else ''}" if days is not None else "no time that would ever end"


def _freshness(now: Situation, days: int) -> Alternative:
    name = f"freshness {days} day{'s' if days > 1 else ''}"
    return _way(_with(now, freshness=days), f"freshness_{days}", name, _late(days))


def _late(days: int) -> str:
    return LATE.format(days=days, s="s" if days > 1 else "")


def _real_time(now: Situation) -> Alternative:
    quota = now.accounts * now.quota - now.others
    calls = sum(now.backlog.values())
    return Alternative(
        "real_time",
        "fresh data from real-time polling",
        0.0,
        calls,
        days_until_done(calls, quota, 0.0),
        "5-minute KPIs minutes late; needs a poller that runs all day, and what it misses comes after the past",
        available=False,
    )


def _way(now: Situation, key: str, name: str, effect: str) -> Alternative:
    fresh = sum(now.fresh[now.freshness].values())
    calls = sum(now.backlog.values())
    days = days_until_done(calls, now.accounts * now.quota - now.others, fresh)
    return Alternative(key, name, fresh, calls, days, effect)


def _with(now: Situation, accounts: int | None = None, freshness: int | None = None) -> Situation:
    return Situation(
        now.quota, now.backlog, now.fresh, accounts or now.accounts, freshness or now.freshness, now.others
    )


def _restricted(now: Situation, tier: int) -> Situation:
    return Situation(
        now.quota,
        {kind: calls for kind, calls in now.backlog.items() if tier_of(kind) == tier},
        {
            days: {kind: calls for kind, calls in kinds.items() if tier_of(kind) == tier}
            for days, kinds in now.fresh.items()
        },
        now.accounts,
        now.freshness,
        now.others,
    )


def _days(backlog: float, free: float) -> float:
    if backlog <= 0:
        return 0.0
    return backlog / free if free > 0 else float("inf")
