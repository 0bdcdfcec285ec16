"""Local dates by the tests' own hand: zoneinfo and nothing of the product or the simulator."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def utc(ms: int) -> datetime:
    """The instant of milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def ms_of(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def local_date(instant: datetime, zone: str) -> date:
    """The date on the calendar of a zone."""
    return instant.astimezone(ZoneInfo(zone)).date()


def wall_clock(instant: datetime, zone: str) -> datetime:
    """What a clock on the wall shows, without its offset."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a local day."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def hours_of(day: date, zone: str) -> float:
    """How long a local day is: 23, 24 or 25 hours."""
    return (midnight(day + timedelta(days=1), zone) - midnight(day, zone)) / timedelta(hours=1)


def days_from(start: date, end: date) -> list[date]:
    """All dates from `start` to `end`, both included."""
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]
