"""Every KPI a second time: marts equal what NumPy and pvlib make of the rows that the simulator served.

One warehouse of a fleet whose servers and devices tell their figures in all ways that the reference leaves open, with
days of 25 hours, replaced devices, a plant that moves to another account, days with gaps, batteries that charge from
the grid, prices below zero. Nothing on the other side reads the project's SQL.
"""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from truth.calendar_of_tests import hours_of
from truth.compare import Expected, summary
from truth.mixed_fleet import BATTERY_HABITS, FIRST, LAST, METER_HABITS, MixedFleet, mixed_fleet
from truth.mixed_flows import Truth, battery_rows, conventions, meter_rows, physics_differences, weather_rows
from truth.mixed_inverters import episodes, inverter_days, plant_availability, residuals, runs, string_days
from truth.mixed_plants import alarms, battery_days, fleet_now, months, plant_days, plant_hours, round_trips
from truth.mixed_warehouse import build_mixed

pytestmark = pytest.mark.slow

RELATIVE = 1e-6
ABSOLUTE = 1e-6
"""kWh, hours, per cent: below this is the noise of sums near zero."""

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def fleet() -> MixedFleet:
    return mixed_fleet()


@pytest.fixture(scope="module")
def warehouse(fleet: MixedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published warehouse; built once, for it costs more than all that is asked of it."""
    path = build_mixed(Path(tmp_path_factory.mktemp("mixed")), fleet)
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="module")
def truth(fleet: MixedFleet, warehouse: duckdb.DuckDBPyConnection) -> Truth:
    return Truth(fleet, warehouse)


@pytest.fixture(scope="module")
def equal(warehouse: duckdb.DuckDBPyConnection) -> Callable[..., None]:
    """Compare a relation with the rows that it must hold."""

    def check(relation: str, key: str, rows: Rows, where: str | None = None) -> None:
        expected = Expected(relation, tuple(key.split()), rows, RELATIVE, ABSOLUTE, where)
        differences = expected.differences(warehouse)
        assert rows
        assert not differences, summary(differences)

    return check


@pytest.fixture(scope="module")
def days(truth: Truth) -> Rows:
    return plant_days(truth)


@pytest.fixture(scope="module")
def judged(truth: Truth, days: Rows) -> list[Any]:
    return runs(truth, days)


@pytest.fixture(scope="module")
def of_inverters(truth: Truth, judged: list[Any]) -> Rows:
    return inverter_days(truth, judged)


@pytest.fixture(scope="module")
def of_batteries(truth: Truth) -> Rows:
    return battery_days(truth)


def values(warehouse: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    """The first column of a query."""
    return [row[0] for row in warehouse.sql(query).fetchall()]


def test_the_fleet_has_every_habit_and_the_loaded_days_are_whole(fleet: MixedFleet, truth: Truth) -> None:
    habits = {kind: {fleet.habit(each) for each in fleet.of_types(kind)} for kind in (17, 47, 39, 41)}
    assert habits[39] == habits[41] == set(BATTERY_HABITS) and len(BATTERY_HABITS) == 8
    assert habits[17] == habits[47] == set(METER_HABITS) and len(METER_HABITS) == 8
    for left_out in range(4):
        words = [(each.positive, each.unit, each.counters, each.forward) for each in METER_HABITS]
        assert len({each[:left_out] + each[left_out + 1 :] for each in words}) == 8, "any three of four in every way"
    assert set(fleet.server_of.values()) == {0, 1, 2, 3}
    assert {hours_of(date(2026, 10, 25), plant.zone) for plant in fleet.plants} == {24, 25}
    for device in (each for each in fleet.devices if each.id in truth.held and each.removed_ms is None):
        rows = truth.fleet.world(device.plant_code).history(
            device, min(truth.held[device.id]), max(truth.held[device.id]), 2**50
        )
        held = [at for at, _ in rows if at in truth.held[device.id]]
        wanted = [at for at, _ in rows if FIRST <= truth.day_of(device, at) <= LAST]
        assert set(wanted) <= set(held), device


def test_what_devices_and_servers_mean_is_found_or_unknown(
    truth: Truth, warehouse: duckdb.DuckDBPyConnection, equal: Callable[..., None]
) -> None:
    rows = conventions(truth)
    equal("ops.conventions", "device_id", rows)
    assert sum(row["power_sign"] is None for row in rows) == 2, "two days of evidence are not enough"
    found = warehouse.sql("select server, hour_label from ops.server_conventions order by 1").fetchall()
    assert found == [("127.0.0.1", "start"), ("localhost", "end")]


def test_five_minutes_of_meters_and_batteries(truth: Truth, equal: Callable[..., None]) -> None:
    equal("marts.fct_meter_5min", "device_id collect_time_utc", meter_rows(truth))
    equal("marts.fct_battery_5min", "device_id collect_time_utc", battery_rows(truth))
    assert physics_differences(truth) == [], "and the truth is what flowed"


def test_five_minutes_of_weather(truth: Truth, equal: Callable[..., None]) -> None:
    rows = weather_rows(truth)
    equal("marts.fct_weather_5min", "device_id collect_time_utc", rows)
    assert max(row["irradiance_w_m2"] for row in rows) > 300


def test_hours_by_start_or_end_merged_or_not(
    truth: Truth, equal: Callable[..., None], warehouse: duckdb.DuckDBPyConnection
) -> None:
    rows = plant_hours(truth)
    equal("marts.fct_plant_hour", "plant_code label_utc", rows)
    merged = [row for row in rows if row["is_merged_hour"]]
    long = [plant for plant in truth.fleet.plants if hours_of(date(2026, 10, 25), plant.zone) == 25]
    assert len(merged) == sum(truth.fleet.server_of[plant.code] in (1, 3) for plant in long) > 0
    assert {row["hour_label"] for row in merged} == {"start", "end"}
    assert any(row["purchased_energy_kwh"] for row in merged)
    # Hours make up the day, wherever their labels stand.
    assert values(
        warehouse,
        f"""select count(*) from (select plant_code, local_date, sum(ac_energy_kwh) as kwh, count(*) as hours
            from marts.fct_plant_hour group by all) as hours
            inner join marts.fct_plant_day as days using (plant_code, local_date)
            where abs(hours.kwh - days.ac_energy_kwh) < 0.2 and local_date between '{FIRST}' and '{LAST}'""",
    ) == [5 * 17]


def test_days_of_plants(days: Rows, equal: Callable[..., None]) -> None:
    equal("marts.fct_plant_day", "plant_code local_date", days, "pv_energy_kwh is not null")
    seen = {name: {row[name] is not None for row in days} for name in days[0]}
    never = [name for name, found in seen.items() if found == {False}]
    assert never == []
    assert {row["irradiation_source"] for row in days} == {"irradiance", "sensor_counter", "report", None}
    assert any(row["ac_energy_kwh"] < row["pv_energy_kwh"] - 1 for row in days)
    assert any((row["purchase_cost"] or 0) < 0 for row in days), "a price below zero"


def test_a_clear_sky_bounds_what_plants_gave_and_its_absence_has_a_reason(
    fleet: MixedFleet, days: Rows, warehouse: duckdb.DuckDBPyConnection
) -> None:
    ratios = [row["clear_sky_ratio_pct"] for row in days if row["clear_sky_ratio_pct"] is not None]
    assert 60 < max(ratios) < 100
    # The days that the month's sum is over may hold some without a report: each has its own bound all the same.
    told = f"plant_code in ('{fleet.home}', '{fleet.sunny}')"
    reason = "clear_sky_energy: no tilt and azimuth in the plants file"
    for table in ("fct_plant_day", "dim_plant"):
        gaps = f"contains(coalesce(kpi_gaps, ''), '{reason}')"
        assert values(warehouse, f"select count(*) from marts.{table} where ({told}) = ({gaps})") == [0]
    assert values(
        warehouse, f"select count(*) from marts.fct_plant_day where {told} and clear_sky_energy_kwh is null"
    ) == [0]


def test_months_of_plants(truth: Truth, days: Rows, equal: Callable[..., None]) -> None:
    rows = months(truth, days)
    equal("marts.fct_plant_month", "plant_code month_start", rows, "days_with_energy > 0")
    years: dict[str, float] = {}
    for row in rows:
        years[row["plant_code"]] = years.get(row["plant_code"], 0.0) + row["pv_energy_kwh"]
    of_years = [
        {"plant_code": code, "year_start": date(2026, 1, 1), "pv_energy_kwh": kwh} for code, kwh in years.items()
    ]
    equal("marts.fct_plant_year", "plant_code year_start", of_years)


def test_days_and_round_trips_of_batteries(
    of_batteries: Rows, equal: Callable[..., None], warehouse: duckdb.DuckDBPyConnection
) -> None:
    equal("marts.fct_battery_day", "device_id local_date", of_batteries)
    trips = {key: trip for key, trip in round_trips(of_batteries).items() if trip is not None}
    found = warehouse.sql("select device_id, month_start, round_trip_pct from marts.fct_battery_month").fetchall()
    assert trips and trips == pytest.approx({(each[0], each[1]): each[2] for each in found if each[2] is not None})


def test_days_and_episodes_of_inverters(
    truth: Truth, judged: list[Any], of_inverters: Rows, equal: Callable[..., None]
) -> None:
    equal("marts.fct_inverter_day", "device_id local_date", of_inverters, "daylight_h is not null")
    of_plants = plant_availability(truth, of_inverters)
    equal("marts.fct_plant_day", "plant_code local_date", of_plants, "inverter_daylight_h is not null")
    spans = episodes(truth, judged)
    equal("marts.fct_inverter_episode", "device_id cause_group availability start_utc", spans)
    assert any(row["availability_pct"] not in (None, 100) for row in of_plants)
    for name in ("limited_h", "curtailed_energy_kwh", "clipped_h", "clipped_energy_kwh", "lost_energy_kwh"):
        assert any(row[name] for row in of_inverters), name
    assert {row["cause_group"] for row in spans} >= {"fault", "communication", "silent and down", "power limit"}
    assert any(row["daylight_h"] < (row["end_utc"] - row["start_utc"]).total_seconds() / 3600 - 12 for row in spans)


def test_strings_against_their_inverter(truth: Truth, equal: Callable[..., None]) -> None:
    rows = string_days(truth)
    equal("marts.fct_string_day", "device_id pv_input local_date", rows)
    assert any(abs(row["mismatch"] or 0) > 0.01 for row in rows)
    second = truth.fleet.of(truth.fleet.sunny, 1)[1]
    assert 3 not in {row["pv_input"] for row in rows if row["device_id"] == second.id}, "dead from the first day"


def test_residuals_of_independent_sources(
    truth: Truth, of_inverters: Rows, of_batteries: Rows, days: Rows, equal: Callable[..., None]
) -> None:
    rows = residuals(truth, of_inverters, of_batteries, days)
    equal("marts.fct_data_quality_day", "plant_code local_date", rows, "inverter_rows > 0")
    assert {row["feed_in_residual_kwh"] is None for row in rows} == {True, False}


def test_alarms_of_two_polls(truth: Truth, equal: Callable[..., None]) -> None:
    rows = alarms(truth)
    equal("marts.fct_alarm", "plant_code device_name alarm_id raise_time_utc", rows)
    assert {row["is_open"] for row in rows} == {True, False}


def test_the_fleet_as_it_is_now(truth: Truth, days: Rows, judged: list[Any], equal: Callable[..., None]) -> None:
    rows = fleet_now(truth, days, episodes(truth, judged), alarms(truth))
    equal("marts.mart_fleet_now", "plant_code", rows)
    assert any(row["open_alarms"] for row in rows)
    assert any(row["yield_today_kwh"] for row in rows)


def test_a_replaced_device_continues_a_chain_and_leaves_no_hole(
    fleet: MixedFleet, warehouse: duckdb.DuckDBPyConnection
) -> None:
    old, new = sorted((each for each in fleet.of(fleet.replaced, 1) if each.position == 0), key=lambda each: each.id)
    chains = warehouse.sql(
        f"select distinct device_id, chain_device_id from marts.dim_device where device_id in ({old.id}, {new.id})"
    ).fetchall()
    assert sorted(chains) == [(old.id, old.id), (new.id, old.id)]
    counted = dict(
        warehouse.sql(
            f"""select local_date, count(*) from marts.fct_inverter_day
                where plant_code = '{fleet.replaced}' and daylight_h is not null group by 1"""
        ).fetchall()
    )
    assert counted[date(2026, 10, 23)] == 2 and counted[date(2026, 10, 24)] == 3 and counted[date(2026, 10, 25)] == 2
    shares = values(
        warehouse,
        f"""select inverter_completeness from marts.fct_plant_day
            where plant_code = '{fleet.replaced}' and local_date between '{FIRST}' and '{LAST}'""",
    )
    assert len(shares) == 5 and min(shares) > 0.9, "nobody waits for the new one before it was there"


def test_a_plant_that_moved_to_another_account_is_one_plant(
    fleet: MixedFleet, warehouse: duckdb.DuckDBPyConnection
) -> None:
    seen = warehouse.sql(
        f"""select account, account_plant_code, absent_since is null from ops.account_plants
            where plant_code = '{fleet.moved}' order by 1"""
    ).fetchall()
    assert [(account, code != fleet.moved, there) for account, code, there in seen] == [
        ("moved", True, True),
        (f"server{fleet.server_of[fleet.moved]}", False, False),
    ]
    assert values(warehouse, "select count(*) from marts.dim_plant") == [17]
    read_by = values(
        warehouse,
        f"select distinct account from raw.device_history_power_sensor where plant_code = '{fleet.moved}' order by 1",
    )
    assert read_by == ["moved", f"server{fleet.server_of[fleet.moved]}"]
