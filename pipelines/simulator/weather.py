"""Clouds, irradiation, temperature and wind of a site, drawn from the seed, the town and the month."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.fleet import Site
from pipelines.simulator.grid import MonthGrid
from pipelines.simulator.rounding import Floats, generator
from pipelines.simulator.sun import clear_sky

_KNOTS: Final = 52
"""Half-hourly knots of a day's cloudiness; a day of 25 hours needs 51."""

_DAYS: Final = 31
"""Draws are made for 31 days in every month, so that no day's draw hangs on the month's length."""


@dataclass(frozen=True, slots=True, eq=False)
class Weather:
    """One month at a site, per slot: `poa` W/m2 in the plane of the roof, `air` degC, whether the sun is up.

    Kept in single precision: every answer is computed from it, so nothing can disagree.
    """

    poa: NDArray[np.float32]
    sun_up: NDArray[np.bool_]
    air: NDArray[np.float32]


def weather(seed: int, site: Site, grid: MonthGrid) -> Weather:
    """The month's weather: neighbours in a town share the clouds, each roof has its own plane."""
    sky = clear_sky(site, grid)
    dice = generator(seed, "weather", site.town, grid.first)
    kind = dice.random(_DAYS)
    within = dice.random(_DAYS)
    knots = dice.standard_normal((_DAYS, _KNOTS))
    flicker = dice.standard_normal((_DAYS, 300))
    warm = dice.standard_normal(_DAYS)
    clear, mixed = kind < 0.3, (kind >= 0.3) & (kind < 0.7)
    level = np.where(clear, 0.9 + 0.1 * within, np.where(mixed, 0.5 + 0.35 * within, 0.12 + 0.3 * within))
    spread = np.where(clear, 0.015, np.where(mixed, 0.22, 0.07))
    day = grid.day_of_slot
    slot = np.arange(grid.size) - grid.starts[day]
    knot = slot // 6
    share = (slot % 6) / 6
    drift = knots[day, knot] * (1 - share) + knots[day, knot + 1] * share
    clearness = np.clip(level[day] + spread[day] * (drift + 0.35 * flicker[day, slot]), 0.04, 1.03)
    diffuse = np.clip(1.12 - clearness, 0.14, 1.0)
    tilt = np.radians(site.tilt)
    # The beam's gain on the tilted plane is bounded near the horizon, where the ratio of cosines explodes.
    gain = np.maximum(sky.cos_aoi, 0.0) / np.maximum(sky.cos_zenith, 0.12)
    plane = diffuse * (1 + np.cos(tilt)) / 2 + (1 - diffuse) * gain
    poa = np.clip(sky.ghi * clearness * plane, 0.0, 1250.0)
    season = -np.cos(2 * np.pi * (grid.first.month - 1.5) / 12) * (1 if site.latitude > 0 else -1)
    mean = 27.0 - 0.33 * abs(site.latitude) + 0.22 * abs(site.latitude) * season
    air = mean + 3.0 * _between_days(warm, grid) + 4.5 * np.cos(2 * np.pi * (grid.hour - 15.0) / 24)
    return Weather(poa.astype(np.float32), sky.cos_zenith > 0.0, air.astype(np.float32))


def _between_days(draws: Floats, grid: MonthGrid) -> Floats:
    """One draw a day, spread smoothly and zero at midnight, so that months join without a step."""
    return np.asarray(draws[grid.day_of_slot] * np.sin(np.pi * grid.hour / 24), dtype=np.float64)
