"""Does the vendor count as its reference says? Judged by what the ledger holds. Pure.

A single 407 well below the quota has many causes: another program on the account, a bucket that is smaller than a
window's calls. Where they come on several days of a week, the policy is another than the one that was set.
:meth:`pipelines.northbound.client.Client.policy_findings` asks this of the ledger for one account; each finding's
``sentence`` says to users what was seen and what to do.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from pipelines.northbound.ledger import CallRecord

LOOKED_AT: Final = timedelta(days=7)
"""Refusals of the last week count."""

LOOKED_BACK: Final = LOOKED_AT + timedelta(days=1, hours=1)
"""The calls that are needed for that: those in the window before the first refusal too."""

REFUSED_DAYS: Final = 3
"""On so many days (UTC) out of those."""

WELL_BELOW: Final = 0.8
"""Refused while less than this share of the quota was used."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """What an endpoint's quota grants: calls a window, and the endpoints that draw from it."""

    limit: int
    window: timedelta
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """An endpoint whose calls are refused well below the quota, day after day.

    ``granted``: the most calls that succeeded within one window of the last week. ``used``: calls of the window
    that had succeeded when one was refused, at most. ``refused_on``: the days (UTC) of such refusals.
    """

    endpoint: str
    limit: int
    window: timedelta
    refused_on: tuple[date, ...]
    used: int
    granted: int

    @property
    def sentence(self) -> str:
        """What was seen, and what to do about it."""
        per = _words(self.window)
        return (
            f"{self.endpoint}: the policy differs. The vendor refused calls on {len(self.refused_on)} of the last 7 "
            f"days while at most {self.used} of {self.limit} calls per {per} were used; the most it granted is "
            f"{self.granted} per {per}. Look whether another program uses this account; if none does, set "
            f"SMARTPVMS_FLOW_CONTROL to the account's policy (dynamic, static or oauth), or the limit that you see "
            f"in the file that PVMS_QUOTAS_FILE names."
        )


def policy_findings(
    calls: Iterable[CallRecord], modelled: Callable[[str], Modelled], now: datetime
) -> list[PolicyFinding]:
    """A finding for each endpoint that is refused well below its quota on three of the last seven days.

    ``calls`` of one account, of the last `LOOKED_BACK` at least; ``now`` by the server's clock, as the calls' times.
    """
    by_endpoint: dict[str, list[CallRecord]] = defaultdict(list)
    for call in calls:
        by_endpoint[call.endpoint].append(call)
    found = []
    for endpoint, mine in by_endpoint.items():
        refused = [
            call.called_at for call in mine if call.outcome == "rate_limited" and call.called_at > now - LOOKED_AT
        ]
        if len({at.date() for at in refused}) < REFUSED_DAYS:
            continue
        model = modelled(endpoint)
        sharing = [call for name in model.endpoints for call in by_endpoint.get(name, ())]
        good = sorted(call.called_at for call in sharing if call.outcome == "ok")
        early = {at: used for at in refused if (used := _within(good, at, model.window)) < WELL_BELOW * model.limit}
        days = tuple(sorted({at.date() for at in early}))
        if len(days) >= REFUSED_DAYS:
            granted = max((_within(good, at, model.window) for at in good if at > now - LOOKED_AT), default=0)
            found.append(PolicyFinding(endpoint, model.limit, model.window, days, max(early.values()), granted))
    return sorted(found, key=lambda each: each.endpoint)


def _within(times: Sequence[datetime], end: datetime, window: timedelta) -> int:
    """How many of these lie in the window that ends there, the end included."""
    return bisect_right(times, end) - bisect_right(times, end - window)


def _words(window: timedelta) -> str:
    seconds = int(window.total_seconds())
    if seconds == 86_400:
        return "day"
    return f"{seconds // 60} minutes" if seconds > 60 else "minute"
