"""`pvms simulator`, `pvms load` and `pvms sql` as processes: raw, staging and marts show the simulator's own truth.

Over the weekends on which Europe changes its clocks: Sunday 2025-03-30 has 23 hours in Germany and Spain, Sunday
2025-10-26 has 25. The comparer of staging and marts is proven on copies with one thing wrong.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from truth.calendar_of_tests import hours_of, local_date, ms_of, utc
from truth.compare import summary
from truth.marts import mart_checks
from truth.raw import Check, Load, raw_checks
from truth.running import loaded, pvms, simulator_process

from pipelines.simulator.world import build_world

pytestmark = pytest.mark.slow

SPRING = date(2025, 3, 29), date(2025, 3, 31)
AUTUMN = date(2025, 10, 25), date(2025, 10, 27)


def load_by_command(folder: Path, weekend: tuple[date, date], labels: str) -> Path:
    """A home that one `pvms load` has filled from a simulator of its own."""
    with simulator_process(folder / "simulator", "--labels", labels) as server:
        said = loaded(folder / "home", server.base_url, str(weekend[0]), str(weekend[1]))
    (folder / "said.txt").write_text(said, encoding="utf-8")
    return folder / "home"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the spring weekend."""
    return load_by_command(tmp_path_factory.mktemp("spring"), SPRING, "local")


@pytest.fixture(scope="module")
def load(home: Path) -> Load:
    """What that home was loaded with, as the world knows it."""
    return Load(build_world("demo", 1), *SPRING, "demo", datetime.now(UTC))


@pytest.fixture(scope="module")
def checks(load: Load) -> dict[str, Check]:
    """What must be true of each relation."""
    return raw_checks(load) | mart_checks(load)


def test_a_weekend_with_a_short_day(home: Path, checks: dict[str, Check], load: Load) -> None:
    assert [hours_of(date(2025, 3, 30), plant.zone) for plant in load.world.plants].count(23) == 3
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        differences = [each for check in checks.values() for each in check(warehouse)]
    assert not differences, summary(differences)


@pytest.mark.parametrize("labels", ["local", "standard"])
def test_a_weekend_with_a_long_day(tmp_path: Path, labels: str) -> None:
    home = load_by_command(tmp_path, AUTUMN, labels)
    load = Load(build_world("demo", 1, labels=labels), *AUTUMN, "demo", datetime.now(UTC))
    assert [hours_of(date(2025, 10, 26), plant.zone) for plant in load.world.plants].count(25) == 3
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        checks = raw_checks(load) | mart_checks(load)
        differences = [each for check in checks.values() for each in check(warehouse)]
    assert not differences, summary(differences)


def test_a_load_speaks_to_the_person_who_watches_and_to_nobody_else(home: Path) -> None:
    said = (home.parent / "said.txt").read_text(encoding="utf-8").splitlines()
    assert said[0] == f"PVMS_HOME is {home}"
    assert said[-1] == "The warehouse is published."
    logged = [line for line in said if " - DEBUG - " in line or line.startswith(("INFO", "DEBUG", "WARNING"))]
    assert not logged, f"{len(logged)} lines that libraries log, such as {logged[0]}"


def test_pvms_sql_prints_the_truth_of_the_plants(home: Path, load: Load) -> None:
    rows = asked(
        home,
        "select plant_code, local_date, pv_energy_kwh, purchased_energy_kwh, day_slots from marts.fct_plant_day "
        f"where local_date between '{SPRING[0]}' and '{SPRING[1]}'",
    )
    found = {(row["plant_code"], row["local_date"]): row for row in rows}
    expected = {
        (plant.code, str(local_date(utc(label), plant.zone))): items
        for plant in load.world.plants
        for label, items in load.world.plant_days(plant, 2025, 3, ms_of(load.now))
        if SPRING[0] <= local_date(utc(label), plant.zone) <= SPRING[1]
    }
    assert found.keys() == expected.keys()
    for key, items in expected.items():
        assert number(found[key]["pv_energy_kwh"]) == items["PVYield"]
        assert number(found[key]["purchased_energy_kwh"]) == items["buyPower"]
    assert found["NE=33554788", "2025-03-30"]["day_slots"] == "276"


def test_pvms_sql_prints_the_truth_of_an_inverter(home: Path, load: Load) -> None:
    inverter = load.devices[1000000033554791]
    rows = asked(
        home,
        "select epoch_ms(collect_time) as ms, local_date, active_power, total_cap "
        f"from raw.device_history_residential_inverter where device_id = {inverter.id} order by ms",
    )
    expected = [
        (label, str(day), float(items["active_power"]), float(items["total_cap"]))
        for day in load.days
        for label, items in load.history(inverter, day)
    ]
    found = [(int(r["ms"]), r["local_date"], float(r["active_power"]), float(r["total_cap"])) for r in rows]
    assert found == expected
    assert len(found) > 800


