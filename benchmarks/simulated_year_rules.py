"""Reads a simulator's log like the vendor's auditor: which refusals and logins could the client have avoided?

The rules stand on the log and the vendor's flow control alone, not on what the client's own ledger says.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.simulator.flow import Counts, Limit, limit_of
from pipelines.simulator.log import RequestRecord

TOKEN_LIFE = timedelta(minutes=30)
SYSTEM_PAUSE = timedelta(minutes=1)
"""After 403 and 429 nothing may be asked for at least so long (reference 4)."""
PERMISSION_PROBE = timedelta(hours=23)
"""A permission that is missing is asked about once a day; the hour is for schedules that drift."""
BUCKET_REMEMBERED = timedelta(days=30)
"""How long a client may not walk into the same bucket again; after that it may try whether bursts are back."""
NOTHING_YET = datetime.min.replace(tzinfo=UTC)


@dataclass
class Findings:
    """What the log shows: calls, refusals by kind, and each broken rule with when and what."""

    calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    played: Counter[str] = field(default_factory=Counter)
    avoidable: list[str] = field(default_factory=list)
    revealed_buckets: int = 0
    logins: int = 0

    def blame(self, record: RequestRecord, why: str) -> None:
        """Note a call that should not have been made."""
        self.avoidable.append(f"{record.at:%Y-%m-%d %H:%M:%S} {record.endpoint}: {why}")


@dataclass
class Fleet:
    """What the rules need to know of the account: counts for the limits, and the plant of each device."""

    counts: Counts
    plant_of: Mapping[str, str]


def judge(
    records: Sequence[RequestRecord], fleet: Fleet, *, policy: Any, window: str, clients: int, kills: int = 0
) -> Findings:
    """Judge all requests of one account, made by that many client processes of one thread each.

    A call that was under way in one process while another learnt of a refusal couldn't know of it: up to
    `clients` - 1 at the same virtual instant are let pass.
    """
    found = Findings()
    for record in records:
        found.calls[record.endpoint] += 1
        if record.fault:
            found.played[record.fault] += 1
        if not record.ok:
            found.refusals[_kind(record)] += 1
    found.logins = found.calls["login"]
    _flow_control(found, records, fleet.counts, policy, window, clients)
    _sessions(found, records, clients, kills)
    _pauses(found, records, clients)
    _permissions(found, records, clients)
    _closed_plants(found, records, fleet.plant_of, clients)
    return found


def _kind(record: RequestRecord) -> str:
    if record.status != 200:
        return f"HTTP {record.status}" if record.status else "connection dropped"
    return f"{record.fail_code}" if record.fail_code is not None else "spoilt answer"


def _flow_control(
    found: Findings, records: Iterable[RequestRecord], counts: Counts, policy: Any, window: str, clients: int
) -> None:
    """A 407 that the server's flow control gave, and calls before its even pace has passed."""
    revealed: dict[str, datetime] = {}
    closed: dict[str, tuple[datetime, datetime]] = {}
    stragglers: Counter[str] = Counter()
    for record in records:
        limit = _limit(record, counts, policy)
        if limit is None:
            continue
        at, until = closed.get(limit.counter, (record.at, record.at))
        if record.at < until:
            stragglers[limit.counter] += 1
            if record.at > at or stragglers[limit.counter] >= clients:
                found.blame(record, f"asked again within the pause of {until - at} after a 407")
        if record.fail_code != 407:
            continue
        if record.at >= until:
            closed[limit.counter] = (record.at, record.at + timedelta(seconds=limit.seconds / limit.calls))
            stragglers[limit.counter] = 0
            if record.fault is None:
                last = revealed.get(limit.counter)
                if window == "bucket" and (last is None or record.at - last >= BUCKET_REMEMBERED):
                    found.revealed_buckets += 1
                else:
                    found.blame(record, "a 407 that a rolling count of the calls foresees")
                revealed[limit.counter] = record.at


def _limit(record: RequestRecord, counts: Counts, policy: Any) -> Limit | None:
    if record.endpoint in ("login", "logout"):
        return Limit(5, 600, record.endpoint)
    return limit_of(policy, record.endpoint, counts)


