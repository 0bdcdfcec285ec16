"""The energy flows of one plant, month by month: the heart of the simulated physics.

A month is computed as arrays over its five-minute slots. Powers are instantaneous; the energy of an interval is the
trapezoid between two instants, so power, counters, hours, days, months and years all agree. At local midnight every
flow but the consumption is zero, and the consumption is a constant, so months join exactly.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from threading import RLock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.alarms import AlarmBook
from pipelines.simulator.battery import HOURS_PER_SLOT, dispatch
from pipelines.simulator.calendar import day_start, local_date, next_month
from pipelines.simulator.fleet import BatterySpec, Device, InverterSpec, Plant, Site
from pipelines.simulator.grid import MonthGrid, month_grid
from pipelines.simulator.load import consumption
from pipelines.simulator.rounding import Floats
from pipelines.simulator.weather import Weather, weather

PV, AC, CHARGE, DISCHARGE, EXPORT, IMPORT, LOAD, IRRADIATION, CHARGE_TIME, DISCHARGE_TIME = range(10)
"""Rows of the flow matrix: powers in kW (irradiation in kW/m2), and times as 1 while charging or discharging."""

INVERTERS: Final = 10
"""From this row on: the AC output of each inverter, in kW, as its own yield counter sees it (never negative)."""

DERATES_ABOVE: Final = 0.5
"""Share of the rating above which an inverter that derates itself does."""

DERATED_TO: Final = 0.7
"""What derating leaves of the power above that."""

LIMIT_STOPS_AT: Final = (11.5, 13.0)
"""Hours of the wall clock between which a limit shuts an inverter down, the second not included."""

CONVERSION: Final = 0.98
"""AC power of an inverter over its DC power."""

STARTS_AT: Final = 0.004
"""Share of the rating below which an inverter gives nothing."""

SYSTEM_LOSS: Final = 0.93
"""What mismatch, cables and low light leave of the module power."""

TEMPERATURE_LOSS: Final = 0.0035
"""Loss of module power per degree above 25."""


@dataclass(frozen=True, slots=True, eq=False)
class Carry:
    """What a month hands to the next: energy in the cells, each flow's energy so far and of the last day."""

    stored_kwh: float
    totals: Floats
    yesterday: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PlantMonth:
    """One month of a plant.

    `flows` has a row per flow and a column per slot, and one more for the midnight that ends the month (kW);
    `daily` a row per flow and a column per day (kWh). `down` tells for each inverter the slots in which a fault
    holds it; `stored` is the energy in the cells per slot.
    """

    grid: MonthGrid
    sky: Weather
    flows: Floats
    daily: Floats
    down: NDArray[np.bool_]
    stored: Floats
    before: Carry
    after: Carry

    def power(self, row: int, inside: slice) -> Floats:
        """Power of a flow at slots, kW."""
        return np.asarray(self.flows[row, :-1][inside], dtype=np.float64)

    def energy(self, inside: slice, rows: slice = slice(None)) -> Floats:
        """Energy of flows in the intervals that start at slots, kWh."""
        ends = slice(inside.start + 1, inside.stop + 1)
        return np.asarray((self.flows[rows, inside] + self.flows[rows, ends]) * (HOURS_PER_SLOT / 2), dtype=np.float64)

    def counter(self, row: int, inside: slice) -> Floats:
        """Energy of a flow from the connection up to slots, kWh."""
        day = int(self.grid.day_of_slot[inside.start])
        begun = float(self.before.totals[row] + self.daily[row, :day].sum())
        return begun + self._since(row, day, inside)

    def today(self, row: int, inside: slice) -> Floats:
        """Energy of a flow since local midnight up to slots, kWh; at midnight itself the whole day before."""
        days = self.grid.day_of_slot[inside]
        day = int(days[0])
        ended = np.concatenate(([0.0], np.cumsum(self.daily[row, day:])))[days - day]
        since = self._since(row, day, inside) - ended
        midnight = np.arange(inside.start, inside.stop) == self.grid.starts[days]
        return np.where(midnight, self.day_before(row)[days], since)

    def day_before(self, row: int) -> Floats:
        """For each day of the month, the energy of the day before, kWh."""
        return np.concatenate(([self.before.yesterday[row]], self.daily[row, :-1]))

    def _since(self, row: int, day: int, inside: slice) -> Floats:
        """Energy from the start of a day of the month up to slots."""
        start = int(self.grid.starts[day])
        steps = self.energy(slice(start, inside.stop), slice(row, row + 1))[0]
        return np.concatenate(([0.0], np.cumsum(steps)))[inside.start - start : inside.stop - start]


