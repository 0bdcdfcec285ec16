"""Flow control: how many calls an account may make (reference 4.1, 4.2, 6.2), and over which kind of window.

The reference states counts per period but not when a period starts. Users' logs look like a bucket that refills
evenly; others assume a rolling or a calendar day. So the window is a switch, and a client must live with each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Final, Literal, get_args

from pipelines.simulator.fleet import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES

Policy = Literal["dynamic", "static", "oauth", "none"]
"""dynamic: 4.2, static: the old policy of 6.2, oauth: 4.1, none: no limits at all (nor on logins)."""
WindowKind = Literal["rolling", "day", "bucket"]
"""rolling: the last N seconds; day: fixed periods counted from midnight UTC; bucket: refills evenly."""

POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
WINDOWS: Final[tuple[WindowKind, ...]] = get_args(WindowKind)

DAY: Final = 86_400
ALARM_TYPES: Final = frozenset(
    {1, 2, 8, 10, 13, 16, 17, 22, 37, 38, 39, 40, 45, 46, 47, 62, 63, 70}
    | {60001, 60003, 60043, 60044, 60092, 60014, 60010}
)
"""Device types of 5.1.3.1; the ESS (41) isn't in that list."""

PLANT_REPORTS: Final = ("getKpiStationHour", "getKpiStationDay", "getKpiStationMonth", "getKpiStationYear")
DEVICE_REPORTS: Final = ("getDevKpiDay", "getDevKpiMonth", "getDevKpiYear")


@dataclass(frozen=True, slots=True)
class Counts:
    """What an account manages: plants, and devices of each type."""

    plants: int
    devices: Mapping[int, int]

    def groups(self, types: Collection[int], size: int) -> int:
        """Sum over the types of Roundup(devices of the type / size). Only types that the API serves count here:
        the reference doesn't say, and this is the reading that allows less."""
        return sum(ceil(n / size) for kind, n in self.devices.items() if kind in types)


@dataclass(frozen=True, slots=True)
class Limit:
    """``calls`` per ``seconds``, counted under the name ``counter`` (an endpoint, or what several share)."""

    calls: int
    seconds: int
    counter: str


def limit_of(policy: Policy, endpoint: str, counts: Counts) -> Limit | None:
    """Return what the policy allows for one read endpoint, or None where it sets no limit."""
    if policy == "none":
        return None
    if policy == "oauth":
        return Limit(1000, DAY, "basic APIs")
    if policy == "static":
        return Limit({"getStationRealKpi": 30, "getDevHistoryKpi": 1}.get(endpoint, 10), 60, endpoint)
    return _dynamic(endpoint, counts)


def _dynamic(endpoint: str, counts: Counts) -> Limit:
    plants = ceil(counts.plants / 100)
    if endpoint == "stations":
        return Limit(plants * 10 + 24, DAY, endpoint)
    if endpoint == "getStationRealKpi":
        return Limit(plants, 300, endpoint)
    if endpoint == "getDevRealKpi":
        return Limit(counts.groups(REALTIME_TYPES, 100), 300, endpoint)
    if endpoint == "getDevHistoryKpi":
        return Limit(counts.groups(HISTORY_TYPES, 10) + 24, DAY, endpoint)
    if endpoint == "getAlarmList":
        return Limit(max(plants, counts.groups(ALARM_TYPES, 100)), 1800, endpoint)
    if endpoint in DEVICE_REPORTS:
        return Limit(counts.groups(REPORT_TYPES, 100) + 24, DAY, endpoint)
    if endpoint == "getDevList" or endpoint in PLANT_REPORTS:
        return Limit(plants + 24, DAY, endpoint)
    raise ValueError(f"no flow control is known for {endpoint}")


@dataclass(slots=True)
class _Usage:
    times: deque[float] = field(default_factory=deque)
    period: int = -1
    used: int = 0
    tokens: float | None = None
    filled_at: float = 0.0


class FlowControl:
    """Counts the calls of every account and endpoint and says whether one more is allowed."""

    def __init__(self, policy: Policy = "dynamic", window: WindowKind = "rolling", *, burst: int | None = None) -> None:
        """Choose the policy and the kind of window; ``burst`` caps a bucket (unset: a whole period's calls)."""
        if policy not in POLICIES:
            raise ValueError(f"unknown flow control {policy!r}; known: {', '.join(POLICIES)}")
        if window not in WINDOWS:
            raise ValueError(f"unknown window {window!r}; known: {', '.join(WINDOWS)}")
        if burst is not None and burst < 1:
            raise ValueError(f"a bucket holds at least one call, not {burst}")
        self.policy: Policy = policy
        self.window: WindowKind = window
        self._burst = burst
        self._lock = threading.Lock()
        self._usage: dict[tuple[str, str], _Usage] = {}

    def under(self, policy: Policy) -> FlowControl:
        """Another policy over the same kind of window; it counts for itself."""
        return FlowControl(policy, self.window, burst=self._burst)

    def admit(self, account: str, endpoint: str, counts: Counts, now: float) -> bool:
        """Take one call of the account's allowance at ``now`` (seconds since the epoch); False if none is left.

        A refused call takes nothing.
        """
        limit = limit_of(self.policy, endpoint, counts)
        if limit is None:
            return True
        with self._lock:
            usage = self._usage.setdefault((account, limit.counter), _Usage())
            if self.window == "rolling":
                return _rolling(usage, limit, now)
            if self.window == "day":
                return _calendar(usage, limit, now)
            return _bucket(usage, limit, now, self._burst)


def _rolling(usage: _Usage, limit: Limit, now: float) -> bool:
    while usage.times and usage.times[0] <= now - limit.seconds:
        usage.times.popleft()
    if len(usage.times) >= limit.calls:
        return False
    usage.times.append(now)
    return True


def _calendar(usage: _Usage, limit: Limit, now: float) -> bool:
    period = floor(now / limit.seconds)  # the epoch began at midnight UTC, so days and minutes align with it
    if period != usage.period:
        usage.period, usage.used = period, 0
    if usage.used >= limit.calls:
        return False
    usage.used += 1
    return True


def _bucket(usage: _Usage, limit: Limit, now: float, burst: int | None) -> bool:
    size = float(limit.calls if burst is None else min(burst, limit.calls))
    if usage.tokens is None:
        usage.tokens, usage.filled_at = size, now
    refill = max(0.0, now - usage.filled_at) * limit.calls / limit.seconds
    usage.tokens, usage.filled_at = min(size, usage.tokens + refill), max(now, usage.filled_at)
    if usage.tokens < 1 - 1e-6:  # a refill of exactly one call must not fail by float noise
        return False
    usage.tokens = max(0.0, usage.tokens - 1)
    return True
