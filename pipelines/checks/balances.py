"""Independent residuals: what the vendor reports against what counters and devices say (docs/figures.md 2, balances).

The identities within one report close by construction and prove nothing. Here each side has a source of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.checks.look import Look
from pipelines.checks.outcome import Outcome, Row, judged

TOLERANCE: Final = 0.05
"""Counters are read every 5 minutes and reports are cut at the vendor's own moment; more than this is another cause."""

SMALL_KWH: Final = 1.0
"""Below this a share says nothing: a rounded counter alone is off by that much of a dark day."""

LOSS_SHARE: Final = 0.12
"""Conversion keeps 94 % or more of what the strings give; a battery on the way costs a few percent more."""

_INVERTERS: Final = """
select plant_code, device_id, collect_time, total_cap, mppt_total_cap as mppt_cap, local_date
from raw.device_history_string_inverter where {chosen}
union all
select plant_code, device_id, collect_time, total_cap,
    mppt_1_cap + coalesce(mppt_2_cap, 0) + coalesce(mppt_3_cap, 0) + coalesce(mppt_4_cap, 0), local_date
from raw.device_history_residential_inverter where {chosen}
"""

_METERS: Final = """
select plant_code, device_id, collect_time, active_cap, reverse_active_cap, local_date
from raw.device_history_grid_meter where {chosen}
union all
select plant_code, device_id, collect_time, active_cap, reverse_active_cap, local_date
from raw.device_history_power_sensor where {chosen}
"""

_DAILY: Final = """
-- A server that changes how it labels days leaves two rows for one: the newest counts.
select * from raw.plant_daily where {chosen}
qualify row_number() over (partition by plant_code, local_date order by extracted_at desc, collect_time desc) = 1
"""

_YIELD: Final = """
with readings as ({inverters}),
daily as ({daily}),
counted as (
    select plant_code, local_date, device_id,
        max(total_cap) - min(total_cap) as ac_kwh, max(mppt_cap) - min(mppt_cap) as dc_kwh
    from readings group by all
),
summed as (
    select plant_code, local_date, sum(ac_kwh) as ac_kwh,
        case when count(dc_kwh) = count(*) then sum(dc_kwh) end as dc_kwh
    from counted group by all
),
batteries as (
    select plant_code, bool_or(device_type_id = 39) as behind_inverter, bool_or(device_type_id = 41) as beside_inverter
    from raw.devices group by plant_code
),
charged as (
    select plant_code, local_date, sum(charge_cap) as charge_kwh, sum(discharge_cap) as discharge_kwh
    from raw.device_daily where {chosen} and device_type_id = 39 group by all
)
select daily.plant_code, daily.local_date, daily.inverter_yield, daily.pv_yield, summed.ac_kwh, summed.dc_kwh,
    batteries.behind_inverter, batteries.beside_inverter, coalesce(charged.charge_kwh, daily.charge_cap) as charge_kwh,
    coalesce(charged.discharge_kwh, daily.discharge_cap) as discharge_kwh
from daily
inner join summed using (plant_code, local_date)
inner join marts.fct_plant_day as days using (plant_code, local_date)
left join batteries using (plant_code)
left join charged using (plant_code, local_date)
-- A hole in the rows is a hole in the counter's day; completeness tells of it.
where days.history_state = 'final' and coalesce(days.inverter_completeness, 1) >= 0.95
order by daily.local_date desc, daily.plant_code
"""

_GRID: Final = """
with readings as ({meters}),
daily as ({daily}),
counted as (
    select readings.plant_code, days.local_date, device_id,
        max(active_cap) - min(active_cap) as active_kwh,
        max(reverse_active_cap) - min(reverse_active_cap) as reverse_kwh
    from readings
    inner join staging.int_plant_day as days
        on days.plant_code = readings.plant_code and days.{chosen}
        and readings.collect_time between days.day_start_utc and days.day_end_utc
    group by all
    -- A meter counts day and night: without its first or last half hour a day isn't counted.
    having min(collect_time) <= any_value(days.day_start_utc) + interval 30 minutes
        and max(collect_time) >= any_value(days.day_end_utc) - interval 30 minutes
)
select daily.plant_code, daily.local_date, daily.ongrid_power, daily.buy_power,
    any_value(active_kwh) as active_kwh, any_value(reverse_kwh) as reverse_kwh
from daily
inner join counted using (plant_code, local_date)
where ongrid_power is not null and buy_power is not null and active_kwh is not null and reverse_kwh is not null
group by all
-- Of several meters nobody says which one stands at the grid.
having count(*) = 1
order by daily.local_date desc, daily.plant_code
"""

_BATTERY: Final = """
with daily as ({daily})
select daily.plant_code, daily.local_date, daily.charge_cap, daily.discharge_cap,
    sum(devices.charge_cap) as devices_charge_cap, sum(devices.discharge_cap) as devices_discharge_cap
from daily
inner join raw.device_daily as devices
    on devices.plant_code = daily.plant_code and devices.local_date = daily.local_date
    and devices.device_type_id in (39, 41)
where daily.charge_cap is not null and daily.discharge_cap is not null
group by all
having count(devices.charge_cap) > 0
order by daily.local_date desc, daily.plant_code
"""


