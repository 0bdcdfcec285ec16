"""The order of worth: what comes due when, what waits for what, and what is never asked for."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.again import due_on_schedule
from pipelines.planning.calendar import local_day, today
from pipelines.planning.cells import Cell, Subject, final_margin
from pipelines.planning.packing import pack_history
from pipelines.planning.policy import EARLIEST, FROM_GRID_CONNECTION, Group, PlantRule, Policy
from pipelines.planning.reports import pack_reports
from pipelines.planning.waves import block_of, calls_a_day, due_cells, fresh_waves, next_due, reserve
from pipelines.planning.worth import (
    Step,
    covered_by_realtime,
    first_wanted,
    followed,
    past_cells,
    pieces,
    report_lacks_data,
    scheduled,
    tier_of,
)

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
ZONES = (
    "Europe/Madrid",
    "Europe/Lisbon",
    "America/Sao_Paulo",
    "Asia/Bangkok",
    "Australia/Sydney",
    "America/Mexico_City",
)


def fleet(sizes: dict[str, int], kind: int | None = 1) -> list[Subject]:
    return [Subject(f"{zone}/{n}", f"{zone}/{n}", kind, zone) for zone, count in sizes.items() for n in range(count)]


@st.composite
def fleets(draw: st.DrawFn) -> list[Subject]:
    zones = draw(
        st.lists(st.sampled_from((*ZONES, "Pacific/Kiritimati", "Pacific/Pago_Pago")), min_size=1, unique=True)
    )
    return fleet({zone: draw(st.integers(1, 25)) for zone in zones}, draw(st.sampled_from((1, 39))))


MOMENTS = st.integers(0, 3 * 366 * 1440).map(
    lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@settings(max_examples=60, deadline=None)
@given(fleets(), MOMENTS, st.integers(1, 3))
def test_a_day_comes_due_after_it_is_whole_and_before_it_is_older_than_the_freshness(devices, now, freshness):
    waves = fresh_waves("device_history", devices, now, lambda _: freshness)
    for wave in waves:
        for cell in wave.cells():
            zone = cell.subject.rpartition("/")[0]
            ended = local_day(cell.period, zone).end
            assert wave.due_at >= ended + final_margin("device_history")
            assert wave.due_at <= ended + final_margin("device_history") + timedelta(days=freshness, hours=1)
    due = due_cells(waves, now)
    assert all(at <= now for at in due.values())
    # Whatever ended within the last days, and long enough ago, is due: nothing falls between two blocks.
    for device in devices:
        for back in range(freshness + 2, 7):
            assert Cell("device_history", device.id, today(now, device.zone) - timedelta(days=back)) in due


@settings(max_examples=60, deadline=None)
@given(fleets(), MOMENTS, st.integers(1, 3))
def test_a_worker_that_sleeps_until_the_next_due_moment_misses_nothing(devices, now, freshness):
    waves = fresh_waves("device_history", devices, now, lambda _: freshness)
    wake = next_due(waves, now)
    assert wake is not None
    assert now < wake <= now + timedelta(days=freshness + 1)
    just_before = wake - timedelta(seconds=1)
    seen = due_cells(fresh_waves("device_history", devices, just_before, lambda _: freshness), just_before)
    assert set(seen) <= set(due_cells(waves, now))
    later = due_cells(fresh_waves("device_history", devices, wake, lambda _: freshness), wake)
    assert set(later) - set(seen)


@settings(max_examples=40, deadline=None)
@given(fleets(), MOMENTS, st.integers(1, 3))
def test_a_wave_costs_the_calls_that_it_names(devices, now, freshness):
    subjects = {device.id: device for device in devices}
    for wave in fresh_waves("device_history", devices, now, lambda _: freshness)[:3]:
        assert len(pack_history(wave.cells(), subjects)) <= wave.calls


def test_three_days_ride_in_one_call_and_zones_wait_for_each_other_only_where_that_saves_calls():
    devices = fleet({"Europe/Madrid": 20, "Europe/Lisbon": 3, "America/Mexico_City": 6})
    daily, together = (fresh_waves("device_history", devices, NOW, lambda _, n=n: n) for n in (1, 3))
    # Madrid's twenty fill two calls by themselves; Lisbon waits seven hours for Mexico, which has seats left.
    latest = [wave for wave in daily if wave.first == date(2026, 6, 14)]
    assert [({s.zone for s in wave.subjects}, wave.calls) for wave in latest] == [
        ({"Europe/Madrid"}, 2),
        ({"Europe/Lisbon", "America/Mexico_City"}, 1),
    ]
    assert calls_a_day(daily) == 3
    assert calls_a_day(together) == (2 + 1 + 1) / 3
    assert {(wave.last - wave.first).days for wave in together} == {2}


def test_blocks_are_the_same_for_every_plant_and_moment():
    starts = {
        wave.first.toordinal() % 3
        for hours in range(0, 400, 7)
        for wave in fresh_waves("device_history", fleet({"Asia/Bangkok": 1}), NOW + timedelta(hours=hours), lambda _: 3)
    }
    assert starts == {0}


def test_the_reserve_is_what_comes_due_within_the_window():
    devices = fleet({"Europe/Madrid": 25})
    daily = fresh_waves("device_history", devices, NOW)
    assert reserve(daily, NOW, timedelta(days=1)) == 3
    block = fresh_waves("device_history", devices, NOW, lambda _: 3)
    due = next_due(block, NOW)
    assert reserve(block, due - timedelta(days=1), timedelta(days=1)) == 3
    assert reserve(block, due - timedelta(days=1, seconds=1), timedelta(days=1)) == 0


def test_reports_of_near_zones_come_due_together_and_months_are_settled_after_their_end():
    plants = fleet({"Europe/Madrid": 5, "Europe/Lisbon": 5, "Asia/Bangkok": 5, "America/Mexico_City": 5}, None)
    daily = [wave for wave in fresh_waves("plant_daily", plants, NOW) if wave.first == date(2026, 6, 13)]
    # Bangkok waits six hours for Lisbon, but not thirteen for Mexico.
    assert [wave.calls for wave in daily] == [1, 1]
    assert {s.zone for s in daily[0].subjects} == {"Asia/Bangkok", "Europe/Madrid", "Europe/Lisbon"}
    new_month = datetime(2026, 7, 2, 12, tzinfo=UTC)
    cells = due_cells(fresh_waves("plant_monthly", plants[:1], new_month), new_month)
    june = Cell("plant_monthly", plants[0].id, date(2026, 6, 1))
    assert set(cells) == {june, Cell("plant_monthly", plants[0].id, date(2026, 7, 1))}
    assert due_on_schedule(
        june, "provisional", cells[june] - timedelta(hours=1), cells[june], "Europe/Madrid", new_month
    )


def test_scheduled_work_reads_a_running_month_once_a_day():
    month = Cell("plant_monthly", "NE=1", date(2026, 6, 1))
    due = NOW - timedelta(hours=2)
    assert due_on_schedule(month, "provisional", due - timedelta(minutes=1), due, "Europe/Madrid", NOW)
    assert not due_on_schedule(month, "provisional", due + timedelta(minutes=1), due, "Europe/Madrid", NOW)
    assert not due_on_schedule(month, "missing", NOW, NOW + timedelta(minutes=1), "Europe/Madrid", NOW)
    assert due_on_schedule(month, "missing", NOW, due, "Europe/Madrid", NOW)
    assert not due_on_schedule(month, "final", due, due, "Europe/Madrid", NOW)
    assert not due_on_schedule(month, "suspect", NOW - timedelta(hours=5, minutes=59), due, "Europe/Madrid", NOW)
    assert due_on_schedule(month, "suspect", NOW - timedelta(hours=6), due, "Europe/Madrid", NOW)


def test_the_past_comes_in_the_order_of_worth():
    plant = Subject("NE=1", "NE=1", None, "Europe/Madrid", date(2024, 3, 5))
    devices = [Subject(str(k), "NE=1", k, "Europe/Madrid", date(2024, 3, 5)) for k in (39, 1, 47)]
    policy = Policy(Group("default", since=FROM_GRID_CONNECTION, history_since=date(2025, 1, 1)))
    subjects = {"plant_daily": [plant], "plant_hourly": [plant], "device_history": devices}
    order = list(pieces(subjects, policy, NOW, oldest=date(2025, 7, 1)))
    assert [p.step for p in order] == sorted(p.step for p in order)
    assert [p.dataset for p in order] == sorted(
        (p.dataset for p in order), key=("plant_daily", "plant_hourly", "device_history").index
    )
    history = [p for p in order if p.step == Step.BACKLOG]
    assert [p.tier for p in history] == sorted(p.tier for p in history)
    for one, other in pairwise(order):
        assert one.dataset != other.dataset or one.tier != other.tier or other.last < one.first
    assert (history[-1].first, history[0].last) == (date(2025, 7, 1), date(2026, 6, 7))
    assert min(p.first for p in order) == date(2024, 3, 5)
    first = past_cells(history[0], devices, policy, NOW)
    assert {cell.subject for cell in first} == {"1", "47"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dates(date(2024, 1, 1), date(2026, 6, 30)) | st.none(), min_size=1, max_size=6),
    st.dates(date(2023, 1, 1), date(2026, 7, 1)) | st.just(FROM_GRID_CONNECTION),
    st.dates(date(2023, 1, 1), date(2026, 7, 1)) | st.none(),
    st.sets(st.dates(date(2026, 1, 1), date(2026, 6, 30)), max_size=20),
)
def test_the_pieces_hold_every_wanted_day_of_the_past_once_and_nothing_else(connected, since, oldest, dark):
    devices = [Subject(str(n), f"NE={n}", (1, 39)[n % 2], ZONES[n], each) for n, each in enumerate(connected)]
    policy = Policy(Group("default", since=None, history_since=max(since, date(2023, 1, 1))))
    asked = [
        cell
        for piece in pieces({"device_history": devices}, policy, NOW, oldest)
        for cell in past_cells(piece, devices, policy, NOW, oldest, lambda plant, day: plant == "NE=0" and day in dark)
    ]
    wanted = set()
    for device in devices:
        day = max(policy.default.history_since, device.connected or date.min, oldest or date.min)
        while day <= today(NOW, device.zone) - timedelta(days=8):
            if device.id != "0" or day not in dark:
                wanted.add(Cell("device_history", device.id, day))
            day += timedelta(days=1)
    assert set(asked) == wanted
    assert len(asked) == len(wanted)


def test_the_first_wanted_date_is_one_that_is_known_and_no_placeholder():
    now = datetime(2026, 6, 10, 9, tzinfo=UTC)
    known, unknown = Subject("A", "A", None, "UTC", date(2019, 5, 1)), Subject("B", "B", None, "UTC")
    ancient = Subject("C", "C", None, "UTC", date(2009, 5, 1))

    def first(*plants: Subject, **group) -> date:
        return first_wanted({"plant_hourly": plants}, Policy(Group("default", **group)), now)

    week = date(2026, 6, 2)
    assert first(known, unknown) == first(unknown, since=FROM_GRID_CONNECTION) == week
    assert first(known, unknown, since=FROM_GRID_CONNECTION) == date(2019, 5, 1)
    assert first(known, ancient, since=FROM_GRID_CONNECTION) == EARLIEST
    assert first(known, unknown, since=date(2018, 1, 1)) == date(2018, 1, 1)
    assert first(known, since=date(2018, 1, 1)) == date(2019, 5, 1)
    assert first(known, since=date(2018, 1, 1), datasets=("device_history",)) == week
    assert first(freshness_days=3) == block_of(week, 3)[0]


def test_fresh_data_respect_the_group():
    devices = [*fleet({"Europe/Madrid": 2}), Subject("9", "NE=9", 39, "Europe/Madrid")]
    lazy = Group("lazy", freshness_days=3, history_since=date(2026, 6, 12), device_types=frozenset({1}))
    policy = Policy(Group("default"), (PlantRule(("NE=9", "Europe/Madrid/1"), lazy),))
    waves = scheduled("device_history", followed("device_history", devices, policy), policy, NOW)
    assert {s.id: (w.last - w.first).days + 1 for w in waves for s in w.subjects} == {
        "Europe/Madrid/0": 1,
        "Europe/Madrid/1": 3,
    }
    assert min(c.period for w in waves for c in w.cells() if c.subject == "Europe/Madrid/1") == date(2026, 6, 12)
    assert list(pieces({"device_history": devices}, Policy(Group("default")), NOW)) == []


def test_reports_back_to_the_grid_connection_are_few_calls():
    plants = [Subject(f"NE={n}", f"NE={n}", None, "Europe/Madrid", date(2016, 1, 1)) for n in range(20)]
    policy = Policy(Group("default", since=FROM_GRID_CONNECTION))
    subjects = {plant.id: plant for plant in plants}
    calls = [
        call
        for piece in pieces({"plant_daily": plants}, policy, NOW)
        for call in pack_reports("plant_daily", past_cells(piece, plants, policy, NOW), subjects, NOW)
    ]
    assert len(calls) == 10 * 12 + 6


def test_small_rules():
    assert [tier_of(kind) for kind in (1, 38, 17, 47, 10, 39, 41, 60001)] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert report_lacks_data("empty", 0)
    assert report_lacks_data("final", 0)
    assert not report_lacks_data("final", 1)
    assert not report_lacks_data("denied", 0)
    assert covered_by_realtime(274)
    assert not covered_by_realtime(273)
    assert not covered_by_realtime(274, timedelta(hours=25))
    assert [step.lane for step in Step] == ["fresh", "backlog", "fresh", "backlog"]
