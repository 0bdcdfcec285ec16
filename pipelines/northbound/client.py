"""One account's client: a call in, an answer or a typed error out.

Each attempt is written to the ledger before it leaves. What may pass is repeated a few times, what won't is
raised at once, and a quota is never waited for here: whoever plans the work decides that.
"""

import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pipelines.northbound import requests
from pipelines.northbound.allowances import Allowance, exhausted
from pipelines.northbound.clock import Clock, SystemClock
from pipelines.northbound.denials import Denials
from pipelines.northbound.errors import (
    BadAnswer,
    NorthboundError,
    PermissionDenied,
    PlantNotAuthorized,
    QuotaExhausted,
    RateLimited,
    RequestInvalid,
    RequestRejected,
    ServerFault,
    SessionExpired,
    SystemBusy,
    advice_for_old_endpoint,
)
from pipelines.northbound.findings import LOOKED_BACK, Modelled, PolicyFinding, policy_findings
from pipelines.northbound.judge import Page, Verdict, judge_rows
from pipelines.northbound.lanes import Lane
from pipelines.northbound.ledger import Ledger
from pipelines.northbound.listed import named
from pipelines.northbound.oauth_app import OAuthApp
from pipelines.northbound.oauth_grants import GrantCache
from pipelines.northbound.oauth_session import OAuthSession
from pipelines.northbound.paging import PagedList
from pipelines.northbound.quotas import FleetCounts, QuotaOverride
from pipelines.northbound.session import Credentials, Session
from pipelines.northbound.skew import ServerTime
from pipelines.northbound.tokens import TokenCache
from pipelines.northbound.transport import Reply, Transport, checked_base_url
from schemas.endpoints import ENDPOINTS, READ_ENDPOINTS, Endpoint

_log = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""Tries of one call where the error may pass. Each counts against the quota, so there are few."""

RETRY_WAITS_S: Final = (2.0, 8.0)
"""Waits between those tries, each times a random 0.5 to 1.5, so that processes don't knock together."""

SHORT_PAUSE: Final = timedelta(seconds=60)
"""While the vendor's system is busy the account rests; a call waits that long for the end of it, and no longer."""

SHORT_PAUSES: Final = 2
"""How often one call does that."""

SESSION_TURNS: Final = 3
"""How often one call may find its token dead; at most one of these costs a login of ours."""

LEDGER_FILE: Final = "ledger.sqlite"
TOKENS_FILE: Final = "tokens.json"
DENIALS_FILE: Final = "denied_endpoints.json"

JsonText = bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. ``data`` is the JSON text of the rows as they came (for `stations` that of data.list).

    ``server_time`` (aware UTC) is the server's own; ``bytes`` the size of the whole answer, unpacked; ``ms`` how
    long the exchange took.
    """

    endpoint: str
    request: dict[str, Any]
    data: JsonText = field(repr=False)
    server_time: datetime
    bytes: int
    ms: float
    rows: int = 0


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of the plant list: what it says of itself, the JSON text of its rows, the server's time (aware UTC), and
    when it came by this machine's."""

    page: Page
    data: str = field(repr=False)
    server_time: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What a call is for: the ledger's words, and its place in the queue for the quota."""

    why: str
    lane: Lane = "asked"
    reserved: int = 0


@dataclass(slots=True)
class _Patience:
    """What one call has left of tries and waits."""

    tries: int = ATTEMPTS - 1
    short_pauses: int = SHORT_PAUSES
    session_turns: int = SESSION_TURNS
    call_id: int | None = None
    """The last attempt in the ledger."""
    busy_noted: bool = False
    logged_in_again: bool = False
    dead_token: str | None = None

    def wait_after(self, error: NorthboundError) -> float | None:
        """Seconds to wait before the next try; None when there is none."""
        if not error.transient or not self.tries:
            return None
        self.tries -= 1
        return RETRY_WAITS_S[-1 - self.tries] * random.uniform(0.5, 1.5)  # noqa: S311 no cryptography


