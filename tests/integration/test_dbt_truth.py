"""Every KPI a second time: marts equal what NumPy and pvlib make of the rows that the simulator served.

One warehouse of a fleet whose servers and devices tell their figures in all ways that the reference leaves open, with
days of 25 hours, replaced devices, a plant that moves to another account, one that two accounts see, one with only a
meter, days with gaps, batteries that charge from the grid, inverters that derate themselves or are shut down by a
limit, prices below zero. Nothing on the other side reads the project's SQL. docs/figures.md says which function
checks which figure.
"""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from truth.calendar_of_tests import hours_of
from truth.compare import Expected, summary
from truth.mixed_balances import battery_months, charged_from_grid, conversion_gaps, residuals
from truth.mixed_fleet import BATTERY_HABITS, FIRST, HELD, LAST, METER_HABITS, MixedFleet, mixed_fleet
from truth.mixed_flows import Truth, battery_rows, conventions, meter_rows, physics_differences, weather_rows
from truth.mixed_inverter_rows import inverter_rows, string_differences, string_rows
from truth.mixed_inverters import episodes, inverter_days, plant_availability, runs
from truth.mixed_periods import periods
from truth.mixed_plants import alarms, battery_days, fleet_now, plant_days, plant_hours
from truth.mixed_strings import string_days
from truth.mixed_trust import gaps, plant_gaps, quality_days
from truth.mixed_warehouse import build_mixed

pytestmark = pytest.mark.slow

RELATIVE = 1e-6
ABSOLUTE = 1e-6
"""kWh, hours, per cent: below this is the noise of sums near zero."""

LOSS = "conversion_loss: "

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
def available(truth: Truth, of_inverters: Rows) -> Rows:
    return plant_availability(truth, of_inverters)


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


def test_five_minutes_of_inverters_and_their_inputs(
    truth: Truth, equal: Callable[..., None], warehouse: duckdb.DuckDBPyConnection
) -> None:
    equal("marts.fct_inverter_5min", "device_id collect_time_utc", inverter_rows(truth))
    found = warehouse.sql(
        """select device_id, pv_input, epoch_ms(collect_time_utc) as at, local_date, voltage_v, current_a, dc_power_kw
           from marts.fct_string_5min order by all"""
    ).df()
    expected = string_rows(truth)
    assert string_differences(found, expected, RELATIVE) == []
    assert expected["dc_power_kw"].max() > 1


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
    ) == [5 * len(truth.fleet.plants)]


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


def test_months_and_years_of_plants(truth: Truth, days: Rows, available: Rows, equal: Callable[..., None]) -> None:
    of_months = periods(truth, days, available, "month")
    equal("marts.fct_plant_month", "plant_code month_start", of_months)
    of_years = periods(truth, days, available, "year")
    equal("marts.fct_plant_year", "plant_code year_start", of_years)
    assert {row["completeness"] for row in of_months} == {0, 1} and all(0 < row["completeness"] < 1 for row in of_years)
    assert all(row["pv_energy_difference_kwh"] is None for row in of_months if not row["completeness"])
    assert any(row["pv_energy_difference_kwh"] < -100 for row in of_years), "of a year a month was read"
    for name in ("inverter_derated_h", "inverter_limit_shutdown_h", "lost_energy_kwh", "curtailed_energy_kwh"):
        assert any(row[name] for row in of_months) and any(row[name] for row in of_years), name


def test_days_and_round_trips_of_batteries(of_batteries: Rows, equal: Callable[..., None]) -> None:
    equal("marts.fct_battery_day", "device_id local_date", of_batteries)
    months = battery_months(of_batteries)
    equal("marts.fct_battery_month", "device_id month_start", months)
    assert {row["round_trip_pct"] is None for row in months} == {True, False}


def test_days_and_episodes_of_inverters(
    truth: Truth, judged: list[Any], of_inverters: Rows, available: Rows, equal: Callable[..., None]
) -> None:
    equal("marts.fct_inverter_day", "device_id local_date", of_inverters, "daylight_h is not null")
    equal("marts.fct_plant_day", "plant_code local_date", available, "inverter_daylight_h is not null")
    spans = episodes(truth, judged)
    equal("marts.fct_inverter_episode", "device_id cause_group availability start_utc", spans)
    assert any(row["availability_pct"] not in (None, 100) for row in available)
    for name in ("limited_h", "curtailed_energy_kwh", "clipped_h", "clipped_energy_kwh", "lost_energy_kwh"):
        assert any(row[name] for row in of_inverters), name
    causes = {"fault", "communication", "silent and down", "power limit", "derating"}
    assert {row["cause_group"] for row in spans} >= causes
    assert {row["lost_energy_kwh"] is None for row in spans} == {True, False}
    assert any(row["daylight_h"] < (row["end_utc"] - row["start_utc"]).total_seconds() / 3600 - 12 for row in spans)


