"""Which names are time zones to all who read them here: Python, Polars and DuckDB."""

from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FILES_BESIDE: Final = frozenset({"Factory", "localtime", "posixrules"})
"""Files that lie among a machine's zones and that Python opens, but that name no place."""

_COPIES: Final = ("posix", "right")
"""Folders with the same zones once more, by another count of leap seconds."""


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA zone of the installed time zone data that Polars and DuckDB know too."""
    if name in _FILES_BESIDE or name.partition("/")[0] in _COPIES:
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
