"""A stretch of one device's month, turned into rows: times, gaps and the columns of the data items."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.calendar import day_start, local_date, next_day
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
        """Energy of a flow since the device was installed, kWh."""
        return self.month.counter(row, self.inside) - self.installed_kwh(row)

    def installed_kwh(self, row: int) -> float:
        """What had flowed before the device was installed, kWh."""
        installed = self.device.installed_ms
        return 0.0 if installed is None else self.life.counted_at(row, installed)

    def counted(self, row: int, *, daily: bool) -> Floats:
        """Energy of a flow since local midnight (midnight itself closes the day before), or since the installation."""
        return self.today(row) if daily else self.counter(row)

    def today(self, row: int) -> Floats:
        """Energy of a flow since local midnight, or since the device was installed on that day, kWh."""
        since = self.month.today(row, self.inside)
        if self.device.installed_ms is None:
            return since
        day, end = self._day_of_installation(self.device.installed_ms)
        # The midnight that ends the day of the installation still closes that day.
        return since - np.where((self.times > day) & (self.times <= end), self._before_installation(row, day), 0.0)

    def yesterday(self, row: int) -> Floats:
        """Energy of a flow on the local day before each slot's, as far as the device was there, kWh."""
        told = self.month.day_before(row)[self.grid.day_of_slot[self.inside]]
        if self.device.installed_ms is None:
            return told
        day, end = self._day_of_installation(self.device.installed_ms)
        told = np.where(self.times < end, 0.0, told)
        following = (self.times >= end) & (self.times < next_day(end, self.plant.zone))
        return told - np.where(following, self._before_installation(row, day), 0.0)

    def _day_of_installation(self, installed_ms: int) -> tuple[int, int]:
        day = day_start(local_date(installed_ms, self.plant.zone), self.plant.zone)
        return day, next_day(day, self.plant.zone)

    def _before_installation(self, row: int, day: int) -> float:
        return self.installed_kwh(row) - self.life.counted_at(row, day)

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
    if span.device.installed_ms is not None:
        mask &= span.times >= span.device.installed_ms
    if span.device.removed_ms is not None:
        mask &= span.times < span.device.removed_ms
    for start, end in span.device.silent_ms:
        mask &= (span.times < start) | (span.times >= end)
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
