"""The fleets, the key lists and the calendar of the simulated world."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.simulator.calendar import day_window, from_ms, label, to_ms
from pipelines.simulator.fleet import HISTORY_TYPES
from pipelines.simulator.grid import month_grid
from pipelines.simulator.keys import (
    ALARM_KEYS,
    DEVICE_REPORT_KEYS,
    HISTORY_KEYS,
    PLANT_HOUR_KEYS,
    PLANT_PERIOD_KEYS,
    REALTIME_KEYS,
)
from pipelines.simulator.world import World, build_world

NOW = to_ms(datetime(2026, 11, 22, 17, 2, tzinfo=UTC))

HISTORY_COUNTS = {1: 88, 38: 41, 10: 8, 17: 40, 47: 41, 39: 10, 41: 4, 60001: 5, 60003: 2, 60043: 2, 60014: 3, 60010: 2}
REALTIME_COUNTS = {
    1: 89,
    38: 42,
    10: 9,
    17: 40,
    47: 42,
    39: 11,
    41: 6,
    60001: 8,
    60003: 3,
    60043: 2,
    60044: 4,
    60092: 10,
}
REALTIME_COUNTS |= {60014: 9, 60010: 4}


@pytest.fixture(scope="module")
def portfolio() -> World:
    return build_world("portfolio")


def test_key_lists_have_the_length_of_the_reference() -> None:
    assert {kind: len(keys) for kind, keys in HISTORY_KEYS.items()} == HISTORY_COUNTS
    assert {kind: len(keys) for kind, keys in REALTIME_KEYS.items()} == REALTIME_COUNTS
    assert (len(PLANT_HOUR_KEYS), len(PLANT_PERIOD_KEYS)) == (10, 19)
    assert sum(len(keys) for keys in DEVICE_REPORT_KEYS.values()) == 12
    for keys in [*HISTORY_KEYS.values(), *REALTIME_KEYS.values(), PLANT_HOUR_KEYS, PLANT_PERIOD_KEYS, ALARM_KEYS]:
        assert len(set(keys)) == len(keys)


def test_portfolio_counts(portfolio: World) -> None:
    assert len(portfolio.plants) == 130
    assert sum(device.type_id in HISTORY_TYPES for device in portfolio.devices) == 400
    assert {device.type_id for device in portfolio.devices} >= set(REALTIME_COUNTS) | {2, 62}
    zones = {plant.zone for plant in portfolio.plants}
    assert len(zones) == 6
    offsets = [
        datetime(2026, 1, 15, tzinfo=UTC).astimezone(plant.grid_connection.tzinfo).utcoffset()
        for plant in portfolio.plants
    ]
    assert {min(o for o in offsets if o is not None), max(o for o in offsets if o is not None)} == {
        timedelta(hours=-8),
        timedelta(hours=10),
    }


@pytest.mark.parametrize("name", ["demo", "single", "portfolio"])
def test_every_identity_is_unique_and_points_to_a_plant(name: str) -> None:
    world = build_world(name)
    codes = [plant.code for plant in world.plants]
    assert len(set(codes)) == len(codes)
    for attribute in ("id", "dn"):
        assert max(Counter(getattr(device, attribute) for device in world.devices).values()) == 1
    assert {device.plant_code for device in world.devices} == set(codes)
    assert not any("," in code for code in codes)


def test_lists_show_the_quirks_of_real_servers() -> None:
    world = build_world("demo")
    assert any(device.id < 0 for device in world.devices)
    assert any(len(str(device.id)) == 16 for device in world.devices)
    assert {device.served_sn for device in world.devices if device.type_id in (17, 39, 47)} == {"null"}
    assert {type(plant.served_latitude) for plant in world.plants} == {float, str}
    assert "" in {plant.served_longitude for plant in world.plants}
    assert {plant.code.startswith("NE=") for plant in world.plants} == {True, False}
    for plant in world.plants:
        served = plant.listing()["gridConnectionDate"]
        assert datetime.fromisoformat(served) == plant.grid_connection


def test_every_type_is_served_with_exactly_its_keys(portfolio: World) -> None:
    first = {device.type_id: device for device in reversed(portfolio.devices)}
    for type_id, device in first.items():
        history = portfolio.history(device, NOW - 3_600_000, NOW, NOW)
        realtime = portfolio.device_realtime(device, NOW)
        assert tuple(realtime) == REALTIME_KEYS.get(type_id, ())
        assert {tuple(row) for _, row in history} == ({HISTORY_KEYS[type_id]} if type_id in HISTORY_KEYS else set())


def test_unknown_fleet_is_refused() -> None:
    with pytest.raises(ValueError, match="portfolio"):
        build_world("nowhere")


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Asia/Shanghai", date(2026, 3, 29), 24),
    ],
)
def test_days_of_a_clock_change(zone: str, day: date, hours: int) -> None:
    start, end = day_window(day, zone)
    assert end - start == hours * 3_600_000
    grid = month_grid(day.replace(day=1), zone)
    slots = slice(int(grid.starts[day.day - 1]), int(grid.starts[day.day]))
    assert slots.stop - slots.start == hours * 12
    clock = [from_ms(ms, zone) for ms in grid.times[slots].tolist()]
    assert grid.hour[slots].tolist() == pytest.approx([c.hour + c.minute / 60 for c in clock], abs=1e-5)


def test_labels_at_local_and_at_standard_midnight() -> None:
    july = date(2026, 7, 1)
    assert from_ms(label(july, "Europe/Berlin", "local")) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert from_ms(label(july, "Europe/Berlin", "standard")) == datetime(2026, 6, 30, 23, tzinfo=UTC)
    january = date(2026, 1, 1)
    assert label(january, "Europe/Berlin", "local") == label(january, "Europe/Berlin", "standard")
