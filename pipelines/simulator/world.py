"""The simulated world: what every read endpoint would answer, for any plant, device and instant.

Everything follows from the fleet's name and the seed. An answer depends on neither the questions asked before nor
on `now`, except that what is later than now does not exist yet and that reports of recent periods still grow.
"""

from datetime import date
from typing import Any

from pipelines.simulator.calendar import (
    SLOT_MS,
    Labels,
    day_window,
    label,
    local_date,
    month_days,
    months_of_year,
)
from pipelines.simulator.fleet import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES, Device, Plant
from pipelines.simulator.fleets import FLEETS
from pipelines.simulator.keys import (
    DEVICE_REPORT_KEYS,
    HISTORY_KEYS,
    PLANT_HOUR_KEYS,
    PLANT_PERIOD_KEYS,
    PLANT_REALTIME_KEYS,
    REALTIME_KEYS,
)

Row = tuple[int, dict[str, Any]]
"""collectTime in milliseconds and the data items."""


class World:
    """Answers of one fleet. `labels` says where day, month and year labels stand."""

    def __init__(
        self,
        fleet: str = "demo",
        seed: int = 1,
        *,
        labels: Labels = "local",
        meter_17_in_watts: bool = False,
    ) -> None:
        """Raises ValueError for a fleet that is not known."""
        if fleet not in FLEETS:
            raise ValueError(f"no fleet is called {fleet!r}; there are {', '.join(sorted(FLEETS))}")
        built = FLEETS[fleet]()
        self.fleet = fleet
        self.seed = seed
        self.labels: Labels = labels
        self.meter_17_in_watts = meter_17_in_watts
        self.plants: list[Plant] = built.plants
        self.devices: list[Device] = built.devices
        self._plants = {plant.code: plant for plant in self.plants}

    def history(self, device: Device, start_ms: int, end_ms: int, now_ms: int) -> list[Row]:
        """Five-minute rows with start_ms <= collectTime <= end_ms (5.1.2.3)."""
        if device.type_id not in HISTORY_TYPES:
            return []
        first = -(-start_ms // SLOT_MS) * SLOT_MS
        keys = HISTORY_KEYS[device.type_id]
        return [(t, dict.fromkeys(keys, 0.0)) for t in range(first, min(end_ms, now_ms) + 1, SLOT_MS)]

    def device_realtime(self, device: Device, now_ms: int) -> dict[str, Any]:
        """The real-time items of a device (5.1.2.2), {} for types without any."""
        if device.type_id not in REALTIME_TYPES:
            return {}
        return dict.fromkeys(REALTIME_KEYS[device.type_id], 0.0)

    def plant_realtime(self, plant: Plant, now_ms: int) -> dict[str, Any]:
        """The six real-time items of a plant, as texts (5.1.2.1)."""
        return {**dict.fromkeys(PLANT_REALTIME_KEYS, "0.000"), "real_health_state": "3"}

    def plant_hours(self, plant: Plant, day: date, now_ms: int) -> list[Row]:
        """Hours of a local day, labelled by their start (5.1.4.1)."""
        start, end = day_window(day, plant.zone)
        return [(t, dict.fromkeys(PLANT_HOUR_KEYS, 0.0)) for t in range(start, min(end, now_ms), 3_600_000)]

    def plant_days(self, plant: Plant, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month (5.1.4.2)."""
        return self._labelled(plant, month_days(date(year, month, 1)), PLANT_PERIOD_KEYS, now_ms)

    def plant_months(self, plant: Plant, year: int, now_ms: int) -> list[Row]:
        """Months of a year (5.1.4.3)."""
        return self._labelled(plant, months_of_year(year), PLANT_PERIOD_KEYS, now_ms)

    def plant_years(self, plant: Plant, now_ms: int) -> list[Row]:
        """All years of a plant's life (5.1.4.4)."""
        return self._labelled(plant, self._years(plant, now_ms), PLANT_PERIOD_KEYS, now_ms)

    def device_days(self, device: Device, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month (5.1.4.5)."""
        return self._device_rows(device, month_days(date(year, month, 1)), now_ms)

    def device_months(self, device: Device, year: int, now_ms: int) -> list[Row]:
        """Months of a year (5.1.4.6)."""
        return self._device_rows(device, months_of_year(year), now_ms)

    def device_years(self, device: Device, now_ms: int) -> list[Row]:
        """All years of a device's life (5.1.4.7)."""
        return self._device_rows(device, self._years(self._plants[device.plant_code], now_ms), now_ms)

    def alarms(self, now_ms: int) -> list[dict[str, Any]]:
        """Every alarm that is active now (5.1.3.1)."""
        return []

    def _years(self, plant: Plant, now_ms: int) -> list[date]:
        return [date(y, 1, 1) for y in range(plant.first_day.year, local_date(now_ms, plant.zone).year + 1)]

    def _device_rows(self, device: Device, firsts: list[date], now_ms: int) -> list[Row]:
        if device.type_id not in REPORT_TYPES:
            return []
        plant = self._plants[device.plant_code]
        return self._labelled(plant, firsts, DEVICE_REPORT_KEYS[device.type_id], now_ms)

    def _labelled(self, plant: Plant, firsts: list[date], keys: tuple[str, ...], now_ms: int) -> list[Row]:
        today = local_date(now_ms, plant.zone)
        return [(label(day, plant.zone, self.labels), dict.fromkeys(keys, 0.0)) for day in firsts if day <= today]


def build_world(
    fleet: str = "demo", seed: int = 1, *, labels: Labels = "local", meter_17_in_watts: bool = False
) -> World:
    """The world of a fleet and a seed."""
    return World(fleet, seed, labels=labels, meter_17_in_watts=meter_17_in_watts)
