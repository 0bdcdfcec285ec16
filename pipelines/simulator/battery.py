"""How a plant's storage is charged and discharged.

A plain controller, so that a whole month is a few array operations: it stores surplus between 6 and 16 o'clock and
serves the house at other times; one kind also charges from the grid at night. Power at local midnight is zero,
which makes the energy of a day the sum of its own slots.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pipelines.simulator.fleet import BatterySpec
from pipelines.simulator.grid import MonthGrid
from pipelines.simulator.rounding import Floats

EFFICIENCY: Final = 0.96
"""Share of the energy at the terminals that reaches the cells, and the other way: a round trip of 92 %."""

HOURS_PER_SLOT: Final = 1 / 12


@dataclass(frozen=True, slots=True, eq=False)
class Dispatch:
    """Terminal powers in kW per slot, both >= 0, energy in the cells per slot, and what is left at the end (kWh)."""

    charge: Floats
    discharge: Floats
    stored: Floats
    left_kwh: float


def dispatch(spec: BatterySpec, grid: MonthGrid, balance: Floats, stored_kwh: float) -> Dispatch:
    """Runs the storage through a month. `balance` is generation minus consumption in kW."""
    hour = grid.hour
    night, day = hour < 6, (hour >= 6) & (hour < 16)
    need = np.clip(-balance, 0.0, spec.power_kw)
    surplus = np.where(day, np.clip(balance, 0.0, spec.power_kw), 0.0)
    evening = np.where(hour >= 16, need, 0.0)
    if spec.charges_from_grid:
        early = np.where((hour >= 1) & (hour < 5), spec.power_kw * 0.8, 0.0)
    else:
        early = np.where(night, need, 0.0)
    early[grid.starts[:-1]] = 0.0
    first = stored_kwh
    sums = [np.cumsum(power) * HOURS_PER_SLOT for power in (early, surplus, evening)]
    cuts = [(early, sums[0]), (surplus, sums[1]), (evening, sums[2])]
    for start, end in pairwise(grid.starts.tolist()):
        limit = (
            max(0.0, spec.usable_kwh * 0.6 - stored_kwh) / EFFICIENCY
            if spec.charges_from_grid
            else stored_kwh * EFFICIENCY
        )
        flowed = _run(*cuts[0], start, end, limit)
        stored_kwh += flowed * EFFICIENCY if spec.charges_from_grid else -flowed / EFFICIENCY
        stored_kwh += _run(*cuts[1], start, end, (spec.usable_kwh - stored_kwh) / EFFICIENCY) * EFFICIENCY
        stored_kwh -= _run(*cuts[2], start, end, stored_kwh * EFFICIENCY) / EFFICIENCY
    charge = surplus + early if spec.charges_from_grid else surplus
    discharge = evening if spec.charges_from_grid else evening + early
    flow = charge * EFFICIENCY - discharge / EFFICIENCY
    steps = (flow[:-1] + flow[1:]) * (HOURS_PER_SLOT / 2)
    stored = first + np.concatenate(([0.0], np.cumsum(steps)))
    return Dispatch(charge, discharge, np.clip(stored, 0.0, spec.usable_kwh), stored_kwh)


def _run(power: Floats, energy: Floats, start: int, end: int, limit_kwh: float) -> float:
    """Stops a phase of one day, in place, before it passes its limit; the energy that flowed, in kWh.

    `energy` is the running sum of the wished power. The trapezoids under a run that starts and ends at zero sum to
    the plain sum of its powers times the step.
    """
    begun = float(energy[start - 1]) if start else 0.0
    stop = start + int(np.searchsorted(energy[start:end], begun + limit_kwh, side="right"))
    power[stop:end] = 0.0
    return float(energy[stop - 1]) - begun if stop > start else 0.0
