"""A cloudless day a second time, in NumPy: Ineichen and Perez' sky and the plane of the modules by vectors.

From pvlib only where the sun stands, the turbidity and the altitude of a place: none of its skies and planes.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pvlib
from truth.calendar_of_tests import midnight, ms_of

QUARTER_S = 900


def clear_sky_kwh_m2(latitude: float, longitude: float, zone: str, tilt: float, azimuth: float, day: date) -> float:
    """Irradiation of a local day in the plane of the modules, from the middles of its quarters of an hour."""
    start, stop = (ms_of(midnight(each, zone)) // 1000 for each in (day, day + timedelta(days=1)))
    seconds = np.arange(start, stop, QUARTER_S) + QUARTER_S // 2
    times = pd.to_datetime(seconds, unit="s", utc=True)
    altitude = float(pvlib.location.lookup_altitude(latitude, longitude))
    pressure = 100 * ((44331.514 - altitude) / 11880.516) ** (1 / 0.1902632)
    sun = pvlib.solarposition.spa_python(times, latitude, longitude, altitude=altitude, pressure=pressure)
    zenith = np.radians(sun["apparent_zenith"].to_numpy())
    bearing = np.radians(sun["azimuth"].to_numpy())
    up = np.degrees(zenith) <= 90
    turbidity = pvlib.clearsky.lookup_linke_turbidity(times, latitude, longitude).to_numpy()

    # Extraterrestrial radiation by Spencer's series, air mass by Kasten and Young, 1989.
    angle = 2 * np.pi * (times.dayofyear.to_numpy() - 1) / 365
    extra = 1366.1 * (
        1.00011
        + 0.034221 * np.cos(angle)
        + 0.00128 * np.sin(angle)
        + 0.000719 * np.cos(2 * angle)
        + 7.7e-05 * np.sin(2 * angle)
    )
    low = np.where(up, zenith, np.radians(90.0))
    mass = pressure / 101325 / (np.cos(low) + 0.50572 * (6.07995 + 90 - np.degrees(low)) ** -1.6364)
    cosine = np.maximum(np.cos(low), 1e-12)

    fh1, fh2 = np.exp(-altitude / 8000), np.exp(-altitude / 1250)
    cg1, cg2 = 5.09e-5 * altitude + 0.868, 3.92e-5 * altitude + 0.0387
    horizontal = cg1 * extra * np.cos(low) * np.exp(-cg2 * mass * (fh1 + fh2 * (turbidity - 1)))
    beam = extra * (0.664 + 0.163 / fh1) * np.exp(-0.09 * mass * (turbidity - 1))
    most = horizontal * (1 - (0.1 - 0.2 * np.exp(-turbidity)) / (0.1 + 0.882 / fh1)) / cosine
    beam = np.minimum(beam, np.maximum(most, 0))
    diffuse = horizontal - beam * np.cos(low)

    slope, facing = np.radians(tilt), np.radians(azimuth)
    to_sun = np.stack([np.sin(zenith) * np.sin(bearing), np.sin(zenith) * np.cos(bearing), np.cos(zenith)])
    normal = np.array([np.sin(slope) * np.sin(facing), np.sin(slope) * np.cos(facing), np.cos(slope)])
    plane = (
        beam * np.maximum(normal @ to_sun, 0)
        + diffuse * (1 + np.cos(slope)) / 2
        + horizontal * 0.25 * (1 - np.cos(slope)) / 2
    )
    return float(np.sum(plane[up]) * QUARTER_S / 3_600_000)
