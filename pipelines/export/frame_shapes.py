"""Each open tool's frame: its names, its units, its labels. docs/exports.md says them for readers."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import duckdb
import pandas as pd

from pipelines.export.plant_data import SLOT_SQL, PlantFacts, inverter_sums, on_the_grid, weather

Made = tuple[pd.DataFrame, Mapping[str, Any]]

IRRADIANCE_NAMES: Final = {"poa": "poa_global", "ghi": "ghi"}
"""By the plane that the owner's plants file gives. Without it the sensor's plane is nobody's word."""

UNVERIFIED: Final = "irradiance_unverified_plane"

ERROR_TYPES: Final = {
    "normal": (512, 1025, 1026),
    "warning": (513, 514, 772),
    "standby": (0, 1, 2, 3, 256, 769, 1280, 1281, 1536, 1792, 2048, 2304, 40960),
    "fault": (768, 770, 773, 774),
    "offline": (771, 45056),
}
"""ODS-E's words for the inverter's states (reference 5.1.2.3, table 5-2); any other state is `unknown`."""

_ODSE: Final = """
select
    collect_time_utc as time, device_id::varchar as asset_id, energy_kwh as "kWh", active_power_kw as "kW",
    power_factor as "PF", grid_frequency_hz as frequency, temperature_degc as temperature, inverter_state_code
from marts.fct_inverter_5min
where plant_code = $plant and local_date between $since and $until and energy_kwh is not null
order by device_id, collect_time_utc
"""

_GRID: Final = """devices as (select distinct device_id, local_date from readings),
slots as (select distinct local_date, slot from readings)"""
"""With `readings` by device, day and slot: the devices and the slots of each day."""

_ON_THE_GRID: Final = """from slots
    inner join devices on devices.local_date = slots.local_date
    left join readings
        on readings.device_id = devices.device_id and readings.local_date = slots.local_date
        and readings.slot = slots.slot"""
"""Each device of a day in each slot of the day, with its reading where there is one."""

_PVOUTPUT: Final = f"""
with readings as (
    select
        device_id, local_date, {SLOT_SQL} as slot,
        arg_max(active_power_kw, collect_time_utc) as power_kw,
        max(total_yield_kwh) as counter_kwh
    from marts.fct_inverter_5min
    where plant_code = $plant and local_date between $since and $until
    group by device_id, local_date, slot
),
{_GRID},
filled as (
    select
        slots.local_date, slots.slot, devices.device_id, readings.power_kw,
        last_value(counter_kwh ignore nulls) over by_device - min(counter_kwh) over whole_day as today_kwh
    {_ON_THE_GRID}
    window
        by_device as (partition by slots.local_date, devices.device_id order by slots.slot),
        whole_day as (partition by slots.local_date, devices.device_id)
)
select slot as time, local_date, 1000 * sum(today_kwh) as v1, 1000 * sum(power_kw) as v2
from filled
group by slot, local_date
order by slot
"""  # noqa: S608 (our own words)

# What the house draws is what the inverters give and the grid sends, less what is fed in and what storage on the AC
# side takes; a hybrid's battery works before its inverter. Counters carry a figure over gaps; those that restart at
# midnight say the day's energy themselves. Nothing is known where a meter's directions aren't, or a term is missing,
# as on days when a hybrid took from the grid what passes no counter of its inverter.
_CONSUMPTION: Final = f"""
with flows as (
    select
        device_id, local_date, collect_time_utc,
        grid_import_kw - grid_export_kw as drawn_kw, counter_kind,
        case import_counter
            when 'forward' then forward_active_energy_kwh when 'reverse' then reverse_active_energy_kwh
        end as in_kwh,
        case import_counter
            when 'forward' then reverse_active_energy_kwh when 'reverse' then forward_active_energy_kwh
        end as out_kwh
    from marts.fct_meter_5min
    where
        plant_code = $plant and local_date between $since and $until and coalesce(meter_role, 'grid') = 'grid'
    union all
    select
        device_id, local_date, collect_time_utc, -battery_power_kw as drawn_kw, counter_kind,
        discharge_counter_kwh as in_kwh, charge_counter_kwh as out_kwh
    from marts.fct_battery_5min
    where plant_code = $plant and local_date between $since and $until and device_type_id = 41
),
readings as (
    select
        device_id, local_date, {SLOT_SQL} as slot,
        arg_max(drawn_kw, collect_time_utc) as drawn_kw,
        any_value(counter_kind) as counter_kind,
        arg_max(in_kwh - out_kwh, collect_time_utc) as net_kwh
    from flows
    group by device_id, local_date, slot
),
{_GRID},
filled as (
    select
        slots.local_date, slots.slot, readings.drawn_kw,
        last_value(readings.net_kwh ignore nulls) over by_device
        - case
            when first_value(readings.counter_kind ignore nulls) over whole_day = 'daily' then 0
            else first_value(readings.net_kwh ignore nulls) over whole_day
        end as today_kwh
    {_ON_THE_GRID}
    window
        by_device as (partition by slots.local_date, devices.device_id order by slots.slot),
        whole_day as (
            partition by slots.local_date, devices.device_id order by slots.slot
            rows between unbounded preceding and unbounded following
        )
)
select
    slot as time,
    case when count(today_kwh) = count(*) then 1000 * sum(today_kwh) end as drawn_wh,
    case when count(drawn_kw) = count(*) then 1000 * sum(drawn_kw) end as drawn_w
from filled
where
    exists (
        select 1 from marts.fct_meter_5min
        where plant_code = $plant and local_date between $since and $until and coalesce(meter_role, 'grid') = 'grid'
    )
    and local_date not in (
        select local_date from marts.fct_data_quality_day where plant_code = $plant and hybrid_charged_from_grid
    )
group by slot, local_date
order by slot
"""  # noqa: S608 (our own words)