def asked(home: Path, query: str) -> list[dict[str, str]]:
    """What `pvms sql` prints into a pipe, read as CSV."""
    done = pvms(home, "", "sql", query)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def number(text: str) -> float | None:
    """A number of a CSV file."""
    return float(text) if text else None


@pytest.fixture(scope="module")
def copy(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The relations of staging and marts, and the raw ones that say which days there are, as tables."""
    connection = duckdb.connect()
    # dbt's views name their database.
    connection.execute(f"attach '{home / 'warehouse.duckdb'}' as warehouse (read_only)")
    for schema, pattern in (
        ("raw", "device_history%"),
        ("staging", "stg_device_history%"),
        ("marts", "fct_%"),
    ):
        connection.execute(f"create schema {schema}")
        names = connection.execute(
            "select table_name from information_schema.tables "
            "where table_catalog = 'warehouse' and table_schema = ? and table_name like ?",
            [schema, pattern],
        ).fetchall()
        for (name,) in names:
            connection.execute(f"create table {schema}.{name} as from warehouse.{schema}.{name}")
    connection.execute("detach warehouse")
    yield connection
    connection.close()


SENSOR = "staging.stg_device_history_power_sensor"
INVERTER = "staging.stg_device_history_residential_inverter"
INTERVALS, DAYS = "marts.fct_inverter_5min", "marts.fct_plant_day"

SPOILT = {
    "W in a column of kW": (SENSOR, "set active_power_kw = active_power_kw * 1000"),
    "a phase scaled as the sum is": (SENSOR, "set phase_a_active_power_kw = phase_a_active_power_kw / 1000"),
    "winter time in summer": (
        INVERTER,
        "set local_time = local_time - interval 1 hour where local_date = date '2025-03-31'",
    ),
    "an hour late": (INVERTER, "set collect_time_utc = collect_time_utc + interval 1 hour"),
    "midnight on the wrong day": (
        INTERVALS,
        "set local_date = local_date + 1 where local_time = timestamp '2025-03-31 00:00:00'",
    ),
    "energy of two intervals": (INTERVALS, "set energy_kwh = energy_kwh * 2"),
    "energy from power": (INTERVALS, "set energy_kwh = energy_from_power_kwh"),
    "a step over a long gap": (INTERVALS, "set energy_kwh = 0 where energy_kwh is null"),
    "intervals by their start": (INTERVALS, "set collect_time_utc = interval_start_utc"),
    "AC energy as yield": (DAYS, "set pv_energy_kwh = ac_energy_kwh"),
    "feed-in and purchase swapped": (
        DAYS,
        "set feed_in_energy_kwh = purchased_energy_kwh, purchased_energy_kwh = feed_in_energy_kwh",
    ),
    "charge and discharge swapped": (
        DAYS,
        "set battery_charged_energy_kwh = battery_discharged_energy_kwh, "
        "battery_discharged_energy_kwh = battery_charged_energy_kwh",
    ),
    "a yield by another capacity": (DAYS, "set specific_yield_kwh_kwp = specific_yield_kwh_kwp * 1.0001"),
    "irradiation in MJ": (DAYS, "set irradiation_kwh_m2 = irradiation_kwh_m2 * 3.6"),
    "a ratio of fractions": (DAYS, "set pr_unverified_plane_pct = pr_unverified_plane_pct / 100"),
    "self-consumption of the house": (DAYS, "set self_consumption_pct = self_sufficiency_pct"),
    "a short day of 24 hours": (DAYS, "set day_slots = 288"),
    "completeness by 288 slots": (
        DAYS,
        "set meter_completeness = meter_completeness * 276 / 288 where local_date = date '2025-03-30'",
    ),
    "half the inverters' rows": (DAYS, "set inverter_completeness = inverter_completeness / 2"),
    "a provisional day": (DAYS, "set is_provisional = true where local_date = date '2025-03-30'"),
}


@pytest.mark.parametrize("relation", sorted({relation for relation, _ in SPOILT.values()}))
def test_a_copy_passes_while_nothing_is_spoilt(
    copy: duckdb.DuckDBPyConnection, checks: dict[str, Check], relation: str
) -> None:
    assert checks[relation](copy) == []


@pytest.mark.parametrize("what", SPOILT)
def test_the_comparer_sees(copy: duckdb.DuckDBPyConnection, checks: dict[str, Check], what: str) -> None:
    relation, change = SPOILT[what]
    copy.execute("begin")
    try:
        copy.execute(f"update {relation} {change}")
        assert checks[relation](copy), f"{what}: nothing was noticed"
    finally:
        copy.execute("rollback")
