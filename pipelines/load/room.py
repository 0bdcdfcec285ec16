"""How long the disk lasts, and when nothing more may be started because it doesn't.

The size of a home is noted once a day in `state/sizes.json`; the growth between notes is the forecast. A backlog that
comes in makes it faster than it will be later, which is the safe side.
"""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import orjson

from pipelines.lake.durable import write_durably
from pipelines.lake.paths import paths_of
from pipelines.load.headline import LEAST_FREE_BYTES, ROOM_FACTOR
from pipelines.load.words import gigabytes

LAST_FREE_BYTES: Final = LEAST_FREE_BYTES // 4
"""What a run under way leaves free at least: enough to fold what has landed and to publish once more."""

FILE: Final = "sizes.json"
NOTES_KEPT: Final = 30


class DiskFillsUp(Exception):
    """A load under way makes no further call: what it would land could not be published. Says what to do."""


def lacks_room(home: Path) -> str | None:
    """Why no run may start: a sentence, or None while there is room for landing and for a build of the warehouse."""
    paths = paths_of(home)
    if not paths.root.exists():
        return None
    warehouse = paths.published.stat().st_size if paths.published.exists() else 0
    free, needed = shutil.disk_usage(paths.root).free, max(LEAST_FREE_BYTES, ROOM_FACTOR * warehouse)
    if free >= needed:
        return None
    return (
        f"Only {gigabytes(free)} are left on the disk of {home}, and {gigabytes(needed)} have to be free, so nothing "
        "is started. Free some, or move PVMS_HOME to a larger disk."
    )


def fills_up(home: Path) -> str | None:
    """Why a run under way makes no further call: a sentence, or None while what it lands can still be published."""
    paths = paths_of(home)
    warehouse = paths.published.stat().st_size if paths.published.exists() else 0
    free, kept = shutil.disk_usage(paths.root).free, max(LAST_FREE_BYTES, warehouse)
    if free >= kept:
        return None
    return (
        f"Only {gigabytes(free)} are left on the disk of {home}, so nothing more is asked for: what has landed needs "
        f"{gigabytes(kept)} to be published. Free some, or move PVMS_HOME to a larger disk; the next load then goes on."
    )


def check_room(home: Path) -> None:
    """Called before each call of a load.

    Raises:
        DiskFillsUp: see `fills_up`.
    """
    full = fills_up(home)
    if full is not None:
        raise DiskFillsUp(full)


def note_size(home: Path, now: datetime) -> None:
    """Note the size of the home, once on each day (UTC); a walk over its files."""
    today = now.astimezone(UTC).date().isoformat()
    notes = _notes(home)
    if today in notes:
        return
    notes[today] = sum(_size(path) for path in paths_of(home).root.rglob("*"))
    kept = dict(sorted(notes.items())[-NOTES_KEPT:])
    paths_of(home).state.mkdir(parents=True, exist_ok=True)
    write_durably(paths_of(home).state / FILE, orjson.dumps(kept))


def growth_per_day(home: Path) -> float | None:
    """Bytes a day by which the home has grown over the last notes; None before there are notes of two days."""
    notes = sorted(_notes(home).items())
    if len(notes) < 2:
        return None
    (first, before), (last, after) = notes[0], notes[-1]
    return (after - before) / (date.fromisoformat(last) - date.fromisoformat(first)).days


def forecast(home: Path, free_bytes: int) -> str:
    """How fast the home grows, and how long the free bytes last, as the end of a sentence; "" where it isn't known."""
    growth = growth_per_day(home)
    if growth is None:
        return ""
    if growth <= 0:
        return "; it doesn't grow"
    days = int(max(free_bytes - LEAST_FREE_BYTES, 0) / growth)
    lasts = f"about {days:,} days" if days <= 3650 else "over ten years"
    return f"; it grows by {growth / 1e6:,.1f} MB a day, enough for {lasts}"


def _notes(home: Path) -> dict[str, int]:
    try:
        found = orjson.loads((paths_of(home).state / FILE).read_bytes())
        return {date.fromisoformat(day).isoformat(): int(size) for day, size in found.items()}
    except (FileNotFoundError, orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return {}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
