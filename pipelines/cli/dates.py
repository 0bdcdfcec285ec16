"""Dates on the command line: `2025-03-30`, and `today` and `yesterday`, which the plants' own zones decide."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import typer

from pipelines.cli.common import say
from pipelines.load.request import latest_local_date
from pipelines.northbound.clock import Clock, SystemClock
from pipelines.settings import Settings

Relative = Literal["today", "yesterday"]

_MEANT: Final[Mapping[tuple[Relative, bool], str]] = {
    ("today", True): "has begun at a plant",
    ("today", False): "has begun somewhere on earth, as no plant is known yet",
    ("yesterday", True): "is over at every plant",
    ("yesterday", False): "is over everywhere on earth, as no plant is known yet",
}
"""What a word stands for, and whether plants are known."""

LAST_PLACE: Final = timedelta(hours=12)
"""How far behind UTC the last place on earth is where a day ends."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a date option holds: a date, or a word that names one."""

    given: date | Relative

    def on(self, now: datetime, zones: Collection[str]) -> date:
        """The date at `now` (aware).

        `today` is the latest date that has begun at a plant, `yesterday` the latest that is over at all of them.
        While no zone is known, every place on earth counts.
        """
        if isinstance(self.given, date):
            return self.given
        dates = [now.astimezone(ZoneInfo(zone)).date() for zone in zones]
        if self.given == "today":
            return max(dates, default=latest_local_date(now))
        return min(dates, default=(now.astimezone(UTC) - LAST_PLACE).date()) - timedelta(days=1)


def read_day(text: str) -> Day:
    """What the user wrote for a date option.

    Raises:
        typer.BadParameter: no date and none of the two words.
    """
    if text == "today":
        return Day("today")
    if text == "yesterday":
        return Day("yesterday")
    try:
        return Day(date.fromisoformat(text))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no date; write it like 2025-03-30, or today, or yesterday.") from error


def settled(settings: Settings, *days: Day | None, clock: Clock | None = None) -> list[date | None]:
    """The dates that the options stand for, at one instant; says what a word stood for. None stays None."""
    now = (clock or SystemClock()).now()
    words = [each.given for each in days if each is not None and not isinstance(each.given, date)]
    zones = known_zones(settings) if words else ()
    for word in dict.fromkeys(words):
        say(f"{word} is {Day(word).on(now, zones)}, the latest date that {_MEANT[word, bool(zones)]}.")
    return [None if each is None else each.on(now, zones) for each in days]


def known_zones(settings: Settings) -> frozenset[str]:
    """The zones of the plants that were ever listed here; before that, the owner's default for plants that tell none.

    Asks nothing and creates nothing.
    """
    found = _listed_zones(settings.home)
    if found or settings.default_time_zone is None:
        return found
    return frozenset({settings.default_time_zone})


def _listed_zones(home: Path) -> frozenset[str]:
    if not home.is_dir():
        return frozenset()
    from pipelines.lake.store import Lake

    return frozenset(Lake(home).read("plants", ["time_zone"])["time_zone"].drop_nulls())