class SkyBook:
    """Weather of sites, computed once a month and site; neighbours share it."""

    def __init__(self, seed: int, keep: int = 400) -> None:
        """Keeps the months used last, 90 KB each."""
        self._seed = seed
        self._keep = keep
        self._known: OrderedDict[tuple[Site, date], Weather] = OrderedDict()
        self._lock = RLock()

    def month(self, site: Site, grid: MonthGrid) -> Weather:
        """The weather of a month at a site."""
        key = (site, grid.first)
        with self._lock:
            if key not in self._known:
                self._known[key] = weather(self._seed, site, grid)
                if len(self._known) > self._keep:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]


class MonthCache:
    """The months computed last, of all plants, so that memory stays bounded whatever is asked."""

    def __init__(self, keep: int = 64) -> None:
        """Keeps the months used last, about 1 MB each."""
        self._keep = keep
        self._known: OrderedDict[tuple[str, date], PlantMonth] = OrderedDict()
        self._lock = RLock()

    def get(self, key: tuple[str, date]) -> PlantMonth | None:
        """A month that is still there."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def put(self, key: tuple[str, date], month: PlantMonth) -> None:
        """Keeps a month and drops the one that was not used for longest."""
        with self._lock:
            self._known[key] = month
            if len(self._known) > self._keep:
                self._known.popitem(last=False)


class PlantEnergy:
    """The life of one plant. What is carried from month to month is kept for good: it is small."""

    def __init__(
        self,
        seed: int,
        plant: Plant,
        inverters: Sequence[InverterSpec],
        alarms: AlarmBook,
        sky: SkyBook,
        cache: MonthCache,
    ) -> None:
        """Computes nothing yet."""
        self.plant = plant
        # A plant without inverters of its own (a power converter) is modelled as one hidden inverter.
        self.inverters = tuple(inverters) or (InverterSpec(plant.capacity_kwp, plant.capacity_kwp, mppts=1, strings=1),)
        self.first_month = plant.first_day.replace(day=1)
        self.born_ms = day_start(plant.first_day, plant.zone)
        self._seed = seed
        self.alarms = alarms
        self._sky = sky
        self._cache = cache
        self._lock = RLock()
        rows = INVERTERS + len(self.inverters)
        start = Carry(0.0, np.zeros(rows), np.zeros(rows))
        self._carries: dict[date, Carry] = {self.first_month: start}
        self._daily: dict[date, Floats] = {}
        self._reached = self.first_month

    def month(self, first: date) -> PlantMonth:
        """The month that starts with `first`, which must not lie before the plant's first month."""
        key = (self.plant.code, first)
        found = self._cache.get(key)
        if found is not None:
            return found
        with self._lock:
            while self._reached < first:
                self._compute(self._reached)
            return self._compute(first)

    def daily(self, first: date) -> Floats:
        """Energies of the days of a month: a row per flow, a column per day. Kept for good."""
        if first not in self._daily:
            self.month(first)
        return self._daily[first]

    def carry(self, first: date) -> Carry:
        """What stood on the counters when a month began."""
        with self._lock:
            while self._reached < first:
                self._compute(self._reached)
        return self._carries[first]

    def counted_at(self, row: int, ms: int) -> float:
        """Energy of a flow from the connection up to an instant (a slot of the grid), kWh."""
        if ms <= self.born_ms:
            return 0.0
        month = self.month(local_date(ms, self.plant.zone).replace(day=1))
        slot = month.grid.position(ms)
        return float(month.counter(row, slice(slot, slot + 1))[0])

    def _compute(self, first: date) -> PlantMonth:
        month = self._physics(first, self._carries[first])
        following = next_month(first)
        self._carries[following] = month.after
        self._daily[first] = month.daily
        self._reached = max(self._reached, following)
        self._cache.put((self.plant.code, first), month)
        return month

    def _physics(self, first: date, before: Carry) -> PlantMonth:
        grid = month_grid(first, self.plant.zone)
        sky = self._sky.month(self.plant.site, grid)
        alive = grid.times >= self.born_ms
        down = self._outages(grid)
        outputs = np.stack([self._output(spec, sky, grid) for spec in self.inverters])
        outputs[down] = 0.0
        outputs[:, ~alive] = 0.0
        flows = np.zeros((INVERTERS + len(self.inverters), grid.size + 1))
        inside = flows[:, :-1]
        inside[PV] = outputs.sum(axis=0)
        inside[IRRADIATION] = np.where(alive, sky.poa / 1000, 0.0)
        load = self.plant.load
        if load is not None:
            inside[LOAD] = np.where(alive, consumption(self._seed, self.plant, load, grid), 0.0)
        battery = self.plant.battery
        stored, left = np.zeros(grid.size), 0.0
        if battery is not None:
            run = dispatch(_awake(battery, alive), grid, (inside[PV] - inside[LOAD]) * alive, before.stored_kwh)
            inside[CHARGE], inside[DISCHARGE] = run.charge * alive, run.discharge * alive
            stored, left = run.stored, run.left_kwh
        inside[AC] = inside[PV] - inside[CHARGE] + inside[DISCHARGE]
        inside[CHARGE_TIME] = inside[CHARGE] > 0
        inside[DISCHARGE_TIME] = inside[DISCHARGE] > 0
        inside[INVERTERS:] = outputs
        if self.inverters[0].hybrid:
            # Its own counter sees what leaves for the house and the grid, not what it draws to charge.
            inside[INVERTERS] = np.maximum(inside[AC], 0.0)
        if load is not None:
            # The month's last interval ends at midnight, where only the constant consumption is left.
            flows[LOAD, -1] = load.base_kw if next_month(first) > self.plant.first_day else 0.0
            flow = flows[AC] - flows[LOAD]
            flows[EXPORT], flows[IMPORT] = np.maximum(flow, 0.0), np.maximum(-flow, 0.0)
        return _summed(grid, sky, flows, alive, down, stored, before, left)

    def _output(self, spec: InverterSpec, sky: Weather, grid: MonthGrid) -> Floats:
        light = sky.poa.astype(np.float64)
        cell = sky.air + light * 0.028
        share = self.plant.soiling * live_strings(spec) * SYSTEM_LOSS
        dc = spec.dc_kwp * share * light / 1000 * (1 - TEMPERATURE_LOSS * (cell - 25))
        limit = spec.ac_kw * (0.7 if spec.limited else 1.0)
        power = np.minimum(dc * CONVERSION, limit)
        if spec.derates:
            above = np.maximum(power - DERATES_ABOVE * spec.ac_kw, 0.0)
            power = power - (1 - DERATED_TO) * above
        if spec.limit_stops:
            power = np.where(stopped_by_limit(grid.hour), 0.0, power)
        return np.where((power < STARTS_AT * spec.ac_kw) | ~sky.sun_up, 0.0, power)

    def _outages(self, grid: MonthGrid) -> NDArray[np.bool_]:
        down = np.zeros((len(self.inverters), grid.size), dtype=np.bool_)
        end = int(grid.times[-1]) + 1
        for episode in self.alarms.between(int(grid.times[0]), end):
            if episode.kind.stops_inverter:
                down[episode.device.position] |= (grid.times >= episode.raised_ms) & (grid.times < episode.cleared_ms)
        return down


