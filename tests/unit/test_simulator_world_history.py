"""Five-minute rows: determinism, physics, counters, clock changes, signs and units."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from pipelines.simulator.calendar import day_window, to_ms
from pipelines.simulator.fleet import HISTORY_TYPES, Device
from pipelines.simulator.habits import DeviceHabit, Habits
from pipelines.simulator.world import World, build_world

NOW = to_ms(datetime(2026, 11, 22, 17, 2, tzinfo=UTC))
DAY = date(2026, 6, 3)
SLOT = 300_000

Rows = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("demo", 7)


def plant_of(world: World, device: Device) -> Any:
    return next(plant for plant in world.plants if plant.code == device.plant_code)


def devices_of(world: World, *types: int) -> list[Device]:
    """Devices of plants that are old enough to have rows on DAY."""
    old = {plant.code for plant in world.plants if plant.first_day < DAY}
    return [device for device in world.devices if device.type_id in types and device.plant_code in old]


def day_rows(world: World, device: Device, day: date = DAY, *, closing: bool = False) -> Rows:
    """Rows of a local day; with `closing` also the midnight row that ends it."""
    start, end = day_window(day, plant_of(world, device).zone)
    return dict(world.history(device, start, end if closing else end - 1, NOW))


def test_rows_do_not_depend_on_how_they_are_asked() -> None:
    one, other = build_world("demo", 7), build_world("demo", 7)
    for device, twin in zip(one.devices, other.devices, strict=True):
        if device.type_id not in HISTORY_TYPES or device.name == "INV-02":
            continue
        start, end = day_window(date(2026, 10, 31), plant_of(one, device).zone)
        whole = one.history(device, start, end + 86_400_000, NOW)
        middle = start + 40_000_001
        pieces = [
            *other.history(twin, middle, end - 1, NOW),
            *other.history(twin, end, end + 86_400_000, end + 90_000_000),
        ]
        pieces = [*other.history(twin, start, middle - 1, end), *pieces]
        assert pieces == whole


def test_another_seed_is_another_weather(world: World) -> None:
    device = devices_of(world, 38)[0]
    other = build_world("demo", 8)
    assert day_rows(world, device) != day_rows(other, other.devices[0])


def test_window_is_inclusive_and_ends_now(world: World) -> None:
    device = devices_of(world, 47)[0]
    rows = world.history(device, NOW - 7_200_000, NOW + 7_200_000, NOW)
    assert rows[-1][0] <= NOW < rows[-1][0] + 9 * SLOT
    last = rows[-1][0]
    assert [time for time, _ in world.history(device, last, last, NOW)] == [last]
    assert all(time % SLOT == 0 for time, _ in rows)


def test_nothing_before_the_grid_connection(world: World) -> None:
    for device in world.devices:
        if device.type_id not in HISTORY_TYPES:
            continue
        plant = plant_of(world, device)
        start, _ = day_window(plant.first_day, plant.zone)
        assert world.history(device, start - 5 * 86_400_000, start - 1, NOW) == []
        assert world.history(device, start, start + 3_600_000, NOW)


@pytest.mark.parametrize(("day", "slots"), [(date(2026, 3, 29), 276), (date(2026, 10, 25), 300), (DAY, 288)])
def test_rows_of_a_day_lack_a_few_at_most(world: World, day: date, slots: int) -> None:
    device = devices_of(world, 38)[0]
    rows = day_rows(world, device, day)
    start, end = day_window(day, "Europe/Berlin")
    assert (end - start) // SLOT == slots
    assert slots - 45 <= len(rows) <= slots
    assert start in rows


def test_some_rows_are_missing_over_a_week(world: World) -> None:
    device = devices_of(world, 1)[0]
    counts = [len(day_rows(world, device, DAY + timedelta(days=n))) for n in range(7)]
    assert min(counts) < 288
    assert sum(counts) > 7 * 265


def test_inverters_sleep_at_night(world: World) -> None:
    for device in devices_of(world, 1):
        states = {row["inverter_state"] for row in day_rows(world, device).values() if row["active_power"] == 0}
        assert 40960.0 in states
        for row in day_rows(world, device).values():
            if row["inverter_state"] == 40960.0:
                assert row["active_power"] == row["mppt_power"] == row["pv1_i"] == row["pv1_u"] == 0.0


def test_one_inverter_sends_nothing_in_the_dead_of_night(world: World) -> None:
    quiet = [device for device in devices_of(world, 1) if device.inverter and device.inverter.sleeps_without_rows]
    assert quiet
    start, _ = day_window(DAY, plant_of(world, quiet[0]).zone)
    times = day_rows(world, quiet[0])
    assert not [time for time in times if start < time < start + 4 * 3_600_000]


@pytest.mark.parametrize("day", [DAY, date(2026, 3, 29), date(2026, 10, 25), date(2026, 10, 31)])
def test_power_integrates_to_the_counter(world: World, day: date) -> None:
    for device in devices_of(world, 1, 38):
        rows = day_rows(world, device, day, closing=True)
        times = sorted(rows)
        powers = [max(rows[time]["active_power"], 0.0) for time in times]
        for earlier, later, before, after in zip(times, times[1:], powers, powers[1:], strict=False):
            if later - earlier == SLOT:
                gained = rows[later]["total_cap"] - rows[earlier]["total_cap"]
                assert gained == pytest.approx((before + after) / 24, abs=0.011)
        assert all(rows[b]["total_cap"] >= rows[a]["total_cap"] for a, b in pairwise(times))


def test_day_counter_holds_yesterday_until_the_inverter_wakes(world: World) -> None:
    device = devices_of(world, 1)[0]
    yesterday = day_rows(world, device, DAY - timedelta(days=1), closing=True)
    rows = day_rows(world, device, closing=True)
    start, end = day_window(DAY, plant_of(world, device).zone)
    grown = yesterday[start]["total_cap"] - yesterday[min(yesterday)]["total_cap"]
    assert rows[start]["day_cap"] == pytest.approx(grown, abs=0.011)
    assert rows[min(time for time in rows if time >= start + 3_600_000)]["day_cap"] == rows[start]["day_cap"]
    assert rows[end]["day_cap"] == pytest.approx(rows[end]["total_cap"] - rows[start]["total_cap"], abs=0.011)
    noon = min(time for time in rows if time >= start + 12 * 3_600_000)
    assert rows[noon]["day_cap"] == pytest.approx(rows[noon]["total_cap"] - rows[start]["total_cap"], abs=0.011)


def test_conversion_costs_energy_and_strings_carry_the_power(world: World) -> None:
    for device in devices_of(world, 1):
        row = max(day_rows(world, device).values(), key=lambda row: row["active_power"])
        assert row["mppt_total_cap"] > row["total_cap"]
        assert sum(row[f"mppt_{n}_cap"] for n in range(1, 11)) == pytest.approx(row["mppt_total_cap"], abs=0.05)
        watts = sum(row[f"pv{n}_u"] * row[f"pv{n}_i"] for n in range(1, 29))
        assert watts == pytest.approx(row["mppt_power"] * 1000, rel=0.01)
        assert row["mppt_power"] > row["active_power"] > 0
        assert row["pv9_u"] == row["pv28_i"] == 0.0
        assert row["a_u"] * row["a_i"] + row["b_u"] * row["b_i"] + row["c_u"] * row["c_i"] == pytest.approx(
            row["active_power"] * 1000, rel=0.01
        )


def test_dead_string_gives_nothing(world: World) -> None:
    dead = [device for device in devices_of(world, 1) if device.inverter and device.inverter.dead_string]
    assert dead
    for row in day_rows(world, dead[0]).values():
        assert row["pv5_i"] == 0.0


def test_nothing_exceeds_its_rating_or_shines_at_night(world: World) -> None:
    for device in devices_of(world, 1, 38):
        assert device.inverter is not None
        peak = max(row["mppt_power"] for row in day_rows(world, device).values())
        assert 0.1 * device.inverter.dc_kwp < peak <= 1.1 * device.inverter.dc_kwp
        start, _ = day_window(DAY, plant_of(world, device).zone)
        for time, row in day_rows(world, device).items():
            if time < start + 3 * 3_600_000:
                assert row["mppt_power"] == 0.0


def test_inverters_clip_at_their_rating(world: World) -> None:
    device = devices_of(world, 1)[0]
    assert device.inverter is not None
    rows = [row for n in range(12) for row in day_rows(world, device, DAY + timedelta(days=n)).values()]
    clipped = [row for row in rows if row["active_power"] == device.inverter.ac_kw]
    assert len(clipped) > 10
    assert {row["inverter_state"] for row in clipped} == {512.0}
    assert max(row["active_power"] for row in rows) == device.inverter.ac_kw


def test_limited_inverter_says_so(world: World) -> None:
    limited = next(device for device in devices_of(world, 1) if device.inverter and device.inverter.limited)
    assert limited.inverter is not None
    rows = [row for n in range(20) for row in day_rows(world, limited, DAY + timedelta(days=n)).values()]
    capped = [row for row in rows if row["inverter_state"] == 513.0]
    assert capped
    assert {row["active_power"] for row in capped} == {round(limited.inverter.ac_kw * 0.7, 3)}


def test_meter_balances_inverter_and_home(world: World) -> None:
    sensor, inverter = devices_of(world, 47)[0], devices_of(world, 38)[0]
    assert sensor.plant_code == inverter.plant_code
    produced, metered = day_rows(world, inverter), day_rows(world, sensor)
    used = [
        produced[time]["active_power"] - metered[time]["active_power"] / 1000
        for time in produced.keys() & metered.keys()
    ]
    assert min(used) > 0.1
    assert max(used) < 15
    both = day_rows(world, sensor, closing=True)
    times = sorted(both)
    for a, b in pairwise(times):
        if b - a != SLOT:
            continue
        flow = (both[a]["active_power"] + both[b]["active_power"]) / 24_000
        net = (both[b]["active_cap"] - both[a]["active_cap"]) - (
            both[b]["reverse_active_cap"] - both[a]["reverse_active_cap"]
        )
        assert net == pytest.approx(flow, abs=0.021)


def test_meter_wiring_decides_the_sign(world: World) -> None:
    for device in devices_of(world, 17):
        night = min(day_rows(world, device).items())[1]
        later = list(day_rows(world, device).values())[20]
        grew = "reverse_active_cap" if device.positive == "export" else "active_cap"
        assert later[grew] >= night[grew]
        assert (night["active_power"] <= 0) == (device.positive == "export")


def test_grid_meters_in_watts() -> None:
    plain, watts = build_world("demo", 7), build_world("demo", 7, habits=Habits(types={17: DeviceHabit(unit="W")}))
    device = devices_of(plain, 17)[0]
    for time, row in day_rows(watts, device).items():
        assert row["active_power"] == pytest.approx(day_rows(plain, device)[time]["active_power"] * 1000, abs=0.51)
        break


@pytest.mark.parametrize("day", [DAY, date(2026, 1, 15), date(2026, 10, 25)])
def test_battery_energy_follows_power_and_charge(world: World, day: date) -> None:
    for device in devices_of(world, 39, 41):
        plant = plant_of(world, device)
        rows = day_rows(world, device, day, closing=True)
        times = sorted(rows)
        battery = plant.battery
        moved = 0.0
        for a, b in pairwise(times):
            mean = (rows[a]["ch_discharge_power"] + rows[b]["ch_discharge_power"]) / 2000
            soc = (rows[b]["battery_soc"] - rows[a]["battery_soc"]) / 95 * battery.usable_kwh
            if b - a == SLOT:
                cells = max(mean, 0) * 0.96 + min(mean, 0) / 0.96
                assert soc == pytest.approx(cells / 12, abs=0.0016 * battery.usable_kwh)
            moved += abs(mean)
            assert 5.0 <= rows[a]["battery_soc"] <= 100.0
            assert abs(rows[a]["ch_discharge_power"]) <= battery.power_kw * 1000
        assert moved > 0
        assert rows[times[0]]["ch_discharge_power"] == 0.0


def test_battery_counters_restart_daily_and_ess_counters_do_not(world: World) -> None:
    for device in devices_of(world, 39):
        rows = day_rows(world, device, closing=True)
        times = sorted(rows)
        assert rows[times[1]]["charge_cap"] <= 0.5
        powers = [max(rows[time]["ch_discharge_power"], 0.0) / 1000 for time in times]
        # Over a gap the trapezoid is coarse, so a few rows that are missing cost some accuracy.
        charged = sum(
            (before + after) / 2 * (later - earlier) / 3_600_000
            for (earlier, later), (before, after) in zip(pairwise(times), pairwise(powers), strict=True)
        )
        assert rows[times[-1]]["charge_cap"] == pytest.approx(charged, rel=0.08, abs=0.1)
        assert rows[times[-1]]["charge_cap"] > 1.0
    for device in devices_of(world, 41):
        values = [row["charge_cap"] for row in day_rows(world, device, closing=True).values()]
        assert values == sorted(values)
        assert values[0] > 1000


def test_one_battery_charges_from_the_grid_at_night(world: World) -> None:
    charging = []
    for device in devices_of(world, 39):
        start, _ = day_window(date(2026, 1, 15), plant_of(world, device).zone)
        rows = world.history(device, start, start + 5 * 3_600_000, NOW)
        charging.append(any(row["ch_discharge_power"] > 0 for _, row in rows))
    assert charging == [False, True]


def test_emi_counts_the_light_of_the_day(world: World) -> None:
    device = devices_of(world, 10)[0]
    rows = day_rows(world, device, closing=True)
    times = sorted(rows)
    light = sum((rows[a]["radiant_line"] + rows[b]["radiant_line"]) / 2 * (b - a) / 1000 for a, b in pairwise(times))
    assert rows[times[-1]]["radiant_total"] == pytest.approx(light / 1e6, rel=0.03)
    assert 2 < rows[times[-1]]["radiant_total"] < 33
    assert {row["horiz_radiant_line"] for row in rows.values()} == {None}
    assert max(row["radiant_line"] for row in rows.values()) <= 1250


def test_neighbours_share_the_clouds_and_towns_do_not() -> None:
    world = build_world("portfolio", 3)
    chosen = [
        p
        for p in world.plants
        if p.site.town == "Leipzig" and p.battery is None and p.load and p.load.kind == "business"
    ]
    names = {plant.code for plant in chosen[:2]}
    inverters = [
        d
        for d in world.devices
        if d.plant_code in names and d.type_id == 1 and d.inverter and not d.inverter.dead_string
    ]
    shapes = []
    for device in (inverters[0], inverters[-1]):
        assert device.inverter is not None
        shapes.append(sum(row["active_power"] for row in day_rows(world, device).values()) / device.inverter.dc_kwp)
    assert shapes[0] == pytest.approx(shapes[1], rel=0.15)


def test_a_fault_stops_the_inverter_and_raises_an_alarm(world: World) -> None:
    found = None
    for offset in range(700):
        now = NOW - offset * 12 * 3_600_000
        found = next((a for a in world.alarms(now) if a["alarmId"] == 2064), None)
        if found:
            break
    assert found is not None
    device = next(d for d in world.devices if d.sn == found["esnCode"])
    rows = world.history(device, found["raiseTime"], now, NOW)
    assert {row["active_power"] for _, row in rows} <= {0.0}


def test_real_time_agrees_with_history(world: World) -> None:
    for device in devices_of(world, 1, 38, 10, 17, 39, 41):
        last = world.history(device, NOW - 50 * 60_000, NOW, NOW)[-1]
        live = world.device_realtime(device, last[0] + 299_999)
        for key, value in last[1].items():
            if key != "close_time":
                assert live[key] == value


def test_real_time_texts(world: World) -> None:
    home, single = devices_of(world, 38)[0], devices_of(world, 47)[1]
    assert world.device_realtime(home, NOW)["close_time"] == "N/A"
    assert world.device_realtime(home, NOW)["run_state"] == 1
    assert world.device_realtime(single, NOW)["c_i"] == "N/A"
    born = to_ms(plant_of(world, home).grid_connection) - 86_400_000 * 2
    assert set(world.device_realtime(home, born).values()) == {0, None}
