"""The answer to "why is nothing coming, and when will it come?", in one sentence. Pure: from a standing alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipelines.load.obstacles import (
    EVERY_PLANT_REFUSED,
    before_the_first_data,
    login_sentence,
    logins_refused,
    rest_sentence,
)
from pipelines.load.standing import Standing, complete_until
from pipelines.load.words import counted, gigabytes, moment
from schemas.datasets import DATASETS

ROOM_FACTOR: Final = 2
"""A build copies the warehouse and publishing copies it again: so many times its size must be free."""

LEAST_FREE_BYTES: Final = 2 * 1024**3
"""Below this a month of a large fleet, or a build's intermediate files, may no longer fit."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A dataset that waits: when its endpoint opens, about how many calls are left, and how many days of quota."""

    dataset: str
    endpoint: str
    until: datetime
    calls: int
    days: int | None
    closed_by: str | None = "window"


def headline(standing: Standing) -> str:
    """One sentence (or a few): the reason that most stands in the way, and what ends it."""
    if disk_is_low(standing):
        return f"The disk is nearly full: {gigabytes(standing.disk_free_bytes)} are left. Free some: nothing can land."
    refused = logins_refused(standing)
    if refused and len(refused) == len(standing.accounts):
        return login_sentence(refused[0])
    if standing.account_problem:
        return f"No account can be asked: {standing.account_problem}"
    answer = _about_the_work(standing) if standing.started else before_the_first_data(standing)
    return " ".join([answer, *map(login_sentence, refused)])


def _about_the_work(standing: Standing) -> str:
    missing = _missing(standing)
    if missing:
        return _about_what_is_missing(standing, missing)
    refused = standing.periods.get("denied", 0)
    until = complete_until(standing)
    there = f"All is there up to {until}" if until else "All that was asked for is there"
    if refused:
        names = ", ".join(sorted({each.dataset for each in standing.denied}))
        there += f", but for {counted(refused, 'plant period')} that the vendor refuses ({names})"
    if standing.doubted_until:
        doubted = _doubted(standing.periods.get("suspect", 0))
        there += f"; {doubted}: asked again from {moment(standing.doubted_until)}"
    if standing.loading:
        return f"{there}; a load is running."
    rest = rest_sentence(standing.accounts)
    if rest:
        return f"{there}. {rest}"
    if standing.plants and not standing.open_plants:
        return f"{there}. {EVERY_PLANT_REFUSED}"
    due = _due(standing)
    if due:
        return f"{there}{due}"
    if standing.next_fresh_at:
        return f"{there}; next fresh data about {moment(standing.next_fresh_at)}."
    return f"{there}."


def _missing(standing: Standing) -> str:
    """What is missing and may be asked for, in words; empty if nothing is."""
    open_to_us = {name for name in DATASETS if not _denied_everywhere(standing, name)}
    begun = sum(each.states.get("missing", 0) for each in standing.datasets if each.dataset in open_to_us)
    ahead = sum(each.periods for each in standing.ahead if each.dataset in open_to_us)
    parts = [f"{counted(begun, 'plant period')} {_be(begun)} missing"] if begun else []
    parts += [_doubted(standing.doubted)] if standing.doubted else []
    parts += [f"{counted(ahead, 'period')} of the past {_be(ahead)} wanted and not begun"] if ahead else []
    return ", ".join(parts)


def _due(standing: Standing) -> str:
    """What has come due of the last days, and why it isn't read; empty if nothing has."""
    due = sum(each.periods for each in standing.due if not _denied_everywhere(standing, each.dataset))
    if not due:
        return ""
    waiting = waits(standing, _due_calls(standing))
    if waiting and not _askable(standing, _due_calls(standing)):
        return f". {_wait_sentence(waiting)}"
    said = f"; {counted(due, 'period')} of the last days {_be(due)} due"
    return f"{said}, but nothing is asking: run pvms load."


def _denied_everywhere(standing: Standing, dataset: str) -> bool:
    entries = [one.endpoint(DATASETS[dataset].endpoint) for one in standing.accounts]
    return bool(entries) and all(entry is not None and entry.denied for entry in entries)


