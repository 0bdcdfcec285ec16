"""What schema raw must hold after a load, straight from the simulated world: no HTTP, no code of the product.

Due are the loaded local dates, and what an answer that holds one of them brings anyway: all days of the month, all
months of the year, all years. What else a table holds must be the truth too, and whole. Periods that still grow are
compared as of the moment when they were read, which is the row's `extracted_at`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import duckdb
from truth.calendar_of_tests import days_from, local_date, midnight, ms_of, utc, wall_clock
from truth.compare import Difference, Expected, compare, rows_of

from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.world import World

HISTORY_TABLES = {
    1: "string_inverter",
    10: "emi",
    17: "grid_meter",
    38: "residential_inverter",
    39: "residential_battery",
    41: "ess",
    47: "power_sensor",
    60001: "mains",
    60003: "genset",
    60043: "ssu_group",
    60014: "lithium_battery_rack",
    60010: "ac_output_distribution",
}
REPORT_TYPES = (1, 38, 39, 41)
ALARM_WINDOW = timedelta(days=31)

COLUMN_OF_KEY = {
    # The keys of data items that are not in small letters already.
    "PVYield": "pv_yield",
    "inverterYield": "inverter_yield",
    "chargeCap": "charge_cap",
    "dischargeCap": "discharge_cap",
    "buyPower": "buy_power",
    "selfUsePower": "self_use_power",
    "selfProvide": "self_provide",
}
PLANT_COLUMNS = {
    "plantCode": "plant_code",
    "plantName": "plant_name",
    "plantAddress": "plant_address",
    "longitude": "longitude",
    "latitude": "latitude",
    "capacity": "capacity",
    "contactPerson": "contact_person",
    "contactMethod": "contact_method",
    "gridConnectionDate": "grid_connection_date",
}
DEVICE_COLUMNS = {
    "id": "device_id",
    "devDn": "device_dn",
    "devName": "device_name",
    "stationCode": "plant_code",
    "esnCode": "device_sn",
    "devTypeId": "device_type_id",
    "softwareVersion": "software_version",
    "optimizerNumber": "optimizer_number",
    "invType": "inverter_model",
    "longitude": "longitude",
    "latitude": "latitude",
}
ALARM_COLUMNS = {
    "stationCode": "plant_code",
    "esnCode": "device_sn",
    "devName": "device_name",
    "devTypeId": "device_type_id",
    "alarmId": "alarm_id",
    "causeId": "cause_id",
    "alarmName": "alarm_name",
    "alarmCause": "alarm_cause",
    "alarmType": "alarm_type",
    "lev": "severity",
    "status": "status",
    "repairSuggestion": "repair_suggestion",
}

REPORTS = (
    "plant_hourly",
    "plant_daily",
    "plant_monthly",
    "plant_yearly",
    "device_daily",
    "device_monthly",
    "device_yearly",
)
DATASETS = ("device_history", *REPORTS)

ServedRow = tuple[int, Mapping[str, Any]]


def column_of(key: str) -> str:
    """The raw column of a data item."""
    if key in COLUMN_OF_KEY:
        return COLUMN_OF_KEY[key]
    assert key == key.lower(), f"the test has no column for the vendor's key {key}"
    return key


def as_stored(items: Mapping[str, Any]) -> dict[str, float | None]:
    """Served items as raw stores them: numbers as floats, nulls and texts that mean nothing as nulls."""
    return {
        column_of(key): None if value in (None, "N/A", "", "null") else float(value) for key, value in items.items()
    }


def text_or_null(value: Any) -> Any:
    """Identity values as stored: texts that mean nothing are null."""
    return None if value in ("", "null", "N/A") else value


@dataclass
class Load:
    """What was loaded of the whole fleet: these datasets for local dates `start`..`end`, by now."""

    world: World
    start: date
    end: date
    account: str
    now: datetime
    datasets: tuple[str, ...] = DATASETS
    _known: dict[tuple[int, date], list[ServedRow]] = field(default_factory=dict)

    @cached_property
    def plants(self) -> dict[str, Plant]:
        """Plants by code."""
        return {plant.code: plant for plant in self.world.plants}

    @cached_property
    def devices(self) -> dict[int, Device]:
        """Devices by id."""
        return {device.id: device for device in self.world.devices}

    @property
    def days(self) -> list[date]:
        """The local dates."""
        return days_from(self.start, self.end)

    def zone(self, subject: Plant | Device) -> str:
        """The zone in which a plant or device lives."""
        return subject.zone if isinstance(subject, Plant) else self.plants[subject.plant_code].zone

    def days_of(self, subject: Plant | Device) -> list[date]:
        """The local dates from the plant's connection on: nothing earlier is wanted."""
        plant = subject if isinstance(subject, Plant) else self.plants[subject.plant_code]
        return [day for day in self.days if day >= plant.first_day]

    def history(self, device: Device, day: date) -> list[ServedRow]:
        """The five-minute rows of a device's local day."""
        if (device.id, day) not in self._known:
            zone = self.zone(device)
            start, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
            rows = self.world.history(device, ms_of(start), ms_of(end) - 1, ms_of(self.now))
            self._known[device.id, day] = rows
        return self._known[device.id, day]


