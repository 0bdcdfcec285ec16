"""History calls: every wanted day once, no rule broken, as few calls as can be."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.bounds import fewest_together, lower_bound, with_shared_calls
from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.packing import fill_seats, lower_bound_history, pack_history, pack_newest_first
from pipelines.planning.search import solve
from pipelines.planning.sweep import Want

ZONES = [
    "Europe/Berlin",
    "Europe/Lisbon",
    "America/New_York",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",  # +14
    "Pacific/Pago_Pago",  # -11
    "Asia/Kolkata",
]
HOURS_72 = timedelta(hours=72)
SPAN = 72 * 3600
# The last Sundays of March and October 2026 and 2027, the Sundays of New York, and Lord Howe's.
SWITCHES = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1), date(2027, 3, 14), date(2026, 4, 5)]


def device(number: int, zone: str, kind: int = 1) -> Subject:
    return Subject(str(number), f"NE={number // 3}", kind, zone)


def by_id(devices):
    return {subject.id: subject for subject in devices}


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


def history(subject: Subject, days) -> list[Cell]:
    return [Cell("device_history", subject.id, day) for day in days]


def assert_rules(calls, subjects):
    for call in calls:
        assert 1 <= len(call.device_ids) <= 10
        assert len(set(call.device_ids)) == len(call.device_ids)
        assert {subjects[name].device_type_id for name in call.device_ids} == {call.device_type_id}
        assert timedelta(0) < call.end - call.start <= HOURS_72
        assert {cell.subject for cell in call.cells} == set(call.device_ids)
        for cell in call.cells:
            window = local_day(cell.period, subjects[cell.subject].zone)
            assert call.start <= window.start
            assert window.end <= call.end


def assert_carried_once(calls, cells):
    assert Counter(cell for call in calls for cell in call.cells) == Counter(set(cells))


@st.composite
def ragged(draw, devices=14, days=12, kinds=(1, 39)):
    first = draw(st.sampled_from(SWITCHES)) - timedelta(days=draw(st.integers(0, 4)))
    subjects, cells = [], []
    for number in range(draw(st.integers(1, devices))):
        subject = device(number, draw(st.sampled_from(ZONES)), draw(st.sampled_from(kinds)))
        wanted = draw(st.sets(st.integers(0, days - 1), min_size=1))
        subjects.append(subject)
        cells += history(subject, [first + timedelta(days=n) for n in sorted(wanted)])
    return by_id(subjects), draw(st.permutations(cells))


@settings(deadline=None, max_examples=60)
@given(ragged())
def test_every_wanted_day_is_carried_once_and_no_rule_is_broken(wanted):
    subjects, cells = wanted
    calls = pack_history(cells, subjects)
    assert_rules(calls, subjects)
    assert_carried_once(calls, cells)
    assert lower_bound_history(cells, subjects) <= len(calls)


@settings(deadline=None, max_examples=40)
@given(
    zone=st.sampled_from([*ZONES, "America/Sao_Paulo"]),
    count=st.integers(1, 45),
    first=st.dates(date(2017, 1, 1), date(2027, 1, 1)),
    days=st.integers(1, 40),
)
def test_a_full_rectangle_takes_exactly_tens_times_windows(zone, count, first, days):
    subjects = by_id(device(number, zone) for number in range(count))
    dates = days_from(first, days)
    cells = [cell for subject in subjects.values() for cell in history(subject, dates)]
    calls = pack_history(cells, subjects)
    assert_rules(calls, subjects)
    assert_carried_once(calls, cells)
    assert len(calls) == -(-count // 10) * fewest_windows(dates, zone) == lower_bound_history(cells, subjects)


def fewest_windows(dates, zone):
    """Runs of whole local days, each of at most 72 hours, counted by trying every way to cut."""

    @cache
    def fewest(start):
        if start == len(dates):
            return 0
        begin = local_day(dates[start], zone).start
        stops = [n for n in range(start, len(dates)) if local_day(dates[n], zone).end - begin <= HOURS_72]
        return 1 + min(fewest(stop + 1) for stop in stops)

    return fewest(0)


def test_three_days_with_an_autumn_night_do_not_fit_one_call():
    subjects = by_id([device(1, "Europe/Berlin")])
    autumn = history(subjects["1"], days_from(date(2026, 10, 24), 3))
    calls = pack_history(autumn, subjects)
    assert len(calls) == 2
    spring = history(subjects["1"], days_from(date(2026, 3, 28), 3))
    (call,) = pack_history(spring, subjects)
    assert call.end - call.start == timedelta(hours=71)


def test_one_date_of_the_whole_earth_rides_together_and_two_do_not():
    # The same date lasts 49 hours from Kiritimati (+14) to Pago Pago (-11).
    subjects = by_id([device(1, "Pacific/Kiritimati"), device(2, "Pacific/Pago_Pago")])
    both = [cell for subject in subjects.values() for cell in history(subject, [date(2026, 6, 1)])]
    (call,) = pack_history(both, subjects)
    assert (call.start, call.end) == (
        datetime(2026, 5, 31, 10, tzinfo=UTC),
        datetime(2026, 6, 2, 11, tzinfo=UTC),
    )
    two = [cell for subject in subjects.values() for cell in history(subject, days_from(date(2026, 6, 1), 2))]
    assert len(pack_history(two, subjects)) == 2


def test_devices_of_different_zones_share_calls_but_types_do_not():
    subjects = by_id([device(n, ZONES[n % 4]) for n in range(10)] + [device(10, ZONES[0], 39)])
    cells = [cell for subject in subjects.values() for cell in history(subject, [date(2026, 6, 1)])]
    calls = pack_history(cells, subjects)
    assert sorted((call.device_type_id, len(call.device_ids)) for call in calls) == [(1, 10), (39, 1)]


def test_late_joiners_take_the_free_seats():
    # 15 devices from the first day on and 15 from the second: three calls per three days, not four.
    early = [device(n, "Europe/Berlin") for n in range(15)]
    late = [device(n, "Europe/Berlin") for n in range(15, 30)]
    subjects = by_id(early + late)
    days = days_from(date(2026, 6, 1), 30)
    cells = [cell for s in early for cell in history(s, days)] + [c for s in late for c in history(s, days[1:])]
    assert len(pack_history(cells, subjects)) == lower_bound_history(cells, subjects) == 30


def test_nothing_wanted_nothing_called():
    assert pack_history([], {}) == []
    assert lower_bound_history([], {}) == 0


def test_a_plant_has_no_history():
    with pytest.raises(ValueError, match="only devices"):
        pack_history([Cell("device_history", "P", date(2026, 1, 1))], {"P": Subject("P", "P", None, "UTC")})


def test_the_same_input_gives_the_same_plan():
    rng = random.Random(3)
    subjects = by_id(device(n, rng.choice(ZONES)) for n in range(30))
    cells = [
        Cell("device_history", s, day) for s in subjects for day in days_from(date(2026, 6, 1), 9) if rng.random() < 0.7
    ]
    assert pack_history(cells, subjects) == pack_history(cells[::-1], subjects)


def fewest_calls(wants, seats):
    """Try everything: the earliest span is in some call, with every choice of other devices."""
    spans = frozenset((s, e, d) for d, want in enumerate(wants) for s, e in zip(want.starts, want.ends, strict=True))

    @cache
    def fewest(left):
        if not left:
            return 0
        start, _, owner = min(left)
        fitting: dict[int, frozenset] = {}
        for span in left:
            if span[1] <= start + SPAN:
                fitting[span[2]] = fitting.get(span[2], frozenset()) | {span}
        others = [d for d in fitting if d != owner]
        return 1 + min(
            fewest(left - fitting[owner].union(*(fitting[d] for d in chosen)))
            for chosen in combinations(others, min(seats - 1, len(others)))
        )

    return fewest(spans)


@st.composite
def small_wants(draw):
    seats = draw(st.sampled_from([2, 3, 10]))
    devices = draw(st.integers(1, 12 if seats == 10 else 6))
    first = draw(st.sampled_from(SWITCHES)) - timedelta(days=2)
    wants = []
    for _ in range(devices):
        zone = draw(st.sampled_from(ZONES))
        wanted = sorted(draw(st.sets(st.integers(0, 2 if seats == 10 else 5), min_size=1)))
        windows = [local_day(first + timedelta(days=n), zone) for n in wanted]
        wants.append(Want.of([(int(w.start.timestamp()), int(w.end.timestamp())) for w in windows], SPAN))
    return seats, wants


@settings(deadline=None, max_examples=150)
@given(small_wants())
def test_small_ragged_sets_take_as_few_calls_as_trying_everything(case):
    seats, wants = case
    least = fewest_calls(wants, seats)
    calls = solve(wants, seats, SPAN)
    assert len(calls) == least
    carried = Counter((seat.device, n) for call in calls for seat in call for n in range(seat.first, seat.last))
    assert carried == Counter((d, n) for d, want in enumerate(wants) for n in range(len(want.starts)))
    assert lower_bound(wants, seats, SPAN) <= least
    assert lower_bound([want.mirrored(SPAN) for want in wants], seats, SPAN) <= least


@st.composite
def small_rectangles(draw):
    """A few devices of two or three zones that want the same days, near a change of clocks or far from one."""
    seats = draw(st.sampled_from([2, 3]))
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=2, max_size=3, unique=True))
    first = draw(st.sampled_from([*SWITCHES, date(2026, 6, 1)])) - timedelta(days=draw(st.integers(0, 3)))
    days = draw(st.integers(1, 5))
    wants = []
    for _ in range(draw(st.integers(2, 5))):
        windows = [
            local_day(day, draw_zone) for draw_zone in [draw(st.sampled_from(zones))] for day in days_from(first, days)
        ]
        wants.append(Want.of([(int(w.start.timestamp()), int(w.end.timestamp())) for w in windows], SPAN))
    return seats, wants


@settings(deadline=None, max_examples=80)
@given(st.one_of(small_rectangles(), small_wants()))
def test_no_bound_goes_beyond_what_trying_everything_finds(case):
    seats, wants = case
    least = fewest_calls(wants, seats)
    assert with_shared_calls(wants, seats, SPAN) <= least
    assert with_shared_calls([want.mirrored(SPAN) for want in wants], seats, SPAN) <= least
    assert fewest_together(wants, SPAN) == fewest_calls(wants, len(wants))
    assert lower_bound(wants, seats, SPAN) <= least


def test_the_bound_knows_that_zones_share_two_days_of_three():
    # Two zones of 15: with ten of one zone aboard a call has no room for both left-over fives, three days each.
    subjects = by_id(device(n, ["Europe/Berlin", "Asia/Shanghai"][n % 2]) for n in range(30))
    cells = [cell for s in subjects.values() for cell in history(s, days_from(date(2026, 6, 1), 90))]
    bound = lower_bound_history(cells, subjects)
    assert bound > 90  # three calls for three days are what seats and noons alone ask for
    assert bound <= len(pack_history(cells, subjects))


@settings(deadline=None, max_examples=30)
@given(ragged(), st.integers(0, 12), st.sampled_from([1, 5]))
def test_a_piece_carries_its_days_once_and_older_ones_at_most_once(wanted, cut, width):
    subjects, cells = wanted
    border = min(cell.period for cell in cells) + timedelta(days=cut)
    own, older = [c for c in cells if c.period >= border], [c for c in cells if c.period < border]
    calls = pack_newest_first(own, older, subjects, width)
    assert_rules(calls, subjects)
    counts = Counter(cell for call in calls for cell in call.cells)
    assert set(counts.values()) <= {1}
    assert set(own) <= set(counts) <= set(cells)
    assert all(any(cell in own for cell in call.cells) for call in calls)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(ZONES), st.integers(1, 35), st.dates(date(2017, 1, 1), date(2027, 1, 1)), st.integers(1, 20))
def test_the_last_piece_of_one_zone_takes_exactly_tens_times_windows(zone, count, first, days):
    subjects = by_id(device(number, zone) for number in range(count))
    dates = days_from(first, days)
    cells = [cell for subject in subjects.values() for cell in history(subject, dates)]
    assert len(pack_newest_first(cells, [], subjects)) == -(-count // 10) * fewest_windows(dates, zone)


def test_pieces_of_a_long_past_together_stay_close_to_the_bound_of_the_whole():
    subjects = {name: subject for name, subject in fleet().items() if subject.device_type_id == 47}
    dates = days_from(date(2026, 5, 2), 60)
    left = {cell for subject in subjects.values() for cell in history(subject, dates)}
    bound, calls = lower_bound_history(left, subjects), 0
    for first, last in ((dates[30], dates[59]), (dates[0], dates[29])):
        own = [cell for cell in left if first <= cell.period <= last]
        older = [cell for cell in left if first - timedelta(days=10) <= cell.period < first]
        for call in pack_newest_first(own, older, subjects, 10):
            assert left.issuperset(call.cells)
            left.difference_update(call.cells)
            calls += 1
    assert not left
    assert calls <= 1.03 * bound


FLEET_ZONES = (
    ["Europe/Madrid"] * 52
    + ["Europe/Lisbon"] * 26
    + ["America/Sao_Paulo"] * 20
    + ["Asia/Bangkok"] * 14
    + ["Australia/Sydney"] * 10
    + ["America/Mexico_City"] * 8
)


def fleet():
    """130 plants in six zones with 400 devices: 200 inverters, 130 meters, 40 batteries, 30 sensors."""
    zones = random.Random(7).sample(FLEET_ZONES, len(FLEET_ZONES))
    kinds = [1] * 130 + [47] * 130 + [1] * 70 + [39] * 40 + [10] * 30
    return by_id(Subject(str(n), f"NE={n % 130}", kind, zones[n % 130]) for n, kind in enumerate(kinds))


def test_a_day_of_a_fleet_in_six_zones_takes_the_least_possible():
    subjects = fleet()
    cells = [Cell("device_history", name, date(2026, 6, 1)) for name in subjects]
    calls = pack_history(cells, subjects)
    assert_rules(calls, subjects)
    assert len(calls) == 20 + 13 + 4 + 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("days", "covered", "above"),
    [
        *((days, covered, 0.05) for days in (3, 7, 30) for covered in (0.0, 0.03, 0.9)),
        (3, 0.3, 0.05),
        (7, 0.3, 0.05),
        (30, 0.3, 0.06),  # a third of all device-days gone at random is no state that a fleet gets into
    ],
)
def test_a_fleet_stays_within_a_few_percent_of_the_bound(days, covered, above):
    subjects = fleet()
    rng = random.Random(1)
    dates = days_from(date(2026, 10, 1), days)
    cells = [Cell("device_history", name, day) for name in subjects for day in dates if rng.random() >= covered]
    calls = pack_history(cells, subjects)
    assert_rules(calls, subjects)
    assert_carried_once(calls, cells)
    assert len(calls) <= (1 + above) * lower_bound_history(cells, subjects)


@pytest.mark.slow
def test_a_fleet_that_grew_stays_within_five_percent_of_the_bound():
    subjects = fleet()
    rng = random.Random(2)
    dates = days_from(date(2026, 10, 1), 30)
    joined = {name: rng.choice([0, rng.randrange(30)]) for name in subjects}
    cells = [Cell("device_history", name, day) for name in subjects for day in dates[joined[name] :]]
    assert len(pack_history(cells, subjects)) <= 1.05 * lower_bound_history(cells, subjects)


@settings(deadline=None, max_examples=60)
@given(ragged(), st.data())
def test_free_seats_take_along_what_fits_and_add_no_call(wanted, data):
    subjects, cells = wanted
    some = data.draw(st.sets(st.sampled_from(cells), min_size=1)) if len(cells) > 1 else set(cells)
    calls = pack_history(some, subjects)
    filled = fill_seats(calls, cells, subjects)
    assert len(filled) == len(calls)
    assert_rules(filled, subjects)
    counts = Counter(cell for call in filled for cell in call.cells)
    assert set(counts.values()) == {1}
    assert some <= set(counts) <= set(cells)
    for before, after in zip(calls, filled, strict=True):
        assert after.cells[: len(before.cells)] == before.cells
    # Nothing is left that could still sit in a free seat, or with its own device, inside a window as it is.
    for cell in set(cells) - set(counts):
        window = local_day(cell.period, subjects[cell.subject].zone)
        for call in filled:
            if call.device_type_id == subjects[cell.subject].device_type_id:
                room = cell.subject in call.device_ids or len(call.device_ids) < 10
                inside = max(window.end, call.end) - min(window.start, call.start) <= HOURS_72
                assert not (room and inside)


def test_a_call_for_one_day_takes_the_days_beside_it_and_the_neighbours():
    subjects = by_id(device(n, "Europe/Berlin") for n in range(12))
    calls = pack_history(history(subjects["0"], [date(2026, 6, 2)]), subjects)
    extra = [cell for s in subjects.values() for cell in history(s, days_from(date(2026, 6, 1), 4))]
    (call,) = fill_seats(calls, extra, subjects)
    assert len(call.device_ids) == 10
    assert len(call.cells) == 30
    assert call.end - call.start == HOURS_72
