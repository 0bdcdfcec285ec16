"""Dagster's pools: how many runs may do a thing at once, one each unless the owner sets another limit."""

from typing import Final

import dagster as dg

NORTHBOUND: Final = "northbound"
"""Runs that call the vendor: one account has one session and one quota."""

REALTIME: Final = "realtime"
"""The polling loop: one of an hour must not hold up the loads, with which it shares session and quotas call by call."""

POOLS: Final = (NORTHBOUND, REALTIME)


def make_known(instance: dg.DagsterInstance) -> None:
    """Give each pool that has no limit yet the default one.

    Dagster does so by itself when it first meets a run of the pool, but only after it has let go all that fit: the
    first runs of a backfill would start together.
    """
    known = {each.name for each in instance.event_log_storage.get_pool_limits()}
    for pool in POOLS:
        if pool not in known:
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