@dataclass(frozen=True)
class Dataset:
    """How one raw table follows from the world.

    `serve` answers the window that holds a date, as of an instant.
    """

    table: str
    grain: str  # day, month or year: the period of local_date
    subjects: tuple[Plant | Device, ...]
    serve: Callable[[Any, date, int], list[ServedRow]]
    typed: bool = False  # device reports carry the device's type

    @property
    def name(self) -> str:
        """The dataset as the command line calls it."""
        name = self.table.removeprefix("raw.")
        return "device_history" if name.startswith("device_history") else name

    @property
    def grows(self) -> bool:
        """Whether rows of a period look small at first, as reports do."""
        return self.name != "device_history"

    def window(self, day: date) -> date:
        """First date of the answer that holds a date: one call tells a day's hours, a month's days, a year's months.

        Yearly reports tell a whole life; any one date stands for it.
        """
        if self.grain == "year":
            return date(2000, 1, 1)
        if self.grain == "month":
            return date(day.year, 1, 1)
        return day.replace(day=1) if self.table.endswith("_daily") else day


def first_of(grain: str, day: date) -> date:
    """First day of the period that holds a date."""
    if grain == "year":
        return date(day.year, 1, 1)
    return day.replace(day=1) if grain == "month" else day


def day_after(grain: str, first: date) -> date:
    """The first day after a period."""
    if grain == "year":
        return date(first.year + 1, 1, 1)
    return (first + timedelta(days=31)).replace(day=1) if grain == "month" else first + timedelta(days=1)


def datasets(load: Load) -> list[Dataset]:
    """The tables of schema raw that the load fills with rows of a time."""
    return [dataset for dataset in _all_datasets(load) if dataset.name in load.datasets]


def _all_datasets(load: Load) -> Iterator[Dataset]:
    world, plants, devices = load.world, tuple(load.world.plants), load.world.devices
    reported = tuple(device for device in devices if device.type_id in REPORT_TYPES)
    for type_id, name in HISTORY_TABLES.items():
        mine = tuple(device for device in devices if device.type_id == type_id)
        yield Dataset(f"raw.device_history_{name}", "day", mine, lambda device, day, _now: load.history(device, day))
    yield Dataset("raw.plant_hourly", "day", plants, world.plant_hours)
    yield Dataset("raw.plant_daily", "day", plants, lambda p, day, now: world.plant_days(p, day.year, day.month, now))
    yield Dataset("raw.plant_monthly", "month", plants, lambda p, day, now: world.plant_months(p, day.year, now))
    yield Dataset("raw.plant_yearly", "year", plants, lambda p, _day, now: world.plant_years(p, now))
    yield Dataset(
        "raw.device_daily",
        "day",
        reported,
        lambda d, day, now: world.device_days(d, day.year, day.month, now),
        typed=True,
    )
    yield Dataset(
        "raw.device_monthly", "month", reported, lambda d, day, now: world.device_months(d, day.year, now), typed=True
    )
    yield Dataset("raw.device_yearly", "year", reported, lambda d, _day, now: world.device_years(d, now), typed=True)


