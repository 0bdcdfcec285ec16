"""The frame that rdtools' AvailabilityAnalysis takes: the plant beside its inverters, power beside counters."""

from datetime import date
from typing import Final

import duckdb
import pandas as pd

from pipelines.export.frame_shapes import Made
from pipelines.export.plant_data import SLOT_SQL, PlantFacts, on_the_grid, weather

_INVERTERS: Final = f"""
select
    device_id, {SLOT_SQL} as time,
    arg_max(active_power_kw, collect_time_utc) as power_kw,
    max(total_yield_kwh) as counter_kwh
from marts.fct_inverter_5min
where plant_code = $plant and local_date between $since and $until
group by device_id, time
order by time, device_id
"""  # noqa: S608 (our own words)


def availability_frame(connection: duckdb.DuckDBPyConnection, plant: PlantFacts, since: date, until: date) -> Made:
    """`power_system`, `power_expected` (kW), `energy_cumulative` (kWh) and `inverter_<id>` (kW) per five minutes.

    The system is the sum of the inverters that spoke. A counter that wasn't read is the next one read, so that what
    an inverter made while it was silent is known at the end of its silence. Expected is P0 x irradiance / 1 kW/m2, an
    upper bound that the tool scales itself; empty without a sensor or a capacity.
    """
    values = {"plant": plant.code, "since": since, "until": until}
    readings = connection.execute(_INVERTERS, values).df()
    if readings.empty:
        return pd.DataFrame(), {}
    by_inverter = readings.pivot(index="time", columns="device_id")
    sensor = weather(connection, plant, since, until)["irradiance_w_m2"]
    made = on_the_grid(
        by_inverter["power_kw"].add_prefix("inverter_").rename_axis(columns=None).join(sensor, how="left"), plant.zone
    )
    irradiance = made.pop("irradiance_w_m2")
    counters = by_inverter["counter_kwh"].tz_convert(plant.zone).reindex(made.index).bfill().ffill()
    made.insert(0, "power_system", made.sum(axis="columns", min_count=1))
    made.insert(1, "power_expected", irradiance * (plant.dc_kwp or float("nan")) / 1000)
    made.insert(2, "energy_cumulative", counters.sum(axis="columns", min_count=1))
    facts = {
        "tz": plant.zone,
        "subsystems": [name for name in made.columns if name.startswith("inverter_")],
        "units": {"power": "kW", "energy_cumulative": "kWh"},
    }
    return made, facts
