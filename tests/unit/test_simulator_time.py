"""One virtual time for several clients, and the world of thin answers that makes a long one affordable."""

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.simulator.calendar import day_window
from pipelines.simulator.fleet import HISTORY_TYPES
from pipelines.simulator.shared_time import SharedClock, TimeKeeper
from pipelines.simulator.thin import ThinWorld
from pipelines.simulator.world import build_world

START = datetime(2026, 6, 1, tzinfo=UTC)
NOW_MS = int(datetime(2026, 6, 20, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def two() -> Iterator[tuple[TimeKeeper, SharedClock, SharedClock]]:
    with TimeKeeper(START, clients=2) as keeper:
        first, second = SharedClock(keeper.port), SharedClock(keeper.port)
        yield keeper, first, second
        first.close()
        second.close()


def _in_background(*naps: tuple[SharedClock, float]) -> list[threading.Thread]:
    threads = [threading.Thread(target=clock.sleep, args=(seconds,), daemon=True) for clock, seconds in naps]
    for thread in threads:
        thread.start()
    return threads


def test_time_jumps_to_the_earliest_wake_once_all_clients_wait(
    two: tuple[TimeKeeper, SharedClock, SharedClock],
) -> None:
    keeper, first, second = two
    (sleeper,) = _in_background((first, 3600))
    assert keeper.now() == second.now() == START, "the second client still works"
    second.sleep(60)
    assert keeper.now() == second.now() == START + timedelta(minutes=1)
    assert sleeper.is_alive()
    (other,) = _in_background((second, 86_400))
    sleeper.join(300)
    assert keeper.now() == first.now() == START + timedelta(hours=1)
    assert other.is_alive(), "a day lasts until the first waits too"
    (sleeper,) = _in_background((first, 30 * 86_400))
    other.join(300)
    assert second.now() == START + timedelta(days=1, minutes=1)
    second.close()
    sleeper.join(300)
    assert not sleeper.is_alive()


def test_the_next_wake_is_the_earliest_and_whoever_goes_on_waits_no_more(
    two: tuple[TimeKeeper, SharedClock, SharedClock],
) -> None:
    keeper, first, second = two
    assert keeper.next_wake is None
    (sleeper,) = _in_background((first, 3600))
    while not keeper.waiting:
        sleeper.join(0.01)
    assert keeper.next_wake == START + timedelta(hours=1)
    second.sleep((keeper.next_wake - second.now()).total_seconds())
    assert (keeper.waiting, keeper.next_wake) == (0, None), "both wake at that instant"
    sleeper.join(300)
    assert first.now() == second.now() == START + timedelta(hours=1)


def test_time_goes_on_without_a_client_that_is_gone(two: tuple[TimeKeeper, SharedClock, SharedClock]) -> None:
    keeper, first, second = two
    second.close()
    first.sleep(7200)
    assert keeper.now() == first.now() == START + timedelta(hours=2)


def test_events_come_in_order_and_before_whoever_waits_for_their_instant(
    two: tuple[TimeKeeper, SharedClock, SharedClock],
) -> None:
    keeper, first, second = two
    seen: list[datetime] = []
    for minutes in (90, 30, 60):
        keeper.at(START + timedelta(minutes=minutes), lambda: seen.append(keeper.now()))
    sleepers = _in_background((first, 3600), (second, 3600))
    for sleeper in sleepers:
        sleeper.join(300)
    assert seen == [START + timedelta(minutes=30), START + timedelta(minutes=60)]


def test_in_turn_only_one_client_works_at_a_time_from_the_start() -> None:
    with TimeKeeper(START, clients=2, in_turn=True) as keeper, ThreadPoolExecutor(2) as pool:
        done, left = wait([pool.submit(SharedClock, keeper.port) for _ in range(2)], 300, FIRST_COMPLETED)
        assert len(done) == len(left) == 1 and keeper.connected == 2 and keeper.waiting == 1
        first = done.pop().result()
        one = pool.submit(first.sleep, 10)
        second = left.pop().result(300)
        assert second.now() == START
        other = pool.submit(second.sleep, 10)
        one.result(300)
        assert not other.done()
        first.close()
        other.result(300)
        assert second.now() == START + timedelta(seconds=10)
        second.close()


def test_thin_answers_have_one_row_for_each_day_that_the_full_world_has_rows_of() -> None:
    full, thin = build_world("demo"), ThinWorld("demo")
    day = date(2026, 6, 10)
    for device in thin.devices:
        plant = next(plant for plant in thin.plants if plant.code == device.plant_code)
        start, end = day_window(day, plant.zone)
        rows = thin.history(device, start, end - 1, NOW_MS)
        whole = full.history(device, start, end - 1, NOW_MS)
        assert len(rows) == bool(whole) == (device.type_id in HISTORY_TYPES and day >= plant.first_day)
        assert all(items.keys() <= whole[0][1].keys() for _, items in rows)
        days, full_days = thin.device_days(device, 2026, 6, NOW_MS), full.device_days(device, 2026, 6, NOW_MS)
        assert [at for at, _ in days] == [at for at, _ in full_days]
        assert [at for at, _ in thin.device_years(device, NOW_MS)] == [
            at for at, _ in full.device_years(device, NOW_MS)
        ]
    for plant in thin.plants:
        assert [at for at, _ in thin.plant_days(plant, 2026, 6, NOW_MS)] == [
            at for at, _ in full.plant_days(plant, 2026, 6, NOW_MS)
        ]
        assert [at for at, _ in thin.plant_months(plant, 2026, NOW_MS)] == [
            at for at, _ in full.plant_months(plant, 2026, NOW_MS)
        ]
        assert len(thin.plant_hours(plant, day, NOW_MS)) == bool(full.plant_hours(plant, day, NOW_MS))