def expected_rows(load: Load, dataset: Dataset, found: list[dict[str, Any]]) -> Expected:
    """The rows that a raw table must hold, given which further periods it holds and when it was read."""
    of_plants = bool(dataset.subjects) and isinstance(dataset.subjects[0], Plant)
    identity = "plant_code" if of_plants else "device_id"
    read_at: dict[tuple[Any, date], datetime] = {}
    for row in found:
        cell = row[identity], row["local_date"]
        read_at[cell] = max(row["extracted_at"], read_at.get(cell, row["extracted_at"]))
    subjects = {subject.code if isinstance(subject, Plant) else subject.id: subject for subject in dataset.subjects}
    columns = set(found[0]) if found else set()
    rows: list[dict[str, Any]] = []
    for name, subject in subjects.items():
        due = {dataset.window(day) for day in load.days_of(subject)}
        along = {dataset.window(first) for found_name, first in read_at if found_name == name}
        for window in due | along:
            for first, label, items in _answer(load, dataset, subject, window, read_at, name):
                rows.append(_row(load, dataset, subject, first, label, items, columns))
    return Expected(dataset.table, (identity, "collect_time"), rows)


def _answer(
    load: Load,
    dataset: Dataset,
    subject: Plant | Device,
    window: date,
    read_at: Mapping[tuple[Any, date], datetime],
    name: Any,
) -> Iterator[tuple[date, int, Mapping[str, Any]]]:
    """Period, label and items of the rows of one window, each as of when its period was read."""
    answers: dict[datetime, dict[int, Mapping[str, Any]]] = {}
    for label, items in dataset.serve(subject, window, ms_of(load.now)):
        first = local_date(utc(label), load.zone(subject))
        at = read_at.get((name, first), load.now)
        if at not in answers and dataset.grows:
            answers[at] = dict(dataset.serve(subject, window, ms_of(at)))
        yield first, label, answers[at][label] if dataset.grows else items


def _row(
    load: Load,
    dataset: Dataset,
    subject: Plant | Device,
    first: date,
    label: int,
    items: Mapping[str, Any],
    columns: set[str],
) -> dict[str, Any]:
    row: dict[str, Any] = {"collect_time": utc(label), "local_date": first, "extra": None, "account": load.account}
    if isinstance(subject, Plant):
        row["plant_code"] = subject.code
    else:
        row |= {"plant_code": subject.plant_code, "device_id": subject.id, "device_sn": subject.sn}
        if dataset.typed:
            row["device_type_id"] = subject.type_id
    # A column that this subject was sent nothing for (an item of another type, of a sensor it lacks) is null.
    return dict.fromkeys(columns - row.keys() - {"extracted_at"}) | row | as_stored(items)


def plant_rows(load: Load) -> Expected:
    """raw.plants as the plant list tells them."""
    rows = []
    for plant in load.world.plants:
        row = {PLANT_COLUMNS[key]: text_or_null(value) for key, value in plant.listing().items()}
        for name in ("longitude", "latitude"):
            row[name] = None if row[name] is None else float(row[name])
        told = row["latitude"] is not None
        rows.append(row | {"time_zone_source": "coordinates" if told else "grid_connection_date"})
    return Expected("raw.plants", ("plant_code",), rows)


def device_rows(load: Load) -> Expected:
    """raw.devices as the device list tells them."""
    rows = [
        {DEVICE_COLUMNS[key]: text_or_null(value) for key, value in device.listing().items()}
        for device in load.world.devices
    ]
    return Expected("raw.devices", ("device_id",), rows)


def alarm_rows(load: Load, found: list[dict[str, Any]]) -> Expected:
    """raw.alarms: what was active when it was read, raised within the window that is asked for."""
    read_at = max((row["extracted_at"] for row in found), default=load.now)
    rows = [
        {column: text_or_null(alarm[key]) for key, column in ALARM_COLUMNS.items()}
        | {"raise_time": utc(alarm["raiseTime"]), "cleared_after": None, "cleared_before": None}
        for alarm in load.world.alarms(ms_of(read_at))
        if utc(alarm["raiseTime"]) >= read_at - ALARM_WINDOW
    ]
    return Expected("raw.alarms", ("plant_code", "device_name", "alarm_id", "cause_id", "raise_time"), rows)


