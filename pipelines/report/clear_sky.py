"""Clear-sky energy: what a cloudless sky would give a plant whose tilt and azimuth the owner told. An upper bound."""

from datetime import date, timedelta
from typing import Final

STEP: Final = "15min"
HOURS: Final = 0.25


def clear_sky_kwh_kwp(
    latitude: float, longitude: float, zone: str, tilt: float, azimuth: float, days: list[date]
) -> dict[date, float]:
    """Energy of each local day per kWp of DC capacity, in kWh/kWp, without any loss: see docs/figures.md 2.

    Ineichen and Perez with the climatological turbidity, transposed to the plane of the modules (isotropic sky).
    """
    # Imported here: it takes seconds, and only plants with a seed need it.
    import pandas as pd
    import pvlib

    if not days:
        return {}
    times = pd.date_range(min(days), max(days) + timedelta(days=1), freq=STEP, tz=zone, inclusive="left")
    times = times[pd.Index(times.date).isin(days)]
    place = pvlib.location.Location(latitude, longitude, tz=zone)
    sun = place.get_solarposition(times)
    sky = place.get_clearsky(times, solar_position=sun)
    plane = pvlib.irradiance.get_total_irradiance(
        tilt, azimuth, sun["apparent_zenith"], sun["azimuth"], sky["dni"], sky["ghi"], sky["dhi"]
    )["poa_global"].fillna(0.0)
    by_day = plane.groupby(times.date).sum() * HOURS / 1000
    return {day: float(energy) for day, energy in by_day.items()}