def calls_left(standing: Standing) -> dict[str, int]:
    """About how many calls are left for each dataset: for what is missing or due, and for what no load has begun."""
    return dict(Counter(_missing_calls(standing)) + Counter(_due_calls(standing)))


def _missing_calls(standing: Standing) -> Mapping[str, int]:
    left = Counter({each.dataset: each.calls_left for each in standing.datasets})
    left.update({each.dataset: each.calls for each in standing.ahead})
    return +left


def _due_calls(standing: Standing) -> Mapping[str, int]:
    return {each.dataset: each.calls for each in standing.due}


def _about_what_is_missing(standing: Standing, left: str) -> str:
    rest = rest_sentence(standing.accounts)
    if rest:
        return f"{rest} {_sentence(left)}"
    closed = _logins_closed_until(standing)
    if closed:
        return f"No login can be made before {moment(closed)}. {_sentence(left)}"
    waiting = waits(standing, _missing_calls(standing))
    wait = _wait_sentence(waiting) if waiting else ""
    if standing.loading:
        return f"A load is running; {left}. {wait}".strip()
    if waiting and not _askable(standing, _missing_calls(standing)):
        return wait
    now = "and the quota allows calls now, but nothing is asking: run pvms load."
    return f"{_sentence(left, end='')}, {now} {wait}".strip()


def _doubted(count: int) -> str:
    verb = "was" if count == 1 else "were"
    return f"{counted(count, 'plant period')} {verb} answered with nothing at all, which is doubted"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _sentence(text: str, end: str = ".") -> str:
    return f"{text[0].upper()}{text[1:]}{end}"


def _logins_closed_until(standing: Standing) -> datetime | None:
    """When the first account can log in again, if none can now."""
    able = [each for each in standing.accounts if each.login != "refused"]
    instants = [each.login_opens_at for each in able if each.login_opens_at is not None]
    return min(instants) if instants and len(instants) == len(able) else None


def _wait_sentence(waiting: Sequence[Wait]) -> str:
    first = waiting[0]
    calls = sum(each.calls for each in waiting)
    why = "Waiting for quota" if first.closed_by != "pace" else "Waiting, as the vendor refused calls as too frequent"
    left = f"about {counted(calls, 'call')} left"
    said = f"{why}: {first.dataset} goes on at {moment(first.until)} ({first.endpoint}); {left}"
    longest = max(waiting, key=lambda each: each.days or 0)
    if not longest.days or longest.days == 1:
        return f"{said}."
    of_which = f" for {longest.dataset} ({longest.calls:,} calls)" if len(waiting) > 1 else ""
    return f"{said}, {longest.days:,} days of quota{of_which}."


def _askable(standing: Standing, calls: Mapping[str, int]) -> bool:
    """Whether a call for any of these datasets could go out now."""
    for name in calls:
        entries = [one.endpoint(DATASETS[name].endpoint) for one in standing.accounts if one.login != "refused"]
        if any(entry and not entry.denied and entry.next_at is None for entry in entries):
            return True
    return False


def waits(standing: Standing, left: Mapping[str, int] | None = None) -> list[Wait]:
    """Which calls by dataset (all that are left, if not told) wait for quota, those first that go on first."""
    found = []
    for name, calls in (calls_left(standing) if left is None else left).items():
        endpoint = DATASETS[name].endpoint
        entries = [one.endpoint(endpoint) for one in standing.accounts if one.login != "refused"]
        able = [entry for entry in entries if entry is not None and not entry.denied]
        instants = [entry.next_at for entry in able if entry.next_at is not None]
        if able and len(instants) == len(able):
            per_day = sum(entry.per_day for entry in able)
            days = -(-calls // per_day) if per_day else None
            closed_by = min(able, key=lambda entry: entry.next_at or standing.at).closed_by
            found.append(Wait(name, endpoint, min(instants), calls, days, closed_by))
    return sorted(found, key=lambda one: (one.until, one.days or 0))


def disk_is_low(standing: Standing) -> bool:
    """Whether a build and a load's landing may fail for want of space."""
    return standing.disk_free_bytes < max(LEAST_FREE_BYTES, ROOM_FACTOR * standing.warehouse_bytes)
