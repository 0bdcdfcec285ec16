"""The time zone of a plant, from the first source that tells it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.zones import (
    HALF_HOUR_ZONES,
    ZoneUnknown,
    resolve_zone,
    zone_at,
    zone_of_offset,
)
from schemas.time_zones import is_zone

CONNECTED = "2020-02-06T00:00:00+08:00"


def test_the_sources_are_asked_in_order():
    def resolve(**changes):
        known = {
            "latitude": 40.4,
            "longitude": -3.7,
            "grid_connection_date": CONNECTED,
            "override": "Asia/Tokyo",
            "default": "Europe/Rome",
        }
        zone = resolve_zone("NE=1", **(known | changes))
        return zone.name, zone.source

    assert resolve() == ("Asia/Tokyo", "plants_file")
    assert resolve(override=None) == ("Europe/Madrid", "coordinates")
    assert resolve(override=None, latitude=None) == ("Etc/GMT-8", "grid_connection_date")
    assert resolve(override="", latitude="", grid_connection_date=None) == ("Europe/Rome", "default")


def test_an_unknown_zone_says_what_to_do():
    with pytest.raises(ZoneUnknown, match=r"NE=7.*plants file.*PVMS_DEFAULT_TIME_ZONE"):
        resolve_zone("NE=7", 0, 0, "2020-02-06", None, None)


@pytest.mark.parametrize("where", [{"override": "Middle/Earth"}, {"default": "CEST+1"}, {"override": "../etc/passwd"}])
def test_a_zone_that_does_not_exist_is_refused(where):
    with pytest.raises(ZoneUnknown, match="no IANA name"):
        resolve_zone("NE=7", None, None, None, **where)


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone"),
    [
        (48.85, 2.35, "Europe/Paris"),
        ("38.7", "-9.1", "Europe/Lisbon"),
        (1.87, -157.4, "Pacific/Kiritimati"),
        (-31.55, 159.08, "Australia/Lord_Howe"),
        (0.0, 10.0, "Africa/Libreville"),
        (0, 0, None),
        ("0.0", "0", None),
        (None, None, None),
        ("", "", None),
        ("N/A", "8.5", None),
        ("nan", "8.5", None),
        (True, True, None),
        (91, 8.5, None),
        (48, 181, None),
        (40.0, -30.0, None),  # the open Atlantic
    ],
)
def test_coordinates_on_land_tell_the_zone(latitude, longitude, zone):
    assert zone_at(latitude, longitude) == zone


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        (CONNECTED, "Etc/GMT-8"),
        ("2020-02-06T00:00:00-07:00", "Etc/GMT+7"),
        ("2020-02-06T00:00:00-0300", "Etc/GMT+3"),
        ("2020-02-06T00:00:00+14:00 ", "Etc/GMT-14"),
        ("2020-02-06T00:00:00Z", "Etc/GMT"),
        ("2020-02-06T00:00:00+00:00", "Etc/GMT"),
        ("2020-02-06T00:00:00+05:30", "Asia/Kolkata"),
        ("2020-02-06T00:00:00-03:30", None),  # Newfoundland changes its clocks
        ("2020-02-06T00:00:00+15:00", None),
        ("2020-02-06T00:00:00", None),
        ("2020-02-06", None),
        ("", None),
        (None, None),
        ("N/A", None),
    ],
)
def test_an_offset_tells_a_zone_without_summer_time(text, zone):
    assert zone_of_offset(text) == zone


@settings(deadline=None, max_examples=150)
@given(minutes=st.integers(-48, 56), day=st.integers(0, 12 * 365))
def test_the_zone_of_an_offset_keeps_it_all_year(minutes, day):
    minutes *= 15
    when = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=day)
    sign, size = ("-", -minutes) if minutes < 0 else ("+", minutes)
    zone = zone_of_offset(f"2020-02-06T00:00:00{sign}{size // 60:02}:{size % 60:02}")
    if minutes % 60 == 0 or minutes in HALF_HOUR_ZONES:
        assert zone is not None
        assert is_zone(zone)
        assert when.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(minutes=minutes)
    else:
        assert zone is None
