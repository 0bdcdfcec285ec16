"""Each open tool's frame: its names, its units, its labels. docs/exports.md says them for readers."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import duckdb
import pandas as pd

from pipelines.export.plant_data import PlantFacts, inverter_sums, on_the_grid, weather

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

_PVOUTPUT: Final = """
with readings as (
    select
        device_id, local_date, time_bucket(interval 5 minutes, collect_time_utc + interval 150 seconds) as slot,
        arg_max(active_power_kw, collect_time_utc) as power_kw,
        max(total_yield_kwh) as counter_kwh
    from marts.fct_inverter_5min
    where plant_code = $plant and local_date between $since and $until
    group by device_id, local_date, slot
),
devices as (select distinct device_id, local_date from readings),
slots as (select distinct local_date, slot from readings),
filled as (
    select
        slots.local_date, slots.slot, devices.device_id, readings.power_kw,
        last_value(counter_kwh ignore nulls) over by_device - min(counter_kwh) over whole_day as today_kwh
    from slots
    inner join devices on devices.local_date = slots.local_date
    left join readings
        on readings.device_id = devices.device_id and readings.local_date = slots.local_date
        and readings.slot = slots.slot
    window
        by_device as (partition by slots.local_date, devices.device_id order by slots.slot),
        whole_day as (partition by slots.local_date, devices.device_id)
)
select slot as time, local_date, 1000 * sum(today_kwh) as v1, 1000 * sum(power_kw) as v2
from filled
group by slot, local_date
order by slot
"""


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
    """PVOutput's addbatchstatus: date and time of the plant's clock, Wh of the day so far, W, and the air's degrees.

    PVOutput knows no repeated hour: of two readings that show the same clock, the later one stands.
    """
    values = {"plant": plant.code, "since": since, "until": until}
    frame = connection.execute(_PVOUTPUT, values).df().set_index("time")
    air = weather(connection, plant, since, until)["air_degc"]
    frame = frame.join(air)
    local = frame.index.tz_convert(plant.zone)
    made = pd.DataFrame(
        {
            "d": local.strftime("%Y%m%d"),
            "t": local.strftime("%H:%M"),
            "v1": frame["v1"].round().astype("Int64").to_numpy(),
            "v2": frame["v2"].round().astype("Int64").to_numpy(),
            "v3": pd.NA,
            "v4": pd.NA,
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