def zone_differences(load: Load, connection: duckdb.DuckDBPyConnection) -> list[Difference]:
    """Plants whose stored zone shows another time on the wall than the plant's own, in any loaded hour."""
    differences = []
    hours = range(-24, 24 * (len(load.days) + 1))
    first = datetime(load.start.year, load.start.month, load.start.day, tzinfo=UTC)
    for code, zone in connection.sql("select plant_code, time_zone from raw.plants").fetchall():
        for instant in (first + timedelta(hours=hour) for hour in hours):
            if wall_clock(instant, zone) != wall_clock(instant, load.plants[code].zone):
                differences.append(Difference("raw.plants", (code,), "time_zone", load.plants[code].zone, zone))
                break
    return differences


def coverage_rows(load: Load) -> list[dict[str, Any]]:
    """ops.coverage of what was loaded: every subject of every plant and period covered, with this many rows."""
    cells: dict[tuple[str, str, date], tuple[int, int]] = {}
    running = set()
    for dataset in datasets(load):
        for subject in dataset.subjects:
            plant = subject.code if isinstance(subject, Plant) else subject.plant_code
            for first in {first_of(dataset.grain, day) for day in load.days_of(subject)}:
                rows = [
                    row
                    for row in dataset.serve(subject, dataset.window(first), ms_of(load.now))
                    if local_date(utc(row[0]), load.zone(subject)) == first
                ]
                if midnight(day_after(dataset.grain, first), load.zone(subject)) > load.now:
                    running.add((dataset.name, plant, first))
                subjects, so_far = cells.get((dataset.name, plant, first), (0, 0))
                cells[dataset.name, plant, first] = subjects + 1, so_far + len(rows)
    return [
        {
            "dataset": name,
            "plant_code": plant,
            "period": period,
            "wanted": subjects,
            "covered": subjects,
            "rows": rows,
            "state": "provisional" if (name, plant, period) in running else "final" if rows else "empty",
        }
        for (name, plant, period), (subjects, rows) in cells.items()
    ]


def coverage_differences(load: Load, connection: duckdb.DuckDBPyConnection) -> list[Difference]:
    """What ops.coverage says wrongly of the loaded periods, and periods of others that are in trouble."""
    key = ("dataset", "plant_code", "period")
    expected = Expected("ops.coverage", key, coverage_rows(load))
    due = {tuple(row[name] for name in key) for row in expected.rows}
    found = rows_of(connection, "ops.coverage")
    mine = [row for row in found if tuple(row[name] for name in key) in due]
    troubled = [row for row in found if row["state"] in ("missing", "suspect", "denied")]
    return compare(expected, mine) + [
        Difference("ops.coverage", tuple(row[name] for name in key), "state", "covered", row["state"])
        for row in troubled
    ]


Check = Callable[[duckdb.DuckDBPyConnection], list[Difference]]


def raw_checks(load: Load) -> dict[str, Check]:
    """A check for every relation of schema raw that a load fills, and for the record of what is covered."""
    checks: dict[str, Check] = {
        "raw.plants": plant_rows(load).differences,
        "raw.devices": device_rows(load).differences,
        "raw.alarms": lambda connection: alarm_rows(load, rows_of(connection, "raw.alarms")).differences(connection),
        "raw.plants.time_zone": partial(zone_differences, load),
        "ops.coverage": partial(coverage_differences, load),
    }
    return checks | {dataset.table: partial(table_differences, load, dataset) for dataset in datasets(load)}


def table_differences(load: Load, dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> list[Difference]:
    """What differs in one raw table, times of reading that lie in the future included."""
    found = rows_of(connection, dataset.table)
    differences = [
        Difference(dataset.table, (row["collect_time"],), "extracted_at", f"before {load.now}", row["extracted_at"])
        for row in found
        if row["extracted_at"] > load.now
    ]
    return differences + compare(expected_rows(load, dataset, found), found)
