"""What staging and marts must show after a load: units made one, energies per interval, figures per plant and day.

Worked out with plain Python from the simulated world, by the rules of the project's KPI page; nothing here reads the
product's SQL, macros or catalog.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import pandas as pd
import pvlib
from truth.calendar_of_tests import hours_of, local_date, midnight, ms_of, utc, wall_clock
from truth.compare import Difference, Expected
from truth.raw import Check, Load

from pipelines.simulator.fleet import Device, Plant

ROUNDING = 1e-12
"""Relative: a division by 1000 and a multiplication by 0.001 differ in the last digit."""

POWERS = (
    # staging model, its column, device type, the vendor's key, how many of the vendor's unit make one kW (kvar)
    ("stg_device_history_string_inverter", "active_power_kw", 1, "active_power", 1.0),
    ("stg_device_history_string_inverter", "reactive_power_kvar", 1, "reactive_power", 1.0),
    ("stg_device_history_string_inverter", "mppt_power_kw", 1, "mppt_power", 1.0),
    ("stg_device_history_residential_inverter", "active_power_kw", 38, "active_power", 1.0),
    ("stg_device_history_residential_inverter", "mppt_power_kw", 38, "mppt_power", 1.0),
    ("stg_device_history_grid_meter", "active_power_kw", 17, "active_power", 1.0),
    ("stg_device_history_grid_meter", "phase_a_active_power_kw", 17, "active_power_a", 1.0),
    # The power sensor tells the sum in W and the phases in kW (reference 5.1.2.3).
    ("stg_device_history_power_sensor", "active_power_kw", 47, "active_power", 1000.0),
    ("stg_device_history_power_sensor", "phase_a_active_power_kw", 47, "active_power_a", 1.0),
    ("stg_device_history_power_sensor", "phase_b_active_power_kw", 47, "active_power_b", 1.0),
    ("stg_device_history_power_sensor", "phase_c_active_power_kw", 47, "active_power_c", 1.0),
    ("stg_device_history_residential_battery", "charge_discharge_power_kw", 39, "ch_discharge_power", 1000.0),
    ("stg_device_history_residential_battery", "max_charge_power_kw", 39, "max_charge_power", 1000.0),
    ("stg_device_history_residential_battery", "max_discharge_power_kw", 39, "max_discharge_power", 1000.0),
    ("stg_device_history_ess", "charge_discharge_power_kw", 41, "ch_discharge_power", 1000.0),
    ("stg_device_history_mains", "active_power_kw", 60001, "active_power", 1.0),
    ("stg_device_history_ac_output_distribution", "total_load_active_power_kw", 60010, "total_load_active_power", 1.0),
)

INVERTER_COLUMNS = {
    "active_power": "active_power_kw",
    "reactive_power": "reactive_power_kvar",
    "power_factor": "power_factor",
    "elec_freq": "grid_frequency_hz",
    "efficiency": "efficiency_pct",
    "temperature": "temperature_degc",
    "mppt_power": "dc_power_kw",
    "day_cap": "yield_today_kwh",
    "total_cap": "total_yield_kwh",
    "mppt_total_cap": "mppt_total_yield_kwh",
    "inverter_state": "inverter_state_code",
    **{f"mppt_{number}_cap": f"mppt_{number}_yield_kwh" for number in range(1, 11)},
}
LONGEST_STEP = timedelta(minutes=15)

Reading = tuple[datetime, Mapping[str, Any]]


def loaded_days(load: Load, connection: duckdb.DuckDBPyConnection, type_id: int, table: str) -> dict[int, list[date]]:
    """The local days of each device of a type: those that were asked for, and those that came along."""
    days = {device.id: set(load.days) for device in load.world.devices if device.type_id == type_id}
    for device_id, day in connection.sql(f"select distinct device_id, local_date from raw.{table}").fetchall():
        days.get(device_id, set()).add(day)
    return {device_id: sorted(some) for device_id, some in days.items()}


def readings(load: Load, device: Device, days: list[date]) -> list[Reading]:
    """The served rows of a device on these local days, in the order of time."""
    return [(utc(label), items) for day in days for label, items in load.history(device, day)]


def number(value: Any) -> float | None:
    """A served value as a float."""
    return None if value is None else float(value)


def staging_differences(load: Load, model: str, connection: duckdb.DuckDBPyConnection) -> list[Difference]:
    """The powers of a staging model in kW, beside local time and date, for every row of the history."""
    powers = [row[1:] for row in POWERS if row[0] == model]
    days = loaded_days(load, connection, powers[0][1], model.removeprefix("stg_"))
    rows = []
    for device_id, some in days.items():
        device = load.devices[device_id]
        zone = load.zone(device)
        for at, items in readings(load, device, some):
            row = {
                "device_id": device_id,
                "collect_time_utc": at,
                "local_time": wall_clock(at, zone),
                "local_date": local_date(at, zone),
                "implausible": None,
            }
            for column, _, key, per_kw in powers:
                value = number(items[key])
                row[column] = None if value is None else value / per_kw
            rows.append(row)
    expected = Expected(f"staging.{model}", ("device_id", "collect_time_utc"), rows, relative=ROUNDING)
    return expected.differences(connection)


def inverter_intervals(load: Load, connection: duckdb.DuckDBPyConnection) -> Expected:
    """marts.fct_inverter_5min, row by row."""
    rows = []
    for type_id, table in ((1, "device_history_string_inverter"), (38, "device_history_residential_inverter")):
        for device_id, days in loaded_days(load, connection, type_id, table).items():
            device = load.devices[device_id]
            rows += list(_intervals(device, load.zone(device), readings(load, device, days)))
    # A kWh is told to ten Wh, so steps are multiples of 0.01 but for the noise of floats.
    return Expected(
        "marts.fct_inverter_5min", ("device_id", "collect_time_utc"), rows, relative=ROUNDING, absolute=1e-9
    )


def _intervals(device: Device, zone: str, rows: list[Reading]) -> Iterator[dict[str, Any]]:
    counted: tuple[datetime, float] | None = None
    powered: tuple[datetime, float] | None = None
    for at, items in rows:
        counter, power = number(items["total_cap"]), number(items["active_power"])
        near = counted if counted is not None and at - counted[0] <= LONGEST_STEP else None
        start = near[0] if near else at - timedelta(minutes=5)
        step = counter - near[1] if near and counter is not None else None
        fell = step is not None and step < -1e-6
        yield {
            "plant_code": device.plant_code,
            "device_id": device.id,
            "device_sn": device.sn,
            "device_type_id": device.type_id,
            "collect_time_utc": at,
            "interval_start_utc": start,
            "interval_end_utc": at,
            "local_time": wall_clock(at, zone),
            # The interval is filed by its start: midnight's row closes the day before.
            "local_date": local_date(start, zone),
            "energy_kwh": None if step is None or fell else max(step, 0.0),
            "counter_fell": fell,
            "energy_from_power_kwh": _integral(powered, at, power),
            "startup_at_utc": _instant(items["open_time"]),
            "shutdown_at_utc": _instant(items["close_time"]),
            **{column: number(items.get(key)) for key, column in INVERTER_COLUMNS.items()},
        }
        counted = counted if counter is None else (at, counter)
        powered = powered if power is None else (at, power)


def _integral(before: tuple[datetime, float] | None, at: datetime, power: float | None) -> float | None:
    if before is None or power is None or at - before[0] > LONGEST_STEP:
        return None
    return (before[1] + power) / 2 * ((at - before[0]) / timedelta(hours=1))


def _instant(ms: Any) -> datetime | None:
    return None if ms is None else utc(int(ms))


def plant_days(load: Load) -> Expected:
    """marts.fct_plant_day for the loaded days: energies, ratios and what the meters and batteries sent."""
    rows = [_plant_day(load, plant, day) for plant in load.world.plants for day in load.days if day >= plant.first_day]
    dates = f"local_date between date '{load.start}' and date '{load.end}'"
    return Expected(
        "marts.fct_plant_day", ("plant_code", "local_date"), rows, relative=1e-9, absolute=1e-9, only_where=dates
    )


def _plant_day(load: Load, plant: Plant, day: date) -> dict[str, Any]:
    report = _daily_report(load, plant, day)
    devices = [device for device in load.world.devices if device.plant_code == plant.code]
    kinds = {device.type_id for device in devices}
    pv, ac, size = report["PVYield"], report["inverterYield"], report["installed_capacity"]
    irradiation, source = _irradiation(load, plant, devices, day, report)
    slots = round(hours_of(day, plant.zone) * 12)
    metered = bool(kinds & {17, 47})
    return {
        "plant_code": plant.code,
        "plant_name": plant.name,
        "local_date": day,
        "day_start_utc": midnight(day, plant.zone),
        "day_end_utc": midnight(day + timedelta(days=1), plant.zone),
        "day_slots": slots,
        "pv_energy_kwh": pv,
        "pv_energy_source": "pv_yield",
        "ac_energy_kwh": ac,
        "p0_kwp": size,
        "p0_differs": False,
        "specific_yield_kwh_kwp": pv / size,
        "feed_in_energy_kwh": report["ongrid_power"],
        "purchased_energy_kwh": report["buyPower"],
        "consumption_kwh": report["use_power"],
        "self_used_pv_energy_kwh": report["selfUsePower"],
        "self_provided_energy_kwh": report["selfProvide"],
        "self_consumption_pct": 100 * report["selfUsePower"] / pv if metered and pv else None,
        "self_sufficiency_pct": 100 * report["selfProvide"] / report["use_power"] if metered else None,
        "battery_charged_energy_kwh": report["chargeCap"],
        "battery_discharged_energy_kwh": report["dischargeCap"],
        "has_battery": bool(kinds & {39, 41}),
        "has_meter": metered,
        "has_emi": 10 in kinds,
        "irradiation_kwh_m2": irradiation,
        "irradiation_source": source,
        "pr_unverified_plane_pct": None if irradiation is None else 100 * pv / (size * irradiation),
        "pr_poa_pct": None,
        "meter_completeness": _share_of_day(load, devices, (17, 47), day, slots),
        "battery_completeness": _share_of_day(load, devices, (39, 41), day, slots),
        "report_state": "final",
        "history_state": "final",
        "is_provisional": False,
        "implausible": None,
    }


def _daily_report(load: Load, plant: Plant, day: date) -> Mapping[str, Any]:
    for label, items in load.world.plant_days(plant, day.year, day.month, ms_of(load.now)):
        if local_date(utc(label), plant.zone) == day:
            assert items["PVYield"] is not None, "these fleets tell PVYield every day"
            return items
    raise AssertionError(f"the world has no report of {plant.name} on {day}")


def _irradiation(
    load: Load, plant: Plant, devices: list[Device], day: date, report: Mapping[str, Any]
) -> tuple[float | None, str | None]:
    """kWh/m2 of a day: the sensor's W/m2 summed if 95 % of the daylight came, else its counter, else the report."""
    sensors = [device for device in devices if device.type_id == 10]
    assert len(sensors) <= 1, "this truth knows plants with one weather sensor"
    for sensor in sensors:
        rows = [(at, items["radiant_line"], items["radiant_total"]) for at, items in readings(load, sensor, [day])]
        light = daylight(plant, day, 0.0)
        seen = sum(1 for at, line, _ in rows if line is not None and light[0] <= at <= light[1])
        if seen / slots_in(*light) >= 0.95:
            return sum(line for _, line, _ in rows if line is not None) * 5 / 60 / 1000, "irradiance"
        # The row of midnight closes the day before.
        return max(total for at, _, total in rows if total is not None and at >= light[0]) / 3.6, "sensor_counter"
    told = report.get("radiation_intensity")
    return (told, "report") if told else (None, None)