def pvlib_frame(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> Made:
    """Names of pvlib and pvanalytics: instants of measurement in the plant's zone; W/m2, degrees, m/s; pac, pdc in kW.

    The irradiance is `poa_global` or `ghi` as the owner's plants file says, else `irradiance_unverified_plane`.
    """
    frame = _joined(connection, plant, since, until).rename(
        columns={
            "irradiance_w_m2": _irradiance(plant),
            "air_degc": "temp_air",
            "module_degc": "temp_module",
            "wind_m_s": "wind_speed",
            "ac_power_kw": "pac",
            "dc_power_kw": "pdc",
        }
    )
    facts = {
        "latitude": plant.latitude,
        "longitude": plant.longitude,
        "tz": plant.zone,
        "surface_tilt": plant.owner.get("tilt"),
        "surface_azimuth": plant.owner.get("azimuth"),
        "pdc0": plant.dc_kwp,
        "gamma_pdc": plant.owner.get("gamma"),
        "units": {"pac": "kW", "pdc": "kW", "pdc0": "kW", "temp_air": "degC", "wind_speed": "m/s"},
    }
    return frame.drop(columns=["energy_kwh"], errors="ignore"), facts


def rdtools_frame(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> Made:
    """What rdtools' TrendAnalysis takes: `pv`, the energy of the interval that ends at the index, in Wh; tz-aware."""
    frame = _joined(connection, plant, since, until)
    made = pd.DataFrame(
        {
            "pv": frame["energy_kwh"] * 1000,
            _irradiance(plant): frame["irradiance_w_m2"],
            "temperature_ambient": frame["air_degc"],
            "temperature_module": frame["module_degc"],
            "windspeed": frame["wind_m_s"],
        }
    )
    facts = {
        "pv_input": "energy",
        "power_dc_rated": None if plant.dc_kwp is None else plant.dc_kwp * 1000,
        "gamma_pdc": plant.owner.get("gamma"),
        "latitude": plant.latitude,
        "longitude": plant.longitude,
        "tz": plant.zone,
        "pv_tilt": plant.owner.get("tilt"),
        "pv_azimuth": plant.owner.get("azimuth"),
        "units": {"pv": "Wh per interval, labelled by its end", "power_dc_rated": "W"},
    }
    return made, facts


def odse_frame(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> Made:
    """Records of ODS-E's energy-timeseries, a row per inverter and interval (labelled by its end) with an energy."""
    values = {"plant": plant.code, "since": since, "until": until}
    frame = connection.execute(_ODSE, values).df()
    words = {code: word for word, codes in ERROR_TYPES.items() for code in codes}
    states = frame.pop("inverter_state_code")
    local = frame.pop("time").dt.tz_convert(plant.zone)
    frame.insert(0, "timestamp", pd.Series([each.isoformat() for each in local], dtype="object"))
    frame["direction"] = "generation"
    frame["error_type"] = states.map(words).fillna("unknown")
    frame["oem_error_code"] = states.astype("Int64").astype("string").astype("object")
    return frame, {"tz": plant.zone, "interval_minutes": 5}


def pvoutput_frame(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> Made:
    """PVOutput's addbatchstatus: date and time of the plant's clock, Wh of the day so far and W.

    Consumption is there where the directions of all grid meters are known, and no hybrid charged from the grid on that
    day; degrees are the air's. PVOutput knows no repeated hour: of two readings that show the same clock, the later one
    stands.
    """
    values = {"plant": plant.code, "since": since, "until": until}
    frame = connection.execute(_PVOUTPUT, values).df().set_index("time")
    air = weather(connection, plant, since, until)["air_degc"]
    drawn = connection.execute(_CONSUMPTION, values).df().set_index("time")
    frame = frame.join(air).join(drawn)
    # Midnight's reading closes the day before, and PVOutput would file that day's sum under the new one.
    its_own = frame.index.tz_convert(plant.zone).date == pd.to_datetime(frame["local_date"]).dt.date.to_numpy()
    frame = frame[its_own]
    local = frame.index.tz_convert(plant.zone)
    made = pd.DataFrame(
        {
            "d": local.strftime("%Y%m%d"),
            "t": local.strftime("%H:%M"),
            "v1": frame["v1"].round().astype("Int64").to_numpy(),
            "v2": frame["v2"].round().astype("Int64").to_numpy(),
            # Rounding and a day's first interval can take a little more than there was.
            "v3": (frame["v1"] + frame["drawn_wh"]).clip(lower=0).round().astype("Int64").to_numpy(),
            "v4": (frame["v2"] + frame["drawn_w"]).clip(lower=0).round().astype("Int64").to_numpy(),
            "v5": frame["air_degc"].round(1).to_numpy(),
            "v6": pd.NA,
        }
    )
    return made.drop_duplicates(["d", "t"], keep="last").reset_index(drop=True), {"tz": plant.zone}


def _joined(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> pd.DataFrame:
    power = inverter_sums(connection, plant, since, until).drop(columns=["local_date"])
    return on_the_grid(power.join(weather(connection, plant, since, until), how="outer"), plant.zone)


def _irradiance(plant: PlantFacts) -> str:
    return IRRADIANCE_NAMES.get(str(plant.owner.get("irradiance_plane")), UNVERIFIED)
