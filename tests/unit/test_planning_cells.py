"""What is wanted, when it is final, and what it costs."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.calendar import local_day, period_window, today
from pipelines.planning.cells import (
    HISTORY_MARGIN,
    Cell,
    Subject,
    final_margin,
    is_final,
    period_of,
    wanted_cells,
)
from pipelines.planning.estimate import days_until_done, estimate, estimates

BERLIN = Subject("NE=1", "NE=1", None, "Europe/Berlin")
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def periods(cells):
    return [cell.period for cell in cells]


def test_days_months_and_years_that_hold_the_dates_are_wanted():
    start, end = date(2025, 12, 30), date(2026, 1, 2)
    assert periods(wanted_cells("plant_hourly", [BERLIN], start, end, NOW)) == [
        date(2025, 12, 30),
        date(2025, 12, 31),
        date(2026, 1, 1),
        date(2026, 1, 2),
    ]
    assert periods(wanted_cells("plant_monthly", [BERLIN], start, end, NOW)) == [date(2025, 12, 1), date(2026, 1, 1)]
    assert wanted_cells("plant_yearly", [BERLIN], start, end, NOW) == [
        Cell("plant_yearly", "NE=1", date(2025, 1, 1)),
        Cell("plant_yearly", "NE=1", date(2026, 1, 1)),
    ]


def test_nothing_is_wanted_before_the_plant_was_connected():
    plant = Subject("NE=1", "NE=1", None, "Europe/Berlin", connected=date(2026, 3, 20))
    start, end = date(2026, 1, 1), date(2026, 3, 21)
    assert periods(wanted_cells("plant_daily", [plant], start, end, NOW)) == [date(2026, 3, 20), date(2026, 3, 21)]
    assert periods(wanted_cells("plant_monthly", [plant], start, end, NOW)) == [date(2026, 3, 1)]
    assert periods(wanted_cells("plant_yearly", [plant], start, end, NOW)) == [date(2026, 1, 1)]
    assert wanted_cells("plant_daily", [plant], start, date(2026, 3, 19), NOW) == []


def test_each_plant_has_its_own_today():
    now = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)
    east = Subject("E", "E", None, "Pacific/Kiritimati")
    west = Subject("W", "W", None, "Pacific/Pago_Pago")
    cells = wanted_cells("plant_hourly", [east, west], date(2026, 6, 14), date(2026, 6, 20), now)
    assert [(cell.subject, cell.period.day) for cell in cells] == [("E", 14), ("E", 15), ("E", 16), ("W", 14)]


def test_a_dataset_wants_only_the_subjects_it_serves():
    inverter = Subject("1", "NE=1", 1, "UTC")
    dongle = Subject("2", "NE=1", 62, "UTC")
    meter = Subject("3", "NE=1", 17, "UTC")
    everyone = [BERLIN, inverter, dongle, meter]
    day = date(2026, 6, 1)

    def served(dataset):
        return [cell.subject for cell in wanted_cells(dataset, everyone, day, day, NOW)]

    assert served("device_history") == ["1", "3"]
    assert served("device_daily") == ["1"]
    assert served("plant_hourly") == ["NE=1"]


def test_a_date_that_the_zone_skipped_is_not_wanted():
    samoa = Subject("NE=1", "NE=1", None, "Pacific/Apia")
    cells = wanted_cells("plant_hourly", [samoa], date(2011, 12, 29), date(2011, 12, 31), NOW)
    assert periods(cells) == [date(2011, 12, 29), date(2011, 12, 31)]


@pytest.mark.parametrize("dataset", ["alarms", "plants", "device_realtime"])
def test_what_has_no_past_has_no_cells(dataset):
    with pytest.raises(ValueError, match="no past"):
        period_of(dataset)


@settings(deadline=None, max_examples=100)
@given(
    dataset=st.sampled_from(["plant_hourly", "plant_daily", "plant_monthly", "plant_yearly"]),
    zone=st.sampled_from(["Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Sao_Paulo"]),
    start=st.dates(date(2015, 1, 1), date(2027, 1, 1)),
    span=st.integers(0, 500),
    connected=st.none() | st.dates(date(2015, 1, 1), date(2027, 1, 1)),
    now=st.integers(0, 9 * 365 * 24 * 60).map(
        lambda minute: datetime(2018, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    ),
)
def test_wanted_periods_have_begun_and_are_after_the_connection(dataset, zone, start, span, connected, now):
    end = start + timedelta(days=span)
    cells = wanted_cells(dataset, [Subject("P", "P", None, zone, connected)], start, end, now)
    assert len(set(cells)) == len(cells)
    for cell in cells:
        window = period_window(period_of(dataset), cell.period, zone)
        assert window.start <= now
        assert window.start <= local_day(end, zone).start
        assert window.end > local_day(max(start, connected or start), zone).start
    last = min(end, today(now, zone))
    assert bool(cells) == (max(start, connected or start) <= last)


def test_a_period_is_final_a_margin_after_its_end():
    # The 25-hour day ends at 23:00 UTC.
    end = datetime(2026, 10, 25, 23, tzinfo=UTC)
    day = ("day", date(2026, 10, 25), "Europe/Berlin")
    assert not is_final(*day, end + HISTORY_MARGIN - timedelta(seconds=1), HISTORY_MARGIN)
    assert is_final(*day, end + HISTORY_MARGIN, HISTORY_MARGIN)
    assert not is_final("month", date(2026, 10, 1), "UTC", datetime(2026, 10, 31, 23, tzinfo=UTC), timedelta(0))
    assert is_final("year", date(2025, 1, 1), "UTC", datetime(2026, 1, 1, tzinfo=UTC), timedelta(0))


def test_reports_settle_later_than_history_and_long_ones_after_their_days():
    assert final_margin("device_history") < final_margin("plant_hourly") == final_margin("device_daily")
    assert final_margin("plant_daily") < final_margin("plant_monthly") == final_margin("device_yearly")


@pytest.mark.parametrize(
    ("calls", "quota", "free", "days"),
    [
        (0, 0, None, 0),
        (10, None, None, 1),
        (10, 10, None, 1),
        (11, 10, None, 2),
        (10, 10, 3, 2),
        (24, 10, 3, 4),
        (10, 0, 0, None),
        (3, 0, 3, None),
        (5, 10, -1, 2),
    ],
)
def test_days_until_done(calls, quota, free, days):
    assert estimate("getDevHistoryKpi", calls, calls, quota, free).days == days


def test_endpoints_run_side_by_side():
    parts = estimates({"a": 30, "b": 5}, {"a": 28, "b": 5}, {"a": 10, "b": None}, {"a": 10})
    assert [(part.endpoint, part.calls, part.least_possible, part.days) for part in parts] == [
        ("a", 30, 28, 3),
        ("b", 5, 5, 1),
    ]
    assert days_until_done(parts) == 3
    assert days_until_done([]) == 0
    assert days_until_done([*parts, estimate("c", 1, 1, 0)]) is None
