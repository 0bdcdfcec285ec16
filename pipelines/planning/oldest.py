"""The oldest local day of which the server still has 5-minute data, found with few calls.

The vendor doesn't document how long it keeps them. A history call looks at ten devices over three days; a bisection
over such looks finds the day in about a dozen calls, whatever the age of the plants. The day moves on with time, so
it is looked at again every month.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, timedelta
from itertools import islice, zip_longest
from typing import Any, Final

from pipelines.planning.calendar import local_day
from pipelines.planning.cells import Subject
from pipelines.planning.history_call import SEATS, SPAN_SECONDS, HistoryCall
from pipelines.planning.worth import tier_of
from schemas.device_types import HISTORY_TYPES

LOOK_DAYS: Final = 3
"""Local days that one look sees: the whole window of a history call [5.1.2.3]."""

LONG_LIFE: Final = timedelta(days=3_652)
"""Up to this age it is likely that the server has everything, so the first look goes to the very beginning."""

DOUBT_DAYS: Final = 30
"""So far before a day that was found, other devices are asked: an outage must not pass for the server's limit."""

RECHECK_AFTER: Final = timedelta(days=30)
"""Limits move by a day a day; a month's drift costs a backlog little and a check costs two or three calls."""


@dataclass
class OldestDay:
    """A bisection between a day that is too old and one known to have data: ask `probe`, tell `note` what was seen.

    A look at a day sees that day and the two after it. Days before `none_before` have no data or aren't wanted; of
    `known` the server has data. `hints` are days worth a look before the bisection goes on.
    """

    earliest: date
    none_before: date
    known: date
    hints: list[date] = field(default_factory=list)
    found: date | None = None
    checked_on: date | None = None
    looks: int = 0
    doubted: bool = False

    @classmethod
    def between(cls, earliest: date, known: date) -> "OldestDay":
        """Start between the first grid connection and a day that is known to have 5-minute data."""
        known = max(earliest, known)
        return cls(earliest, earliest, known, [earliest] if known - earliest <= LONG_LIFE else [])

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "OldestDay":
        """Read what `as_dict` wrote; KeyError, TypeError or ValueError if it is something else."""
        days = {name: _day(kept[name]) for name in ("earliest", "none_before", "known", "found", "checked_on")}
        hints = [date.fromisoformat(text) for text in kept["hints"]]
        # Only `found` and `checked_on` are ever written as None.
        return cls(**days, hints=hints, looks=int(kept["looks"]), doubted=bool(kept["doubted"]))  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """The state for JSON: dates as text."""
        return {
            **{name: value.isoformat() if isinstance(value, date) else value for name, value in asdict(self).items()},
            "hints": [day.isoformat() for day in self.hints],
        }

    def probe(self) -> date | None:
        """Return the next day to look at, or None once the oldest day is known."""
        if self.found is not None:
            return None
        for hint in self.hints:
            if self.none_before <= hint < self.known:
                return hint
        unknown = (self.known - self.none_before).days
        if unknown > LOOK_DAYS:
            return self.none_before + timedelta(days=(unknown - LOOK_DAYS + 1) // 2)
        if not self.doubted and self.none_before > self.earliest:
            return max(self.earliest, self.none_before - timedelta(days=DOUBT_DAYS))
        return None

    def note(self, day: date, has_data: bool, first: date | None = None) -> None:
        """Note what a look at `day` and the two days after it saw.

        `first` is the oldest local date of which there was a row (default: `day` itself). An error that refuses old
        days counts as no data.
        """
        self.looks += 1
        self.hints = [hint for hint in self.hints if hint != day]
        doubting = day < self.none_before
        self.doubted = self.doubted or doubting
        if has_data:
            seen = max(day, first or day)
            if doubting:
                # What looked like the limit was an outage: the days before it are open again.
                self.none_before = self.earliest
            self.known = min(self.known, seen)
            before = day - timedelta(days=LOOK_DAYS)
            if seen > day and not doubting and before >= self.none_before:
                # The limit, or a silent night: the days just before tell.
                self.hints = [*self.hints, before]
            elif seen > day:
                self.none_before = self.known
        elif not doubting:
            self.none_before = min(max(self.none_before, day + timedelta(days=LOOK_DAYS)), self.known)

    def settle(self, today: date) -> date | None:
        """Return the oldest day and keep it, once `probe` has nothing more to ask; None before.

        Up to three days that no look has told apart count as having data: asking for them costs no more than a look.
        """
        if self.found is None and self.probe() is None:
            self.found, self.checked_on = self.none_before, today
        return self.found

    def recheck(self, today: date, known: date) -> bool:
        """Open the question again if the answer is over a month old; `known` is a day known to have data now."""
        if self.found is None or self.checked_on is None or today - self.checked_on < RECHECK_AFTER:
            return False
        # A limit moves as far as time does: two looks across the place where it should be now settle it.
        moved = self.found + (today - self.checked_on)
        ahead = [moved - timedelta(days=1), moved + timedelta(days=LOOK_DAYS - 1)]
        self.hints = [self.found] if self.found == self.earliest else [*ahead, self.found]
        self.none_before, self.known = self.found, max(known, self.found)
        self.found, self.doubted, self.looks = None, False, 0
        return True


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text is not None else None


def probe_devices(devices: Iterable[Subject], day: date, turn: int = 0) -> tuple[Subject, ...]:
    """Return up to ten devices of one type to look at a day with: of as many plants connected by then as there are.

    Inverters, meters and weather stations come before the rest; of the types, the one that most plants have. Each
    `turn` takes other plants where there are more than ten. Empty where no plant was connected on that day.
    """
    by_type: dict[int, dict[str, list[Subject]]] = defaultdict(lambda: defaultdict(list))
    for device in devices:
        if device.device_type_id in HISTORY_TYPES and (device.connected is None or device.connected <= day):
            by_type[device.device_type_id][device.plant_code].append(device)
    if not by_type:
        return ()
    _, plants = min(by_type.items(), key=lambda item: (tier_of(item[0]), -len(item[1]), item[0]))
    names = sorted(plants)
    shift = turn * SEATS % len(names)
    queues = [sorted(plants[name], key=lambda device: device.id) for name in (*names[shift:], *names[:shift])]
    # Row by row: the first device of each plant, then the second ones.
    rows = (device for row in zip_longest(*queues) for device in row if device)
    return tuple(islice(rows, SEATS))


def probe_call(devices: Iterable[Subject], day: date, turn: int = 0) -> HistoryCall | None:
    """Return the call that looks at a day: its first instant in the devices' zones and the 72 hours after it.

    None where no plant was connected on that day: it has no data.
    """
    chosen = probe_devices(devices, day, turn)
    if not chosen:
        return None
    start = min(local_day(day, device.zone).start for device in chosen).astimezone(UTC)
    kind = chosen[0].device_type_id
    assert kind is not None
    return HistoryCall(kind, tuple(d.id for d in chosen), start, start + timedelta(seconds=SPAN_SECONDS), ())
