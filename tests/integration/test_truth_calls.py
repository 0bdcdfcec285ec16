"""How many calls a load makes, counted by the simulator's log: none that need not be, none that is missing."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path

import pytest
from truth.compare import summary
from truth.inside import load_into, raw_of, settings_of
from truth.raw import HISTORY_TABLES, Load, raw_checks

from pipelines.load.fleet import Fleet
from pipelines.load.inventory import current_fleet
from pipelines.load.request import PERIODIC_DATASETS
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.planning.cells import wanted_cells
from pipelines.planning.packing import lower_bound_history
from pipelines.planning.reports import lower_bound_reports
from pipelines.settings import Settings
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import build_world
from schemas.datasets import DATASETS

DAY = date(2025, 6, 15)
ALL_CONNECTED = date(2026, 10, 25)
"""The whole portfolio is connected, and in Europe the day has 25 hours."""


def test_a_second_load_of_a_final_day_asks_nothing(tmp_path: Path) -> None:
    with Simulator(build_world("demo", 1)) as simulator:
        settings = settings_of(simulator, tmp_path)
        assert load_into(settings, DAY, DAY).exit_code == 0
        simulator.log.clear()
        second = load_into(settings, DAY, DAY)
        assert second.exit_code == 0 and second.total_calls == 0
        assert simulator.log.calls() == []
        assert load_into(settings, DAY, DAY, refresh_inventory=True).exit_code == 0
        assert [call.endpoint for call in simulator.log.calls()] == ["stations", "getDevList"]


def test_a_day_that_still_grows_is_asked_again_until_it_is_whole(tmp_path: Path) -> None:
    world = build_world("single", 1)
    clock = ManualClock(datetime(2025, 6, 15, 10, tzinfo=UTC))
    datasets = ("plant_daily", "device_history")
    with Simulator(world, clock=clock) as simulator:
        settings = settings_of(simulator, tmp_path)

        def asked_by_a_load() -> Counter[str]:
            simulator.log.clear()
            assert load_into(settings, DAY, DAY, *datasets, clock=clock).exit_code == 0
            return Counter(call.endpoint for call in simulator.log.calls() if "Kpi" in call.endpoint)

        everything = {"getKpiStationDay": 1, "getDevHistoryKpi": 3}
        assert asked_by_a_load() == everything
        clock.advance(3 * 3600)
        assert asked_by_a_load() == everything, "in the middle of the day"
        clock.advance(24 * 3600)
        assert asked_by_a_load() == everything, "after its end"
        assert asked_by_a_load() == {}, "and never again"
    load = Load(world, DAY, DAY, "demo", clock.now(), datasets)
    with raw_of(settings) as connection:
        checks = raw_checks(load)
        tables = ("raw.plant_daily", *(f"raw.device_history_{name}" for name in HISTORY_TABLES.values()))
        differences = [each for table in tables for each in checks[table](connection)]
    assert not differences, summary(differences)


def test_wanted_days_beside_the_one_asked_for_ride_along(tmp_path: Path) -> None:
    """A day's call may carry three days: what is wanted beside it needs no call of its own."""
    with Simulator(build_world("single", 1)) as simulator:
        settings = settings_of(simulator, tmp_path, history_start=DAY)
        assert load_into(settings, DAY, DAY, "device_history").exit_code == 0
        asked = len(simulator.log.calls("getDevHistoryKpi"))
        assert load_into(settings, DAY, DAY + timedelta(days=2), "device_history").exit_code == 0
        assert len(simulator.log.calls("getDevHistoryKpi")) == asked == 3


@pytest.mark.slow
def test_a_portfolio_loads_one_day_complete_with_the_fewest_calls(tmp_path: Path) -> None:
    world = build_world("portfolio", 1)
    assert len(world.plants) == 130 and len({plant.zone for plant in world.plants}) == 6
    assert all(plant.first_day <= ALL_CONNECTED for plant in world.plants)
    with Simulator(world) as simulator:
        settings = settings_of(simulator, tmp_path)
        report = load_into(settings, ALL_CONNECTED, ALL_CONNECTED)
        calls = Counter(call.endpoint for call in simulator.log.calls(ok=True))
        assert len(simulator.log.calls(ok=False)) == 0
    assert report.exit_code == 0 and not report.quarantined, report
    load = Load(world, ALL_CONNECTED, ALL_CONNECTED, "demo", datetime.now(UTC))
    with raw_of(settings) as connection:
        differences = [each for check in raw_checks(load).values() for each in check(connection)]
    assert not differences, summary(differences)
    for endpoint, least in least_calls(settings).items():
        assert calls[endpoint] == least, f"{endpoint}: {calls[endpoint]} calls, {least} would do"
    by_type = Counter(device.type_id for device in world.devices if device.type_id in HISTORY_TABLES)
    assert sum(by_type.values()) == 400
    assert calls["getDevHistoryKpi"] == sum(ceil(count / 10) for count in by_type.values())
    assert (calls["stations"], calls["getDevList"], calls["getAlarmList"], calls["login"]) == (2, 2, 2, 1)


def least_calls(settings: Settings) -> dict[str, int]:
    """For each endpoint with a past, a number that no plan of this day can go below."""
    with Services.open(settings) as services:
        fleet: Fleet = current_fleet(services)
    now = datetime.now(UTC)
    least: Counter[str] = Counter()
    for name in PERIODIC_DATASETS:
        subjects = fleet.subjects(name)
        cells = wanted_cells(name, subjects.values(), ALL_CONNECTED, ALL_CONNECTED, now)
        bound = (
            lower_bound_history(cells, subjects)
            if name == "device_history"
            else lower_bound_reports(name, cells, subjects, now)
        )
        least[DATASETS[name].endpoint] += bound
    return dict(least)