def test_derating_and_shutdown_by_the_limit_are_hours_and_no_downtime(
    fleet: MixedFleet, of_inverters: Rows, equal: Callable[..., None], judged: list[Any]
) -> None:
    held = {name: [each for each in fleet.of_types(1) if fleet.habit(each).held == name] for name in HELD.values()}
    assert {len(each) for each in held.values()} == {1}
    derated, stopped = (held[name][0].id for name in ("derating", "limit_shutdown"))
    for device_id, name in ((derated, "derated_h"), (stopped, "limit_shutdown_h")):
        mine = [row for row in of_inverters if row["device_id"] == device_id]
        assert len(mine) == 5 and any(row[name] > 0 for row in mine)
        assert {row["device_id"] for row in of_inverters if row[name]} == {device_id}
    # 772 is excluded from availability, not up and not down; 514 is up.
    kinds = {
        (int(state), run.availability)
        for run in judged
        for state in run.frame["state"].dropna().unique()
        if state in (514, 772)
    }
    assert kinds == {(514, "up"), (772, "excluded")}
    stops = [row for row in of_inverters if row["device_id"] == stopped]
    assert max(row["limit_shutdown_h"] for row in stops) == 1.5, "half past eleven to one, but for rows that were lost"
    assert all(row["excluded_h"] >= row["limit_shutdown_h"] and row["curtailed_energy_kwh"] > 0 for row in stops)
    equal(
        "(select * from marts.fct_inverter_day where limit_shutdown_h > 0 or derated_h > 0)",
        "device_id local_date",
        [row for row in of_inverters if row["limit_shutdown_h"] or row["derated_h"]],
    )


def test_every_state_of_the_table_is_judged_by_the_rule(warehouse: duckdb.DuckDBPyConnection) -> None:
    groups = {
        "running": {512, 513, 514, 1025, 1026},
        "down": {768, 770, 773, 774},
        "excluded": {769, 771, 772, 1280, 1281, 1536, 1792, 2048, 2304},
        "standby": {0, 1, 2, 3, 256, 40960},
        "no data": {45056, 49152},
    }
    found = warehouse.sql("select inverter_state_code, availability_group from marts.dim_inverter_state").fetchall()
    assert sorted(found) == sorted((code, group) for group, codes in groups.items() for code in codes)


def test_strings_against_their_inverter(truth: Truth, equal: Callable[..., None]) -> None:
    rows = string_days(truth)
    equal("marts.fct_string_day", "device_id pv_input local_date", rows)
    assert any(abs(row["mismatch"] or 0) > 0.01 for row in rows)
    second = truth.fleet.of(truth.fleet.sunny, 1)[1]
    assert 3 not in {row["pv_input"] for row in rows if row["device_id"] == second.id}, "dead from the first day"


