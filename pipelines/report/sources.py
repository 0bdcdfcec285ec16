"""The queries behind the page: facts by plant and day, by plant, by day, and alarms, as plain rows."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import duckdb

Row = dict[str, Any]

PEERS_KM: Final = 25
"""Plants this near share their weather (docs/figures.md 2)."""
FEWEST_PEERS: Final = 5
"""With fewer, the median says nothing."""

_DAYS: Final = """
select
    facts.*,
    plants.latitude, plants.longitude, to_json(overrides) as owner
from marts.fct_plant_day as facts
left join staging.stg_plants as plants on plants.plant_code = facts.plant_code
left join ops.plant_overrides as overrides on overrides.plant_code = facts.plant_code
where facts.local_date between $start and $end
    and (len($plants::varchar[]) = 0 or list_contains($plants::varchar[], facts.plant_code))
"""

PLANTS: Final = """
select
    plant_code,
    any_value(plant_name) as plant_name,
    any_value(latitude) as latitude,
    any_value(longitude) as longitude,
    any_value(time_zone) as time_zone,
    any_value(owner) as owner,
    count(*) as days,
    count(pv_energy_kwh) filter (where is_running is distinct from true) as days_with_energy,
    arg_max(p0_kwp, local_date) as p0_kwp,
    sum(pv_energy_kwh) as pv_energy_kwh,
    sum(specific_yield_kwh_kwp) as specific_yield_kwh_kwp,
    100 * sum(pv_energy_kwh) filter (where clear_sky_ratio_pct is not null)
        / nullif(sum(clear_sky_energy_kwh) filter (where clear_sky_ratio_pct is not null), 0) as clear_sky_pct,
    count(clear_sky_energy_kwh) as clear_sky_days,
    sum(pv_energy_kwh) filter (where pr_inputs_complete)
        / nullif(sum(p0_kwp * irradiation_kwh_m2) filter (where pr_inputs_complete), 0) * 100 as pr_pct,
    count(*) filter (where pr_inputs_complete) as pr_days,
    bool_and(pr_unverified_plane_pct is null) as plane_is_poa,
    sum(inverter_slots_received) / nullif(
        sum(inverter_slots_expected) filter (where inverter_slots_received is not null), 0
    ) as completeness,
    count(*) filter (where history_state in ('final', 'provisional')) as days_read,
    count(*) filter (where is_provisional) as provisional_days,
    bool_or(has_battery) as has_battery,
    sum(feed_in_energy_kwh) as feed_in_energy_kwh,
    sum(purchased_energy_kwh) as purchased_energy_kwh,
    sum(consumption_kwh) as consumption_kwh,
    sum(self_used_pv_energy_kwh) filter (where pv_energy_kwh is not null and has_meter) as self_used_pv_energy_kwh,
    sum(pv_energy_kwh) filter (where self_used_pv_energy_kwh is not null and has_meter) as pv_behind_meter_kwh,
    sum(battery_charged_energy_kwh) as battery_charged_energy_kwh,
    sum(battery_discharged_energy_kwh) as battery_discharged_energy_kwh,
    count(battery_charged_energy_kwh) as battery_days,
    sum(revenue) as revenue,
    count(revenue) as revenue_days,
    sum(revenue) filter (where pv_energy_kwh is not null) as revenue_of_energy,
    sum(pv_energy_kwh) filter (where revenue is not null) as energy_with_revenue_kwh,
    100 * sum(up_kwp_h) filter (where availability_pct is not null)
        / nullif(sum(judged_kwp_h) filter (where availability_pct is not null), 0) as availability_pct,
    count(availability_pct) as availability_days,
    sum(inverter_down_h) as inverter_down_h,
    sum(lost_energy_kwh) as lost_energy_kwh,
    count(*) filter (where inverter_down_h > 0 and lost_energy_kwh is null) as days_of_unknown_loss,
    sum(curtailed_energy_kwh) as curtailed_energy_kwh,
    sum(clipped_energy_kwh) as clipped_energy_kwh,
    string_agg(distinct kpi_gaps, '; ') as kpi_gaps,
    string_agg(distinct kpi_flags, '; ') as kpi_flags
from days
group by plant_code
"""

BILLS: Final = """
select
    coalesce(tariff_currency, '') as currency,
    count(distinct plant_code) as plants,
    count(*) as bill_days,
    sum(bill) as bill,
    sum(purchase_cost) as purchase_cost,
    sum(feed_in_earnings) as feed_in_earnings,
    sum(savings) as savings
from days
where bill is not null
group by currency
order by currency
"""
"""A plant's tariffs may change their currency within the dates."""

