"""How a home stands: what is loaded, what is left, what the accounts may do now and what they were last told.

Only looks: asks the vendor nothing, and makes nothing where there is nothing yet. Everything is plain data, so that
`pvms status`, its JSON and the messages to people who are not looking say the same.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import polars as pl

from pipelines.lake.coverage import Coverage
from pipelines.lake.coverage_summary import DatasetSummary, Denied, denied, doubtful, summary
from pipelines.lake.paths import paths_of
from pipelines.lake.sightings import listed
from pipelines.lake.store import Lake
from pipelines.load.ahead import Ahead, ahead_of, due_of
from pipelines.load.asking import account_of_key, plant_of_key
from pipelines.load.fleet import View, current_fleet
from pipelines.load.oldest_search import OldestSearch
from pipelines.load.refused import read_refused
from pipelines.load.services import REFUSED_FILE, Services, state_dir
from pipelines.northbound.client import LEDGER_FILE, Client
from pipelines.northbound.clock import Clock
from pipelines.northbound.codes import meaning_of
from pipelines.northbound.errors import NorthboundError, advice_after
from pipelines.northbound.ledger import CallRecord, Ledger
from pipelines.owner_files import read_policy
from pipelines.planning.again import doubted_until
from pipelines.settings import Account, Settings, SettingsError
from schemas.datasets import DATASETS
from schemas.endpoints import READ_ENDPOINTS

LOOK_BACK: Final = timedelta(days=8)
"""How far back calls are looked at: a week, and the day that may be missing at its end."""

ERRORS_SHOWN: Final = 5

UNREAD: Final = ("missing", "denied")
"""States of periods that were never read."""

DAY: Final = timedelta(days=1)

INVENTORY: Final = frozenset({"stations", "getDevList"})
"""Endpoints whose rows are no measurements."""

DOCTOR: Final = "pvms doctor"
"""Why an examination calls: its answers land nowhere."""

UNDER_WAY: Final = timedelta(seconds=90)
"""A call without an ending that is younger than this may still be on its way."""


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call that did not end well: when, what was asked, what came back, in words."""

    at: datetime
    account: str
    endpoint: str
    outcome: str
    code: int | None
    words: str
    todo: str
    asked: str
    why: str


