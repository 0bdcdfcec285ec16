"""What a cloudless sky gives the modules of each plant and day (`ops.clear_sky_day`), by pvlib.

Worked out before dbt runs, for days that are not there yet and for plants whose place or modules changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import duckdb

from schemas.tables import TABLES

TABLE: Final = "clear_sky_day"

METHOD: Final = "Ineichen and Perez, climatological turbidity, isotropic sky, albedo 0.25, 15 minutes"
"""How it is worked out, beside each row: rows of another method are made anew."""

STEP_S: Final = 900
"""Against steps of a minute a day differs by less than 0.05 % (tests/unit/test_lake_clear_sky.py)."""

ALBEDO: Final = 0.25

_PLACE: Final = ("latitude", "longitude", "time_zone", "tilt_deg", "azimuth_deg")

_WANTED: Final = """
create or replace temp table clear_sky_wanted as
with plants as (
    select
        plants.plant_code, plants.latitude, plants.longitude, plants.time_zone, plants.first_seen_at,
        owner.tilt as tilt_deg, owner.azimuth as azimuth_deg
    from raw.plants as plants
    inner join ops.plant_overrides as owner on plants.plant_code = owner.plant_code
    where owner.tilt is not null and owner.azimuth is not null and plants.time_zone is not null
        -- 0,0 is what the interface sends for "not set".
        and (plants.latitude != 0 or plants.longitude != 0)
        and abs(plants.latitude) <= 90 and abs(plants.longitude) <= 180
),
known as (
    select plant_code, min(day) as first_date, max(day) as last_date
    from (
        select plant_code, period as day from ops.coverage
        where covered > 0 and dataset in ('plant_daily', 'plant_hourly', 'device_history')
        union all
        select plant_code, local_date as day from raw.plant_daily
        where plant_code in (select plant_code from plants)
        union all
        -- Real time is polled from the first listing until now.
        select plant_code, unnest([timezone(time_zone, first_seen_at)::date, timezone(time_zone, $now)::date])
        from plants
    )
    group by plant_code
),
days as (
    select plants.*, unnest(range(known.first_date, known.last_date + 1, interval 1 day))::date as local_date
    from plants
    inner join known on plants.plant_code = known.plant_code
)
select plant_code, local_date, latitude, longitude, time_zone, tilt_deg, azimuth_deg
from days
"""

_FORGET: Final = f"""
delete from ops.{TABLE} as made
where method != $method or not exists (
    select 1 from clear_sky_wanted as wanted
    where wanted.plant_code = made.plant_code and wanted.local_date = made.local_date
        and {" and ".join(f"wanted.{each} = made.{each}" for each in _PLACE)}
)
"""  # noqa: S608 (names of columns)

_TODO: Final = f"""
with todo as (
    select wanted.* from clear_sky_wanted as wanted
    anti join ops.{TABLE} as made
        on wanted.plant_code = made.plant_code and wanted.local_date = made.local_date
),
-- Where midnight happens twice it is the first of the two.
bounds as (
    select
        *,
        timezone(time_zone, local_date::timestamp) as start,
        timezone(time_zone, (local_date + 1)::timestamp) as stop
    from todo
)
select
    plant_code, local_date, {", ".join(_PLACE)},
    epoch(if(timezone(time_zone, start - interval 1 hour)::date = local_date, start - interval 1 hour, start))::bigint
        as start_s,
    epoch(if(timezone(time_zone, stop - interval 1 hour)::date = local_date + 1, stop - interval 1 hour, stop))::bigint
        as stop_s
from bounds
order by plant_code, local_date
"""  # noqa: S608 (names of columns)


def make_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `ops.clear_sky_day` if it is not there, or has other columns than the catalog's."""
    wanted = {each.name: each.type for each in TABLES[TABLE].columns}
    query = (
        "select column_name from duckdb_columns() where schema_name = 'ops' and table_name = ? order by column_index"
    )
    found = [name for (name,) in connection.execute(query, [TABLE]).fetchall()]
    if found and found != list(wanted):
        connection.execute(f"drop table ops.{TABLE}")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
    connection.execute(f"create table if not exists ops.{TABLE} ({columns})")


def refresh_clear_sky(connection: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Make `ops.clear_sky_day` hold every local day that a plant can have rows of up to `now`; how many were made.

    Needs `raw.plants`, `raw.plant_daily`, `ops.coverage` and `ops.plant_overrides`. Plants without coordinates, time
    zone, tilt or azimuth have no rows.
    """
    connection.execute(_WANTED, {"now": now})
    connection.execute(_FORGET, {"method": METHOD})
    todo = connection.execute(_TODO).fetchall()
    connection.execute("drop table clear_sky_wanted")
    by_plant: dict[str, list[tuple[Any, ...]]] = {}
    for row in todo:
        by_plant.setdefault(row[0], []).append(row)
    for code, days in by_plant.items():
        _, _, latitude, longitude, time_zone, tilt, azimuth, *_ = days[0]
        bounds = [(start, stop) for *_, start, stop in days]
        irradiation = clear_sky_kwh_m2(latitude, longitude, tilt, azimuth, bounds)
        connection.execute(
            f"""insert into ops.{TABLE} by name
                select $code as plant_code, unnest($dates::date[]) as local_date,
                    unnest($irradiation::double[]) as irradiation_kwh_m2, $latitude as latitude,
                    $longitude as longitude, $zone as time_zone, $tilt as tilt_deg, $azimuth as azimuth_deg,
                    $method as method""",
            {
                "code": code,
                "dates": [day[1] for day in days],
                "irradiation": irradiation,
                "latitude": latitude,
                "longitude": longitude,
                "zone": time_zone,
                "tilt": tilt,
                "azimuth": azimuth,
                "method": METHOD,
            },
        )
    return len(todo)


def clear_sky_kwh_m2(
    latitude: float, longitude: float, tilt: float, azimuth: float, spans: Sequence[tuple[int, int]]
) -> list[float]:
    """Irradiation in the plane of the modules over each span of epoch seconds, in kWh/m2, under a cloudless sky.

    Degrees: latitude north and longitude east positive, tilt 0 is horizontal, azimuth clockwise from north. The clear
    sky is Ineichen and Perez' with the climatological turbidity and the altitude of the place. An upper bound: nothing
    is lost to heat, dirt, shade or conversion.
    """
    # Imported here: it takes seconds, and only plants whose owner told tilt and azimuth need it.
    import numpy as np
    import pandas as pd
    from pvlib.irradiance import get_total_irradiance
    from pvlib.location import Location

    steps = [np.arange(start, stop, STEP_S) for start, stop in spans]
    starts = np.concatenate(steps)
    lengths = np.concatenate([np.minimum(STEP_S, stop - some) for some, (_, stop) in zip(steps, spans, strict=True)])
    middles = pd.DatetimeIndex(((starts + lengths / 2) * 1e9).astype("datetime64[ns]"), tz="UTC")
    place = Location(latitude, longitude)
    sun = place.get_solarposition(middles)
    sky = place.get_clearsky(middles, solar_position=sun)
    plane = get_total_irradiance(
        tilt,
        azimuth,
        sun["apparent_zenith"],
        sun["azimuth"],
        sky["dni"],
        sky["ghi"],
        sky["dhi"],
        albedo=ALBEDO,
        model="isotropic",
    )["poa_global"]
    energy = np.nan_to_num(plane.to_numpy()) * lengths / 3_600_000
    span_of = np.repeat(np.arange(len(spans)), [some.size for some in steps])
    return [float(each) for each in np.bincount(span_of, weights=energy, minlength=len(spans))]