def string_weights(spec: InverterSpec) -> Floats:
    """Power of each used string relative to the usual; strings differ a little, a dead one gives nothing."""
    weights = 1.0 + 0.012 * (np.arange(spec.strings) % 3 - 1)
    if spec.dead_string is not None:
        weights[spec.dead_string - 1] = 0.0
    return np.asarray(weights, dtype=np.float64)


def live_strings(spec: InverterSpec) -> float:
    """Share of the installed strings that gives power."""
    return float(string_weights(spec).sum()) / spec.strings


def stopped_by_limit(hour: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where an inverter that a limit shuts down stands still, by the hours of the wall clock."""
    return np.asarray((hour >= LIMIT_STOPS_AT[0]) & (hour < LIMIT_STOPS_AT[1]), dtype=np.bool_)


def inverters_of(devices: Sequence[Device]) -> list[InverterSpec]:
    """The inverters among a plant's devices, by position; one that took another's place is of its kind."""
    found = {device.position: device.inverter for device in devices if device.inverter is not None}
    return [found[position] for position in sorted(found)]


def _awake(battery: BatterySpec, alive: NDArray[np.bool_]) -> BatterySpec:
    """A storage rests in the month of the connection, unless that month is whole."""
    return battery if alive.all() else BatterySpec(battery.usable_kwh, 0.0)


def _summed(
    grid: MonthGrid,
    sky: Weather,
    flows: Floats,
    alive: NDArray[np.bool_],
    down: NDArray[np.bool_],
    stored: Floats,
    before: Carry,
    left_kwh: float,
) -> PlantMonth:
    first, last = grid.starts[:-1], grid.starts[1:]
    # The trapezoids of a day, summed: all its slots, with half of both midnights.
    edges = (flows[:, last] - flows[:, first]) / 2
    daily = (np.add.reduceat(flows[:, :-1], first, axis=1) + edges) * HOURS_PER_SLOT
    daily[:, ~alive[first]] = 0.0
    after = Carry(left_kwh, before.totals + daily.sum(axis=1), daily[:, -1])
    return PlantMonth(grid, sky, flows, daily, down, stored, before, after)
