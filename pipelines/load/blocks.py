"""Dates in pieces, newest first, so that the memory of a load doesn't grow with the number of days."""

from datetime import date, timedelta
from typing import Final

from schemas.datasets import DATASETS

DAYS_AT_ONCE: Final = 30
"""Days of 5-minute and hourly data planned at once: whole 3-day windows, so that the cuts cost no call."""


def ranges(dataset: str, start: date, end: date) -> list[tuple[date, date]]:
    """`start`..`end` in pieces, newest first.

    Pieces end where calls end anyway: blocks of whole 3-day windows for what is asked by day, calendar years for
    what is asked by month. Monthly and yearly reports are few and stay whole.
    """
    window = DATASETS[dataset].window
    pieces: list[tuple[date, date]] = []
    last = end
    while last >= start:
        if window in ("range", "day"):
            first = last - timedelta(days=DAYS_AT_ONCE - 1)
        elif window == "month":
            first = date(last.year, 1, 1)
        else:
            first = start
        pieces.append((max(first, start), last))
        last = max(first, start) - timedelta(days=1)
    return pieces