@dataclass(frozen=True, slots=True)
class EndpointStanding:
    """What an account's quota leaves of one endpoint. `next_at` None: now; of a denied one, when it is asked again."""

    endpoint: str
    used: int
    limit: int
    free: int
    per_day: int
    next_at: datetime | None
    closed_by: str | None
    """Why it isn't open now: the window's quota, a learnt pace, a rest of the whole account (pause, contested)."""
    denied: bool
    refused_lately: int
    """Times that the vendor refused it for calling too often (407), in the last day."""
    spacing_s: float | None = None
    """Seconds between calls that refusals have taught; None where they taught nothing, or it was unlearnt."""


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """One account: whether it can log in, and its endpoints."""

    account: str
    login: str
    """refused, ok (a login or a call has succeeded lately) or unknown."""
    login_at: datetime | None
    login_words: str | None
    login_todo: str | None
    endpoints: tuple[EndpointStanding, ...]
    skew_s: float | None = None
    """The server's clock minus this machine's; None before the first answers."""
    policy_differs: tuple[str, ...] = ()
    """Where the vendor refuses, day after day, what the quota would allow: a sentence each."""
    login_opens_at: datetime | None = None
    """When a login may be made again; None where a session is at hand or a login may be made now."""
    login_endpoint: str = "login"

    @property
    def paused_until(self) -> datetime | None:
        """When the whole account may call again, if the vendor's system turned it away (403, 429, 503)."""
        return self._closed_until("pause")

    @property
    def contested_until(self) -> datetime | None:
        """When the whole account may call again, if another program ends its sessions."""
        return self._closed_until("contested")

    @property
    def rests_until(self) -> datetime | None:
        """When the whole account may call again, whatever it rests for."""
        return self.paused_until or self.contested_until

    def _closed_until(self, why: str) -> datetime | None:
        return min((each.next_at for each in self.endpoints if each.closed_by == why and each.next_at), default=None)

    def endpoint(self, name: str) -> EndpointStanding | None:
        """The standing of one endpoint."""
        return next((each for each in self.endpoints if each.endpoint == name), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything at one instant (aware UTC)."""

    home: str
    at: datetime
    started: bool
    """Whether any period was ever read here."""
    account_problem: str | None
    """Why no account can be used, if none can."""
    accounts: tuple[AccountStanding, ...]
    datasets: tuple[DatasetSummary, ...]
    ahead: tuple[Ahead, ...]
    """What the policy wants of the past and no load has got to yet; known where an account is set."""
    due: tuple[Ahead, ...]
    """What has come due of the last days and wasn't read since; what is missing, doubted or refused is not in it."""
    denied: tuple[Denied, ...]
    refused_plants: tuple[str, ...]
    """Of the plants that are listed: codes of those that are refused to everybody, and `account: code`."""
    plants: int
    devices: int
    plants_without_zone: tuple[str, ...]
    plants_gone: tuple[str, ...]
    """Plants that the latest lists lack: nothing is asked about them, their data stay."""
    listed_at: datetime | None
    quarantined: int
    unfolded_parts: int
    sees_no_plant: tuple[str, ...]
    """Accounts whose last list of plants was empty."""
    doubted: int
    """Plant periods that were answered with nothing at all, and may be asked again now."""
    doubted_until: datetime | None
    """When the first of the others may be."""
    loading: bool
    """Whether a process is asking the vendor just now."""
    last_call_at: datetime | None
    first_call_at: datetime | None
    """Of the last week."""
    last_data_at: datetime | None
    rows_last_day: int
    calls_last_day: int
    busy_lately: int
    """Calls of the last day that the vendor's whole system turned away (403, 429, 503)."""
    last_errors: tuple[CallSeen, ...]
    next_fresh_at: datetime | None
    """When the next local days come due: over, settled, and done waiting for those that ride along."""
    disk_free_bytes: int
    disk_total_bytes: int
    warehouse_bytes: int
    published_at: datetime | None

    @property
    def open_plants(self) -> int:
        """Plants that are listed and not refused to everybody."""
        return self.plants - sum(not account_of_key(key) for key in self.refused_plants)

    @property
    def periods(self) -> Mapping[str, int]:
        """Plant periods of all datasets by state."""
        states: dict[str, int] = {}
        for each in self.datasets:
            for state, count in each.states.items():
                states[state] = states.get(state, 0) + count
        return states

    def as_dict(self) -> dict[str, Any]:
        """For JSON: instants and dates stay objects."""
        return asdict(self)


def standing_of(
    settings: Settings, clock: Clock, services: Services | None = None, *, accounts_too: bool = True
) -> Standing:
    """Look at a home. `services` saves opening them anew; `accounts_too=False` leaves quotas and logins out."""
    now = clock.now()
    home, state = settings.home, state_dir(settings.home)
    coverage_file = state / "coverage.sqlite"
    has_coverage = coverage_file.exists()
    calls = _calls(settings, now)
    problem: str | None = None
    accounts: tuple[AccountStanding, ...] = ()
    if accounts_too:
        try:
            accounts = _accounts(settings, clock, services, calls)
        except (SettingsError, NorthboundError) as error:
            problem = str(error)
    lake = services.lake if services else Lake(home)
    plants = lake.read("plants", ["plant_code", "time_zone", "last_seen_at"])
    listed_at = plants["last_seen_at"].max() if plants.height else None
    present = listed(lake, "plants")
    here = set(present["plant_code"])
    gone = set(plants["plant_code"]) - here
    refused = [key for key in read_refused(state / REFUSED_FILE) if plant_of_key(key) in here]
    found = _ahead(settings, clock, services, refused) if accounts else None
    ahead, due, next_fresh_at = found or ([], [], None)
    doubts = [each for each in doubtful(coverage_file) if each.plant_code not in gone] if has_coverage else []
    zone_of = dict(plants.select("plant_code", "time_zone").drop_nulls().iter_rows())
    asked_again_at = {
        each: doubted_until(each.dataset, each.period, each.read_at, zone_of.get(each.plant_code, "UTC"))
        for each in doubts
    }
    doubted = [each for each, at in asked_again_at.items() if at <= now]
    kinds = dict(lake.read("devices", ["device_id", "device_type_id"]).cast({"device_id": pl.String}).iter_rows())
    datasets = summary(coverage_file, kinds, doubted, gone) if has_coverage else []
    published = paths_of(home).published
    disk = shutil.disk_usage(next(each for each in (home, *home.parents) if each.exists()))
    lately = [call for call in calls if call.called_at > now - DAY]
    read_at = [each.last_read_at for each in datasets if each.last_read_at and each.rows]
    with_rows = [call.called_at for call in calls if _brought_data(call)]
    return Standing(
        home=str(home),
        at=now,
        started=any(count for each in datasets for state, count in each.states.items() if state not in UNREAD),
        account_problem=problem,
        accounts=accounts,
        datasets=tuple(datasets),
        ahead=tuple(ahead),
        due=tuple(due),
        denied=tuple(denied(coverage_file)) if has_coverage else (),
        refused_plants=tuple(sorted(refused)),
        plants=present.height,
        devices=listed(lake, "devices").height,
        plants_without_zone=tuple(present.filter(present["time_zone"].is_null())["plant_code"].sort()),
        plants_gone=tuple(sorted(gone)),
        listed_at=listed_at,  # type: ignore[arg-type]  # max() of any column
        quarantined=lake.read("quarantine", ["dataset"]).height,
        unfolded_parts=lake.pending_parts(),
        sees_no_plant=_sees_no_plant(calls),
        doubted=len(doubted),
        doubted_until=min((at for at in asked_again_at.values() if at > now), default=None),
        loading=(has_coverage and Coverage(coverage_file).claimed_by_others("status", now))
        or any(call.outcome is None and now - call.called_at < UNDER_WAY for call in calls),
        last_call_at=calls[-1].called_at if calls else None,
        first_call_at=calls[0].called_at if calls else None,
        last_data_at=max([*with_rows, *read_at], default=None),
        rows_last_day=sum(call.rows or 0 for call in lately if _brought_data(call)),
        calls_last_day=len(lately),
        busy_lately=sum(call.outcome == "system_busy" for call in lately),
        last_errors=tuple(_seen(call) for call in calls if _went_wrong(call, now))[-ERRORS_SHOWN:],
        next_fresh_at=next_fresh_at,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        warehouse_bytes=published.stat().st_size if published.exists() else 0,
        published_at=datetime.fromtimestamp(published.stat().st_mtime, UTC) if published.exists() else None,
    )


def login_stopped(client: Client) -> tuple[datetime | None, str, str] | None:
    """Since when, with what words, and what to do, if this account's login isn't tried any more."""
    found = client.session.stopped()
    if found is None:
        return None
    at, error = found
    return at, in_words(error.message, error.code), error.advice


def in_words(message: str, code: int | None) -> str:
    """A vendor's message with its number and what the reference says of it."""
    if code is None:
        return message
    return f"{message.rstrip('. ')} (code {code}: {(meaning_of(code) or 'not in the reference').rstrip('.')})"


def _calls(settings: Settings, now: datetime) -> Sequence[CallRecord]:
    path = state_dir(settings.home) / LEDGER_FILE
    if not path.exists():
        return []
    with closing(Ledger(path)) as ledger:
        found = ledger.calls(now - LOOK_BACK)
        ahead = {account: ledger.clock(account).applied for account in {call.account for call in found}}
    # The ledger's times are the server's; here everything is held against this machine's.
    return [
        replace(call, called_at=call.called_at - ahead[call.account]) if ahead[call.account] else call for call in found
    ]


def _brought_data(call: CallRecord) -> bool:
    return call.outcome == "ok" and bool(call.rows) and call.endpoint not in INVENTORY and call.why != DOCTOR


def _went_wrong(call: CallRecord, now: datetime) -> bool:
    return call.outcome != "ok" and (call.outcome is not None or now - call.called_at >= UNDER_WAY)


def _seen(call: CallRecord) -> CallSeen:
    outcome = call.outcome or "cut_off"
    words = call.words or meaning_of(call.fail_code) or outcome.replace("_", " ")
    if outcome == "cut_off":
        words = "its process ended before the answer came"
    return CallSeen(
        at=call.called_at,
        account=call.account,
        endpoint=call.endpoint,
        outcome=outcome,
        code=call.fail_code or None,
        words=in_words(words, call.fail_code or None) if call.words else words,
        todo=advice_after(outcome),
        asked=call.asked[:200],
        why=call.why,
    )


def _sees_no_plant(calls: Sequence[CallRecord]) -> tuple[str, ...]:
    listed = {call.account: call.rows for call in calls if call.endpoint == "stations" and call.outcome == "ok"}
    return tuple(sorted(account for account, rows in listed.items() if not rows))


def _accounts(
    settings: Settings, clock: Clock, services: Services | None, calls: Sequence[CallRecord]
) -> tuple[AccountStanding, ...]:
    if not settings.accounts or not state_dir(settings.home).exists():
        return ()
    with _opened(settings, clock, services) as opened:
        fleet = current_fleet(opened)
        found = []
        for name, client in opened.clients.items():
            client.counts = fleet.views.get(name, View()).counts
            account = next(each for each in settings.accounts if each.name == name)
            mine = [call for call in calls if call.account == name]
            found.append(_account(account, client, mine, clock.now()))
        return tuple(found)


@contextmanager
def _opened(settings: Settings, clock: Clock, services: Services | None) -> Iterator[Services]:
    if services is not None:
        yield services
        return
    with Services.open(settings, clock) as opened:
        yield opened


def _account(account: Account, client: Client, calls: Sequence[CallRecord], now: datetime) -> AccountStanding:
    refusal = login_stopped(client)
    skew = client.ledger.clock(account.name).skew
    good = [call.called_at for call in calls if call.outcome == "ok"]
    login = "refused" if refusal else "ok" if good else "unknown"
    return AccountStanding(
        account=account.name,
        login=login,
        login_at=refusal[0] if refusal else max(good, default=None),
        login_words=refusal[1] if refusal else None,
        login_todo=refusal[2] if refusal else None,
        endpoints=tuple(_endpoint(client, calls, name, now) for name in READ_ENDPOINTS),
        skew_s=None if skew is None else skew.total_seconds(),
        policy_differs=tuple(each.sentence for each in client.policy_findings()),
        login_opens_at=client.session.opens_at(),
        login_endpoint=client.session.endpoint,
    )


def _endpoint(client: Client, calls: Sequence[CallRecord], name: str, now: datetime) -> EndpointStanding:
    allowance = client.allowance(name)
    limit, window = client.ledger.quota(name, client.counts)
    learnt = client.ledger.learnt(client.account, name, client.counts)
    mine = [call for call in calls if call.endpoint == name and call.outcome is not None]
    denial = client.denials.known(client.account).get(name)
    return EndpointStanding(
        endpoint=name,
        used=allowance.used,
        limit=allowance.limit,
        free=max(0, allowance.limit - allowance.used) if allowance.granted else 0,
        per_day=int(DAY / learnt.spacing) if learnt and learnt.paced else int(limit * DAY / window),
        next_at=denial.next_at if denial else allowance.next_at,
        closed_by=allowance.closed_by,
        denied=denial is not None,
        refused_lately=sum(call.outcome == "rate_limited" and call.called_at > now - DAY for call in mine),
        spacing_s=learnt.spacing.total_seconds() if learnt and learnt.paced else None,
    )


def _ahead(
    settings: Settings, clock: Clock, services: Services | None, refused: Collection[str]
) -> tuple[list[Ahead], list[Ahead], datetime | None] | None:
    """What lies ahead of the past, and of the last days; when the next days come due."""
    with _opened(settings, clock, services) as opened:
        fleet = current_fleet(opened)
        if fleet.listed_at is None:
            return None
        policy = read_policy(settings.policy_file, settings)
        oldest = OldestSearch(opened, fleet.subjects("device_history"), policy).found
        now, closed = clock.now(), [plant for plant in refused if not account_of_key(plant)]
        return ahead_of(opened.coverage.path, fleet, policy, now, oldest), *due_of(opened, fleet, policy, now, closed)


def complete_until(standing: Standing) -> date | None:
    """The last date up to which every dataset by day has been read for good."""
    daily = [
        each
        for each in standing.datasets
        if DATASETS[each.dataset].period == "day" and sum(each.states.values()) > each.states.get("denied", 0)
    ]
    if any(each.newest_final is None for each in daily):
        return None
    dates = [each.newest_final for each in daily if each.newest_final]
    dates += [each.first_provisional - timedelta(days=1) for each in daily if each.first_provisional]
    return min(dates, default=None)
