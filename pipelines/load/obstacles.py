"""What stands in an account's way, in sentences: a refused login, a rest, a listing that did not come. Pure."""

from collections.abc import Sequence
from typing import Final

from pipelines.load.standing import AccountStanding, CallSeen, Standing
from pipelines.load.words import counted, moment
from pipelines.northbound.errors import NO_PLANT_ADVICE, advice_after

NEXT: Final = "Next: pvms load --from yesterday --to yesterday"

THEN: Final = "Then: pvms load --from yesterday --to yesterday"

EVERY_PLANT_REFUSED: Final = (
    "Every plant is refused: their owners can allow them in the FusionSolar app (Set Permissions > API Access)."
)

NOTHING: Final = f"Nothing is loaded yet. {NEXT} (without an account: pvms demo)."


def before_the_first_data(standing: Standing) -> str:
    """Why nothing is loaded yet, and what to do: what stopped the first load, as far as the ledger knows."""
    listed = ""
    if standing.plants:
        listed = f"{counted(standing.plants, 'plant')} and {counted(standing.devices, 'device')} are listed"
    if standing.loading:
        return f"The first load is running{f'; {listed}' if listed else ''}."
    rest = rest_sentence(standing.accounts)
    if rest:
        return f"Nothing is loaded yet. {rest} {THEN}."
    closed = [each for each in standing.accounts if each.login_opens_at is not None]
    last = standing.last_errors[-1] if standing.last_errors else None
    if closed and len(closed) == len(standing.accounts):
        why = f": {call_words(last)}" if last and last.endpoint == closed[0].login_endpoint else ""
        return (
            f"Nothing is loaded yet. {closed[0].account} can't log in before {moment(closed[0].login_opens_at)}{why}. "
            f"{THEN}."
        )
    denied = _denied_listing(standing)
    if denied:
        return denied
    if standing.plants and not standing.open_plants:
        return f"Nothing is loaded yet; {listed}. {EVERY_PLANT_REFUSED} {THEN} --force."
    if last is not None and (standing.last_call_at is None or last.at >= standing.last_call_at):
        return (
            f"Nothing is loaded yet: {last.endpoint} of {last.account} failed at {moment(last.at)}: "
            f"{call_words(last)}. {last.todo} {THEN if last.todo else NEXT}."
        )
    if standing.sees_no_plant and not standing.plants:
        names = ", ".join(standing.sees_no_plant)
        return f"Nothing is loaded yet: the vendor lists no plant to {names}. {NO_PLANT_ADVICE} {THEN}."
    if listed:
        return f"Nothing is loaded yet; {listed}. {NEXT}."
    return NOTHING


def _denied_listing(standing: Standing) -> str:
    """Whether no account may list plants; empty if one may."""
    found = [(each, each.endpoint("stations")) for each in standing.accounts if each.login != "refused"]
    denials = [(account, entry) for account, entry in found if entry is not None and entry.denied]
    if not denials or len(denials) < len(found):
        return ""
    account, entry = denials[0]
    again = f"Once it is open, pvms doctor --ask-all asks at once; else it is asked again from {moment(entry.next_at)}."
    return (
        f"Nothing is loaded yet: {account.account} may not list plants (stations, 401). "
        f"{advice_after('permission_denied')} {again} {THEN}."
    )


def rest_sentence(accounts: Sequence[AccountStanding]) -> str:
    """Why no account may call now and until when, if each that can log in rests; empty if one doesn't."""
    able = [each for each in accounts if each.login != "refused"]
    rests = [(until, each) for each in able if (until := each.rests_until) is not None]
    if not rests or len(rests) < len(able):
        return ""
    until, first = min(rests, key=lambda each: each[0])
    return f"{why_it_rests(first)} It rests until {moment(until)}."


def why_it_rests(account: AccountStanding) -> str:
    """A sentence: another program, or a busy system."""
    if account.contested_until:
        return (
            f"Another program logs in with {account.account} and ends its sessions, as each login ends the one before: "
            "give this warehouse an API account of its own."
        )
    return f"The vendor's system was busy and turned calls of {account.account} away."


def call_words(call: CallSeen) -> str:
    """What was wrong with a call, as the end of a sentence."""
    return call.words.rstrip(". ")


def logins_refused(standing: Standing) -> list[AccountStanding]:
    """Accounts whose present secret was refused."""
    return [each for each in standing.accounts if each.login == "refused"]


def login_sentence(account: AccountStanding) -> str:
    """Since when an account's login isn't tried any more, why, and what to do."""
    since = f"refused since {moment(account.login_at)}" if account.login_at else "not possible"
    return f"Login of {account.account} {since}: {(account.login_words or '').rstrip('. ')}. {account.login_todo or ''}"
