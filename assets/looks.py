"""What there is to look at beside tables: quota, backlog and the power of the last day, as metadata of assets.

A load looks after it has published, at most once an hour; nothing here asks the vendor.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from assets.charts import picture, power_chart, quota_chart, states_chart
from assets.checks import now_of, table_of
from assets.resources import Pvms
from pipelines.checks.look import Look
from pipelines.checks.shown import newest_states, power_of_newest_day
from pipelines.lake.errors import NoWarehouse
from pipelines.lake.publish import open_published
from pipelines.load.headline import calls_left, headline, waits
from pipelines.load.standing import Standing, complete_until, standing_of
from pipelines.northbound.clock import SystemClock

QUOTA: Final = dg.AssetKey(["ops", "quota"])
BACKLOG: Final = dg.AssetKey(["ops", "backlog"])
POWER: Final = dg.AssetKey(["marts", "fct_inverter_5min"])

LOOKED_EVERY: Final = timedelta(hours=1)
"""A look with its picture is some 25 KB of Dagster's records, and the quota of an hour ago is near enough."""


def record_looks(context: dg.OpExecutionContext | dg.AssetExecutionContext, pvms: Pvms) -> None:
    """After a publish: quota, backlog and the last day's power, unless they were recorded within the hour."""
    latest = context.instance.get_latest_materialization_event(QUOTA)
    if latest is not None and datetime.now(UTC).timestamp() - latest.timestamp < LOOKED_EVERY.total_seconds():
        return
    for key, metadata in looks(pvms):
        context.log_event(dg.AssetMaterialization(asset_key=key, metadata=metadata))
    record_power(context, pvms)


def record_power(context: dg.OpExecutionContext | dg.AssetExecutionContext, pvms: Pvms) -> None:
    """The power of the newest day that was read for good, as an observation of the 5-minute mart."""
    metadata = power_metadata(pvms)
    if metadata:
        context.log_event(dg.AssetObservation(asset_key=POWER, metadata=metadata))


def looks(pvms: Pvms) -> Iterator[tuple[dg.AssetKey, dict[str, Any]]]:
    """Both assets with their metadata."""
    standing = standing_of(pvms.settings, pvms.clock or SystemClock())
    yield QUOTA, quota_metadata(standing)
    yield BACKLOG, backlog_metadata(pvms, standing)


def quota_metadata(standing: Standing) -> dict[str, Any]:
    """Calls of the last day, what is closed and until when, a row an endpoint, a chart an account."""
    rows = [
        {
            "account": account.account,
            "endpoint": each.endpoint,
            "used": each.used,
            "limit": each.limit,
            "free": each.free,
            "a day": each.per_day,
            "next call": "denied" if each.denied else each.next_at or "now",
        }
        for account in standing.accounts
        for each in account.endpoints
        if each.limit
    ]
    metadata: dict[str, Any] = {
        "calls_last_day": standing.calls_last_day,
        "rows_last_day": standing.rows_last_day,
        "rows_per_call": round(standing.rows_last_day / standing.calls_last_day, 1) if standing.calls_last_day else 0.0,
        "endpoints_without_quota_now": sum(row["next call"] not in ("now", "denied") for row in rows),
        "endpoints_denied": sum(row["next call"] == "denied" for row in rows),
    }
    for account in standing.accounts:
        chart = quota_chart(account.endpoints, account.account)
        if chart:
            metadata[f"used by {account.account}"] = picture(chart, "Share of each quota that is used")
    if rows:
        metadata["quota"] = table_of(tuple(rows))
    return metadata


def backlog_metadata(pvms: Pvms, standing: Standing) -> dict[str, Any]:
    """The headline of `pvms status`, counts by state, calls and days left, and the states of the newest periods."""
    left = calls_left(standing)
    waiting = waits(standing)
    until = complete_until(standing)
    metadata: dict[str, Any] = {
        "headline": headline(standing),
        "calls_left": sum(left.values()),
        "days_of_quota_left": max((each.days or 0 for each in waiting), default=0),
        "periods_not_begun": sum(each.periods for each in standing.ahead),
        **{f"periods_{state}": count for state, count in standing.periods.items()},
    }
    if until:
        metadata["complete_until"] = until.isoformat()
    with _published(pvms) as look:
        chart = states_chart(newest_states(look, "device_history")) if look else None
    if chart:
        metadata["newest_periods"] = picture(chart, "State of the newest 5-minute days by plant")
    rows = _by_dataset(standing, left)
    if rows:
        metadata["datasets"] = table_of(tuple(rows))
    return metadata


def power_metadata(pvms: Pvms) -> dict[str, Any]:
    """The newest day that was read for good: its date, energy, and the chart of its power. Empty before the first."""
    with _published(pvms) as look:
        power = power_of_newest_day(look) if look else None
    if power is None:
        return {}
    return {
        "day": power.day.isoformat(),
        "energy_by_power_kwh": round(power.energy_kwh, 1),
        "power": picture(power_chart(power), f"AC power by plant on {power.day}"),
    }


def _by_dataset(standing: Standing, left: dict[str, int]) -> Sequence[dict[str, Any]]:
    return [
        {
            "dataset": each.dataset,
            "from": each.first,
            "to": each.last,
            "rows": each.rows,
            **{state: each.states.get(state, 0) for state in ("final", "provisional", "missing", "suspect", "denied")},
            "calls left": left.get(each.dataset, 0),
        }
        for each in standing.datasets
    ]


@contextmanager
def _published(pvms: Pvms) -> Iterator[Look | None]:
    """A look at the published warehouse; None where there is none yet."""
    settings = pvms.settings
    try:
        connection = open_published(settings.home, threads=settings.duckdb_threads, memory_limit=settings.duckdb_memory)
    except NoWarehouse:
        yield None
        return
    with closing(connection):
        yield Look(connection, now_of(pvms), settings.history_freshness_days)
