"""The answer to "why is nothing coming, and when will it come?", in one sentence. Pure: from a standing alone."""

from datetime import datetime
from typing import Final

from pipelines.load.standing import AccountStanding, Standing, complete_until
from schemas.datasets import DATASETS

ROOM_FACTOR: Final = 2
"""A build copies the warehouse and publishing copies it again: so many times its size must be free."""

LEAST_FREE_BYTES: Final = 2 * 1024**3
"""Below this a month of a large fleet, or a build's intermediate files, may no longer fit."""


NOTHING: Final = (
    "Nothing is loaded yet. Next: pvms load --from yesterday --to yesterday (without an account: pvms demo)."
)


def headline(standing: Standing) -> str:
    """One sentence (or two): the reason that most stands in the way, and what ends it."""
    if disk_is_low(standing):
        return f"The disk is nearly full: {gigabytes(standing.disk_free_bytes)} are left. Free some: nothing can land."
    refused = logins_refused(standing)
    if refused and len(refused) == len(standing.accounts):
        return login_sentence(refused[0])
    if not standing.started:
        return NOTHING
    if standing.account_problem:
        return f"No account can be asked: {standing.account_problem}"
    return _about_the_work(standing)


def _about_the_work(standing: Standing) -> str:
    if not standing.datasets:
        return "The first load is running." if standing.loading else NOTHING
    missing = standing.periods.get("missing", 0) + standing.periods.get("suspect", 0)
    if missing:
        return _about_what_is_missing(standing, missing)
    refused = standing.periods.get("denied", 0)
    until = complete_until(standing)
    there = f"All is there up to {until}" if until else "All that was asked for is there"
    if refused:
        there += f", but for {refused:,} plant periods that the vendor refuses (see below)"
    if standing.loading:
        return f"{there}; a load is running."
    if standing.next_fresh_at:
        return f"{there}; next fresh data about {moment(standing.next_fresh_at)}."
    return f"{there}."


def _about_what_is_missing(standing: Standing, missing: int) -> str:
    left = f"{missing:,} plant periods are missing"
    waiting = waits(standing)
    if waiting:
        dataset, endpoint, next_at, calls, days = waiting[0]
        length = f", {days:,} day{'' if days == 1 else 's'}" if days else ""
        others = f" (and {len(waiting) - 1} more endpoints)" if len(waiting) > 1 else ""
        blocked = {each[0] for each in waiting}
        rest = [each for each in standing.datasets if each.calls_left and each.dataset not in blocked]
        if not rest or not standing.loading:
            return (
                f"Waiting for quota of {endpoint}{others} until {moment(next_at)}: about {calls:,} calls left for "
                f"{dataset}{length}."
            )
    if standing.loading:
        return f"A load is running; {left}."
    return f"{left}, and the quota allows calls now, but nothing is asking: run pvms load."


def waits(standing: Standing) -> list[tuple[str, str, datetime, int, int | None]]:
    """Datasets whose missing periods wait for quota, longest work first.

    Dataset, endpoint, when it opens, about how many calls are left, and how many days of quota that is.
    """
    found = []
    for each in standing.datasets:
        endpoint = DATASETS[each.dataset].endpoint
        known = [(one, one.endpoint(endpoint)) for one in standing.accounts if one.login != "refused"]
        able = [entry for _, entry in known if entry is not None and not entry.denied]
        instants = [entry.next_at for entry in able if entry.next_at is not None]
        if each.calls_left and able and len(instants) == len(able):
            per_day = sum(entry.per_day for entry in able)
            days = -(-each.calls_left // per_day) if per_day else None
            found.append((each.dataset, endpoint, min(instants), each.calls_left, days))
    return sorted(found, key=lambda one: (-(one[4] or 0), one[2]))


def disk_is_low(standing: Standing) -> bool:
    """Whether a build and a load's landing may fail for want of space."""
    return standing.disk_free_bytes < max(LEAST_FREE_BYTES, ROOM_FACTOR * standing.warehouse_bytes)


def logins_refused(standing: Standing) -> list[AccountStanding]:
    """Accounts whose present secret was refused."""
    return [each for each in standing.accounts if each.login == "refused"]


def login_sentence(account: AccountStanding) -> str:
    """Since when an account's login isn't tried any more, why, and what to do."""
    since = f"refused since {moment(account.login_at)}" if account.login_at else "not possible"
    return f"Login of {account.account} {since}: {(account.login_words or '').rstrip('. ')}. {account.login_todo or ''}"


def moment(instant: datetime | None) -> str:
    """An instant as people read it; what has not been is never."""
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "never"


def gigabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:,.1f} GB"
