"""Report calls: one instant selects the wanted period of all its subjects, with as few calls as can be."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import combinations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.calendar import first_of, local_date_of, period_window
from pipelines.planning.cells import Cell, Subject, wanted_cells
from pipelines.planning.realtime import batches
from pipelines.planning.reports import EDGE_GUARD, lower_bound_reports, pack_reports
from pipelines.planning.stabbing import least_points, stab
from schemas.datasets import DATASETS

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Shanghai",
    "Pacific/Kiritimati",  # +14
    "Pacific/Pago_Pago",  # -11
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
]
REPORTS = sorted(name for name, spec in DATASETS.items() if spec.window in ("day", "month", "year", "life"))
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def plants(*zones: str) -> dict[str, Subject]:
    return {f"NE={n}": Subject(f"NE={n}", f"NE={n}", None, zone) for n, zone in enumerate(zones)}


def devices(kind: int, *zones: str) -> dict[str, Subject]:
    return {f"{kind}{n:03}": Subject(f"{kind}{n:03}", "NE=1", kind, zone) for n, zone in enumerate(zones)}


def hourly(subjects, *days: date) -> list[Cell]:
    return [Cell("plant_hourly", name, day) for name in subjects for day in days]


def assert_answers(dataset, calls, cells, subjects):
    """Every cell lies in the window that the call's instant selects in the subject's own zone."""
    window = DATASETS[dataset].window
    for call in calls:
        assert 1 <= len(call.subjects) <= 100
        assert len(set(call.subjects)) == len(call.subjects)
        assert {subjects[name].device_type_id for name in call.subjects} == {call.device_type_id}
        assert {cell.subject for cell in call.cells} == set(call.subjects)
        for cell in call.cells if window != "life" else ():
            selected = first_of(window, local_date_of(call.instant, subjects[cell.subject].zone))
            assert first_of(window, cell.period) == selected
    assert Counter(cell for call in calls for cell in call.cells) == Counter(set(cells))


@st.composite
def wanted(draw):
    dataset = draw(st.sampled_from(REPORTS))
    spec = DATASETS[dataset]
    kinds = spec.device_types or (None,)
    subjects = {}
    for n in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(kinds))
        subjects[str(n)] = Subject(str(n), f"NE={n}", kind, draw(st.sampled_from(ZONES)))
    start = draw(st.dates(date(2024, 1, 1), date(2027, 1, 1)))
    cells = wanted_cells(dataset, subjects.values(), start, start + timedelta(days=draw(st.integers(0, 70))), LATER)
    keep = draw(st.sets(st.integers(0, len(cells) - 1), min_size=1))
    return dataset, subjects, [cells[n] for n in keep]


@settings(deadline=None, max_examples=120)
@given(wanted())
def test_every_cell_is_answered_once_by_an_instant_that_selects_it(case):
    dataset, subjects, cells = case
    calls = pack_reports(dataset, cells, subjects)
    assert_answers(dataset, calls, cells, subjects)
    assert lower_bound_reports(dataset, cells, subjects) <= len(calls)


@settings(deadline=None, max_examples=120)
@given(wanted())
def test_instants_keep_away_from_the_edges_of_every_period(case):
    dataset, subjects, cells = case
    window = DATASETS[dataset].window
    for call in pack_reports(dataset, cells, subjects):
        for cell in call.cells if window != "life" else ():
            span = period_window(window, cell.period, subjects[cell.subject].zone)
            assert span.start + EDGE_GUARD <= call.instant <= span.end - EDGE_GUARD


@settings(deadline=None, max_examples=80)
@given(
    dataset=st.sampled_from([name for name in REPORTS if DATASETS[name].subject == "plant"]),
    now=st.integers(0, 2 * 365 * 24 * 60).map(
        lambda minute: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    ),
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=20),
)
def test_the_current_period_is_asked_for_at_an_instant_that_has_been(dataset, now, zones):
    subjects = plants(*zones)
    cells = wanted_cells(
        dataset, subjects.values(), now.date() - timedelta(days=1), now.date() + timedelta(days=1), now
    )
    calls = pack_reports(dataset, cells, subjects, now)
    assert_answers(dataset, calls, cells, subjects)
    assert all(call.instant <= now for call in calls)


def test_plants_of_one_zone_are_asked_at_local_noon():
    subjects = plants(*["Europe/Berlin"] * 100)
    (call,) = pack_reports("plant_hourly", hourly(subjects, date(2026, 7, 1)), subjects)
    assert call.instant.astimezone(ZoneInfo("Europe/Berlin")) == datetime(
        2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")
    )
    more = plants(*["Europe/Berlin"] * 101)
    assert len(pack_reports("plant_hourly", hourly(more, date(2026, 7, 1)), more)) == 2


def test_one_instant_cannot_show_one_date_at_both_ends_of_the_earth():
    ends = plants("Pacific/Kiritimati", "Pacific/Pago_Pago")
    assert len(pack_reports("plant_hourly", hourly(ends, date(2026, 6, 1)), ends)) == 2
    # ... but each may be asked for its own date: Kiritimati's second and Pago Pago's first are the same hours.
    cells = [Cell("plant_hourly", "NE=0", date(2026, 6, 2)), Cell("plant_hourly", "NE=1", date(2026, 6, 1))]
    (call,) = pack_reports("plant_hourly", cells, ends)
    assert call.cells == tuple(sorted(cells, key=lambda cell: cell.subject))
    # A month is long enough for everyone.
    daily = [Cell("plant_daily", name, date(2026, 6, 1)) for name in ends]
    (call,) = pack_reports("plant_daily", daily, ends)
    assert call.instant == datetime(2026, 6, 15, 22, 30, tzinfo=UTC)


def test_zones_share_a_call_as_long_as_the_guards_leave_room():
    # Noumea (+11) and New York (-4 in summer) have nine hours of a date in common.
    subjects = plants("Pacific/Noumea", "America/New_York")
    (call,) = pack_reports("plant_hourly", hourly(subjects, date(2026, 7, 1)), subjects)
    assert call.instant == datetime(2026, 7, 1, 8, 30, tzinfo=UTC)


def test_safer_instants_are_chosen_where_they_cost_nothing():
    # Three zones need two calls in any case: the pair that shares most of its day goes together.
    zones = ["Pacific/Noumea"] * 90 + ["Asia/Tokyo"] * 10 + ["America/New_York"] * 100
    subjects = plants(*zones)
    calls = pack_reports("plant_hourly", hourly(subjects, date(2026, 7, 1)), subjects)
    assert sorted(len(call.subjects) for call in calls) == [100, 100]
    for call in calls:
        for name in call.subjects:
            local = call.instant.astimezone(ZoneInfo(subjects[name].zone))
            assert 9 <= local.hour < 15


def test_a_call_answers_a_whole_month_year_or_life():
    subjects = plants(*["Europe/Berlin"] * 130)
    everyone, start, end = subjects.values(), date(2026, 1, 15), date(2026, 3, 2)
    daily = wanted_cells("plant_daily", everyone, start, end, LATER)
    assert len(daily) == 130 * 47
    assert len(pack_reports("plant_daily", daily, subjects)) == 3 * 2
    monthly = wanted_cells("plant_monthly", everyone, start, end, LATER)
    assert len(monthly) == 130 * 3
    assert len(pack_reports("plant_monthly", monthly, subjects)) == 2
    yearly = wanted_cells("plant_yearly", everyone, date(2020, 1, 1), end, LATER)
    assert len(yearly) == 130 * 7
    calls = pack_reports("plant_yearly", yearly, subjects)
    assert sorted(len(call.cells) for call in calls) == [30 * 7, 100 * 7]


def test_device_reports_keep_types_apart():
    subjects = devices(1, "Europe/Berlin", "Asia/Shanghai") | devices(38, "Europe/Berlin")
    cells = wanted_cells("device_daily", subjects.values(), date(2026, 5, 1), date(2026, 5, 3), LATER)
    calls = pack_reports("device_daily", cells, subjects)
    assert_answers("device_daily", calls, cells, subjects)
    assert sorted(call.device_type_id for call in calls) == [1, 38]


def test_what_is_no_report_is_refused():
    subjects = devices(1, "UTC")
    with pytest.raises(ValueError, match="no report"):
        pack_reports("device_history", [Cell("device_history", "1000", date(2026, 1, 1))], subjects)
    with pytest.raises(ValueError, match="among those of"):
        pack_reports("device_daily", [Cell("device_history", "1000", date(2026, 1, 1))], subjects)


def test_nothing_wanted_nothing_called():
    assert pack_reports("plant_daily", [], {}) == []
    assert lower_bound_reports("plant_daily", [], {}) == 0


spans = st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(deadline=None, max_examples=200)
@given(st.lists(spans, max_size=7), st.integers(1, 3))
def test_stabbing_is_least(spans, capacity):
    groups = stab(spans, capacity)
    assert sorted(n for group in groups for n in group) == list(range(len(spans)))
    for group in groups:
        assert len(group) <= capacity
        assert max(spans[n][0] for n in group) <= min(spans[n][1] for n in group)
    assert len(groups) == fewest_points(spans, capacity)
    assert least_points(spans, capacity) <= len(groups)


def fewest_points(spans, capacity):
    """Try every way to split the spans into groups that share a point."""

    @cache
    def fewest(left):
        if not left:
            return 0
        first, *others = sorted(left)
        found = []
        for size in range(min(capacity, len(left))):
            for chosen in combinations(others, size):
                group = [spans[n] for n in (first, *chosen)]
                if max(s for s, _ in group) <= min(e for _, e in group):
                    found.append(1 + fewest(left - {first, *chosen}))
        return min(found)

    return fewest(frozenset(range(len(spans))))


def test_the_bound_is_met_on_a_month_of_hours_in_six_zones():
    zones = ["Europe/Berlin"] * 60 + ["Asia/Shanghai"] * 40 + ["America/New_York"] * 20 + ["Pacific/Kiritimati"] * 10
    subjects = plants(*zones)
    cells = hourly(subjects, *(date(2026, 6, 1) + timedelta(days=n) for n in range(30)))
    calls = pack_reports("plant_hourly", cells, subjects)
    assert_answers("plant_hourly", calls, cells, subjects)
    assert len(calls) == lower_bound_reports("plant_hourly", cells, subjects)


def test_batches_hold_one_type_each():
    mixed = [*devices(1, *["UTC"] * 150).values(), *plants("UTC").values(), *devices(39, "UTC", "UTC").values()]
    found = batches(mixed)
    assert [len(batch) for batch in found] == [100, 50, 1, 2]
    assert all(len({subject.device_type_id for subject in batch}) == 1 for batch in found)
    assert [subject for batch in found for subject in batch] == mixed
