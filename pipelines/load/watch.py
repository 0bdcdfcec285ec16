"""Decides what a person who is not looking is told, and remembers what was told: once a day, and once when it is over.

No data for a day, a refused login, a lost permission, a disk that fills up, refusals beyond the expected, and a daily
sign of life. What was told is kept in `state/told.json`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from filelock import FileLock, Timeout

from pipelines.lake.durable import write_durably
from pipelines.lake.paths import HomePaths, paths_of
from pipelines.load.headline import calls_left, disk_is_low, headline
from pipelines.load.notify import Event, Severity, notify
from pipelines.load.obstacles import login_sentence, logins_refused, why_it_rests
from pipelines.load.request import LoadReport
from pipelines.load.services import Services
from pipelines.load.standing import Standing, standing_of
from pipelines.load.words import gigabytes, moment
from pipelines.northbound.clock import Clock, SystemClock
from pipelines.settings import Settings

ONCE_A: Final = timedelta(days=1)

NO_DATA_AFTER: Final = timedelta(hours=26)
"""A day, and what a load that starts at the same time each day may take longer than the day before."""

EXPECTED_REFUSALS: Final = 2
"""Refusals of one endpoint in a day that need nobody: the first shows how the server counts, the next may probe it."""

SIGN_OF_LIFE: Final = "alive"

Send = Callable[[Settings, Event], bool]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now and that a person should know."""

    event: str
    subject: str
    severity: Severity
    text: str

    @property
    def key(self) -> str:
        """By which it is recognised the next time."""
        return f"{self.event} {self.subject}".strip()


def watch(
    settings: Settings,
    now: datetime,
    *,
    services: Services | None = None,
    report: LoadReport | None = None,
    send: Send = notify,
    clock: Clock | None = None,
) -> list[Event]:
    """Look, tell what is new, and return what was told. `now` is aware; called by every load's end and by cron.

    Another process that does the same just now is left to it.
    """
    paths = paths_of(settings.home)
    if not paths.state.exists():
        return []
    paths.locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(paths.locks / "watch.lock", timeout=0):
            standing = standing_of(settings, clock or (services.clock if services else SystemClock()), services)
            return _tell(settings, standing, report, now, send, paths)
    except Timeout:
        return []


def troubles(standing: Standing, now: datetime, freshness: timedelta = ONCE_A) -> Iterator[Trouble]:
    """What is wrong, from a standing alone. `freshness`: how long the owner lets fresh history wait."""
    silent = max(NO_DATA_AFTER, freshness + NO_DATA_AFTER - ONCE_A)
    since = standing.last_data_at or standing.first_call_at
    if since is not None and now - since > silent:
        yield Trouble(
            "no_data", "", "error", f"No data since {moment(standing.last_data_at)}. {headline(standing)}".strip()
        )
    for account in logins_refused(standing):
        yield Trouble(
            "login_stopped",
            account.account,
            "error",
            login_sentence(account),
        )
    for account in standing.accounts:
        if account.contested_until:
            yield Trouble(
                "session_contested",
                account.account,
                "error",
                f"{why_it_rests(account)} It rests until {moment(account.contested_until)}.",
            )
        for sentence in account.policy_differs:
            yield Trouble("refusals", f"{account.account} policy", "warning", sentence)
        for each in account.endpoints:
            subject = f"{account.account} {each.endpoint}"
            if each.denied:
                yield Trouble(
                    "permission_lost",
                    subject,
                    "warning",
                    f"{account.account} may not use {each.endpoint} (401). The company's administrator can open it: "
                    "Northbound Management, Modify the API account, Basic APIs."
                    + ("" if each.endpoint in ("stations", "getDevList") else " The rest is loaded."),
                )
            if each.refused_lately > EXPECTED_REFUSALS:
                yield Trouble(
                    "refusals",
                    subject,
                    "warning",
                    f"The vendor refused {each.endpoint} to {account.account} {each.refused_lately} times in a day for "
                    "calling too often. Another program may use the account, or its policy differs: see pvms doctor.",
                )
    if standing.refused_plants:
        some = ", ".join(standing.refused_plants[:5]) + (", ..." if len(standing.refused_plants) > 5 else "")
        yield Trouble(
            "permission_lost",
            "plants",
            "warning",
            f"The vendor refuses {len(standing.refused_plants)} plant(s): {some}. Their owners can allow them in the "
            "FusionSolar app (Set Permissions > API Access)."
            + (" The others are loaded." if standing.open_plants > 0 else ""),
        )
    if standing.busy_lately > EXPECTED_REFUSALS:
        yield Trouble(
            "refusals",
            "system",
            "warning",
            f"The vendor's system turned {standing.busy_lately} calls away in a day (403, 429, 503); loads wait.",
        )
    if disk_is_low(standing):
        yield Trouble(
            "disk_low",
            "",
            "error",
            f"{gigabytes(standing.disk_free_bytes)} are left on the disk of {standing.home}. Free some in time.",
        )


