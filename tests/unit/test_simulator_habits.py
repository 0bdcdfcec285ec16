"""The switches for what the reference leaves open: the same past, told otherwise; and devices that take a place."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from pipelines.simulator.calendar import day_start, day_window, from_ms, to_ms
from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.fleets import FleetBuilder, build_demo
from pipelines.simulator.habits import DeviceHabit, Habits, parse_habits
from pipelines.simulator.world import World, build_world

NOW = to_ms(datetime(2026, 11, 22, 17, 2, tzinfo=UTC))
DAY = date(2026, 6, 3)
POWER = {17: "active_power", 47: "active_power", 39: "ch_discharge_power", 41: "ch_discharge_power"}
COUNTERS = {
    17: ("active_cap", "reverse_active_cap"),
    47: ("active_cap", "reverse_active_cap"),
    39: ("charge_cap", "discharge_cap"),
    41: ("charge_cap", "discharge_cap"),
}


@pytest.fixture(scope="module")
def plain() -> World:
    return build_world("demo", 7)


def owner(world: World, device: Device) -> Plant:
    return next(plant for plant in world.plants if plant.code == device.plant_code)


def rows(world: World, type_id: int, day: date = DAY) -> list[tuple[int, dict[str, Any]]]:
    """A local day of the first device of a type, with the midnight that closes it."""
    device = next(each for each in world.devices if each.type_id == type_id)
    return world.history(device, *day_window(day, owner(world, device).zone), NOW)


@pytest.mark.parametrize("type_id", [17, 47, 39, 41])
@pytest.mark.parametrize("text", ["import,W", "import,kW,lifetime", "export,W,daily", "export,kW,daily,forward_import"])
def test_a_device_tells_the_same_past_in_another_way(plain: World, type_id: int, text: str) -> None:
    words = text.split(",")
    if type_id in (39, 41):
        words = [{"import": "discharge", "export": "charge"}.get(word, word) for word in words if "forward" not in word]
    habits = parse_habits([f"{type_id}={','.join(words)}"])
    usual = {17: ("export", "kW"), 47: ("export", "W"), 39: ("charge", "W"), 41: ("charge", "W")}[type_id]
    power, (one, other) = POWER[type_id], COUNTERS[type_id]
    sign = 1 if usual[0] in words else -1
    unit = {"W": 1000.0, "kW": 1.0}["W" if "W" in words else "kW"] / {"W": 1000.0, "kW": 1.0}[usual[1]]
    here, there = rows(plain, type_id), rows(build_world("demo", 7, habits=habits), type_id)
    assert [at for at, _ in here] == [at for at, _ in there]
    assert max(abs(row[power]) for _, row in here) > 0
    turned = type_id in (17, 47) and (sign == -1) != ("forward_import" in words)
    forward, reverse = (other, one) if turned else (one, other)
    counts_days = "daily" in words or (type_id == 39 and "lifetime" not in words)
    for (_, was), (_, told) in zip(here, there, strict=True):
        assert told[power] == pytest.approx(was[power] * sign * unit, abs=0.51 if "W" in words else 0.00051)
        if counts_days == (type_id == 39):
            assert (told[one], told[other]) == (was[forward], was[reverse])
    if counts_days:
        assert there[-1][1][one] == pytest.approx(max(row[one] for _, row in there[1:])), "midnight closes the day"
        assert there[1][1][one] < 0.1 * there[0][1][one] + 0.5, "then it begins anew"
    else:
        assert there[1][1][one] >= there[0][1][one] > 1
    assert set(there[0][1]) == set(here[0][1])


def test_single_devices_outrank_their_type(plain: World) -> None:
    device = next(each for each in plain.devices if each.type_id == 17)
    habits = Habits(types={17: DeviceHabit("import", "W")}, devices={device.id: DeviceHabit(unit="kW")})
    told = habits.of(device)
    assert (told.positive, told.unit, told.counters) == ("import", "kW", "lifetime")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hour_labels=left", "takes start or end"),
        ("merged_hour=yes", "takes no value"),
        ("38=kW", "no habit is called '38'"),
        ("midnight", "no habit is called"),
        ("17=charge", "takes one each of export or import"),
        ("41=kW,W", "takes one each of charge or discharge"),
        ("1=kW", "takes one each of derating or limit_shutdown"),
        ("39=forward_import", "takes one each"),
    ],
)
def test_a_habit_that_is_not_one_is_refused_with_what_there_is(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_habits([text])


def test_habits_in_code_are_checked_too(plain: World) -> None:
    with pytest.raises(ValueError, match="'charge' means nothing at a device of type 17"):
        Habits(types={17: DeviceHabit("charge")})
    with pytest.raises(ValueError, match="'export' means nothing at a device of type 1"):
        Habits(types={1: DeviceHabit("export")})
    with pytest.raises(ValueError, match="type 10 have no habits"):
        Habits(types={10: DeviceHabit("export")})


def test_inverters_derate_themselves_or_are_shut_down_by_a_limit(plain: World) -> None:
    was = dict(rows(plain, 1))
    derated = dict(rows(build_world("demo", 7, habits=parse_habits(["1=derating"])), 1))
    states = {row["inverter_state"] for row in derated.values()}
    assert 514 in states and 514 not in {row["inverter_state"] for row in was.values()}
    for at, row in derated.items():
        assert (row["active_power"] < was[at]["active_power"]) == (row["inverter_state"] == 514)
    stopped = dict(rows(build_world("demo", 7, habits=parse_habits(["1=limit_shutdown"])), 1))
    still = [at for at, row in stopped.items() if row["inverter_state"] == 772]
    assert len(still) in (17, 18)
    for at, row in stopped.items():
        assert row["active_power"] == (0 if at in still else was[at]["active_power"])
    assert max(row["total_cap"] for row in stopped.values()) < max(row["total_cap"] for row in was.values())


def test_hours_can_be_labelled_by_their_end_and_autumns_hour_merged() -> None:
    plain, plant, autumn = build_world("single", 7), build_world("single", 7).plants[0], date(2026, 10, 25)
    ends = build_world("single", 7, habits=parse_habits(["hour_labels=end"]))
    assert ends.plant_hours(plant, autumn, NOW) == [
        (at + 3_600_000, row) for at, row in plain.plant_hours(plant, autumn, NOW)
    ]
    merged = build_world("single", 7, habits=parse_habits(["hour_labels=end", "merged_hour"]))
    labels = [at for at, _ in merged.plant_hours(plant, autumn, NOW)]
    assert len(labels) == 24
    assert [from_ms(at, plant.zone).hour for at in labels] == [*range(1, 24), 0], "two o'clock lasts until three"
    assert labels[-1] == day_start(date(2026, 10, 26), plant.zone)


def swapped(kind: int, at: int) -> tuple[FleetBuilder, Device, Device]:
    """The demo fleet, in which the first device of a type is replaced at an instant."""
    fleet = build_demo()
    old = replace(next(each for each in fleet.devices if each.type_id == kind), removed_ms=at)
    new = replace(old, id=77, sn="SIM-NEW", served_sn="SIM-NEW", installed_ms=at, removed_ms=None)
    fleet.devices = [old if each.id == old.id else each for each in fleet.devices] + [new]
    return fleet, old, new


@pytest.mark.parametrize(("kind", "key"), [(38, "total_cap"), (1, "total_cap"), (47, "active_cap")])
def test_a_device_that_takes_anothers_place_counts_from_there(plain: World, kind: int, key: str) -> None:
    at = to_ms(datetime(2026, 6, 3, 10, 0, tzinfo=UTC))
    fleet, old, new = swapped(kind, at)
    world = build_world(fleet, 7)
    start, end = day_window(DAY, owner(world, old).zone)
    before = world.history(old, start, end + 86_400_000, NOW)
    after = world.history(new, start, end + 86_400_000, NOW)
    whole = plain.history(next(each for each in plain.devices if each.id == old.id), start, end + 86_400_000, NOW)
    assert max(time for time, _ in before) < at <= min(time for time, _ in after)
    assert after[0][1][key] < 1 and after[-1][1][key] > 1
    # Rows fall out by device, so the two are compared where both have one.
    at_end = dict(whole)[end][key] - dict(whole)[start][key]
    parts = before[-1][1][key] - dict(before)[start][key] + dict(after)[end][key]
    assert parts == pytest.approx(at_end, rel=0.05)
    if kind == 1:
        assert dict(after)[end]["day_cap"] == pytest.approx(dict(after)[end]["total_cap"], abs=0.011)
        night = next(row for time, row in after if time > end)
        assert night["day_cap"] == pytest.approx(dict(after)[end]["day_cap"], abs=0.011), "yesterday's, of its own"


def test_reports_of_a_replaced_inverter_share_its_day(plain: World) -> None:
    at = to_ms(datetime(2026, 6, 3, 10, 0, tzinfo=UTC))
    fleet, old, new = swapped(38, at)
    world = build_world(fleet, 7)
    zone = owner(world, old).zone

    def days(of: World, device: Device) -> dict[date, float]:
        return {
            from_ms(label, zone).date(): row["product_power"] for label, row in of.device_days(device, 2026, 6, NOW)
        }

    device = next(each for each in plain.devices if each.id == old.id)
    whole, first, second = days(plain, device), days(world, old), days(world, new)
    assert set(first) == {date(2026, 6, day) for day in (1, 2, 3)} and set(second) == set(whole) - set(first) | {DAY}
    assert first[DAY] + second[DAY] == pytest.approx(whole[DAY], abs=0.02) and 0 < first[DAY] < whole[DAY]
    assert {day: whole[day] for day in second if day != DAY} == pytest.approx(
        {day: second[day] for day in second if day != DAY}
    )
    assert old.there(at - 1) and not old.there(at) and new.there(at) and not new.there(at - 1)
