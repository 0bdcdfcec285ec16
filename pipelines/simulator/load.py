"""Consumption behind a plant's meter: homes with a morning and an evening peak, businesses with working hours."""

from typing import Final

import numpy as np

from pipelines.simulator.fleet import LoadSpec, Plant
from pipelines.simulator.grid import MonthGrid
from pipelines.simulator.rounding import Floats, generator

_DRAWS: Final = 102
"""Quarter-hourly knots of a day of 25 hours, and two."""


def consumption(seed: int, plant: Plant, spec: LoadSpec, grid: MonthGrid) -> Floats:
    """Power in kW per slot. At local midnight it is exactly `base_kw`, so that days and months join without a step."""
    dice = generator(seed, "load", plant.code, grid.first)
    activity = 0.75 + 0.5 * dice.random(31)
    bumps = dice.lognormal(-0.08, 0.4, (31, _DRAWS))
    day = grid.day_of_slot
    slot = np.arange(grid.size) - grid.starts[day]
    knot, share = slot // 3, (slot % 3) / 3
    wobble = bumps[day, knot] * (1 - share) + bumps[day, knot + 1] * share
    weekend = np.array([when.weekday() >= 5 for when in grid.days])[day]
    hour = grid.hour.astype(np.float64)
    if spec.kind == "home":
        shape = (
            0.55 * _bell(hour, 7.3, 0.9)
            + _bell(hour, 19.4, 1.7)
            + np.where(weekend, 0.3, 0.16) * _bell(hour, 13.0, 2.8)
        )
    else:
        shape = _step(hour, 7.0) * (1 - _step(hour, 17.5)) * np.where(weekend, 0.18, 1.0)
    calm = np.clip(np.minimum(hour, 24 - hour), 0.0, 1.0)
    # A day that starts at one o'clock, because clocks skip midnight, must still join the day before.
    calm = np.where(slot == 0, 0.0, calm)
    return np.asarray(spec.base_kw + spec.peak_kw * calm * shape * activity[day] * wobble, dtype=np.float64)


def _bell(hour: Floats, centre: float, width: float) -> Floats:
    return np.asarray(np.exp(-(((hour - centre) / width) ** 2) / 2), dtype=np.float64)


def _step(hour: Floats, centre: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(hour - centre) * 3)), dtype=np.float64)
