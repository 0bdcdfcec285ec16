"""The quotas that hold for one account: the catalog's for its policy, and what the owner's file says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.endpoints import ENDPOINTS, QUOTAS_VERSION, Quota

SHARED_KEY: Final = "all"
"""Stands for all endpoints that draw from one counter (4.1) in a :class:`QuotaOverride`'s place."""


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """What the account manages: the quotas are formulas over these."""

    plants: int = 0
    devices_by_type: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaOverride:
    """Another limit (calls a window) or another window than the catalog's; None leaves the catalog's."""

    limit: int | None = None
    window_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of the vendor: its calls are counted together. ``name`` and ``quota_name`` go to the disk."""

    name: str
    quota: Quota
    quota_name: str
    """Says which quota it is: what was learnt under another is void."""
    endpoints: tuple[str, ...]

    def limit(self, counts: FleetCounts) -> int:
        """Calls of one window; at least one."""
        # The formulas give 0 for an account with nothing, and before the first listing; one call is always worth it.
        return max(1, self.quota.limit(counts.plants, counts.devices_by_type))


class QuotaBook:
    """Every endpoint's counter under one policy: dynamic (4.2), static (6.2) or oauth (4.1)."""

    def __init__(self, policy: str, overrides: Mapping[str, QuotaOverride] | None = None) -> None:
        """``overrides`` by endpoint, or by "all" for those that share one counter.

        ValueError for a policy that isn't known.
        """
        if policy not in ENDPOINTS["stations"].quotas:
            raise ValueError(f"flow control is one of {', '.join(ENDPOINTS['stations'].quotas)}, not {policy!r}")
        self.policy = policy
        quotas = {name: each.quotas[policy] for name, each in ENDPOINTS.items()}
        self._counters = {name: self._counter(name, quotas, overrides or {}) for name in quotas}

    def counter(self, endpoint: str) -> Counter:
        """The counter that the endpoint's calls are charged to."""
        return self._counters[endpoint]

    def _counter(self, endpoint: str, quotas: Mapping[str, Quota], overrides: Mapping[str, QuotaOverride]) -> Counter:
        quota = quotas[endpoint]
        sharing: tuple[str, ...] = (endpoint,)
        if quota.shared:
            sharing = tuple(name for name, each in quotas.items() if each.shared == quota.shared)
        changed = overrides.get(SHARED_KEY if quota.shared else endpoint)
        quota_name = QUOTAS_VERSION
        if changed is not None:
            quota_name = f"{changed.limit or '-'} per {changed.window_seconds or '-'} s"
            quota = _overridden(quota, changed)
        # Another policy has to learn anew.
        return Counter(f"{self.policy}:{quota.shared or endpoint}", quota, quota_name, sharing)


def _overridden(quota: Quota, changed: QuotaOverride) -> Quota:
    window = changed.window_seconds or quota.window_seconds
    if changed.limit is None:
        return replace(quota, window_seconds=window)
    return Quota(window, base=changed.limit, shared=quota.shared)