def _share_of_day(load: Load, devices: list[Device], types: tuple[int, ...], day: date, slots: int) -> float | None:
    """Share of the day's slots for which meters or batteries sent a power."""
    key = {17: "active_power", 47: "active_power", 39: "ch_discharge_power", 41: "ch_discharge_power"}
    mine = [device for device in devices if device.type_id in types]
    if not mine:
        return None
    sent = [
        sum(1 for _, items in readings(load, device, [day]) if items[key[device.type_id]] is not None)
        for device in mine
    ]
    return sum(sent) / (slots * len(mine))


def daylight(plant: Plant, day: date, degrees: float) -> tuple[datetime, datetime]:
    """First and last minute at which the sun stands above `degrees` on a local day, by pvlib."""
    start, end = midnight(day, plant.zone), midnight(day + timedelta(days=1), plant.zone)
    minutes = pd.date_range(start, end, freq="1min", inclusive="left")
    sun = pvlib.solarposition.get_solarposition(minutes, plant.latitude, plant.longitude)
    up = minutes[sun["elevation"] >= degrees]
    return up[0].to_pydatetime(), up[-1].to_pydatetime()


def slots_in(first: datetime, last: datetime) -> int:
    """Five-minute instants from `first` to `last`, both included."""
    return ms_of(last) // 300_000 - -(-ms_of(first) // 300_000) + 1


