"""The same energy at several grains: 5 minutes against the hour, hours against the day, days against month and year."""

from collections.abc import Callable, Sequence
from typing import Final

from pipelines.checks.look import Look
from pipelines.checks.outcome import Outcome, Row, judged

TOLERANCE: Final = 0.02
"""Sums of one server's own figures: 24 or 31 rounded numbers, and nothing else, may lie between them."""

HOUR_TOLERANCE: Final = 0.10
"""A counter is read on a 5-minute grid, and an hour has twelve of its steps: one late reading moves a twelfth."""

SMALL_KWH: Final = 0.5
"""Rounding of 24 hours to two digits, with room to spare."""

ITEMS: Final = ("pv_yield", "inverter_yield", "ongrid_power")
"""Energies that every plant report has."""

_HOURS: Final = """
with hours as (
    select plant_code, local_date, count(*) as hours, {sums}
    from raw.plant_hourly where {chosen} group by all
),
days as (
    select * from raw.plant_daily where {chosen}
    qualify row_number() over (partition by plant_code, local_date order by extracted_at desc, collect_time desc) = 1
),
states as (
    select plant_code, period as local_date from ops.coverage
    where dataset in ('plant_hourly', 'plant_daily') and state = 'final'
    group by all having count(*) = 2
)
select plant_code, local_date, hours, {pairs}
from hours inner join days using (plant_code, local_date) inner join states using (plant_code, local_date)
order by local_date desc, plant_code
"""

_PERIODS: Final = """
with parts as (
    select plant_code, date_trunc('{unit}', local_date)::date as local_date, count(distinct local_date) as parts, {sums}
    from (
        select * from raw.{finer} qualify row_number() over (
            partition by plant_code, local_date order by extracted_at desc, collect_time desc
        ) = 1
    )
    group by all
),
whole as (
    select * from raw.{coarser}
    qualify row_number() over (partition by plant_code, local_date order by extracted_at desc, collect_time desc) = 1
),
states as (
    select plant_code, period as local_date from ops.coverage where dataset = '{coarser}' and state = 'final'
),
settled as (
    select plant_code, date_trunc('{unit}', period)::date as local_date from ops.coverage
    where dataset = '{finer}' group by all having bool_and(state = 'final')
)
select plant_code, local_date, parts, {pairs}
from parts inner join whole using (plant_code, local_date) inner join states using (plant_code, local_date)
inner join settled using (plant_code, local_date)
-- Only what is there whole on both sides can be compared.
where parts = date_diff('{finer_unit}', local_date, (local_date + interval 1 {unit})::date)
    and local_date + interval 1 {unit} >= ?::date - interval 400 days
order by local_date desc, plant_code
"""

_COUNTERS: Final = """
with steps as (
    select plant_code, device_id, collect_time,
        lag(collect_time) over every_device as before,
        total_cap - lag(total_cap) over every_device as kwh
    from (
        select plant_code, device_id, collect_time, total_cap
        from raw.device_history_string_inverter where {chosen} and total_cap is not null
        union all
        select plant_code, device_id, collect_time, total_cap
        from raw.device_history_residential_inverter where {chosen} and total_cap is not null
    )
    window every_device as (partition by device_id order by collect_time)
),
counted as (
    select plant_code, time_bucket(interval 1 hour, before) as hour_start, sum(kwh) as kwh
    from steps where before >= collect_time - interval 15 minutes and kwh >= 0 group by all
),
batteries as (
    select plant_code, bool_or(device_type_id = 39) as behind_inverter, bool_or(device_type_id = 41) as beside_inverter
    from raw.devices group by plant_code
),
reported as (
    select plant_code, local_date, collect_time,
        case when batteries.beside_inverter then pv_yield else inverter_yield end as kwh
    from raw.plant_hourly left join batteries using (plant_code)
    where {chosen} and not coalesce(batteries.behind_inverter, false)
)
select reported.plant_code, reported.local_date, sum(reported.kwh) as reported_kwh,
    sum(abs(reported.kwh - coalesce(starts.kwh, 0))) as residual_by_start,
    sum(abs(reported.kwh - coalesce(ends.kwh, 0))) as residual_by_end
from reported
inner join marts.fct_plant_day as days using (plant_code, local_date)
left join counted as starts
    on starts.plant_code = reported.plant_code and starts.hour_start = reported.collect_time
left join counted as ends
    on ends.plant_code = reported.plant_code and ends.hour_start = reported.collect_time - interval 1 hour
where reported.kwh is not null and days.history_state = 'final' and coalesce(days.inverter_completeness, 1) >= 0.95
group by all
order by reported.local_date desc, reported.plant_code
"""


