"""Reports of plants and devices per hour, day, month and year (5.1.4), built from the same slots as the history.

Energies obey the vendor's identities to the last digit served: the parts are rounded first, the rest is derived.
Recent periods are late and small at first (8.5): data reach the reports half an hour after they were measured, a
running period shows nine tenths of them, and a finished one grows to its full value within three hours.
Months and years are sums of the days as served.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from pipelines.simulator.calendar import HOUR_MS, SLOT_MS, day_window, from_ms, local_date, months_of_year, next_month
from pipelines.simulator.energy import (
    CHARGE,
    CHARGE_TIME,
    DISCHARGE,
    DISCHARGE_TIME,
    EXPORT,
    IMPORT,
    INVERTERS,
    IRRADIATION,
    PV,
    PlantEnergy,
)
from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.keys import PLANT_HOUR_KEYS, PLANT_PERIOD_KEYS, SENSOR_REPORT_KEYS
from pipelines.simulator.rounding import ENERGY_DIGITS, Floats

LAG_MS: Final = 30 * 60_000
"""How late measurements reach the reports."""

SETTLED_AFTER_MS: Final = 3 * HOUR_MS
"""How long a period grows after its end."""

SHOWN_AT_FIRST: Final = 0.9
"""Share of the energy that a running period shows."""

FEED_IN_PRICE: Final = 0.08
RETAIL_PRICE: Final = 0.28
"""Prices per kWh in the plant's currency."""

CO2_TONS_PER_KWH: Final = 0.000475
COAL_TONS_PER_KWH: Final = 0.0004
KWH_PER_TREE: Final = 38.5


def share_shown(end_ms: int, now_ms: int) -> float:
    """Share of its energy that a period shows, given its end."""
    late = min(max((now_ms - end_ms) / SETTLED_AFTER_MS, 0.0), 1.0)
    return SHOWN_AT_FIRST + (1 - SHOWN_AT_FIRST) * late


def settled(end_ms: int, now_ms: int) -> bool:
    """Whether a period shows its full value."""
    return now_ms >= end_ms + SETTLED_AFTER_MS


Hour = tuple[int, int, Floats]
"""Start and end in ms, and flow energies."""