class Client:
    """The thirteen read endpoints for one account. Threads may share it; processes each make their own.

    ``counts`` drives the quotas: set it from the inventory (`plants` keeps the number of plants up to date).
    """

    def __init__(
        self,
        *,
        base_url: str,
        account: str,
        state_dir: Path,
        username: str = "",
        password: str = "",
        oauth: OAuthApp | None = None,
        flow_control: str = "dynamic",
        quotas: Mapping[str, QuotaOverride] | None = None,
        clock: Clock | None = None,
        language: str = "en_US",
        user_agent: str | None = None,
        transport: Transport | None = None,
        listed: bool = False,
    ) -> None:
        """Nothing is called yet. ``account`` is the name that ledger and rows carry; ``quotas`` what its owner has
        set otherwise than the reference says, by endpoint; ``listed``: it stands in an accounts file, so that errors
        name it.

        ``oauth`` takes the place of user name and password where an owner has consented to an app.
        WrongAddress for an address that isn't https (or http to loopback).
        """
        base_url = checked_base_url(base_url)
        self.account = account
        self.language = language
        self.counts = FleetCounts()
        self.ledger = Ledger(state_dir / LEDGER_FILE, flow_control=flow_control, quotas=quotas)
        self.denials = Denials(state_dir / DENIALS_FILE)
        self.attempts = ATTEMPTS
        """Tries of one call; who only examines makes one."""
        self._named = account if listed else None
        self._clock: Clock = clock or SystemClock()
        self._transport = transport or Transport(base_url, user_agent=user_agent)
        self._session: Session | OAuthSession
        if oauth is None:
            self._session = Session(
                Credentials(base_url, username, password),
                account=account,
                listed=listed,
                transport=self._transport,
                cache=TokenCache(state_dir / TOKENS_FILE),
                ledger=self.ledger,
                clock=self._clock,
            )
        else:
            self._session = OAuthSession(
                oauth,
                account=account,
                listed=listed,
                cache=GrantCache(state_dir / TOKENS_FILE, client_id=oauth.client_id, account=account),
                ledger=self.ledger,
                clock=self._clock,
            )

    def __repr__(self) -> str:
        """The account's name; no secret."""
        return f"Client(account={self.account!r})"

    def __enter__(self) -> Self:
        """Use as a context manager to close the connections at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections. The session stays, for the next process to use."""
        self._transport.close()
        self._session.close()
        self.ledger.close()

    @property
    def session(self) -> Session | OAuthSession:
        """The session behind the calls: for whoever logs in, or asks what was granted."""
        return self._session

    def logout(self) -> None:
        """End the session for all processes that share it; call it only when the account is to rest."""
        self._session.logout()

    def forget_refusal(self) -> None:
        """Let a password that was refused be tried once more: for when the account was locked and isn't now."""
        self._session.forget_refusal()

    def server_now(self) -> datetime:
        """The present instant by the server's clock (aware UTC), to within a few seconds.

        The ledger's calls are timed by it; all else that comes out of here goes by this machine's clock.
        """
        return self.ledger.server_now(self.account, self._clock.now())

    def forget_denials(self) -> None:
        """Let endpoints that were denied be asked at once: for when somebody says that they are open now."""
        self.denials.forget(self.account)

    def allowance(self, endpoint: str, *, lane: Lane = "asked", reserved: int = 0) -> Allowance:
        """May this endpoint be called now? Costs nothing; ``lane`` and ``reserved`` as in :meth:`call`."""
        return self._allowance(_known(endpoint), self._clock.now(), _Purpose("", lane, reserved))

    def policy_findings(self) -> list[PolicyFinding]:
        """Where the vendor has refused calls, for days, that the quota would have allowed; see there."""
        now = self._clock.now()
        calls = self.ledger.calls(now - LOOKED_BACK, account=self.account)
        return policy_findings(calls, self._modelled, self.server_now())

    def call(
        self, endpoint: str, body: Mapping[str, Any], *, why: str, lane: Lane = "asked", reserved: int = 0
    ) -> Answer:
        """One answer of a read endpoint; ``why`` and ``lane`` go to the ledger.

        ``reserved``: calls of the endpoint's window that a call of the lane "backlog" must leave to the others.

        QuotaExhausted when there is no seat now, when the server said 407 (RateLimited is the cause), or while the
        account rests because the vendor's system is busy (SystemBusy is the cause); else the tree of
        :mod:`pipelines.northbound.errors`. The bodies are built by :mod:`pipelines.northbound.requests`.
        """
        return self._call(endpoint, body, _Purpose(why, lane, reserved))[0]

    def plants(
        self, *, why: str, begun: Sequence[ListPage] = (), note: Callable[[ListPage], None] | None = None
    ) -> list[ListPage]:
        """All pages of the plant list (5.1.1.1), in order; IncompleteList unless they add up.

        ``begun``: the pages that are there already. ``note`` is told of each that comes.
        """
        pages = PagedList()
        found = list(begun)
        for known in found:
            pages.add(known.page, known.data.encode())
        while pages.next_page is not None:
            if found and found[0].page.total:
                # The quota of this very list grows with it, so the first page's total is taken over at once.
                self.counts = replace(self.counts, plants=found[0].page.total)
            body = requests.stations_body(pages.next_page)
            answer, page = self._call("stations", body, _Purpose(why))
            assert page is not None
            pages.add(page, answer.data)
            found.append(ListPage(page, answer.data.decode(), answer.server_time, self._clock.now()))
            if note is not None:
                note(found[-1])
        return found

    def devices(self, plant_codes: Sequence[str], *, why: str) -> list[Answer]:
        """The devices of these plants (5.1.1.2), 100 plants a call."""
        size = ENDPOINTS["getDevList"].max_plants or 1
        batches = [plant_codes[start : start + size] for start in range(0, len(plant_codes), size)]
        return [self.call("getDevList", requests.devices_body(batch), why=why) for batch in batches]

    def _call(self, endpoint: str, body: Mapping[str, Any], purpose: _Purpose) -> tuple[Answer, Page | None]:
        with named(self._named):
            return self._tried(endpoint, body, purpose)

    def _tried(self, endpoint: str, body: Mapping[str, Any], purpose: _Purpose) -> tuple[Answer, Page | None]:
        known = _known(endpoint)
        patience = _Patience(tries=self.attempts - 1)
        while True:
            # Before each try: another process may have been refused while this one waited for its next.
            denial = self.denials.stands(self.account, known.name, self._clock.now())
            if denial is not None:
                self._session.explain(denial)
                raise denial
            self._check(known, purpose, patience)
            token = patience.call_id = None
            try:
                token = self._token(known, patience)
                return self._attempt(known, body, purpose, token, patience)
            except SessionExpired as error:
                patience.session_turns -= 1
                if patience.logged_in_again or not patience.session_turns:
                    if token is not None:
                        # Known to be dead: no later call may begin with it.
                        self._session.ended(token)
                    raise error
                patience.dead_token = token
            except SystemBusy as error:
                self._rest(known, purpose, error, patience)
            except NorthboundError as error:
                wait = patience.wait_after(error)
                if wait is None:
                    raise
                self._wait(known, purpose, error, wait)

    def _allowance(self, known: Endpoint, at: datetime, purpose: _Purpose) -> Allowance:
        lane, reserved = purpose.lane, purpose.reserved
        return self.ledger.allowance(self.account, known.name, at, self.counts, lane=lane, reserved=reserved)

    def _check(self, known: Endpoint, purpose: _Purpose, patience: _Patience) -> None:
        """Don't spend a login on a call that the ledger forbids anyway; wait for the end of a short rest."""
        while not (allowance := self._allowance(known, self._clock.now(), purpose)).granted:
            if allowance.closed_by != "pause" or not self._waited(allowance, patience):
                raise exhausted(allowance, known.name)

    def _rest(self, known: Endpoint, purpose: _Purpose, error: SystemBusy, patience: _Patience) -> None:
        """The vendor's system is busy: let the account rest, and wait for the end of that if it is near."""
        if not patience.busy_noted:
            self._note_busy(error, patience)
        patience.busy_noted = False
        allowance = self._allowance(known, self._clock.now(), purpose)
        if allowance.granted or (allowance.closed_by == "pause" and self._waited(allowance, patience, error)):
            return
        rests = QuotaExhausted(
            error.message, next_at=allowance.next_at, code=error.code, endpoint=error.endpoint or known.name
        )
        rests.why = exhausted(allowance, known.name).why
        raise rests from error

    def _note_busy(self, error: SystemBusy, patience: _Patience) -> None:
        self.ledger.note_busy(self.account, self._clock.now(), error.code, call_id=patience.call_id)
        patience.busy_noted = True

    def _waited(self, allowance: Allowance, patience: _Patience, error: SystemBusy | None = None) -> bool:
        """Wait for the end of a short rest; False if it isn't one."""
        wait = allowance.next_at - self._clock.now() if allowance.next_at else None
        if wait is None or wait > SHORT_PAUSE or not patience.short_pauses:
            return False
        patience.short_pauses -= 1
        why = error.describe() if error else f"{allowance.sentence}."
        _log.warning("%s Going on in %.0f s.", why, wait.total_seconds())
        self._clock.sleep(max(0.0, wait.total_seconds()))
        return True

    def _token(self, known: Endpoint, patience: _Patience) -> str:
        if patience.dead_token is None:
            return self._session.token(why=f"a session for {known.name}")
        token, patience.logged_in_again = self._session.renew(patience.dead_token, why="the session had ended")
        patience.dead_token = None
        return token

    def _wait(self, known: Endpoint, purpose: _Purpose, error: NorthboundError, seconds: float) -> None:
        later = self._clock.now() + timedelta(seconds=seconds)
        if not self._allowance(known, later, purpose).granted:
            # The quota wouldn't allow the next try, so there is nothing to wait for here.
            raise error
        _log.warning("%s Trying again in %.0f s.", error.describe(), seconds)
        self._clock.sleep(seconds)

    def _attempt(
        self, known: Endpoint, body: Mapping[str, Any], purpose: _Purpose, token: str, patience: _Patience
    ) -> tuple[Answer, Page | None]:
        sent_at = self._clock.now()
        call_id = patience.call_id = self.ledger.reserve(
            self.account,
            known.name,
            _in_short(body),
            purpose.why,
            sent_at,
            self.counts,
            lane=purpose.lane,
            reserved=purpose.reserved,
        )
        reply: Reply | None = None
        try:
            reply = self._transport.post(known.path, body, self._session.headers(token))
            answered_at = self._clock.now()
            verdict = judge_rows(
                known.name, reply, paged=known.paged, now=answered_at, hide=self._session.secrets(token)
            )
        except NorthboundError as error:
            error.endpoint = error.endpoint or known.name
            if isinstance(error, _USED_THE_SESSION) and not (isinstance(error, ServerFault) and error.code is None):
                # The vendor reckons a token's idle time from this call too.
                self._session.good(token, sent_at)
            self._session.explain(error)
            # Closed before the call is settled, so that no other process slips through in between.
            refusal = self._learned(known, error, call_id) if isinstance(error, RateLimited) else None
            if isinstance(error, SystemBusy):
                self._note_busy(error, patience)
            self._settle(call_id, reply, error=error)
            if isinstance(error, PermissionDenied):
                self.denials.note(self.account, known.name, error, self._clock.now())
            if refusal is not None:
                self._warn_of_policy(known)
                raise refusal from error
            raise
        heard = None
        if verdict.time_source != "none":
            heard = ServerTime(sent_at, answered_at, verdict.server_time, verdict.time_source == "header")
        self._settle(call_id, reply, verdict=verdict, heard=heard)
        self._session.good(token, sent_at)
        self.denials.lift(self.account, known.name)
        answer = Answer(
            endpoint=known.name,
            request=dict(body),
            data=verdict.data,
            server_time=verdict.server_time,
            bytes=len(reply.body),
            ms=reply.ms,
            rows=verdict.rows,
        )
        return answer, verdict.page

    def _learned(self, known: Endpoint, error: RateLimited, call_id: int) -> QuotaExhausted:
        now = self._clock.now()
        next_at = self.ledger.note_refusal(self.account, known.name, now, self.counts, call_id=call_id)
        refusal = QuotaExhausted(error.message, next_at=next_at, code=error.code, endpoint=known.name)
        refusal.why = f"the vendor refused a call as too frequent ({error.code})"
        return refusal

    def _warn_of_policy(self, known: Endpoint) -> None:
        for finding in self.policy_findings():
            if finding.endpoint == known.name:
                _log.warning("%s", finding.sentence)

    def _modelled(self, endpoint: str) -> Modelled:
        limit, window = self.ledger.quota(endpoint, self.counts)
        return Modelled(limit, window, self.ledger.sharing(endpoint))

    def _settle(
        self,
        call_id: int,
        reply: Reply | None,
        *,
        verdict: Verdict | None = None,
        error: NorthboundError | None = None,
        heard: ServerTime | None = None,
    ) -> None:
        skew = self.ledger.settle(
            call_id,
            error.outcome if error else "ok",
            error.code if error else 0,
            rows=verdict.rows if verdict else None,
            bytes=len(reply.body) if reply else None,
            ms=reply.ms if reply else None,
            now=self._clock.now(),
            words=error.message if error else None,
            counted=error.costs_quota if error else True,
            counts=self.counts,
            server_time=heard,
        )
        if skew is not None:
            _log.warning(
                "This machine's clock is %.0f s %s the server's. Set it right (timedatectl set-ntp true); %s",
                abs(skew.total_seconds()),
                "behind" if skew > timedelta() else "ahead of",
                "until then quotas are counted by the server's clock."
                if self.ledger.clock(self.account).applied
                else "until then quotas are counted by this machine's.",
            )


