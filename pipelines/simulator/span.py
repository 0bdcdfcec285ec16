"""A stretch of one device's month, turned into rows: times, gaps and the columns of the data items."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.energy import PlantEnergy, PlantMonth
from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.grid import MonthGrid
from pipelines.simulator.rounding import Floats, generator, jitter

Columns = Mapping[str, Any]
"""Served values by key: a list with a value per slot, or one value for all slots."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Slots `inside` of one month of a device."""

    life: PlantEnergy
    month: PlantMonth
    device: Device
    inside: slice

    @property
    def plant(self) -> Plant:
        """The device's plant."""
        return self.life.plant

    @property
    def grid(self) -> MonthGrid:
        """The month's grid."""
        return self.month.grid

    @property
    def times(self) -> NDArray[np.int64]:
        """Instants of the slots, ms."""
        return self.grid.times[self.inside]

    def power(self, row: int) -> Floats:
        """Power of a flow, kW."""
        return self.month.power(row, self.inside)

    def counter(self, row: int) -> Floats:
        """Energy of a flow since the connection, kWh."""
        return self.month.counter(row, self.inside)

    def noise(self, salt: int) -> Floats:
        """Noise in [-1, 1) of this device."""
        return jitter(self.times, salt + self.device.id % 9973)

    @property
    def frequency(self) -> Floats:
        """Grid frequency, Hz."""
        base = 60.0 if self.plant.zone.startswith("America/") else 50.0
        return base + 0.03 * jitter(self.times, 5)

    @property
    def voltage(self) -> Floats:
        """Phase voltage of the plant's grid, V."""
        return 231.0 + 3.0 * jitter(self.times, 11)


def to_rows(keys: tuple[str, ...], columns: Columns, count: int) -> list[dict[str, Any]]:
    """A dict per slot with every key, null where a column is missing."""
    ordered = []
    for key in keys:
        column = columns.get(key)
        ordered.append(column if isinstance(column, list) else repeat(column, count))
    return [dict(zip(keys, values, strict=True)) for values in zip(*ordered, strict=True)]


def kept(seed: int, span: Span) -> NDArray[np.bool_]:
    """Which slots have a row. Every device-day lacks a few; some inverters send nothing in the dead of night.

    Gaps never touch local midnight, whose row closes the counters of a day.
    """
    days = span.grid.day_of_slot[span.inside]
    mask = np.ones(days.size, dtype=np.bool_)
    position = np.arange(span.inside.start, span.inside.stop) - span.grid.starts[days]
    for day in range(int(days[0]), int(days[-1]) + 1):
        dice = generator(seed, "gaps", span.device.id, span.grid.days[day])
        today = days == day
        for start, length in zip(
            dice.integers(2, 284, dice.integers(0, 6)).tolist(), dice.choice((1, 1, 1, 2, 8), 6).tolist(), strict=False
        ):
            mask &= ~(today & (position >= start) & (position < start + length))
    inverter = span.device.inverter
    if inverter is not None and inverter.sleeps_without_rows:
        hour = span.grid.hour[span.inside]
        mask &= ~(((hour >= 23) | (hour < 4)) & (position > 0))
    return mask