def served_hours(life: PlantEnergy, day: date, now_ms: int, *, at_most_24: bool = False) -> list[Hour]:
    """The hours of a local day that have begun.

    The reference speaks of 24 hours at most (5.1.4.1) and doesn't say what becomes of the 25th in autumn. With
    `at_most_24` the hour that the clock repeats is added to its first time, which then lasts for two; without, both
    are served.
    """
    if day < life.plant.first_day:
        return []
    start, end = day_window(day, life.plant.zone)
    month = life.month(day.replace(day=1))
    first, last = month.grid.position(start), month.grid.position(end)
    steps = month.energy(slice(first, last))
    known = (now_ms - LAG_MS - start) // SLOT_MS
    steps[:, max(0, known) :] = 0.0
    hours = steps.reshape(len(steps), -1, HOUR_MS // SLOT_MS).sum(axis=2)
    starts = range(start, end, HOUR_MS)
    served = [
        (begun, begun + HOUR_MS, hours[:, number] * share_shown(begun + HOUR_MS, now_ms))
        for number, begun in enumerate(starts)
        if begun <= now_ms
    ]
    return _merged(served, life.plant.zone) if at_most_24 and len(served) > 24 else served


def _merged(hours: list[Hour], zone: str) -> list[Hour]:
    """Hours with those of one clock time put together."""
    by_clock: dict[int, Hour] = {}
    for begun, ended, energies in hours:
        clock = from_ms(begun, zone).hour
        first, _, so_far = by_clock.get(clock, (begun, ended, np.zeros_like(energies)))
        by_clock[clock] = (first, ended, so_far + energies)
    return list(by_clock.values())


def served_days(life: PlantEnergy, first: date, now_ms: int) -> list[tuple[date, Floats]]:
    """Date and flow energies of the days of a month that have begun and belong to the plant's life."""
    today = local_date(now_ms, life.plant.zone)
    if first > today or next_month(first) <= life.plant.first_day:
        return []
    daily = life.daily(first)
    days = []
    for number in range(daily.shape[1]):
        day = first.replace(day=number + 1)
        if life.plant.first_day <= day <= today:
            days.append((day, _served_day(life, day, daily[:, number], now_ms)))
    return days


def _served_day(life: PlantEnergy, day: date, whole: Floats, now_ms: int) -> Floats:
    start, end = day_window(day, life.plant.zone)
    if settled(end, now_ms):
        return whole
    if now_ms < end:
        whole = energy_between(life, start, now_ms - LAG_MS)
    return whole * share_shown(end, now_ms)


def energy_between(life: PlantEnergy, start_ms: int, end_ms: int) -> Floats:
    """Flow energies from the start of a local day up to an instant of the same day, in whole slots."""
    month = life.month(local_date(start_ms, life.plant.zone).replace(day=1))
    first = month.grid.position(start_ms)
    count = max(0, (end_ms - start_ms) // SLOT_MS)
    return np.asarray(month.energy(slice(first, first + count)).sum(axis=1), dtype=np.float64)


def served_month(life: PlantEnergy, first: date, now_ms: int) -> Floats | None:
    """Flow energies of a month, None where it holds no day of the plant's life."""
    end = day_window(next_month(first), life.plant.zone)[0]
    if settled(end, now_ms) and next_month(first) > life.plant.first_day:
        return np.asarray(life.daily(first).sum(axis=1), dtype=np.float64)
    return total(energies for _, energies in served_days(life, first, now_ms))


def served_year(life: PlantEnergy, year: int, now_ms: int) -> Floats | None:
    """Flow energies of a year."""
    months = (served_month(life, first, now_ms) for first in months_of_year(year))
    return total(energies for energies in months if energies is not None)


def total(parts: Iterable[Floats]) -> Floats | None:
    """Sum of flow energies, None of nothing."""
    found = list(parts)
    return np.asarray(np.sum(found, axis=0), dtype=np.float64) if found else None


@dataclass(frozen=True, slots=True)
class PlantItems:
    """Builds the items of plant rows. `metered`: a grid meter or power sensor tells feed-in and purchase."""

    plant: Plant
    metered: bool

    def hour(self, energies: Floats) -> dict[str, Any]:
        """The ten items of an hour; eight without a weather sensor."""
        return self._pick(self._items(energies), PLANT_HOUR_KEYS)

    def period(self, energies: Floats) -> dict[str, Any]:
        """The nineteen items of a day, month or year; sixteen without a weather sensor."""
        return self._pick(self._items(energies), PLANT_PERIOD_KEYS)

    def income(self, energies: Floats) -> float:
        """Revenue."""
        return float(self._items(energies)["power_profit"])

    def _pick(self, items: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: items[key] for key in keys if self.plant.has_emi or key not in SENSOR_REPORT_KEYS}

    def _items(self, energies: Floats) -> dict[str, Any]:
        capacity = self.plant.capacity_kwp
        solar = _two_digits(energies[PV])
        stores = self.plant.battery is not None
        charged = _two_digits(energies[CHARGE]) if stores else 0.0
        discharged = _two_digits(energies[DISCHARGE]) if stores else 0.0
        inverter = _two_digits(solar - charged + discharged)
        radiation = round(float(energies[IRRADIATION]), 4)
        theory = _two_digits(radiation * capacity)
        items: dict[str, Any] = {
            "installed_capacity": capacity,
            "radiation_intensity": radiation,
            "theory_power": theory,
            "performance_ratio": round(100 * solar / theory, 2) if theory else None,
            # The vendor calls this one inaccurate: on plants with storage it is the PV yield.
            "inverter_power": solar,
            "perpower_ratio": round(solar / capacity, 3),
            "reduction_total_co2": round(solar * CO2_TONS_PER_KWH, 3),
            "reduction_total_coal": round(solar * COAL_TONS_PER_KWH, 3),
            "reduction_total_tree": round(solar / KWH_PER_TREE, 2),
            "chargeCap": charged if stores else None,
            "dischargeCap": discharged if stores else None,
            "PVYield": solar,
            "inverterYield": inverter,
        }
        return items | self._at_the_grid(energies, solar, inverter)

    def _at_the_grid(self, energies: Floats, solar: float, inverter: float) -> dict[str, Any]:
        keys = ("ongrid_power", "buyPower", "use_power", "selfUsePower", "selfProvide")
        if not self.metered:
            return {**dict.fromkeys(keys), "power_profit": _two_digits(solar * FEED_IN_PRICE)}
        fed, bought = _two_digits(energies[EXPORT]), _two_digits(energies[IMPORT])
        used = _two_digits(inverter + bought - fed)
        own = _two_digits(solar - fed)
        battery = self.plant.battery
        cost = bought * RETAIL_PRICE if battery is not None and battery.charges_from_grid else 0.0
        profit = _two_digits(fed * FEED_IN_PRICE + own * RETAIL_PRICE - cost)
        return dict(zip(keys, (fed, bought, used, own, _two_digits(used - bought)), strict=True)) | {
            "power_profit": profit
        }


def device_items(
    device: Device, life: PlantEnergy, energies: Floats, span: tuple[date, date], final: bool
) -> dict[str, Any]:
    """The items of a device over a period of local days (5.1.4.5-5.1.4.7).

    The yield of a final period is the difference of the counter as served, with the noise that floats bring.
    """
    if device.type_id == 41:
        return {"charge_cap": _two_digits(energies[CHARGE]), "discharge_cap": _two_digits(energies[DISCHARGE])}
    if device.type_id == 39:
        return {
            "charge_cap": _two_digits(energies[CHARGE]),
            "discharge_cap": _two_digits(energies[DISCHARGE]),
            "charge_time": _two_digits(energies[CHARGE_TIME]),
            "discharge_time": _two_digits(energies[DISCHARGE_TIME]),
        }
    if device.inverter is None:
        raise ValueError(f"the reports don't serve device type {device.type_id}")
    row = INVERTERS + device.position
    produced = counter_at(life, row, span[1]) - counter_at(life, row, span[0]) if final else _two_digits(energies[row])
    capacity = device.inverter.dc_kwp
    return {"installed_capacity": capacity, "product_power": produced, "perpower_ratio": produced / capacity}


def lived(device: Device, life: PlantEnergy, energies: Floats, span: tuple[int, int], now_ms: int) -> Floats | None:
    """The energies of a period (instants) that fell to a device which took or left its place; None of none.

    Whoever was there all the time has all of them.
    """
    start = max(span[0], device.installed_ms or span[0])
    end = min(span[1], device.removed_ms or span[1])
    if (start, end) == span:
        return energies
    end = min(end, (now_ms - LAG_MS) // SLOT_MS * SLOT_MS)
    if start >= end:
        return None
    rows = range(len(energies))
    return np.asarray([life.counted_at(row, end) - life.counted_at(row, start) for row in rows], dtype=np.float64)


def counter_at(life: PlantEnergy, row: int, day: date) -> float:
    """A counter at local midnight, as served; 0 before the plant's life."""
    if day <= life.plant.first_day:
        return 0.0
    first = day.replace(day=1)
    if day == first:
        return _two_digits(life.carry(first).totals[row])
    before = life.carry(first).totals[row]
    return _two_digits(before + life.daily(first)[row, : day.day - 1].sum())


def _two_digits(value: float) -> float:
    return round(float(value), ENERGY_DIGITS) + 0.0