_USED_THE_SESSION: Final = (RateLimited, PlantNotAuthorized, PermissionDenied, RequestRejected, ServerFault, BadAnswer)
"""Errors that a server which has taken the token answers with; a bare HTTP 5xx may come from a gateway before it."""


def _known(endpoint: str) -> Endpoint:
    """The catalog's entry; RequestInvalid for a name that isn't a read endpoint."""
    if endpoint in READ_ENDPOINTS:
        return ENDPOINTS[endpoint]
    advice = advice_for_old_endpoint(endpoint) or f"Known are: {', '.join(READ_ENDPOINTS)}."
    raise RequestInvalid("no read endpoint of that name", endpoint=endpoint, advice=advice)


LONGEST_LIST: Final = 10
"""Ids that the ledger keeps of one call: all of a history call; of a batch of 100 the first and how many."""


def _in_short(body: Mapping[str, Any]) -> str:
    """The request as the ledger keeps it: its JSON, with long lists of ids cut."""
    short: dict[str, Any] = {}
    for key, value in body.items():
        ids = value.split(",") if isinstance(value, str) else []
        cut = len(ids) > LONGEST_LIST
        short[key] = f"{','.join(ids[:LONGEST_LIST])},... ({len(ids)})" if cut else value
    return json.dumps(short, ensure_ascii=False)
