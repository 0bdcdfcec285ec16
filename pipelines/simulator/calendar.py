"""The simulator's own calendar: local days, months and years of a zone as milliseconds since 1970 UTC.

Windows are half-open. Days of a daylight-saving change have 23 or 25 hours. Nothing here is shared with the
client, whose calendar is proven against this one.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

Labels = Literal["local", "standard"]
"""Where day, month and year labels stand: true local midnight, or midnight of standard time all year."""

SLOT_MS: Final = 300_000
"""History has a row every five minutes (5.1.2.3)."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000


@lru_cache(maxsize=64)
def zone_info(zone: str) -> ZoneInfo:
    """The zone's rules, read once."""
    return ZoneInfo(zone)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware instant."""
    return round(instant.timestamp() * 1000)


def from_ms(ms: int, zone: str = "UTC") -> datetime:
    """The aware instant of milliseconds since 1970, in a zone."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).astimezone(zone_info(zone))


@lru_cache(maxsize=200_000)
def day_start(day: date, zone: str) -> int:
    """Local midnight, in milliseconds; where midnight is skipped, the first instant of the day."""
    return to_ms(datetime.combine(day, time(0), tzinfo=zone_info(zone)))


def day_window(day: date, zone: str) -> tuple[int, int]:
    """Start and end of a local day."""
    return day_start(day, zone), day_start(day + timedelta(days=1), zone)


def next_day(start_ms: int, zone: str) -> int:
    """Start of the local day after the one that starts at an instant."""
    return day_start(local_date(start_ms, zone) + timedelta(days=1), zone)


def local_date(ms: int, zone: str) -> date:
    """The local date on which an instant falls."""
    return from_ms(ms, zone).date()


def offset_ms(ms: int, zone: str) -> int:
    """Local time minus UTC at an instant."""
    offset = from_ms(ms, zone).utcoffset()
    return round(offset.total_seconds() * 1000) if offset is not None else 0


def next_month(first: date) -> date:
    """The first day of the month after."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def month_days(first: date) -> list[date]:
    """All days of a month."""
    count = (next_month(first) - first).days
    return [first + timedelta(days=offset) for offset in range(count)]


def months_of_year(year: int) -> list[date]:
    """The twelve first days of a year."""
    return [date(year, month, 1) for month in range(1, 13)]


def label(day: date, zone: str, labels: Labels) -> int:
    """The collectTime that a report puts on a day (or on the period that starts with it)."""
    start = day_start(day, zone)
    if labels == "local":
        return start
    # Standard midnight comes an hour after local midnight while clocks are ahead.
    saving = datetime.combine(day, time(0), tzinfo=zone_info(zone)).dst() or timedelta(0)
    return start + round(saving.total_seconds() * 1000)