def counters_against_hours(look: Look) -> Outcome:
    """Plant days whose hours are not what the inverters' counters say, hour by hour.

    The vendor doesn't say whether an hour is labelled by its start or its end; the side with the smaller residual over
    all plants is taken, and named. Plants with a battery behind the inverter are left out: it moves energy by hours.
    """
    found = look.rows(_COUNTERS.format(chosen=look.chosen))
    by_start = sum(each["residual_by_start"] for each in found)
    by_end = sum(each["residual_by_end"] for each in found)
    side = "start" if by_start <= by_end else "end"
    off = []
    for each in found:
        residual = each[f"residual_by_{side}"]
        if residual > max(SMALL_KWH * 2, HOUR_TOLERANCE * each["reported_kwh"]):
            off.append(
                {
                    "plant_code": each["plant_code"],
                    "local_date": each["local_date"],
                    "reported_kwh": round(each["reported_kwh"], 2),
                    "residual_kwh": round(residual, 2),
                }
            )
    return judged(
        off,
        len(found),
        "plant days",
        good="have hours that agree with the inverters' counters",
        bad="have hours that differ from the inverters' counters",
        look="Look at these plants' zones in raw.plants, and at gaps in their 5-minute data. If it is all plants, the "
        "server labels hours in another way than both known ones.",
        figures={**look.span, **({"hour_label": side} if found else {})},
    )


def hours_against_day(look: Look) -> Outcome:
    """Plant days whose hours don't add up to the day's report."""
    found = look.rows(_HOURS.format(chosen=look.chosen, sums=_sums(), pairs=_pairs("hours", "days")))
    return _compared(found, "plant days", "hours", "the daily report", "hours")


def parts_against(finer: str, coarser: str, unit: str, finer_unit: str) -> Callable[[Look], Outcome]:
    """The check that a finer report adds up to a coarser one, of periods that are there whole."""

    def agreement(look: Look) -> Outcome:
        """Plant periods whose parts don't add up to the whole."""
        query = _PERIODS.format(
            unit=unit,
            finer=finer,
            coarser=coarser,
            finer_unit=finer_unit,
            sums=_sums(),
            pairs=_pairs("parts", "whole"),
        )
        found = look.rows(query, look.now)
        return _compared(found, f"plant {unit}s", f"{finer_unit}s", f"the report of the {unit}", "parts")

    return agreement


def _compared(found: Sequence[Row], unit: str, parts: str, whole: str, counted: str) -> Outcome:
    off = []
    for each in found:
        for item in ITEMS:
            left, right = each[f"{item}_parts"], each[f"{item}_whole"]
            if left is None or right is None or abs(left - right) <= max(SMALL_KWH, TOLERANCE * abs(right)):
                continue
            off.append(
                {
                    "plant_code": each["plant_code"],
                    "local_date": each["local_date"],
                    counted: each[counted],
                    "item": item,
                    "sum_kwh": round(left, 2),
                    "whole_kwh": round(right, 2),
                }
            )
            break
    return judged(
        off,
        len(found),
        unit,
        good=f"have {parts} that add up to {whole}",
        bad=f"have {parts} that don't add up to {whole}",
        look="Look at them again after `pvms load --force` over these dates, since reports arrive late. If it stays, "
        "the server cuts periods in another zone: compare the plant's zone in raw.plants.",
    )


def _sums() -> str:
    return ", ".join(f"sum({item}) as {item}" for item in ITEMS)


def _pairs(parts: str, whole: str) -> str:
    return ", ".join(f"{parts}.{item} as {item}_parts, {whole}.{item} as {item}_whole" for item in ITEMS)
