"""Reports of the simulated world: identities, integrals over periods, labels, growth; alarms."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from pipelines.simulator.calendar import day_start, day_window, from_ms, local_date, to_ms
from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.habits import Habits
from pipelines.simulator.keys import (
    ALARM_KEYS,
    DEVICE_REPORT_KEYS,
    PLANT_HOUR_KEYS,
    PLANT_PERIOD_KEYS,
    SENSOR_REPORT_KEYS,
)
from pipelines.simulator.world import World, build_world

NOW = to_ms(datetime(2026, 11, 22, 17, 2, tzinfo=UTC))
ENERGIES = ("PVYield", "inverterYield", "ongrid_power", "chargeCap", "dischargeCap", "selfProvide")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("demo", 7)


def amount(row: dict[str, Any], key: str) -> float:
    return row[key] or 0.0


def all_rows(world: World, plant: Plant) -> list[dict[str, Any]]:
    days = [row for month in (1, 3, 6, 10, 11) for _, row in world.plant_days(plant, 2026, month, NOW)]
    months = [row for _, row in world.plant_months(plant, 2026, NOW)]
    return days + months + [row for _, row in world.plant_years(plant, NOW)]


def test_identities(world: World) -> None:
    for plant in world.plants:
        rows = all_rows(world, plant)
        assert rows
        for row in rows:
            stored = amount(row, "chargeCap") - amount(row, "dischargeCap")
            assert row["inverterYield"] == pytest.approx(row["PVYield"] - stored, abs=1e-6)
            assert row["perpower_ratio"] == pytest.approx(row["PVYield"] / row["installed_capacity"], abs=0.0006)
            if row["use_power"] is None:
                continue
            assert row["selfUsePower"] == pytest.approx(row["PVYield"] - row["ongrid_power"], abs=1e-6)
            assert row["selfProvide"] == pytest.approx(row["use_power"] - row["buyPower"], abs=1e-6)
            assert row["inverterYield"] + row["buyPower"] == pytest.approx(
                row["use_power"] + row["ongrid_power"], abs=1e-6
            )


def test_items_hang_on_what_the_plant_has(world: World) -> None:
    for plant in world.plants:
        day = world.plant_days(plant, 2026, 11, NOW)[3][1]
        hour = world.plant_hours(plant, date(2026, 11, 4), NOW)[3][1]
        left_out = set() if plant.has_emi else set(SENSOR_REPORT_KEYS)
        assert set(day) == set(PLANT_PERIOD_KEYS) - left_out
        assert set(hour) == set(PLANT_HOUR_KEYS) - left_out
        assert (day["chargeCap"] is None) == (plant.battery is None)
    unmetered = next(plant for plant in world.plants if plant.name == "Hudson Street")
    assert world.plant_days(unmetered, 2026, 11, NOW)[0][1]["use_power"] is None


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 6, 3), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_hours_add_up_to_the_day(world: World, day: date, hours: int) -> None:
    for plant in world.plants:
        if plant.first_day > day:
            continue
        rows = world.plant_hours(plant, day, NOW)
        start, end = day_window(day, plant.zone)
        assert [time for time, _ in rows] == list(range(start, end, 3_600_000))
        if plant.zone.startswith("Europe"):
            assert len(rows) == hours
        whole = dict(world.plant_days(plant, day.year, day.month, NOW))[start]
        for key in ENERGIES:
            assert sum(amount(row, key) for _, row in rows) == pytest.approx(amount(whole, key), abs=0.3)


def test_a_long_day_can_have_24_hours() -> None:
    whole, merged = build_world("single", 7), build_world("single", 7, habits=Habits(merged_hour=True))
    plant, day = whole.plants[0], date(2026, 10, 25)
    full, short = whole.plant_hours(plant, day, NOW), merged.plant_hours(plant, day, NOW)
    assert (len(full), len(short)) == (25, 24)
    assert {from_ms(time, plant.zone).hour for time, _ in short} == set(range(24))
    for key in ENERGIES:
        total = sum(amount(row, key) for _, row in full)
        assert sum(amount(row, key) for _, row in short) == pytest.approx(total, abs=0.02)


def test_days_add_up_to_months_and_years(world: World) -> None:
    keys = (*ENERGIES, "use_power", "buyPower", "selfUsePower")
    for plant in world.plants:
        months = world.plant_months(plant, 2026, NOW)
        for label, month in months:
            first = from_ms(label, plant.zone)
            days = [row for _, row in world.plant_days(plant, 2026, first.month, NOW)]
            for key in keys:
                assert sum(amount(row, key) for row in days) == pytest.approx(amount(month, key), abs=0.4)
        year = world.plant_years(plant, NOW)[-1][1]
        for key in keys:
            assert sum(amount(row, key) for _, row in months) == pytest.approx(amount(year, key), abs=0.3)


def test_history_integrates_to_the_plant_day(world: World) -> None:
    for plant in world.plants:
        day = date(2026, 10, 25)
        start, end = day_window(day, plant.zone)
        row = dict(world.plant_days(plant, 2026, 10, NOW))[start]
        inverters = [d for d in world.devices if d.plant_code == plant.code and d.type_id in (1, 38)]
        grown = 0.0
        for device in inverters:
            rows = dict(world.history(device, start, end, NOW))
            grown += rows[end]["total_cap"] - rows[start]["total_cap"]
        # Storage on the AC side stands behind the inverters; charging from the grid runs their counter backwards.
        storage = plant.battery
        if storage is not None and storage.charges_from_grid:
            assert grown >= row["inverterYield"]
        else:
            outside = any(d.type_id == 41 for d in world.devices if d.plant_code == plant.code)
            assert grown == pytest.approx(row["PVYield" if outside else "inverterYield"], abs=0.05)


def test_meter_counters_agree_with_the_plant_day(world: World) -> None:
    for device in (d for d in world.devices if d.type_id in (17, 47)):
        plant = next(p for p in world.plants if p.code == device.plant_code)
        start, end = day_window(date(2026, 11, 1), plant.zone)
        row = dict(world.plant_days(plant, 2026, 11, NOW))[start]
        rows = dict(world.history(device, start, end, NOW))
        forward = rows[end]["active_cap"] - rows[start]["active_cap"]
        reverse = rows[end]["reverse_active_cap"] - rows[start]["reverse_active_cap"]
        exported, imported = (forward, reverse) if device.positive == "export" else (reverse, forward)
        assert exported == pytest.approx(row["ongrid_power"], abs=0.021)
        assert imported == pytest.approx(row["buyPower"], abs=0.021)


def test_device_reports_agree_with_counters(world: World) -> None:
    for device in (d for d in world.devices if d.type_id in DEVICE_REPORT_KEYS):
        plant = next(p for p in world.plants if p.code == device.plant_code)
        keys = DEVICE_REPORT_KEYS[device.type_id]
        rows = world.device_days(device, 2026, 10, NOW)
        assert len(rows) == 31
        for (time, row), day in zip(rows, range(1, 32), strict=True):
            assert tuple(row) == keys
            start, end = day_window(date(2026, 10, day), plant.zone)
            assert time == start
            if day % 10 == 5 and device.type_id in (1, 38):
                ends = [dict(world.history(device, ms, ms, NOW))[ms]["total_cap"] for ms in (start, end)]
                assert row["product_power"] == ends[1] - ends[0]
        months = dict(world.device_months(device, 2026, NOW))
        october = months[day_start(date(2026, 10, 1), plant.zone)]
        for key in keys[1:2]:
            assert sum(row[key] for _, row in rows) == pytest.approx(october[key], abs=0.2)
        assert world.device_years(device, NOW)[-1][1][keys[0]] is not None


def test_only_four_types_have_reports(world: World) -> None:
    for device in world.devices:
        if device.type_id not in DEVICE_REPORT_KEYS:
            assert world.device_days(device, 2026, 10, NOW) == []


def test_irradiation_and_performance_ratio(world: World) -> None:
    plant = next(plant for plant in world.plants if plant.has_emi)
    for _, row in world.plant_months(plant, 2026, NOW):
        assert 65 < row["performance_ratio"] < 95
        assert row["performance_ratio"] == pytest.approx(100 * row["PVYield"] / row["theory_power"], abs=0.01)
    emi = next(d for d in world.devices if d.type_id == 10)
    start, end = day_window(date(2026, 6, 3), plant.zone)
    total = dict(world.history(emi, end, end, NOW))[end]["radiant_total"]
    assert dict(world.plant_days(plant, 2026, 6, NOW))[start]["radiation_intensity"] == pytest.approx(
        total / 3.6, abs=0.001
    )


def test_yields_are_those_of_real_plants(world: World) -> None:
    for plant in world.plants:
        if plant.first_day.year >= 2025:
            continue
        hours = world.plant_years(plant, NOW)[-2][1]["perpower_ratio"]
        assert 850 < hours < 1900


def test_labels_of_summer_move_by_an_hour() -> None:
    local, standard = build_world("demo", 7), build_world("demo", 7, labels="standard")
    expected = {"Europe/Berlin": {0, 3_600_000}, "Europe/Madrid": {0, 3_600_000}, "America/New_York": {3_600_000}}
    for plant in (local.plants[1], local.plants[4], local.plants[5]):
        ours, theirs = (w.plant_days(plant, 2026, 10, NOW) for w in (local, standard))
        assert [row for _, row in ours] == [row for _, row in theirs]
        moved = {b - a for (a, _), (b, _) in zip(ours, theirs, strict=True)}
        assert moved == expected.get(plant.zone, {0})
        hours = [w.plant_hours(plant, date(2026, 10, 3), NOW) for w in (local, standard)]
        assert hours[0] == hours[1]
        device = next(d for d in local.devices if d.plant_code == plant.code and d.inverter)
        years = [w.device_years(device, NOW) for w in (local, standard)]
        assert years[0] == years[1]


@pytest.mark.parametrize("key", ["PVYield", "use_power"])
def test_a_day_grows_until_three_hours_after_its_end(world: World, key: str) -> None:
    plant = world.plants[0]
    day = date(2026, 10, 25)
    start, end = day_window(day, plant.zone)
    seen = []
    for now in range(start + 3_600_000, end + 5 * 3_600_000, 1_800_000):
        row = dict(world.plant_days(plant, 2026, 10, now)).get(start)
        assert row is not None
        seen.append(row[key])
    assert all(b >= a - 0.02 for a, b in pairwise(seen))
    final = dict(world.plant_days(plant, 2026, 10, NOW))[start][key]
    assert seen[-1] == final
    at_end = dict(world.plant_days(plant, 2026, 10, end))[start][key]
    assert at_end == pytest.approx(0.9 * final, abs=0.02)
    assert dict(world.plant_days(plant, 2026, 10, end + 3 * 3_600_000))[start][key] == final
    assert dict(world.plant_days(plant, 2026, 10, end + 2 * 3_600_000))[start][key] < final


def test_hours_lag_and_settle(world: World) -> None:
    plant = world.plants[0]
    day = date(2026, 6, 3)
    start, _ = day_window(day, plant.zone)
    now = start + 13 * 3_600_000
    early, final = dict(world.plant_hours(plant, day, now)), dict(world.plant_hours(plant, day, NOW))
    assert len(early) == 14
    assert early[now]["PVYield"] == 0.0
    assert 0 < early[now - 3_600_000]["PVYield"] < final[now - 3_600_000]["PVYield"]
    assert early[now - 4 * 3_600_000] == final[now - 4 * 3_600_000]


def test_settled_periods_do_not_depend_on_now(world: World) -> None:
    fresh = build_world("demo", 7)
    later = NOW + 400 * 86_400_000
    for plant, twin in zip(world.plants, fresh.plants, strict=True):
        assert fresh.plant_days(twin, 2026, 9, later) == world.plant_days(plant, 2026, 9, NOW)
        assert fresh.plant_months(twin, 2025, later) == world.plant_months(plant, 2025, NOW)


def test_no_rows_before_the_connection_or_after_now(world: World) -> None:
    for plant in world.plants:
        device = next(d for d in world.devices if d.plant_code == plant.code and d.inverter)
        first = plant.first_day
        days = world.plant_days(plant, first.year, first.month, NOW)
        assert local_date(days[0][0], plant.zone) == first
        assert world.plant_hours(plant, first - timedelta(days=1), NOW) == []
        assert world.plant_days(plant, 2026, 12, NOW) == world.device_months(device, 2027, NOW) == []
        before = to_ms(plant.grid_connection) - 40 * 86_400_000
        assert world.plant_years(plant, before) == world.device_years(device, before) == []
        assert world.plant_realtime(plant, before)["real_health_state"] == "1"
        assert len(world.plant_years(plant, NOW)) == 2026 - first.year + 1


def test_real_time_of_plants_is_text_and_consistent(world: World) -> None:
    for plant in world.plants:
        live = world.plant_realtime(plant, NOW)
        assert all(isinstance(value, str) for value in live.values())
        assert live["real_health_state"] in {"1", "2", "3"}
        midnight = day_start(date(2026, 11, 1), plant.zone)
        before = world.plant_realtime(plant, midnight)
        october = dict(world.plant_months(plant, 2026, NOW))[day_start(date(2026, 10, 1), plant.zone)]["PVYield"]
        assert float(before["day_power"]) == float(before["month_power"]) == 0.0
        late = world.plant_realtime(plant, midnight - 1)
        assert float(late["month_power"]) == pytest.approx(october, abs=0.2)
        assert float(before["total_power"]) == pytest.approx(float(late["total_power"]), abs=0.2)


def keys_of(alarms: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(a["stationCode"], a["esnCode"], a["alarmId"], a["causeId"], a["raiseTime"]) for a in alarms}


def test_alarms_come_and_go(world: World) -> None:
    days = [world.alarms(NOW - n * 86_400_000) for n in range(60)]
    assert any(days)
    for alarms in days:
        assert all(tuple(alarm) == ALARM_KEYS for alarm in alarms)
    seen = [keys_of(alarms) for alarms in days]
    assert any(today - yesterday for today, yesterday in pairwise(seen))
    assert any(yesterday - today for today, yesterday in pairwise(seen))
    again = build_world("demo", 7)
    assert again.alarms(NOW) == days[0]
    assert all(alarm["raiseTime"] <= NOW for alarm in days[0])


def test_alarms_belong_to_devices(world: World) -> None:
    names: dict[tuple[str, str], Device] = {(d.plant_code, d.name): d for d in world.devices}
    for n in range(0, 400, 10):
        for alarm in world.alarms(NOW - n * 86_400_000):
            device = names[alarm["stationCode"], alarm["devName"]]
            assert alarm["devTypeId"] == device.type_id
            assert alarm["lev"] in {1, 2, 3, 4}
            assert alarm["status"] == 1
