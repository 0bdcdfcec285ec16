"""The simulated world: what every read endpoint would answer, for any plant, device and instant.

Everything follows from the fleet's name and the seed. An answer depends on neither the questions asked before nor
on `now`, except that what is later than now does not exist yet and that reports of recent periods still grow.
Instants are milliseconds since 1970; a row is filed by its collectTime. No plant has data before the local day of
its grid connection.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any, Final

from pipelines.simulator import reports
from pipelines.simulator.alarms import AlarmBook
from pipelines.simulator.calendar import (
    HOUR_MS,
    Labels,
    day_start,
    label,
    local_date,
    next_month,
)
from pipelines.simulator.emi import emi_columns
from pipelines.simulator.energy import PV, MonthCache, PlantEnergy, SkyBook, inverters_of
from pipelines.simulator.fleet import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES, Device, Plant
from pipelines.simulator.fleets import FLEETS, FleetBuilder
from pipelines.simulator.habits import DeviceHabit, Habits
from pipelines.simulator.inverter import inverter_columns
from pipelines.simulator.keys import HISTORY_KEYS, REALTIME_KEYS
from pipelines.simulator.meter import grid_meter_columns, power_sensor_columns
from pipelines.simulator.rounding import Floats
from pipelines.simulator.span import Columns, Span, kept, to_rows
from pipelines.simulator.storage import battery_columns, ess_columns
from pipelines.simulator.telecom import telecom_columns

Row = tuple[int, dict[str, Any]]
"""collectTime in milliseconds and the data items."""

Period = tuple[date, date, Floats]
"""First day, the day after the last, and flow energies."""

DISCONNECTED: Final = "1"
FAULTY: Final = "2"
HEALTHY: Final = "3"
"""real_health_state of 5.1.2.1, as servers send it: a text."""


class World:
    """Answers of one fleet.

    `labels` says where day, month and year labels stand; `habits` are the switches for what the reference leaves open.
    The past itself doesn't depend on them, only how it is told; but for what holds inverters.
    """

    def __init__(
        self,
        fleet: str | FleetBuilder = "demo",
        seed: int = 1,
        *,
        labels: Labels = "local",
        habits: Habits | None = None,
    ) -> None:
        """Raises ValueError for a fleet that is not known."""
        if isinstance(fleet, str) and fleet not in FLEETS:
            raise ValueError(f"no fleet is called {fleet!r}; there are {', '.join(sorted(FLEETS))}")
        built = FLEETS[fleet]() if isinstance(fleet, str) else fleet
        self.fleet = fleet if isinstance(fleet, str) else "own"
        self.seed = seed
        self.labels: Labels = labels
        self.habits = habits or Habits()
        self.plants: list[Plant] = built.plants
        self.devices: list[Device] = [self.habits.built(device) for device in built.devices]
        sky, cache = SkyBook(seed), MonthCache()
        self._lives: dict[str, PlantEnergy] = {}
        self._items: dict[str, reports.PlantItems] = {}
        for plant in self.plants:
            devices = [device for device in self.devices if device.plant_code == plant.code]
            alarms = AlarmBook(seed, plant, devices)
            self._lives[plant.code] = PlantEnergy(seed, plant, inverters_of(devices), alarms, sky, cache)
            metered = any(device.type_id in (17, 47) for device in devices)
            self._items[plant.code] = reports.PlantItems(plant, metered)

    def history(self, device: Device, start_ms: int, end_ms: int, now_ms: int) -> list[Row]:
        """Five-minute rows with start_ms <= collectTime <= end_ms, both included, up to now (5.1.2.3).

        [] for device types that the history API doesn't serve.
        """
        if device.type_id not in HISTORY_TYPES:
            return []
        life = self._lives[device.plant_code]
        first, last = max(start_ms, life.born_ms), min(end_ms, now_ms)
        rows: list[Row] = []
        if first > last:
            return rows
        month = local_date(first, life.plant.zone).replace(day=1)
        while day_start(month, life.plant.zone) <= last:
            grid = life.month(month).grid
            inside = slice(max(0, grid.position(first)), min(grid.size, grid.position(last + 1)))
            if inside.start < inside.stop:
                rows += self._history_rows(Span(life, life.month(month), device, inside))
            month = next_month(month)
        return rows

    def device_realtime(self, device: Device, now_ms: int) -> dict[str, Any]:
        """The real-time items of a device, of the last five-minute slot (5.1.2.2); {} for types without any."""
        if device.type_id not in REALTIME_TYPES:
            return {}
        keys = REALTIME_KEYS[device.type_id]
        life = self._lives[device.plant_code]
        if now_ms < life.born_ms or not device.there(now_ms):
            return {key: 0 if key == "run_state" else None for key in keys}
        month = life.month(local_date(now_ms, life.plant.zone).replace(day=1))
        slot = month.grid.position(now_ms + 1) - 1
        columns = {**self._columns(Span(life, month, device, slice(slot, slot + 1)), live=True), "run_state": 1}
        if device.type_id == 38:
            columns["close_time"] = "N/A"
        return to_rows(keys, columns, 1)[0]

    def plant_realtime(self, plant: Plant, now_ms: int) -> dict[str, Any]:
        """The six real-time items of a plant, as texts (5.1.2.1). Yields are PV yields."""
        life, items = self._lives[plant.code], self._items[plant.code]
        if now_ms < life.born_ms:
            empty = ("day_power", "month_power", "total_power", "day_income", "total_income")
            return {**dict.fromkeys(empty, "0.000"), "real_health_state": DISCONNECTED}
        day = local_date(now_ms, plant.zone)
        first = day.replace(day=1)
        today = reports.energy_between(life, day_start(day, plant.zone), now_ms)
        month = life.daily(first)[:, : day.day - 1].sum(axis=1) + today
        carried = life.carry(first).totals
        # The total of the revenue is written every full hour, so today's can be ahead of it for a while.
        by_hour = reports.energy_between(life, day_start(day, plant.zone), now_ms // HOUR_MS * HOUR_MS)
        severe = any(episode.kind.severity <= 2 for episode in life.alarms.active(now_ms))
        values = {
            "day_power": today[PV],
            "month_power": month[PV],
            "total_power": carried[PV] + month[PV],
            "day_income": items.income(today),
            "total_income": items.income(carried + month - today + by_hour),
        }
        texts = {key: f"{value + 0.0:.3f}" for key, value in values.items()}
        return {**texts, "real_health_state": FAULTY if severe else HEALTHY}

    def plant_hours(self, plant: Plant, day: date, now_ms: int) -> list[Row]:
        """Hours of a local day that have begun, labelled by their start, or by their end (5.1.4.1)."""
        items = self._items[plant.code]
        hours = reports.served_hours(self._lives[plant.code], day, now_ms, at_most_24=self.habits.merged_hour)
        at_end = self.habits.hour_labels == "end"
        return [(end if at_end else start, items.hour(energies)) for start, end, energies in hours]

    def plant_days(self, plant: Plant, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month that have begun (5.1.4.2)."""
        return self._plant_rows(plant, self._days(plant, date(year, month, 1), now_ms))

    def plant_months(self, plant: Plant, year: int, now_ms: int) -> list[Row]:
        """Months of a year that have begun (5.1.4.3)."""
        return self._plant_rows(plant, self._months(plant, year, now_ms))

    def plant_years(self, plant: Plant, now_ms: int) -> list[Row]:
        """All years of a plant's life (5.1.4.4)."""
        return self._plant_rows(plant, self._years(plant, now_ms))

    def device_days(self, device: Device, year: int, month: int, now_ms: int) -> list[Row]:
        """Days of a month that have begun (5.1.4.5); [] for device types that the reports don't serve."""
        plant = self._lives[device.plant_code].plant
        return self._device_rows(device, partial(self._days, plant, date(year, month, 1), now_ms), now_ms)

    def device_months(self, device: Device, year: int, now_ms: int) -> list[Row]:
        """Months of a year that have begun (5.1.4.6)."""
        plant = self._lives[device.plant_code].plant
        return self._device_rows(device, partial(self._months, plant, year, now_ms), now_ms)

    def device_years(self, device: Device, now_ms: int) -> list[Row]:
        """All years of a device's life (5.1.4.7)."""
        plant = self._lives[device.plant_code].plant
        return self._device_rows(device, partial(self._years, plant, now_ms), now_ms)

    def alarms(self, now_ms: int) -> list[dict[str, Any]]:
        """Every alarm that is active now, plant by plant (5.1.3.1)."""
        active = (episode for life in self._lives.values() for episode in life.alarms.active(now_ms))
        return [episode.record() for episode in active if episode.device.there(now_ms)]

    def _history_rows(self, span: Span) -> list[Row]:
        rows = to_rows(HISTORY_KEYS[span.device.type_id], self._columns(span, live=False), span.times.size)
        mask = kept(self.seed, span).tolist()
        return [(time, row) for time, row, keep in zip(span.times.tolist(), rows, mask, strict=True) if keep]

    def _columns(self, span: Span, *, live: bool) -> Columns:
        makers: dict[int, Callable[[Span], Columns]] = {
            1: inverter_columns,
            38: inverter_columns,
            10: emi_columns,
        }
        told: dict[int, Callable[[Span, DeviceHabit], Columns]] = {
            17: grid_meter_columns,
            47: partial(power_sensor_columns, live=live),
            39: battery_columns,
            41: ess_columns,
        }
        type_id = span.device.type_id
        if type_id in told:
            return told[type_id](span, self.habits.of(span.device))
        return makers.get(type_id, telecom_columns)(span)

    def _days(self, plant: Plant, first: date, now_ms: int) -> list[Period]:
        days = reports.served_days(self._lives[plant.code], first, now_ms)
        return [(day, date.fromordinal(day.toordinal() + 1), energies) for day, energies in days]

    def _months(self, plant: Plant, year: int, now_ms: int) -> list[Period]:
        life = self._lives[plant.code]
        months = [date(year, month, 1) for month in range(1, 13)]
        served = [(first, reports.served_month(life, first, now_ms)) for first in months]
        return [(first, next_month(first), energies) for first, energies in served if energies is not None]

    def _years(self, plant: Plant, now_ms: int) -> list[Period]:
        life = self._lives[plant.code]
        years = range(plant.first_day.year, local_date(now_ms, plant.zone).year + 1)
        served = [(year, reports.served_year(life, year, now_ms)) for year in years]
        return [(date(year, 1, 1), date(year + 1, 1, 1), energies) for year, energies in served if energies is not None]

    def _plant_rows(self, plant: Plant, periods: Sequence[Period]) -> list[Row]:
        items = self._items[plant.code]
        return [(label(first, plant.zone, self.labels), items.period(energies)) for first, _, energies in periods]

    def _device_rows(self, device: Device, periods: Callable[[], list[Period]], now_ms: int) -> list[Row]:
        if device.type_id not in REPORT_TYPES:
            return []
        life = self._lives[device.plant_code]
        zone = life.plant.zone
        rows = []
        for first, end, energies in periods():
            span = day_start(first, zone), day_start(end, zone)
            own = reports.lived(device, life, energies, span, now_ms)
            if own is not None:
                final = own is energies and reports.settled(span[1], now_ms)
                items = reports.device_items(device, life, own, (first, end), final)
                rows.append((label(first, zone, self.labels), items))
        return rows


def build_world(
    fleet: str | FleetBuilder = "demo",
    seed: int = 1,
    *,
    labels: Labels = "local",
    habits: Habits | None = None,
) -> World:
    """The world of a fleet ("demo", "single", "portfolio", or one of your own) and a seed."""
    return World(fleet, seed, labels=labels, habits=habits)
