"""Numbers, instants and sizes as people read them."""

from collections.abc import Sequence
from datetime import datetime


def counted(count: int, noun: str) -> str:
    """A number and its noun: 1 call, 1,200 calls."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(instant: datetime | None) -> str:
    """An instant (aware UTC) to the minute; what has not been is never."""
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "never"


def gigabytes(size: int) -> str:
    """Bytes as GB (10^9), to a tenth."""
    return f"{size / 1e9:,.1f} GB"


def few(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and that there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