def yield_against_counters(look: Look) -> Outcome:
    """Plant days whose reported yield is not what the inverters' own counters say.

    A counter stands before a battery beside the inverter (41), so there PV yield is compared; a battery behind it (39)
    that charges from the grid lowers the reported yield, and not the counter, by at most what it charged.
    """
    found, off = [], []
    for each in _energies(look):
        reported = each["pv_yield"] if each["beside_inverter"] else each["inverter_yield"]
        if reported is None or each["ac_kwh"] is None:
            continue
        residual = each["ac_kwh"] - reported
        if each["behind_inverter"] and residual > 0:
            residual = max(0.0, residual - (each["charge_kwh"] or 0))
        found.append(residual)
        if _is_off(residual, reported):
            off.append(_row(each, reported_kwh=reported, counters_kwh=each["ac_kwh"], residual_kwh=residual))
    return _verdict(
        look,
        off,
        len(found),
        "agree with the inverters' counters",
        "differ from the inverters' counters",
        "Look for an inverter that is not listed or belongs to another plant, a replaced one, or a unit that differs.",
    )


def grid_against_meters(look: Look) -> Outcome:
    """Plant days whose feed-in and purchase are not what the grid meter's own counters say.

    Which counter is export depends on the server and the wiring, so the better of both ways round counts.
    """
    found = look.rows(_GRID.format(meters=_METERS.format(chosen=look.chosen), daily=_daily(look), chosen=look.chosen))
    off, exported_forward = [], 0
    for each in found:
        sold, bought, active, reverse = (
            each[name] for name in ("ongrid_power", "buy_power", "active_kwh", "reverse_kwh")
        )
        forward = abs(active - sold) + abs(reverse - bought)
        backward = abs(active - bought) + abs(reverse - sold)
        exported_forward += forward <= backward
        if _is_off(min(forward, backward), sold + bought):
            off.append(_row(each, **{name: each[name] for name in ("ongrid_power", "buy_power")}, active=active,
                            reverse=reverse, residual_kwh=min(forward, backward)))  # fmt: skip
    return _verdict(
        look,
        off,
        len(found),
        "agree with the meters' counters",
        "differ from the meters' counters",
        "Look at the meter's place in the plant (grid, generation or load: devices file), its ratio, and its unit.",
        active_cap_is_export=exported_forward,
    )


def battery_against_devices(look: Look) -> Outcome:
    """Plant days whose charge and discharge are not what the reports of the batteries themselves say."""
    found = look.rows(_BATTERY.format(daily=_daily(look)))
    off = []
    for each in found:
        residual = abs(each["charge_cap"] - each["devices_charge_cap"]) + abs(
            each["discharge_cap"] - (each["devices_discharge_cap"] or 0)
        )
        if _is_off(residual, each["charge_cap"] + each["discharge_cap"]):
            off.append(_row(each, **{n: each[n] for n in list(each)[2:]}, residual_kwh=residual))
    return _verdict(
        look,
        off,
        len(found),
        "agree with the batteries' own reports",
        "differ from the batteries' own reports",
        "Look for a battery that is not listed, or one whose report comes late (read it again).",
    )


def conversion_loss(look: Look) -> Outcome:
    """Plant days on which inverters lose more than LOSS_SHARE on the way from DC to AC, or gain.

    Loss = MPPT counters + discharge - charge - AC counter, batteries behind the inverter (39) counted in. What such a
    battery draws from the grid lowers the sum by at most its charge.
    """
    found, off = 0, []
    for each in _energies(look):
        if each["dc_kwh"] is None or each["ac_kwh"] is None:
            continue
        charge, discharge = (
            ((each["charge_kwh"] or 0), (each["discharge_kwh"] or 0)) if each["behind_inverter"] else (0.0, 0.0)
        )
        loss = each["dc_kwh"] + discharge - charge - each["ac_kwh"]
        through = max(each["dc_kwh"] + discharge, each["ac_kwh"])
        if loss < 0:
            loss = min(0.0, loss + charge)
        found += 1
        limit = max(SMALL_KWH, LOSS_SHARE * through if loss > 0 else TOLERANCE * through)
        if abs(loss) > limit:
            off.append(_row(each, dc_kwh=each["dc_kwh"], ac_kwh=each["ac_kwh"], loss_kwh=loss))
    return _verdict(
        look,
        off,
        found,
        f"lose at most {LOSS_SHARE:.0%} between DC and AC, and gain nothing",
        f"lose more than {LOSS_SHARE:.0%} between DC and AC, or gain",
        "Look at the MPPT counters of these inverters (an input that doesn't count, a reset), and at batteries that "
        "are not listed.",
    )


def _energies(look: Look) -> Sequence[Row]:
    inverters = _INVERTERS.format(chosen=look.chosen)
    return look.rows(_YIELD.format(inverters=inverters, daily=_daily(look), chosen=look.chosen))


def _daily(look: Look) -> str:
    return _DAILY.format(chosen=look.chosen)


def _is_off(residual: float, energy: float) -> bool:
    return abs(residual) > max(SMALL_KWH, TOLERANCE * abs(energy))


def _row(each: Row, **figures: Any) -> Mapping[str, Any]:
    rounded = {name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()}
    return {"plant_code": each["plant_code"], "local_date": each["local_date"], **rounded}


def _verdict(look: Look, off: list[Row], count: int, good: str, bad: str, advice: str, **figures: Any) -> Outcome:
    return judged(off, count, "plant days", good=good, bad=bad, look=advice, figures={**look.span, **figures})
