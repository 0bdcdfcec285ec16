"""A world of thin answers: the same plants, devices, envelopes and periods, but one row where there would be many.

A day of a device's history is one row at noon instead of 288, a plant's day of hours is one hour, and every figure
is the same small number. An answer costs next to nothing, so a year of calls can be played in minutes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from pipelines.simulator.calendar import HOUR_MS, Labels, day_start, label, local_date, month_days, months_of_year
from pipelines.simulator.fleet import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES, Device, Plant
from pipelines.simulator.keys import (
    DEVICE_REPORT_KEYS,
    HISTORY_KEYS,
    PLANT_HOUR_KEYS,
    PLANT_PERIOD_KEYS,
    REALTIME_KEYS,
    SENSOR_REPORT_KEYS,
)
from pipelines.simulator.world import HEALTHY, Row, World

FIGURE: Final = 1.0
"""Every item's value: within the range of whatever it stands for."""

ITEMS_OF_HISTORY: Final = 3

_PLANT_HOUR: Final = {key: FIGURE for key in PLANT_HOUR_KEYS if key not in SENSOR_REPORT_KEYS}
_PLANT_PERIOD: Final = {key: FIGURE for key in PLANT_PERIOD_KEYS if key not in SENSOR_REPORT_KEYS}
_HISTORY: Final[Mapping[int, dict[str, Any]]] = {
    type_id: dict.fromkeys([key for key in keys if not key.endswith("_state")][:ITEMS_OF_HISTORY], FIGURE)
    for type_id, keys in HISTORY_KEYS.items()
}


class ThinWorld(World):
    """Answers without physics. What is later than now doesn't exist yet, nor what lies before a plant's first day."""

    def history(self, device: Device, start_ms: int, end_ms: int, now_ms: int) -> list[Row]:
        """One row per local day, at 12 hours after local midnight (5.1.2.3)."""
        if device.type_id not in HISTORY_TYPES:
            return []
        plant = self._plant_of(device)
        rows = []
        first = max(plant.first_day, local_date(start_ms, plant.zone))
        for day in _days_from(first, local_date(min(end_ms, now_ms), plant.zone)):
            noon = _noon(day, plant.zone)
            if start_ms <= noon <= min(end_ms, now_ms):
                rows.append((noon, _HISTORY[device.type_id]))
        return rows

    def device_realtime(self, device: Device, now_ms: int) -> dict[str, Any]:
        """All real-time items of a device (5.1.2.2)."""
        return dict.fromkeys(REALTIME_KEYS[device.type_id], FIGURE) if device.type_id in REALTIME_TYPES else {}

    def plant_realtime(self, plant: Plant, now_ms: int) -> dict[str, Any]:
        """The six real-time items of a plant (5.1.2.1)."""
        energies = ("day_power", "month_power", "total_power", "day_income", "total_income")
        return {**dict.fromkeys(energies, "1.000"), "real_health_state": HEALTHY}

    def plant_hours(self, plant: Plant, day: date, now_ms: int) -> list[Row]:
        """The noon hour of a local day (5.1.4.1)."""
        noon = _noon(day, plant.zone)
        return [(noon, _PLANT_HOUR)] if day >= plant.first_day and noon <= now_ms else []

    def plant_days(self, plant: Plant, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month that have begun (5.1.4.2)."""
        return [(at, _PLANT_PERIOD) for at in self._day_labels(plant, year, month, now_ms)]

    def plant_months(self, plant: Plant, year: int, now_ms: int) -> list[Row]:
        """Months of a year that have begun (5.1.4.3)."""
        return [(at, _PLANT_PERIOD) for at in self._month_labels(plant, year, now_ms)]

    def plant_years(self, plant: Plant, now_ms: int) -> list[Row]:
        """All years of a plant's life (5.1.4.4)."""
        return [(at, _PLANT_PERIOD) for at in self._year_labels(plant, now_ms)]

    def device_days(self, device: Device, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month that have begun (5.1.4.5)."""
        return self._of_device(device, self._day_labels(self._plant_of(device), year, month, now_ms))

    def device_months(self, device: Device, year: int, now_ms: int) -> list[Row]:
        """Months of a year that have begun (5.1.4.6)."""
        return self._of_device(device, self._month_labels(self._plant_of(device), year, now_ms))

    def device_years(self, device: Device, now_ms: int) -> list[Row]:
        """All years of a device's life (5.1.4.7)."""
        return self._of_device(device, self._year_labels(self._plant_of(device), now_ms))

    def alarms(self, now_ms: int) -> list[dict[str, Any]]:
        """None."""
        return []

    def _plant_of(self, device: Device) -> Plant:
        return self._lives[device.plant_code].plant

    def _of_device(self, device: Device, labels: list[int]) -> list[Row]:
        if device.type_id not in REPORT_TYPES:
            return []
        items = dict.fromkeys(DEVICE_REPORT_KEYS[device.type_id], FIGURE)
        return [(at, items) for at in labels]

    def _day_labels(self, plant: Plant, year: int, month: int, now_ms: int) -> list[int]:
        days, labels = _labelled_days(year, month, plant.zone, self.labels)
        begun = bisect_right(days, local_date(now_ms, plant.zone))
        return labels[bisect_left(days, plant.first_day) : begun]

    def _month_labels(self, plant: Plant, year: int, now_ms: int) -> list[int]:
        first, today = plant.first_day.replace(day=1), local_date(now_ms, plant.zone)
        begun = [each for each in months_of_year(year) if first <= each <= today]
        return [label(each, plant.zone, self.labels) for each in begun if plant.first_day <= today]

    def _year_labels(self, plant: Plant, now_ms: int) -> list[int]:
        today = local_date(now_ms, plant.zone)
        years = range(plant.first_day.year, today.year + 1) if plant.first_day <= today else ()
        return [label(date(year, 1, 1), plant.zone, self.labels) for year in years]


@lru_cache(maxsize=100_000)
def _noon(day: date, zone: str) -> int:
    return day_start(day, zone) + 12 * HOUR_MS


def _days_from(first: date, last: date) -> list[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]


@lru_cache(maxsize=2_000)
def _labelled_days(year: int, month: int, zone: str, labels: Labels) -> tuple[list[date], list[int]]:
    days = month_days(date(year, month, 1))
    return days, [label(day, zone, labels) for day in days]