def sign_of_life(standing: Standing, report: LoadReport | None) -> str:
    """The daily summary: plants, rows since yesterday, what is left, what the quota leaves."""
    if not standing.started:
        return headline(standing)
    left = standing.periods.get("missing", 0) + standing.doubted
    left += sum(each.periods for each in (*standing.due, *standing.ahead))
    calls = sum(calls_left(standing).values())
    history = [each.endpoint("getDevHistoryKpi") for each in standing.accounts]
    free = sum(each.free for each in history if each)
    text = (
        f"{standing.plants} plants; {standing.rows_last_day:,} rows with {standing.calls_last_day:,} calls in a day; "
        f"{left:,} periods left (about {calls:,} calls); {free:,} history calls free now. {headline(standing)}"
    )
    if report is not None and report.failures and not logins_refused(standing):
        text += f" Last failure: {report.failures[-1]}"
    return text


def _tell(
    settings: Settings, standing: Standing, report: LoadReport | None, now: datetime, send: Send, paths: HomePaths
) -> list[Event]:
    file = paths.state / "told.json"
    told = _read(paths)
    sent: list[Event] = []

    def say(word: str, severity: Severity, text: str, subject: str = "", **details: Any) -> bool:
        one = Event(word, severity, text, standing.home, now, subject, details)
        arrived = send(settings, one)
        if arrived:
            sent.append(one)
        return arrived

    present = {each.key: each for each in troubles(standing, now, timedelta(days=settings.history_freshness_days))}
    for key, each in present.items():
        known = told.get(key)
        if known is not None and now - datetime.fromisoformat(known["at"]) < ONCE_A:
            continue
        since = known["since"] if known is not None and known["open"] else now.isoformat()
        if say(each.event, each.severity, each.text, each.subject, since=since):
            told[key] = {"at": now.isoformat(), "since": since, "open": True, "text": each.text}
    for key, known in list(told.items()):
        if key == SIGN_OF_LIFE or key in present or not known["open"]:
            continue
        if standing.account_problem and not key.startswith(("no_data", "disk_low")):
            continue  # nothing is known of the accounts, so nothing of theirs is over
        event, _, subject = key.partition(" ")
        if say("resolved", "info", f"Over: {known['text']}", subject, event=event, since=known["since"]):
            known["open"] = False
    last_sign = told.get(SIGN_OF_LIFE)
    if (last_sign is None or now - datetime.fromisoformat(last_sign["at"]) >= ONCE_A) and say(
        SIGN_OF_LIFE, "info", sign_of_life(standing, report), plants=standing.plants, rows=standing.rows_last_day
    ):
        told[SIGN_OF_LIFE] = {"at": now.isoformat()}
    write_durably(file, orjson.dumps(told))
    return sent


def _read(paths: HomePaths) -> dict[str, dict[str, Any]]:
    try:
        found = orjson.loads((paths.state / "told.json").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
