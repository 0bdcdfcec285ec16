"""Local days, months and years tile time in every zone, and labels find their date."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.calendar import (
    first_of,
    label_date,
    local_date_of,
    local_day,
    local_month,
    local_year,
    next_period,
    period_window,
    periods_touching,
    today,
)

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
HOUR = timedelta(hours=1)


def hours(day: date, zone: str) -> float:
    return local_day(day, zone).length / HOUR


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 7, 1), 24),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # no midnight: 00:00 jumps to 01:00
        ("America/Sao_Paulo", date(2018, 2, 17), 25),  # 24:00 falls back to 23:00
        ("Asia/Beirut", date(2024, 3, 31), 23),
        ("Africa/Cairo", date(2024, 4, 26), 23),
        ("Africa/Cairo", date(2024, 10, 31), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Atlantic/Azores", date(2026, 10, 25), 25),  # midnight strikes twice
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("America/Toronto", date(1919, 3, 31), 23.5),  # the jump goes from 23:30 to 00:30
    ],
)
def test_days_have_the_length_their_clocks_give_them(zone, day, expected):
    assert hours(day, zone) == expected


def test_a_day_whose_midnight_is_skipped_starts_at_the_jump():
    assert local_day(date(2018, 11, 4), "America/Sao_Paulo").start == datetime(2018, 11, 4, 3, tzinfo=UTC)
    # 23:30 jumped to 00:30 in Toronto in 1919: the day starts half an hour into its own clock.
    start = local_day(date(1919, 3, 31), "America/Toronto").start
    assert start.astimezone(ZoneInfo("America/Toronto")).strftime("%d %H:%M") == "31 00:30"
    assert local_date_of(start - timedelta(seconds=1), "America/Toronto") == date(1919, 3, 30)


@settings(deadline=None, max_examples=300)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(1990, 1, 1), date(2036, 12, 1)))
def test_days_tile_time(zone, day):
    for _ in range(3):
        window = local_day(day, zone)
        following = local_day(day + timedelta(days=1), zone)
        assert window.start <= window.end == following.start
        assert timedelta(0) <= window.length <= 48 * HOUR
        if window.length:
            assert local_date_of(window.start, zone) == day
            assert local_date_of(window.start - timedelta(microseconds=1), zone) < day
            assert local_date_of(window.end, zone) > day
        day += timedelta(days=1)


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_around_a_change_of_clocks_is_its_own_in_every_zone(zone):
    for year in (2011, 2018, 2026):
        day, last = date(year, 1, 1), date(year + 1, 1, 1)
        end = local_day(day, zone).start
        total = timedelta(0)
        while day < last:
            window = local_day(day, zone)
            assert window.start == end
            if window.length:
                assert local_date_of(window.start, zone) == day
            end, total = window.end, total + window.length
            day += timedelta(days=1)
        assert total == local_year(date(year, 6, 1), zone).length


@settings(deadline=None, max_examples=200)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(1990, 1, 1), date(2036, 12, 1)))
def test_months_and_years_are_their_days(zone, day):
    month = local_month(day, zone)
    assert month.start == local_day(day.replace(day=1), zone).start
    assert month.end == local_month(next_period("month", day), zone).start
    year = local_year(day, zone)
    assert year.start <= month.start < month.end <= year.end
    assert year.end == local_day(date(day.year + 1, 1, 1), zone).start


@settings(deadline=None, max_examples=300)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(2012, 1, 1), date(2036, 12, 1)))
def test_labels_at_true_and_at_standard_midnight_mean_the_same_date(zone, day):
    window = local_day(day, zone)
    assert label_date(window.start, zone) == day
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    saving = noon.dst() or timedelta(0)
    assert label_date(window.start + saving, zone) == day


def test_labels_as_seen_on_real_servers():
    # A July day in France labelled at winter's midnight, and a July day in Portugal at 00:00Z.
    assert label_date(datetime(2024, 7, 9, 23, tzinfo=UTC), "Europe/Paris") == date(2024, 7, 10)
    assert label_date(datetime(2024, 7, 9, 22, tzinfo=UTC), "Europe/Paris") == date(2024, 7, 10)
    assert label_date(datetime(2026, 7, 10, 0, tzinfo=UTC), "Europe/Lisbon") == date(2026, 7, 10)
    # The first of a month stays in its month, and the first of a year in its year.
    assert label_date(datetime(2025, 12, 31, 23, tzinfo=UTC), "Europe/Berlin") == date(2026, 1, 1)


@settings(deadline=None, max_examples=200)
@given(
    period=st.sampled_from(["day", "month", "year"]),
    start=st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    span=st.integers(0, 900),
)
def test_periods_touching_are_contiguous_and_cover_the_dates(period, start, span):
    end = start + timedelta(days=span)
    firsts = periods_touching(period, start, end)
    assert firsts[0] == first_of(period, start) <= start
    assert firsts[-1] <= end < next_period(period, firsts[-1])
    assert all(next_period(period, a) == b for a, b in itertools.pairwise(firsts))


def test_no_dates_no_periods():
    assert periods_touching("day", date(2026, 1, 2), date(2026, 1, 1)) == []


def test_periods_have_windows_and_plants_their_own_today():
    assert period_window("day", date(2026, 5, 3), "UTC").length == 24 * HOUR
    assert period_window("month", date(2026, 5, 3), "UTC").length == 31 * 24 * HOUR
    assert period_window("year", date(2026, 5, 3), "UTC").length == 365 * 24 * HOUR
    now = datetime(2026, 5, 3, 10, 30, tzinfo=UTC)
    assert today(now, "Pacific/Kiritimati") == date(2026, 5, 4)
    assert today(now, "Pacific/Pago_Pago") == date(2026, 5, 2)
    assert local_day(date(2026, 5, 3), "UTC").contains(now)
    assert not local_day(date(2026, 5, 2), "UTC").contains(datetime(2026, 5, 3, tzinfo=UTC))