def test_residuals_of_independent_sources(
    truth: Truth,
    of_inverters: Rows,
    of_batteries: Rows,
    days: Rows,
    equal: Callable[..., None],
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    rows = residuals(truth, of_inverters, of_batteries, days)
    equal("marts.fct_data_quality_day", "plant_code local_date", rows, "inverter_rows > 0")
    for name in ("feed_in_residual_kwh", "conversion_loss_kwh"):
        assert {row[name] is None for row in rows} == {True, False}, name
    assert min(row["conversion_loss_kwh"] for row in rows if row["conversion_loss_kwh"] is not None) > -0.1
    told = f"select plant_code, local_date, kpi_gaps from marts.fct_data_quality_day where contains(kpi_gaps, '{LOSS}')"
    said = {(code, day): words.rpartition(LOSS)[2] for code, day, words in warehouse.sql(told).fetchall()}
    why = conversion_gaps(truth, of_inverters, of_batteries)
    assert why == said and len(set(why.values())) == 2


def test_trust_in_every_day_is_what_was_owed_and_came(
    truth: Truth, of_inverters: Rows, of_batteries: Rows, equal: Callable[..., None]
) -> None:
    charged = charged_from_grid(truth, of_inverters, of_batteries)
    assert set(charged.values()) >= {True, False}
    rows = quality_days(truth, charged)
    equal("marts.fct_data_quality_day", "plant_code local_date", rows)
    assert {row["battery_charge_residual_kwh"] is None for row in rows} == {True, False}
    for code in (truth.fleet.home, truth.fleet.meter_only):
        assert any(row["can_be_trusted"] for row in rows if row["plant_code"] == code)
    untrusted = [row for row in rows if row["history_state"] == "final" and not row["can_be_trusted"]]
    assert untrusted, "a hole in the rows, or another yield in the reports of devices"
    assert any(row["emi_completeness"] for row in rows) and any(row["inverter_completeness"] for row in rows)


def test_every_kpi_that_is_null_says_why(
    truth: Truth, days: Rows, available: Rows, warehouse: duckdb.DuckDBPyConnection
) -> None:
    said = {
        (code, day): {each.partition(":")[0] for each in (told or "").split("; ") if each}
        for code, day, told in warehouse.sql(
            "select plant_code, local_date, kpi_gaps from marts.fct_plant_day"
        ).fetchall()
    }
    wanted = gaps(truth, days, available)
    assert {key: (names, said.get(key)) for key, names in wanted.items() if names != said.get(key)} == {}


def test_every_kpi_that_a_plant_cant_have_has_a_reason(
    truth: Truth, days: Rows, of_batteries: Rows, warehouse: duckdb.DuckDBPyConnection
) -> None:
    told = dict(warehouse.sql("select plant_code, kpi_gaps from marts.dim_plant").fetchall())
    said = {code: [each.partition(": ") for each in (words or "").split("; ") if each] for code, words in told.items()}
    assert all(reason for pairs in said.values() for _, _, reason in pairs)
    wanted = plant_gaps(truth, days, string_days(truth), battery_months(of_batteries))
    found = {code: sorted(kpi for kpi, _, _ in pairs) for code, pairs in said.items()}
    assert {code: (sorted(names), found[code]) for code, names in wanted.items() if sorted(names) != found[code]} == {}


def test_alarms_of_four_polls(truth: Truth, equal: Callable[..., None]) -> None:
    rows = alarms(truth)
    equal("marts.fct_alarm", "plant_code device_name alarm_id raise_time_utc", rows)
    assert {row["is_open"] for row in rows} == {True, False}
    assert {row["repeats_in_90_days"] for row in rows} == {0, 1}
    assert len({row["cleared_after_utc"] for row in rows}) > 2


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
    assert values(warehouse, "select count(*) from marts.dim_plant") == [len(fleet.plants)]
    read_by = values(
        warehouse,
        f"select distinct account from raw.device_history_power_sensor where plant_code = '{fleet.moved}' order by 1",
    )
    assert read_by == ["moved", f"server{fleet.server_of[fleet.moved]}"]


def test_a_plant_that_two_accounts_see_under_two_ids_is_there_once(
    fleet: MixedFleet, warehouse: duckdb.DuckDBPyConnection
) -> None:
    codes = warehouse.sql(
        f"""select account, account_plant_code from ops.account_plants
            where plant_code = '{fleet.shared}' and absent_since is null order by 1"""
    ).fetchall()
    assert [account for account, _ in codes] == ["second", f"server{fleet.server_of[fleet.shared]}"]
    assert len({code for _, code in codes}) == 2
    # What the marts hold of it by day and by row is compared above; here that nothing comes a second time.
    other = next(code for _, code in codes if code != fleet.shared)
    for table, key in (("dim_plant", "plant_code"), ("fct_plant_day", "local_date"), ("mart_fleet_now", "plant_code")):
        count = f"select count(*) - count(distinct {key}) from marts.{table} where plant_code = '{fleet.shared}'"
        assert values(warehouse, count) == [0]
        assert values(warehouse, f"select count(*) from marts.{table} where plant_code = '{other}'") == [0]
    devices = values(
        warehouse, f"select device_id from marts.dim_device where plant_code = '{fleet.shared}' and is_current"
    )
    assert sorted(devices) == sorted(each.id for each in fleet.of(fleet.shared))


def test_a_plant_with_only_a_meter_has_what_a_meter_tells(
    fleet: MixedFleet, warehouse: duckdb.DuckDBPyConnection
) -> None:
    row = warehouse.sql(
        f"""select count(*), count(grid_import_from_counters_kwh), count(night_import_kwh), count(self_consumption_pct),
                count(availability_pct), count(lost_energy_kwh), count(inverter_completeness),
                bool_and(contains(kpi_gaps, 'availability: no inverter'))
            from marts.fct_plant_day
            where plant_code = '{fleet.meter_only}' and local_date between '{FIRST}' and '{LAST}'"""
    ).fetchall()
    assert row == [(5, 5, 5, 5, 0, 0, 0, True)]
    for table in ("fct_inverter_day", "fct_inverter_episode", "fct_battery_day", "fct_string_day"):
        assert values(warehouse, f"select count(*) from marts.{table} where plant_code = '{fleet.meter_only}'") == [0]
