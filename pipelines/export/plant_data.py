"""What frames are made of: a plant's master data and its 5-minute sums, on a grid of five minutes in UTC."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import duckdb
import pandas as pd

from pipelines.load.request import UsageError

SLOT: Final = "5min"

SLOT_SQL: Final = "time_bucket(interval 5 minutes, collect_time_utc + interval 150 seconds)"
"""The slot of a grid of five minutes that a reading falls in, whatever a server's jitter."""

_PLANTS: Final = """
select
    plants.plant_code, plants.plant_name, plants.time_zone, plants.latitude, plants.longitude, plants.capacity_kwp,
    to_json(overrides) as owner
from staging.stg_plants as plants
left join ops.plant_overrides as overrides on overrides.plant_code = plants.plant_code
where plants.time_zone is not null
order by plants.plant_code
"""

# Readings of all inverters fall on one grid. A sum is null where an inverter
# that has readings before and after on that day lacks one: it would be too small. Before its first and after its
# last an inverter sleeps.
_INVERTERS: Final = f"""
with readings as (
    select
        device_id, local_date, {SLOT_SQL} as slot,
        arg_max(active_power_kw, collect_time_utc) as power_kw,
        arg_max(dc_power_kw, collect_time_utc) as dc_kw,
        sum(energy_kwh) as energy_kwh,
        max(total_yield_kwh) as counter_kwh
    from marts.fct_inverter_5min
    where plant_code = $plant and local_date between $since and $until
    group by device_id, local_date, slot
),
awake as (
    select device_id, local_date, min(slot) as first_slot, max(slot) as last_slot
    from readings
    group by device_id, local_date
),
slots as (select distinct local_date, slot from readings),
expected as (
    select slots.local_date, slots.slot, count(*) as devices
    from slots
    inner join awake
        on awake.local_date = slots.local_date and slots.slot between awake.first_slot and awake.last_slot
    group by slots.local_date, slots.slot
)
select
    expected.slot as time,
    expected.local_date,
    case when count(power_kw) = any_value(devices) then sum(power_kw) end as ac_power_kw,
    case when count(dc_kw) = any_value(devices) then sum(dc_kw) end as dc_power_kw,
    case when count(energy_kwh) = any_value(devices) then sum(energy_kwh) end as energy_kwh
from expected
inner join readings on readings.slot = expected.slot and readings.local_date = expected.local_date
group by expected.slot, expected.local_date
order by expected.slot
"""  # noqa: S608 (our own words)

_WEATHER: Final = f"""
with sensors as (
    select device_id from staging.stg_device_5min_emi
    where plant_code = $plant and local_date between $since and $until
    group by device_id
    order by count(irradiance_w_m2) desc, device_id
    limit 1
)
select
    {SLOT_SQL} as time,
    arg_max(irradiance_w_m2, collect_time_utc) as irradiance_w_m2,
    arg_max(temperature_degc, collect_time_utc) as air_degc,
    arg_max(pv_temperature_degc, collect_time_utc) as module_degc,
    arg_max(wind_speed_m_s, collect_time_utc) as wind_m_s
from staging.stg_device_5min_emi
where plant_code = $plant and local_date between $since and $until and device_id in (select device_id from sensors)
group by time
order by time
"""  # noqa: S608 (our own words)


@dataclass(frozen=True, slots=True)
class PlantFacts:
    """A plant's master data; `owner` is its line of the owner's plants file, empty without one."""

    code: str
    name: str | None
    zone: str
    latitude: float | None
    longitude: float | None
    capacity_kwp: float | None
    owner: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dc_kwp(self) -> float | None:
        """DC capacity: the owner's figure, else the plant list's."""
        return self.owner.get("dc_kwp") or self.capacity_kwp


def plants_of(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> list[PlantFacts]:
    """The plants with a time zone, or those of them that are named.

    Raises:
        UsageError: a named plant isn't there.
    """
    found: dict[str, PlantFacts] = {}
    for code, name, zone, latitude, longitude, capacity, owner in connection.execute(_PLANTS).fetchall():
        told = {key: value for key, value in json.loads(owner or "{}").items() if value is not None}
        found[code] = PlantFacts(code, name, zone, latitude, longitude, capacity, told)
    for code in wanted:
        if code not in found:
            raise UsageError(f"There is no plant {code} in the warehouse. `pvms sql` on raw.plants lists them.")
    return [each for code, each in found.items() if not wanted or code in wanted]


def inverter_sums(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> pd.DataFrame:
    """A row per five minutes (index `time`, end of the interval, UTC): ac_power_kw, dc_power_kw, energy_kwh."""
    return _indexed(connection, _INVERTERS, plant, since, until)


def weather(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> pd.DataFrame:
    """A row per five minutes (index `time`, UTC) of the sensor that has most: irradiance, temperatures, wind."""
    return _indexed(connection, _WEATHER, plant, since, until)


def _indexed(
    connection: duckdb.DuckDBPyConnection, query: str, plant: PlantFacts, since: date, until: date
) -> pd.DataFrame:
    values = {"plant": plant.code, "since": since, "until": until}
    return connection.execute(query, values).df().set_index("time")


def on_the_grid(frame: pd.DataFrame, zone: str) -> pd.DataFrame:
    """The rows on an unbroken grid of five minutes in the plant's zone; what wasn't read is NaN."""
    if frame.empty:
        return frame.tz_convert(zone) if isinstance(frame.index, pd.DatetimeIndex) else frame
    whole = pd.date_range(frame.index.min(), frame.index.max(), freq=SLOT, name="time")
    return frame.reindex(whole).tz_convert(zone)
