"""The bisection for the oldest day that the server still has."""

import json
from datetime import UTC, date, timedelta

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Subject
from pipelines.planning.oldest import LOOK_DAYS, OldestDay, probe_call, probe_devices

EARLIEST, TODAY = date(2001, 6, 1), date(2026, 6, 15)
DAYS = st.dates(EARLIEST, TODAY)


def look(day: date, oldest: date, silent: frozenset[date] = frozenset()) -> date | None:
    """The first of the three days that the server answers with data for."""
    seen = (day + timedelta(days=n) for n in range(LOOK_DAYS))
    return next((each for each in seen if each >= oldest and each not in silent), None)


def run(state: OldestDay, oldest: date, silent: frozenset[date] = frozenset(), most: int = 40) -> OldestDay:
    for _ in range(most):
        # Kept and read again at every step, as between two runs of a command.
        state = OldestDay.from_dict(json.loads(json.dumps(state.as_dict())))
        day = state.probe()
        if day is None:
            return state
        first = look(day, oldest, silent)
        state.note(day, first is not None, first)
    raise AssertionError("it never ends")


@settings(max_examples=300, deadline=None)
@given(DAYS, DAYS, DAYS)
@example(EARLIEST, TODAY, EARLIEST)
@example(EARLIEST, TODAY, TODAY)
def test_a_dozen_calls_find_it_whatever_the_age(earliest, known, oldest):
    assume(earliest <= known)
    oldest = min(oldest, known)
    state = run(OldestDay.between(earliest, known), oldest)
    found = state.settle(TODAY)
    truth = max(earliest, oldest)
    assert truth - timedelta(days=LOOK_DAYS) <= found <= truth
    assert found >= earliest
    assert state.looks <= 12
    assert state.probe() is None


@settings(max_examples=200, deadline=None)
@given(DAYS, st.sets(st.integers(0, 9_000), max_size=60))
@example(date(2021, 1, 1), {7162})
def test_days_on_which_single_nights_are_silent_change_nothing(oldest, nights):
    # Never three in a row, which is what one look sees.
    silent = frozenset(EARLIEST + timedelta(days=n) for n in nights if n % 3)
    assume(oldest not in silent)
    state = run(OldestDay.between(EARLIEST, TODAY), oldest, silent - {oldest})
    found = state.settle(TODAY)
    assert abs(found - oldest) <= timedelta(days=LOOK_DAYS)


def test_an_outage_is_not_taken_for_the_limit():
    outage = frozenset(date(2024, 3, 1) + timedelta(days=n) for n in range(9))
    start = OldestDay.between(date(2015, 1, 1), TODAY)
    # The bisection lands on the silent days by force: everything around is told from outside.
    start.none_before, start.known, start.hints = date(2024, 3, 10), date(2024, 3, 10), []
    state = run(start, date(2020, 5, 5), outage)
    assert date(2020, 5, 2) <= state.settle(TODAY) <= date(2020, 5, 5)


@settings(max_examples=100, deadline=None)
@given(DAYS, st.integers(30, 400), st.booleans())
def test_a_check_a_month_later_follows_a_limit_that_moves(oldest, later, moves):
    state = run(OldestDay.between(EARLIEST, TODAY), oldest)
    first = state.settle(TODAY)
    assert not state.recheck(TODAY + timedelta(days=29), TODAY)
    then = TODAY + timedelta(days=later)
    now_oldest = oldest + timedelta(days=later) if moves and first > EARLIEST else oldest
    assert state.recheck(then, then)
    assert state.settle(then) is None
    state = run(state, now_oldest)
    assert now_oldest - timedelta(days=LOOK_DAYS) <= state.settle(then) <= max(EARLIEST, now_oldest)
    assert state.looks <= 4


def device(number: int, plant: str, kind: int, connected: date | None, zone: str = "Europe/Madrid") -> Subject:
    return Subject(str(number), plant, kind, zone, connected)


def test_the_look_asks_several_plants_that_stood_by_then():
    day = date(2022, 1, 1)
    devices = [device(100 + n, f"P{n:02}", 1, date(2021, 1, 1)) for n in range(14)]
    devices += [device(200 + n, f"P{n:02}", 39, date(2021, 1, 1)) for n in range(14)]
    devices += [device(300 + n, f"Q{n:02}", 1, date(2023, 1, 1)) for n in range(14)]
    devices += [device(400 + n, "P00", 1, date(2021, 1, 1)) for n in range(4)]
    first, second = probe_devices(devices, day), probe_devices(devices, day, turn=1)
    assert {d.plant_code for d in first} == {f"P{n:02}" for n in range(10)}
    assert {f"P{n:02}" for n in range(10, 14)} <= {d.plant_code for d in second}
    assert {d.device_type_id for d in first + second} == {1}
    few = [device(n, f"P{n % 2}", 38, None) for n in range(30)]
    assert sorted(d.plant_code for d in probe_devices(few, day)) == ["P0"] * 5 + ["P1"] * 5
    assert probe_call(devices, date(2020, 12, 31)) is None


def test_the_call_of_a_look_keeps_the_limits_and_sees_the_day_in_every_zone():
    day = date(2022, 10, 30)  # 25 hours in Madrid
    devices = [
        device(n, f"P{n}", 1, None, zone) for n, zone in enumerate(("Europe/Madrid", "Asia/Tokyo", "America/Lima"))
    ]
    call = probe_call(devices, day)
    assert call.end - call.start == timedelta(hours=72)
    assert call.start.tzinfo is UTC
    for each in devices:
        window = local_day(day, each.zone)
        assert call.start <= window.start
        assert window.end <= call.end
