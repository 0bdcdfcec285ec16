"""Sun and clear sky of a site, by pvlib: Spencer's declination and equation of time, Haurwitz' clear sky.

Haurwitz needs the sun's height and no turbidity data, which keeps the simulator light.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pvlib import clearsky, irradiance, solarposition

from pipelines.simulator.calendar import DAY_MS, HOUR_MS
from pipelines.simulator.fleet import Site
from pipelines.simulator.grid import MonthGrid
from pipelines.simulator.rounding import Floats


@dataclass(frozen=True, slots=True, eq=False)
class ClearSky:
    """Clear-sky irradiation per slot, W/m2: `ghi` on the horizontal; `cos_zenith`; `cos_aoi` of the roof."""

    ghi: Floats
    cos_zenith: Floats
    cos_aoi: Floats


def clear_sky(site: Site, grid: MonthGrid) -> ClearSky:
    """The cloudless month of a site."""
    instants = grid.times.astype("datetime64[ms]")
    day_of_year = (
        (instants.astype("datetime64[D]") - instants.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
        + 1
    ).astype(np.float64)
    latitude = np.radians(site.latitude)
    declination = solarposition.declination_spencer71(day_of_year)
    equation_of_time = solarposition.equation_of_time_spencer71(day_of_year)
    utc_hours = (grid.times % DAY_MS) / HOUR_MS
    hour_angle = np.radians(15.0 * (utc_hours - 12.0) + site.longitude + equation_of_time / 4.0)
    zenith = solarposition.solar_zenith_analytical(latitude, hour_angle, declination)
    azimuth = solarposition.solar_azimuth_analytical(latitude, hour_angle, declination, zenith)
    zenith_degrees = np.degrees(zenith)
    ghi = clearsky.haurwitz(pd.Series(zenith_degrees))["ghi"].to_numpy()
    cos_aoi = irradiance.aoi_projection(site.tilt, site.azimuth, zenith_degrees, np.degrees(azimuth))
    return ClearSky(np.nan_to_num(ghi), np.cos(zenith), np.nan_to_num(np.asarray(cos_aoi)))
