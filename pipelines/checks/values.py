"""What single values tell: counters that fall, values that can't be true, keys nobody knows, records set aside."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pipelines.checks.look import LATELY, Look
from pipelines.checks.outcome import Outcome, judged
from schemas.datasets import DATASETS
from schemas.tables import TABLES

COUNTERS: Final = {
    "device_history_string_inverter": ("total_cap", "mppt_total_cap"),
    "device_history_residential_inverter": ("total_cap",),
    "device_history_grid_meter": ("active_cap", "reverse_active_cap"),
    "device_history_power_sensor": ("active_cap", "reverse_active_cap"),
}
"""Counters that run for a device's whole life. Those of a day fall each midnight, and say nothing by it."""

ROUNDING_KWH: Final = 0.015
"""The last digit that servers send, and a half."""

DRIFT_DAYS: Final = timedelta(days=7)
"""Long enough to be seen by whoever looks once a week."""

_FALLS: Final = """
select plant_code, device_id, collect_time, '{column}' as counter, before, value
from (
    select plant_code, device_id, collect_time, {column} as value,
        lag({column}) over (partition by device_id order by collect_time) as before
    from raw.{table} where {chosen} and {column} is not null
)
where before - value > {rounding}
"""

_READINGS: Final = "select count(*) as readings from raw.{table} where {chosen} and {column} is not null"


def counters_fall(look: Look) -> Outcome:
    """Readings at which a counter for life is lower than the device's reading before."""
    pairs = [(table, column) for table, columns in COUNTERS.items() for column in columns]
    falls = " union all ".join(
        _FALLS.format(table=table, column=column, chosen=look.chosen, rounding=ROUNDING_KWH) for table, column in pairs
    )
    readings = " union all ".join(_READINGS.format(table=t, column=c, chosen=look.chosen) for t, c in pairs)
    found = look.rows(f"select * from ({falls}) order by before - value desc, collect_time")  # noqa: S608
    total = look.row(f"select coalesce(sum(readings), 0)::bigint as readings from ({readings})")["readings"]  # noqa: S608
    return judged(
        found,
        total,
        "counter readings",
        good="are no lower than the reading before",
        bad="are lower than the reading before",
        look="Look whether the device was replaced (replaces_device in the devices file), reset, or lost its counter "
        "to a firmware update. Energy over a fall is null in the marts.",
        figures=look.span,
    )


def plausible_of(dataset: str) -> Callable[[Look], Outcome]:
    """The check of one dataset's values against the catalog's ranges, on the days that are looked at."""
    tables = [name for name, table in TABLES.items() if table.dataset == dataset]

    def plausible_values(look: Look) -> Outcome:
        """Rows with a value outside the catalog's plausible range."""
        part = (
            "select plant_code, local_date, collect_time_utc, {device} as device_id, '{table}' as source, implausible "
            "from staging.stg_{table} where {chosen}"
        )
        query = " union all ".join(
            part.format(
                table=table,
                chosen=look.chosen,
                device="null" if DATASETS[dataset].subject == "plant" else "device_id",
            )
            for table in tables
            if _has_ranges(look, table) and _has_rows(look, table)
        )
        if not query:
            return judged([], 0, "rows", good="", bad="", look="")
        total = look.row(f"select count(*) as looked_at, count(implausible) as off from ({query})")  # noqa: S608
        sample = []
        if total["off"]:
            sample = look.rows(
                f"select * from ({query}) where implausible is not null "  # noqa: S608
                "order by local_date desc, plant_code, device_id, collect_time_utc limit 5"
            )
        return judged(
            sample,
            total["looked_at"],
            "rows",
            count=total["off"],
            good="hold values within the catalog's plausible ranges",
            bad="hold a value outside the catalog's plausible range",
            look="Look at `implausible` in the sample. Such a value is kept in raw and null in staging and marts. If a "
            "device sends it all the time, its unit differs from the reference's: give it in the devices file.",
            figures=look.span,
        )

    return plausible_values


def _has_ranges(look: Look, table: str) -> bool:
    query = (
        "select count(*) as n from duckdb_columns() "
        "where schema_name = 'staging' and table_name = ? and column_name = 'implausible'"
    )
    return bool(look.row(query, f"stg_{table}")["n"])


def _has_rows(look: Look, table: str) -> bool:
    """Whether a table has rows of these days at all: planning a staging view of 90 columns costs more than this."""
    return bool(look.rows(f'select 1 from raw."{table}" where {look.chosen} limit 1'))  # noqa: S608


def drift(look: Look) -> Outcome:
    """Keys of the last DRIFT_DAYS that the catalog doesn't know, or whose values could not be read."""
    since = look.now - DRIFT_DAYS
    off = look.rows(
        "select dataset, kind, key, cells, sample, first_seen_at, last_seen_at from ops.schema_drift "
        "where kind in ('unknown_key', 'unreadable_cell') and last_seen_at >= ? "
        "order by first_seen_at desc, dataset, key",
        since,
    )
    items = sum(len(table.columns) for table in TABLES.values() if table.schema == "raw")
    return judged(
        off,
        items,
        "columns of the catalog and keys beside them",
        good=f"known and readable in the answers of the last {DRIFT_DAYS.days} days",
        bad="are unknown to the catalog, or held text that is no number",
        look="Look at `key` and `sample` in ops.schema_drift. Nothing is lost: the values are in `extra` of their "
        "rows. A new key is the vendor's next version; report it, so that the catalog learns it.",
    )


def quarantine_growth(look: Look) -> Outcome:
    """Records of the last day that were set aside, against all records that were answered meanwhile."""
    since = look.now - LATELY
    found = look.rows(
        "select dataset, reason, count(*) as records, max(extracted_at) as last_at from ops.quarantine "
        "where extracted_at >= ? group by all order by records desc, dataset, reason",
        since,
    )
    count = sum(each["records"] for each in found)
    answered = look.row(
        "select coalesce(sum(rows), 0)::bigint as n from ops.api_calls where outcome = 'ok' and called_at >= ?", since
    )["n"]
    before = look.row(
        "select count(*) / 7 as n from ops.quarantine where extracted_at >= ? and extracted_at < ?",
        since - DRIFT_DAYS,
        since,
    )["n"]
    return judged(
        found,
        max(answered, count),
        "records of the last day",
        count=count,
        good="could be filed",
        bad="could not be filed and were set aside",
        look="Look at `reason` and `record` in ops.quarantine; if a reason keeps growing, the vendor has changed "
        "something: report one such record.",
        figures={"a_day_in_the_week_before": round(before, 1)},
    )
