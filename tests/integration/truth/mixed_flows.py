"""What meters and batteries of the mixed fleet measured, from the rows that were served: NumPy, and none of the SQL.

Neutral figures: power in kW, positive for export at meters and for charge at batteries; counters by direction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pvlib
from truth.calendar_of_tests import days_from, local_date, midnight, ms_of, utc
from truth.mixed_fleet import EARLIER, FIRST, FIRST_LOAD, LAST, LAST_LOAD, MixedFleet
from truth.raw import HISTORY_TABLES

from pipelines.simulator.fleet import Device, Plant

LONGEST = 15 * 60_000
HOUR = 3_600_000
SLOT = 300_000
STAGED_AS = {17: 1.0, 47: 1000.0, 39: 1000.0, 41: 1000.0}
"""How many of what a type's unit is by the reference make one kW."""


def start_ms(day: date, zone: str) -> int:
    """Local midnight."""
    return ms_of(midnight(day, zone))


def steps(times: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Differences to the reading before where that is at most 15 minutes older, else NaN; noise counts as none."""
    found = np.full(times.size, np.nan)
    found[1:] = np.where(np.diff(times) <= LONGEST, np.diff(counter), np.nan)
    return np.where((found < 0) & (found >= -1e-6), 0.0, found)


def none(value: Any) -> Any:
    """NaN as null."""
    return None if value is None or (isinstance(value, float) and np.isnan(value)) else value


@dataclass
class Truth:
    """The fleet, and which of its rows the warehouse holds (their keys alone: the values are the simulator's)."""

    fleet: MixedFleet
    warehouse: duckdb.DuckDBPyConnection
    _frames: dict[int, pd.DataFrame] = field(default_factory=dict)
    _known: dict[Any, Any] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    @cached_property
    def held(self) -> dict[int, set[int]]:
        """Instants of the rows of each device."""
        held: dict[int, set[int]] = {}
        for name in HISTORY_TABLES.values():
            rows = self.warehouse.sql(f"select device_id, epoch_ms(collect_time) from raw.device_history_{name}")
            for device_id, at in rows.fetchall():
                held.setdefault(device_id, set()).add(at)
        return held

    def days(self, plant: Plant) -> list[date]:
        """Local dates with 5-minute rows."""
        early = days_from(*EARLIER) if plant.code == self.fleet.home else []
        return early + days_from(FIRST, LAST)

    def rows(self, device: Device) -> pd.DataFrame:
        """Served rows with `t` (ms), `start` (ms, of the interval that a row closes) and `day` (its local date)."""
        if device.id not in self._frames:
            plant = self.fleet.plant(device.plant_code)
            world, now = self.fleet.world(plant.code), ms_of(LAST_LOAD)
            served = [
                row
                for day in self.days(plant)
                for row in world.history(
                    device, start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone) - 1, now
                )
                if row[0] in self.held.get(device.id, ())
            ]
            frame = pd.DataFrame([{"t": at, **items} for at, items in served])
            if not frame.empty:
                near = frame["t"].diff() <= LONGEST
                frame["start"] = np.where(near, frame["t"].shift(1).fillna(0), frame["t"] - SLOT).astype(np.int64)
                frame["day"] = local_dates(frame["start"], plant.zone)
                frame["own_day"] = local_dates(frame["t"], plant.zone)
            self._frames[device.id] = frame
        return self._frames[device.id]

    def flows(self, device: Device) -> pd.DataFrame:
        """A meter's or battery's rows with `power` (kW), and the energies `inward` (import, charge) and `outward`.

        Energies are those of the interval that a row closes, null where nothing near came before. A daily counter
        has counted from midnight when its first interval of a day ends.
        """
        frame = self.rows(device)
        if "power" in frame or frame.empty:
            return frame
        habit, zone = self.fleet.habit(device), self.fleet.plant(device.plant_code).zone
        key = "active_power" if device.type_id in (17, 47) else "ch_discharge_power"
        sign = 1 if habit.positive in ("export", "charge") else -1
        frame["power"] = frame[key].astype(float) * sign / (1000.0 if habit.unit == "W" else 1.0)
        if device.type_id in (17, 47):
            forward = habit.forward or f"forward_{habit.positive}"
            pair = ("active_cap", "reverse_active_cap")
            inward, outward = pair if forward == "forward_import" else pair[::-1]
        else:
            inward, outward = "charge_cap", "discharge_cap"
        midnights = np.array([start_ms(day, zone) for day in frame["day"]])
        for name, column in (("inward", inward), ("outward", outward)):
            counter = frame[column].astype(float).to_numpy()
            energy = steps(frame["t"].to_numpy(), counter)
            if habit.counters == "daily":
                begins = (frame["start"].to_numpy() == midnights) & ~np.isnan(energy)
                energy = np.where(begins, counter, energy)
            frame[name] = energy
            frame[f"{name}_counter"] = counter
        dt = np.diff(frame["t"].to_numpy(), prepend=np.nan)
        mean = (frame["power"] + frame["power"].shift(1)) / 2
        frame["from_power"] = np.where(dt <= LONGEST, mean * dt / HOUR, np.nan)
        return frame

    def counted_day(self, device: Device, day: date, names: tuple[str, ...]) -> dict[str, float | None]:
        """What counters (columns of `rows`, or `inward` and `outward`) rose by on a day, gaps in it included, in kWh.

        From the first reading to the last, both midnights included, and the step that spans the day's end. A counter
        that is known to restart at midnight holds the day's energy itself. Null where no two readings tell.
        """
        zone = self.fleet.plant(device.plant_code).zone
        begins, ends = start_ms(day, zone), start_ms(day + timedelta(days=1), zone)
        found = dict.fromkeys(names)
        for name in names:
            pieces = self._pieces(device, begins, ends, name)
            found[name] = float(sum(each[2] for each in pieces)) if pieces else None
        return found

    def night_inward(self, device: Device, day: date) -> float | None:
        """What the inward counter rose by on a day with the sun more than 6 degrees below the horizon, in kWh.

        Null where nothing was read in the dark.
        """
        plant = self.fleet.plant(device.plant_code)
        begins, ends = start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone)
        dark: float | None = None
        for since, until, energy in self._pieces(device, begins, ends, "inward"):
            # Over a gap the sun has to stay there.
            near = until - since <= LONGEST
            instants = np.array([until]) if near else np.arange(since, until + SLOT, SLOT)
            if (self.sun(plant, instants) < -6).all():
                dark = (dark or 0.0) + energy
        return dark

    def _pieces(self, device: Device, begins: int, ends: int, name: str) -> list[tuple[int, int, float]]:
        """Energies of a day's intervals and gaps: since when, until when, kWh."""
        flow = name in ("inward", "outward")
        frame = self.flows(device) if flow else self.rows(device)
        if frame.empty:
            return []
        times = frame["t"].to_numpy()
        counter = frame[f"{name}_counter" if flow else name].astype(float).to_numpy()
        restarts = flow and self.counter_kind(device) == "daily"
        inside = (times > begins if restarts else times >= begins) & (times <= ends)
        at, values = times[inside], counter[inside]
        pieces = [
            (int(a), int(b), max(float(rise), 0.0)) for a, b, rise in zip(at[:-1], at[1:], np.diff(values), strict=True)
        ]
        if restarts:
            return [(begins, int(at[0]), float(values[0])), *pieces] if at.size else []
        after = np.flatnonzero(times > ends)
        spans = at.size and after.size and at[-1] < ends and times[after[0]] - at[-1] <= LONGEST
        if spans:
            pieces.append((int(at[-1]), int(times[after[0]]), max(float(counter[after[0]] - values[-1]), 0.0)))
        return pieces

    def counter_kind(self, device: Device) -> str:
        """How a meter's or battery's counters count, as far as it can be known: three days have two midnights."""
        old = device.plant_code == self.fleet.refitted and device.removed_ms is not None
        return self.fleet.habit(device).counters if self.known(device) and not old else "unknown"

    def sun(self, plant: Plant, times: Any) -> np.ndarray:
        """Height of the sun's centre without refraction, in degrees, by pvlib."""
        known = self.once(("sun", plant.code), lambda: self._sun(plant))
        return known.reindex(np.asarray(times)).to_numpy()

    def _sun(self, plant: Plant) -> pd.Series:
        """Over all days with rows, and the five minutes after."""
        grids = [
            np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone) + SLOT, SLOT)
            for day in self.days(plant)
        ]
        grid = np.unique(np.concatenate(grids))
        index = pd.DatetimeIndex(pd.to_datetime(grid, unit="ms", utc=True))
        position = pvlib.solarposition.get_solarposition(index, plant.latitude, plant.longitude)
        return pd.Series(position["elevation"].to_numpy(), index=grid)

    def devices(self, *types: int) -> list[Device]:
        """Devices of these types that the warehouse has rows of."""
        return [each for each in self.fleet.devices if each.type_id in types and each.id in self.held]

    def known(self, device: Device) -> bool:
        """Whether there are three days of evidence of a meter's or battery's habits."""
        return not (device.plant_code == self.fleet.refitted and device.installed_ms is not None)

    def provisional(self, plant: Plant, day: date) -> bool:
        """Whether a device went before its last hours of a day were read: they can't be read any more."""
        gone = any(each.removed_ms is not None for each in self.fleet.of(plant.code))
        return gone and day == FIRST_LOAD.date()

    def day_of(self, device: Device, at: int) -> date:
        """The local date of an instant at a device."""
        return local_date(utc(at), self.fleet.plant(device.plant_code).zone)

    def last_seen(self, device: Device) -> int:
        """When the device was last listed: devices that went were so at the first load."""
        return ms_of(FIRST_LOAD if device.removed_ms is not None else LAST_LOAD)

    def report_days(self, plant: Plant) -> Iterator[tuple[date, dict[str, Any]]]:
        """The daily reports of all months that were read, as of the last load."""
        yield from self.once(("days", plant.code), lambda: list(self._report_days(plant)))

    def _report_days(self, plant: Plant) -> Iterator[tuple[date, dict[str, Any]]]:
        world = self.fleet.world(plant.code)
        months = [(2026, 10)] + ([(2026, 9)] if plant.code == self.fleet.home else [])
        for year, month in months:
            for label, items in world.plant_days(plant, year, month, ms_of(LAST_LOAD)):
                yield local_dates(np.array([label]), plant.zone)[0], items


