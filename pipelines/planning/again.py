"""When a period that was read, refused or only declared is asked for again: never for nothing, never too late."""

from datetime import date, datetime, timedelta
from typing import Final

from pipelines.planning.calendar import period_window
from pipelines.planning.cells import Cell, final_margin, is_final, period_of

DENIED_FOR: Final = timedelta(days=1)
"""What the vendor refused is asked again after a day: an owner may have allowed it meanwhile."""

REREAD_AFTER: Final = {"day": timedelta(hours=1), "month": timedelta(hours=12), "year": timedelta(hours=12)}
"""How old a reading of a running period must be before a load spends a call on a newer one."""

LATE_DATA_FOR: Final = timedelta(days=7)
"""An empty period is asked again until then: a logger that was offline sends what it kept when it is back."""

EMPTY_REREAD_AFTER: Final = timedelta(days=1)

DOUBTED_FOR: Final = timedelta(days=1)
"""How long nothing at all where there had been data is doubted."""

SUSPECT_REREAD_AFTER: Final = timedelta(hours=6)
"""A fresh period that is doubted is asked again after some hours; an old one, which nobody waits for, after a day,
when a second nothing is believed."""

FRESH_FOR: Final = timedelta(days=3)


def due_again(cell: Cell, state: str, read_at: datetime, zone: str, now: datetime) -> bool:
    """Whether a load asks for a known cell again; `read_at` and `now` are aware.

    A provisional period is asked again once it is over and settled, before that only now and then: its figures grow
    all the time, and each look costs a call.
    """
    period = period_of(cell.dataset)
    if state == "provisional":
        age = now - read_at
        return age >= REREAD_AFTER[period] or is_final(period, cell.period, zone, now, final_margin(cell.dataset))
    return _due_after(cell, state, read_at, zone, now)


def due_on_schedule(cell: Cell, state: str, read_at: datetime, due_at: datetime, zone: str, now: datetime) -> bool:
    """Whether scheduled work asks for a known cell that came due at `due_at`, or may ask again.

    Nobody waits for a running period here: it is read when it comes due, and once more when it is settled.
    """
    if now < due_at:
        return False
    if state == "provisional":
        return read_at < due_at or is_final(period_of(cell.dataset), cell.period, zone, now, final_margin(cell.dataset))
    return _due_after(cell, state, read_at, zone, now)


def _due_after(cell: Cell, state: str, read_at: datetime, zone: str, now: datetime) -> bool:
    age = now - read_at
    if state == "denied":
        return age >= DENIED_FOR
    if state == "missing":
        return True
    if state not in ("empty", "suspect"):
        return False
    if state == "suspect":
        return now >= doubted_until(cell.dataset, cell.period, read_at, zone)
    ended = period_window(period_of(cell.dataset), cell.period, zone).end
    return read_at < ended + LATE_DATA_FOR and age >= EMPTY_REREAD_AFTER


def doubted_until(dataset: str, period: date, read_at: datetime, zone: str) -> datetime:
    """When a doubted period, read at `read_at` (aware), is asked again."""
    soon = read_at + SUSPECT_REREAD_AFTER
    ended = period_window(period_of(dataset), period, zone).end
    return soon if soon < ended + FRESH_FOR else read_at + DOUBTED_FOR