SUN_TOLERANCE = 0.02
"""Of a completeness that hangs on where the sun stands: formulas differ by a slot or two of about a hundred."""


def inverter_completeness(load: Load, connection: duckdb.DuckDBPyConnection) -> Iterator[Difference]:
    """Where the inverters' completeness is not what pvlib's sun and the served rows say."""
    found = {
        (code, day): share
        for code, day, share in connection.sql(
            "select plant_code, local_date, inverter_completeness from marts.fct_plant_day"
        ).fetchall()
    }
    for plant in load.world.plants:
        for day in (day for day in load.days if day >= plant.first_day):
            share = found.get((plant.code, day))
            wanted = None if plant.served_latitude == "" else _inverters_share(load, plant, day)
            if (share is None) != (wanted is None) or abs((share or 0) - (wanted or 0)) > SUN_TOLERANCE:
                yield Difference("marts.fct_plant_day", (plant.code, day), "inverter_completeness", wanted, share)


def _inverters_share(load: Load, plant: Plant, day: date) -> float:
    first, last = daylight(plant, day, 10.0)
    inverters = [d for d in load.world.devices if d.plant_code == plant.code and d.type_id in (1, 38)]
    sent = sum(
        1
        for device in inverters
        for at, items in readings(load, device, [day])
        if first <= at <= last and items["active_power"] is not None
    )
    return min(1.0, sent / (slots_in(first, last) * len(inverters)))


def mart_checks(load: Load) -> dict[str, Check]:
    """A check for every relation of staging and marts that this truth knows."""
    checks: dict[str, Check] = {
        f"staging.{model}": partial(staging_differences, load, model) for model in {row[0] for row in POWERS}
    }
    return checks | {
        "marts.fct_inverter_5min": lambda connection: inverter_intervals(load, connection).differences(connection),
        "marts.fct_plant_day": lambda connection: [
            *plant_days(load).differences(connection),
            *inverter_completeness(load, connection),
        ],
    }
