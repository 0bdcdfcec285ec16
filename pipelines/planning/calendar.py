"""Local days, months and years of a plant as half-open windows of UTC.

Everything that turns a date into instants or an instant into a date goes through here. It knows nothing of
datasets, calls or the vendor; it needs only the IANA name of a zone.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "month", "year"]

LABEL_TOLERANCE: Final = timedelta(hours=12)
"""Servers label a period at local midnight or, in summer too, at standard-time midnight; half a day beyond
either lies well inside the day that is meant."""

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """A span of time, `start` included and `end` not, both aware and in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long the window is: 23, 24 or 25 hours for most days, zero for a day that a zone skipped."""
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in the window."""
        return self.start <= instant < self.end


def local_date_of(instant: datetime, zone: str) -> date:
    """Return the date that the calendar on the wall in `zone` shows at an aware instant."""
    return instant.astimezone(ZoneInfo(zone)).date()


def today(now: datetime, zone: str) -> date:
    """Return the current local date of a plant in `zone`; `now` is aware."""
    return local_date_of(now, zone)


@lru_cache(maxsize=65_536)
def day_start(day: date, zone: str) -> datetime:
    """Return the first instant (UTC) at which the local date in `zone` is `day` or later.

    That is local midnight on nearly every day. Where the clocks jump over midnight it is the jump, where they
    repeat midnight it is the first of the two, and a day that the zone skipped starts where the next one does.
    """
    tz = ZoneInfo(zone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=tz)
    by_old_offset = midnight.astimezone(UTC)
    by_new_offset = midnight.replace(fold=1).astimezone(UTC)
    if by_new_offset >= by_old_offset:
        return by_old_offset
    # Midnight doesn't exist: the jump lies in between, and not always at midnight's own place.
    before, after = by_new_offset - _SECOND, by_old_offset
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle.astimezone(tz).date() >= day:
            after = middle
        else:
            before = middle
    return after


@lru_cache(maxsize=65_536)
def local_day(day: date, zone: str) -> Window:
    """Return the window of one local day: 23 to 25 hours, zero where the zone skipped the date."""
    return Window(day_start(day, zone), day_start(day + timedelta(days=1), zone))


@lru_cache(maxsize=16_384)
def local_month(day: date, zone: str) -> Window:
    """Return the window of the local month that holds `day`."""
    return Window(day_start(first_of("month", day), zone), day_start(next_period("month", day), zone))


@lru_cache(maxsize=4_096)
def local_year(day: date, zone: str) -> Window:
    """Return the window of the local year that holds `day`."""
    return Window(day_start(first_of("year", day), zone), day_start(next_period("year", day), zone))


def period_window(period: Period, first: date, zone: str) -> Window:
    """Return the window of the local day, month or year that holds `first`."""
    if period == "day":
        return local_day(first, zone)
    return local_month(first, zone) if period == "month" else local_year(first, zone)


def first_of(period: Period, day: date) -> date:
    """Return the first day of the day, month or year that holds `day`."""
    if period == "day":
        return day
    return day.replace(day=1) if period == "month" else day.replace(month=1, day=1)


def next_period(period: Period, day: date) -> date:
    """Return the first day of the period after the one that holds `day`."""
    if period == "day":
        return day + timedelta(days=1)
    if period == "year":
        return date(day.year + 1, 1, 1)
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def periods_touching(period: Period, start: date, end: date) -> list[date]:
    """Return the first days of all periods that hold a date from `start` to `end`, both included."""
    firsts = []
    first = first_of(period, start)
    while first <= end:
        firsts.append(first)
        first = next_period(period, first)
    return firsts


def label_date(collect_time: datetime, zone: str) -> date:
    """Return the local date that a report row's label means.

    `collect_time` is the row's aware label: the local midnight that starts the period, or the midnight of the
    zone's standard time, which in summer is 01:00 local (23:00 of the day before where winter is the
    exception). For months and years the date is the first day of the period.
    """
    return local_date_of(collect_time + LABEL_TOLERANCE, zone)