def local_dates(times: Any, zone: str) -> list[date]:
    """The dates on the calendar of a zone."""
    index = pd.DatetimeIndex(pd.to_datetime(np.asarray(times), unit="ms", utc=True)).tz_convert(zone)
    return list(index.date)


def utc_of(ms: int) -> datetime:
    """The instant, aware."""
    return pd.Timestamp(int(ms), unit="ms", tz="UTC").to_pydatetime()


def conventions(truth: Truth) -> list[dict[str, Any]]:
    """ops.conventions: what each device's habits are, as far as they can be known."""
    rows = []
    forward_is = {"forward_import": "forward", "forward_export": "reverse"}
    for device in truth.devices(17, 47, 39, 41):
        habit, meter = truth.fleet.habit(device), device.type_id in (17, 47)
        known, told = truth.known(device), device.id == truth.fleet.of(truth.fleet.moved, 47)[0].id
        forward = habit.forward or f"forward_{habit.positive}"
        told_unit = {"W": 1000.0, "kW": 1.0}[habit.unit]
        rows.append(
            {
                "device_id": device.id,
                "plant_code": device.plant_code,
                "device_type_id": device.type_id,
                # The owner's word is applied before the evidence is looked at.
                "power_sign": (1 if told or habit.positive in ("export", "charge") else -1) if known else None,
                "power_unit_factor": (1.0 if told else STAGED_AS[device.type_id] / told_unit) if known else None,
                "power_sign_source": "devices_file"
                if told
                else ("counters" if meter else "state_of_charge")
                if known
                else "unknown",
                "power_unit_source": "devices_file" if told else "counters" if known else "unknown",
                "import_counter": forward_is[forward] if meter and known else None,
                "counter_kind": truth.counter_kind(device),
                "sign_contradicts_setting": False,
                "unit_contradicts_setting": False,
            }
        )
    return rows