_ROUND_TRIPS: Final = """
select plant_code, arg_max(round_trip_pct, month_start) as round_trip_pct
from marts.fct_battery_month
where round_trip_pct is not null and round_trip_to between $start and $end
group by plant_code, device_id
order by plant_code, device_id
"""

BY_DAY: Final = """
select
    local_date,
    count(*) as plants,
    count(pv_energy_kwh) as plants_with_energy,
    sum(pv_energy_kwh) as pv_energy_kwh,
    sum(pv_energy_kwh) filter (where p0_kwp is not null)
        / nullif(sum(p0_kwp) filter (where pv_energy_kwh is not null), 0) as specific_yield_kwh_kwp,
    bool_or(is_provisional) as is_provisional,
    sum(battery_charged_energy_kwh) as battery_charged_energy_kwh,
    sum(battery_discharged_energy_kwh) as battery_discharged_energy_kwh
from days
group by local_date
order by local_date
"""

CELLS: Final = """
select plant_code, local_date, pv_energy_kwh, specific_yield_kwh_kwp, inverter_completeness, report_state,
    history_state, is_provisional
from days
order by plant_code, local_date
"""

PEERS: Final = """
select plant_code, sum(specific_yield_kwh_kwp) / nullif(sum(peer_specific_yield_kwh_kwp), 0) as ratio
from days
where specific_yield_kwh_kwp is not null and peer_specific_yield_kwh_kwp is not null
group by plant_code
"""

_ALARMS: Final = """
select
    alarms.plant_code, plants.plant_name, alarms.device_name, alarms.device_sn, alarms.alarm_name, alarms.alarm_cause,
    alarms.severity_code, coalesce(alarms.severity, 'unknown') as severity, alarms.raise_time_utc, alarms.local_time,
    alarms.cleared_before_utc is null as is_open,
    timezone(coalesce(plants.time_zone, 'UTC'), alarms.last_seen_at_utc) as last_seen_local,
    epoch(coalesce(alarms.cleared_before_utc, alarms.last_seen_at_utc) - alarms.raise_time_utc) / 86400 as days_open,
    count(*) over (partition by alarms.plant_code, alarms.device_sn, alarms.alarm_id) as times
from staging.stg_alarms as alarms
left join staging.stg_plants as plants on plants.plant_code = alarms.plant_code
where (len($plants::varchar[]) = 0 or list_contains($plants::varchar[], alarms.plant_code))
    and coalesce(alarms.local_time, alarms.raise_time_utc::timestamp)::date <= $end
    and (alarms.cleared_before_utc is null or alarms.cleared_before_utc::date >= $start)
order by is_open desc, alarms.severity_code, alarms.raise_time_utc
"""


class Figures:
    """The rows of one report, read from one connection; the facts of the dates are read once."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, start: date, end: date, plants: Sequence[str] = ()
    ) -> None:
        """Read the facts of `start`..`end`, both included, of some plants (none named: all)."""
        self._connection = connection.cursor()
        self._connection.execute("set TimeZone = 'UTC'")
        self._values = {"start": start, "end": end, "plants": list(plants)}
        self._connection.execute(f"create or replace temp table days as {_DAYS}", self._values)

    def rows(self, query: str, **values: object) -> list[Row]:
        """Rows of a query on `days`."""
        result = self._connection.execute(query, values or None)
        names = [each[0] for each in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def peer_ratios(self) -> dict[str, float]:
        """Specific yield over the median of the plants around, by plant; absent where there are too few."""
        found = self.rows(PEERS)
        return {row["plant_code"]: row["ratio"] for row in found if row["ratio"] is not None}

    def round_trips(self) -> dict[str, list[float]]:
        """Each battery's round trip in percent by the mart's rule, the last one that ends in the dates, by plant."""
        found: dict[str, list[float]] = {}
        for row in self.rows(_ROUND_TRIPS, start=self._values["start"], end=self._values["end"]):
            found.setdefault(row["plant_code"], []).append(row["round_trip_pct"])
        return found

    def alarms(self) -> list[Row]:
        """Alarms that were open at some time of the dates, open ones first, the gravest first."""
        return self.rows(_ALARMS, **self._values)

    def published(self) -> datetime | None:
        """When the views of the warehouse were made; None in a lone copy."""
        try:
            row = self._connection.execute("select built_at from pvms.lake").fetchone()
        except duckdb.CatalogException:
            return None
        return row[0] if row else None

    def close(self) -> None:
        """Forget the facts that were read."""
        self._connection.close()
