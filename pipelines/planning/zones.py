"""Which time zone a plant lives in, and how that is known."""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Final, Literal

from timezonefinder import TimezoneFinder

from schemas.time_zones import is_zone

ZoneSource = Literal["plants_file", "coordinates", "grid_connection_date", "default"]

HALF_HOUR_ZONES: Final[dict[int, str]] = {
    -570: "Pacific/Marquesas",
    210: "Asia/Tehran",
    270: "Asia/Kabul",
    330: "Asia/Kolkata",
    345: "Asia/Kathmandu",
    390: "Asia/Yangon",
    525: "Australia/Eucla",
    570: "Australia/Darwin",
}
"""Offsets in minutes that are no whole hours, with the zone that keeps them all year. -03:30, +10:30 and
+12:45 are missing because every zone there changes its clocks. Iran stopped doing so in 2022."""

_OFFSET: Final = re.compile(r"(?:(?P<zulu>[Zz])|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?)\s*$")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}")


@dataclass(frozen=True, slots=True)
class ResolvedZone:
    """An IANA zone and the source that it was read from."""

    name: str
    source: ZoneSource


class ZoneUnknown(ValueError):
    """No source tells the time zone of a plant, or the owner named one that doesn't exist."""


def resolve_zone(
    plant_code: str,
    latitude: object,
    longitude: object,
    grid_connection_date: str | None,
    override: str | None = None,
    default: str | None = None,
) -> ResolvedZone:
    """Return the zone of a plant from the first source that tells it.

    In order: the owner's plants file (`override`), the coordinates in degrees (numbers or text; missing, 0,0,
    out of range and the open sea don't count), the offset at the end of gridConnectionDate (a zone without
    summer time, since an offset doesn't tell), the default. Raises ZoneUnknown when none does, and when the
    owner's own entry is no IANA zone.
    """
    if override:
        return ResolvedZone(_checked(override, f"the plants file gives plant {plant_code}"), "plants_file")
    by_place = zone_at(latitude, longitude)
    if by_place:
        return ResolvedZone(by_place, "coordinates")
    by_offset = zone_of_offset(grid_connection_date)
    if by_offset:
        return ResolvedZone(by_offset, "grid_connection_date")
    if default:
        return ResolvedZone(_checked(default, "PVMS_DEFAULT_TIME_ZONE gives"), "default")
    raise ZoneUnknown(
        f"The time zone of plant {plant_code} is unknown: it has no usable coordinates and no grid connection "
        f"date with an offset. Name it in the plants file (plant_code,time_zone) or set PVMS_DEFAULT_TIME_ZONE."
    )


def _checked(name: str, who: str) -> str:
    if not is_zone(name.strip()):
        raise ZoneUnknown(f"{who} the time zone {name!r}, which is no IANA name such as Europe/Madrid.")
    return name.strip()


def zone_at(latitude: object, longitude: object) -> str | None:
    """Return the IANA zone of a place on land, or None where the coordinates can't be trusted."""
    lat, lon = _degrees(latitude, 90.0), _degrees(longitude, 180.0)
    if lat is None or lon is None or (lat == 0.0 and lon == 0.0):
        return None
    name = _finder().timezone_at_land(lng=lon, lat=lat)
    return name if name and is_zone(name) else None


def _degrees(value: object, limit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        degrees = float(value)
    except ValueError:
        return None
    return degrees if isfinite(degrees) and abs(degrees) <= limit else None


@lru_cache(maxsize=1)
def _finder() -> TimezoneFinder:
    # Loading its polygons takes a moment and some memory: once, and only if a place is asked for.
    return TimezoneFinder()


def zone_of_offset(text: str | None) -> str | None:
    """Return a zone without summer time for the UTC offset that ends a date such as 2020-02-06T00:00:00+08:00.

    None where the text has no offset, an impossible one, or one that no zone keeps all year.
    """
    # Without a clock time before it, the "-06" of a plain date would read as an offset.
    match = _OFFSET.search(text) if text else None
    if text is None or match is None or not _CLOCK.search(text[: match.start()]):
        return None
    if match["zulu"]:
        return "Etc/GMT"
    minutes = int(match["hours"]) * 60 + int(match["minutes"] or 0)
    if match["sign"] == "-":
        minutes = -minutes
    if minutes % 60:
        return HALF_HOUR_ZONES.get(minutes)
    hours = minutes // 60
    if not -12 <= hours <= 14:
        return None
    # The signs of the Etc zones are reversed: Etc/GMT-8 is eight hours ahead of Greenwich.
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