def meter_rows(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_meter_5min."""
    rows = []
    for device in truth.devices(17, 47):
        known = truth.known(device)
        for row in truth.flows(device).to_dict("records"):
            net = row["outward"] - row["inward"]
            rows.append(
                {
                    "device_id": device.id,
                    "collect_time_utc": utc_of(row["t"]),
                    "interval_start_utc": utc_of(row["start"]),
                    "local_date": row["day"],
                    "grid_import_kw": max(-row["power"], 0.0) if known else None,
                    "grid_export_kw": max(row["power"], 0.0) if known else None,
                    "import_energy_kwh": none(row["inward"]) if known else None,
                    "export_energy_kwh": none(row["outward"]) if known else None,
                    "net_export_from_power_kwh": none(row["from_power"]) if known else None,
                    "energy_difference_kwh": none(net - row["from_power"]) if known else None,
                    "counter_fell": False,
                }
            )
    return rows


def weather_rows(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_weather_5min: an hour's megajoule is 1 / 3.6 of a kilowatt-hour, the rest is as served."""
    rows = []
    for device in truth.devices(10):
        for row in truth.rows(device).to_dict("records"):
            rows.append(
                {
                    "plant_code": device.plant_code,
                    "device_id": device.id,
                    "collect_time_utc": utc_of(row["t"]),
                    "local_date": row["own_day"],
                    "irradiance_w_m2": none(row["radiant_line"]),
                    "irradiance_plane": "poa" if device.plant_code == truth.fleet.sunny else "unknown",
                    "daily_irradiation_kwh_m2": none(row["radiant_total"] / 3.6),
                    "air_temperature_degc": none(row["temperature"]),
                    "module_temperature_degc": none(row["pv_temperature"]),
                    "wind_speed_m_s": none(row["wind_speed"]),
                    "wind_direction_deg": none(row["wind_direction"]),
                    "source": "history",
                }
            )
    return rows


def battery_rows(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_battery_5min."""
    rows = []
    for device in truth.devices(39, 41):
        known = truth.known(device)
        for row in truth.flows(device).to_dict("records"):
            rows.append(
                {
                    "device_id": device.id,
                    "collect_time_utc": utc_of(row["t"]),
                    "local_date": row["day"],
                    "battery_power_kw": row["power"] if known else None,
                    "charge_energy_kwh": none(row["inward"]),
                    "discharge_energy_kwh": none(row["outward"]),
                    "net_charge_from_power_kwh": none(row["from_power"]) if known else None,
                    "battery_soc_pct": row["battery_soc"],
                    "battery_soh_pct": None,
                    "counter_fell": False,
                }
            )
    return rows


def physics_differences(truth: Truth) -> list[str]:
    """Where a device's day by its counters isn't what flowed in the simulated plant, beyond rounding and lost rows."""
    from pipelines.simulator.energy import CHARGE, DISCHARGE, EXPORT, IMPORT

    wrong = []
    for device in truth.devices(17, 47, 39, 41):
        if device.installed_ms is not None or device.removed_ms is not None:
            continue
        plant, frame = truth.fleet.plant(device.plant_code), truth.flows(device)
        pair = (IMPORT, EXPORT) if device.type_id in (17, 47) else (CHARGE, DISCHARGE)
        daily = truth.fleet.worlds[0]._lives[plant.code].daily(date(2026, 10, 1))
        for day in days_from(FIRST, LAST):
            mine = frame[frame["day"] == day]
            lost = 0 if mine.empty else int((mine["t"] - mine["start"]).sum())
            for name, row in zip(("inward", "outward"), pair, strict=True):
                flowed, counted = daily[row, day.day - 1], mine[name].sum()
                most = 30.0 if device.type_id in (17, 41) else 3.0  # kW that can flow where rows are lost
                missing = (start_ms(day + timedelta(days=1), plant.zone) - start_ms(day, plant.zone) - lost) / HOUR
                if not -0.02 <= flowed - counted <= 0.02 + most * missing:
                    wrong.append(f"{device.name} of {plant.name} on {day} {name}: {counted} of {flowed}")
    return wrong