def _sessions(found: Findings, records: Iterable[RequestRecord], clients: int, kills: int) -> None:
    """A login while the token lives; a call with a token that has ended, beyond those that were under way."""
    alive, last_use, ended_at = False, NOTHING_YET, NOTHING_YET
    under_way = spared = unaware = 0
    # A request that was lost on its way there kept no token alive, which its sender can't know.
    last_lost = NOTHING_YET
    for record in records:
        at = record.at
        if record.account is None and record.fail_code is None and at - max(last_use, last_lost) <= TOKEN_LIFE:
            last_lost = at
        if record.endpoint == "login":
            if record.ok:
                if alive and at - last_use <= TOKEN_LIFE:
                    # A process that was killed after its login, before it wrote the token down.
                    spared += 1
                    if spared > kills:
                        found.blame(record, f"a login while the token of {last_use:%H:%M} lives")
                alive, last_use, unaware = True, at, 0
        elif record.ended:
            alive, ended_at, under_way = False, at, 0
            # A further fault may hide from the client that its session has ended: the next call tells it.
            unaware = 0 if record.fail_code == 305 else 1
        elif record.fail_code == 305:
            if unaware:
                unaware, ended_at, under_way = 0, at, 0
            elif at == ended_at and under_way < clients - 1:
                under_way += 1
            elif alive and last_lost > last_use and at - last_lost <= TOKEN_LIFE:
                alive, ended_at, under_way = False, at, 0
            else:
                found.blame(record, "a token that had ended or expired")
        elif record.account is not None:
            last_use = at


def _pauses(found: Findings, records: Iterable[RequestRecord], clients: int) -> None:
    """Anything asked within a minute of a 403 or 429, which are the whole system's."""
    paused_at, under_way = None, 0
    for record in records:
        if paused_at is not None and record.at - paused_at < SYSTEM_PAUSE:
            if record.at == paused_at and under_way < clients - 1:
                under_way += 1
            else:
                found.blame(record, "asked within the minute after a 403 or 429")
        elif record.status in (403, 429):
            paused_at, under_way = record.at, 0


def _permissions(found: Findings, records: Iterable[RequestRecord], clients: int) -> None:
    """An endpoint without permission is asked once a day."""
    denied: dict[str, tuple[datetime, int]] = {}
    for record in records:
        if record.fail_code != 401:
            continue
        at, times = denied.get(record.endpoint, (None, 0))
        if at is None or record.at - at >= PERMISSION_PROBE:
            denied[record.endpoint] = (record.at, 1)
        elif record.at == at and times < clients:
            denied[record.endpoint] = (at, times + 1)
        else:
            found.blame(record, f"401, known since {at:%Y-%m-%d %H:%M}")


def _closed_plants(
    found: Findings, records: Iterable[RequestRecord], plant_of: Mapping[str, str], clients: int
) -> None:
    """A plant that was refused alone is left out of other calls for a day."""
    alone: dict[str, datetime] = {}
    at_once: Counter[datetime] = Counter()
    for record in records:
        if record.fail_code != 20056:
            continue
        plants = plants_of(record.body, plant_of)
        known = [alone[code] for code in plants if code in alone and record.at - alone[code] < PERMISSION_PROBE]
        if known:
            at_once[record.at] += 1
            if record.at > max(known) or at_once[record.at] >= clients:
                found.blame(record, f"20056 for a plant that was refused alone at {max(known):%Y-%m-%d %H:%M}")
        elif len(plants) == 1:
            alone[next(iter(plants))] = record.at


def plants_of(body: Mapping[str, Any], plant_of: Mapping[str, str]) -> set[str]:
    """The plants that a request is about; `plant_of`: plant by device id."""
    if "stationCodes" in body:
        return set(str(body["stationCodes"]).split(","))
    return {plant_of.get(device, device) for device in str(body.get("devIds", "")).split(",")}


def counted(records: Iterable[RequestRecord], endpoint: str) -> list[RequestRecord]:
    """Calls of an endpoint that took a seat of its quota, in order."""
    lost = ("html", "empty_body", "cut_body", "cut_connection", "other_shape")
    return [
        record
        for record in records
        if record.endpoint == endpoint
        and record.status == 200
        and (record.ok or record.fault in lost or record.fail_code in (20056, 20007))
    ]


def by_day(records: Iterable[RequestRecord]) -> Mapping[str, int]:
    """Calls per UTC date."""
    days: defaultdict[str, int] = defaultdict(int)
    for record in records:
        days[f"{record.at:%Y-%m-%d}"] += 1
    return days
