"""Schema raw shows the simulator's own truth over both weekends on which Europe changes its clocks.

The comparer itself is proven too: on copies with one thing wrong it must say so.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from truth.calendar_of_tests import hours_of
from truth.compare import summary
from truth.inside import load_into, raw_of, settings_of
from truth.raw import DATASETS, REPORTS, Check, Load, raw_checks

from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

SPRING = date(2025, 3, 29), date(2025, 3, 31)
AUTUMN = date(2025, 10, 25), date(2025, 10, 27)


@pytest.fixture(scope="module")
def world() -> World:
    """Six plants in five zones; the simulator serves it, the truth is taken from it."""
    return build_world("demo", 1)


@pytest.fixture(scope="module")
def spring(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The raw relations after a load of everything of the spring weekend."""
    with Simulator(world) as simulator:
        settings = settings_of(simulator, tmp_path_factory.mktemp("spring"))
        report = load_into(settings, *SPRING, *DATASETS, "alarms")
        assert report.exit_code == 0, report
    with raw_of(settings) as connection:
        yield connection


@pytest.fixture(scope="module")
def checks(world: World, spring: duckdb.DuckDBPyConnection) -> dict[str, Check]:
    """What must be true of each relation."""
    return raw_checks(Load(world, *SPRING, "demo", datetime.now(UTC)))


def test_every_metric_of_a_short_weekend_is_the_simulators_own(
    world: World, spring: duckdb.DuckDBPyConnection, checks: dict[str, Check]
) -> None:
    assert [hours_of(date(2025, 3, 30), plant.zone) for plant in world.plants].count(23) == 3
    differences = [each for check in checks.values() for each in check(spring)]
    assert not differences, summary(differences)


def test_the_truth_looks_at_every_table_that_holds_rows(
    spring: duckdb.DuckDBPyConnection, checks: dict[str, Check]
) -> None:
    names = spring.sql("select view_name from duckdb_views() where schema_name = 'raw'").fetchall()
    filled = {f"raw.{name}" for (name,) in names if spring.sql(f"from raw.{name} limit 1").fetchall()}
    # Versions are a row per change, and nothing has changed yet: they repeat plants and devices.
    assert filled - {"raw.plant_versions", "raw.device_versions"} <= checks.keys()
    assert len(filled) >= 15


@pytest.mark.parametrize("weekend", [pytest.param(SPRING, marks=pytest.mark.slow), AUTUMN], ids=["spring", "autumn"])
def test_reports_are_the_simulators_own_where_labels_ignore_summer_time(
    weekend: tuple[date, date], tmp_path: Path
) -> None:
    world = build_world("demo", 1, labels="standard")
    with Simulator(world) as simulator:
        settings = settings_of(simulator, tmp_path)
        assert load_into(settings, *weekend, *REPORTS, "alarms").exit_code == 0
    load = Load(world, *weekend, "demo", datetime.now(UTC), REPORTS)
    with raw_of(settings) as connection:
        differences = [each for check in raw_checks(load).values() for each in check(connection)]
    assert not differences, summary(differences)


@pytest.fixture(scope="module")
def copy(spring: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The views as tables of the same names, which can be spoiled."""
    names = spring.sql("select view_name from duckdb_views() where schema_name = 'raw'").fetchall()
    spring.execute("attach ':memory:' as spoilt; create schema spoilt.raw; create schema spoilt.ops")
    for name in (f"raw.{name}" for (name,) in names):
        spring.execute(f"create table spoilt.{name} as from {name}")
    spring.execute("create table spoilt.ops.coverage as from ops.coverage")
    cursor = spring.cursor()
    cursor.execute("use spoilt")
    return cursor


INVERTERS = "raw.device_history_residential_inverter"
ONE_ROW = "where device_id = 1000000033554791 and collect_time = timestamptz '2025-03-30 11:00:00+00'"
ONE_DAY = "where plant_code = 'NE=33554788' and local_date = date '2025-03-30'"
LATER = "set collect_time = collect_time + interval 1 hour"

SPOILT = {
    "an hour late": (INVERTERS, f"update {{}} {LATER}"),
    "an hour late once the clocks had changed": (
        "raw.plant_hourly",
        f"update {{}} {LATER} where collect_time >= timestamptz '2025-03-30 01:00:00+00'",
    ),
    "kW for W": ("raw.device_history_power_sensor", "update {} set active_power = active_power / 1000"),
    "W for kW": ("raw.device_history_grid_meter", "update {} set active_power = active_power * 1000"),
    "a row lost": (INVERTERS, "delete from {} " + ONE_ROW),
    "a row twice": (INVERTERS, "insert into {} from {} " + ONE_ROW),
    "a counter off by 0.01": (INVERTERS, "update {} set total_cap = total_cap + 0.01 " + ONE_ROW),
    "a null for a value": (INVERTERS, "update {} set day_cap = null " + ONE_ROW),
    "a zero for a null": ("raw.plant_daily", "update {} set charge_cap = 0 where charge_cap is null"),
    "columns swapped": ("raw.plant_daily", "update {} set pv_yield = inverter_yield, inverter_yield = pv_yield"),
    "a day's label moved": ("raw.plant_daily", "update {} set collect_time = collect_time + interval 1 day " + ONE_DAY),
    "a day filed under the next": ("raw.plant_daily", "update {} set local_date = local_date + 1 " + ONE_DAY),
    "one device's day of the month lost": (
        "raw.device_daily",
        "delete from {} where device_id = 1000000033554791 and local_date = date '2025-03-12'",
    ),
    "a plant's year lost": ("raw.plant_yearly", "delete from {} where plant_code = 'NE=33554788'"),
    "a month of the wrong plant": (
        "raw.plant_monthly",
        "update {} set plant_code = 'NE=1' where plant_code = 'NE=33554788' and local_date = date '2025-03-01'",
    ),
    "another device's serial number": (INVERTERS, "update {} set device_sn = 'SIM1' " + ONE_ROW),
    "a plant forgotten": ("raw.plants", "delete from {} where plant_code = 'NE=33554788'"),
    "a plant in another zone": (
        "raw.plants.time_zone",
        "update raw.plants set time_zone = 'Europe/Lisbon' where plant_code = 'NE=33554788'",
    ),
    "an alarm of another time": ("raw.alarms", "update {} set raise_time = raise_time + interval 1 hour"),
    "rows that coverage made up": ("ops.coverage", "update {} set rows = rows + 1 where dataset = 'device_history'"),
    "coverage that is not": ("ops.coverage", "update {} set covered = wanted - 1 where dataset = 'device_monthly'"),
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
        copy.execute(change.replace("{}", relation))
        assert checks[relation](copy), f"{what}: nothing was noticed"
    finally:
        copy.execute("rollback")
