"""From one request to one answer, without HTTP: who asks, may they, what do they get, and the log of it.

The order of the checks is the order of gateways: the whole system's troubles first, then the session, the permission,
the account's flow control, and only then the parameters. So a call with wrong parameters costs quota, and a call
that the whole system turned away costs none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipelines.simulator.answers import HTML, JSON, Answer
from pipelines.simulator.clock import Clock
from pipelines.simulator.endpoints import HANDLERS, MAX_ALARM_MS, Call
from pipelines.simulator.faults import Faults, FaultState, Listing
from pipelines.simulator.flow import FlowControl
from pipelines.simulator.log import RequestLog, RequestRecord, redact
from pipelines.simulator.oauth import BASIC, OAuthService, OAuthSetup
from pipelines.simulator.protocol import (
    BAD_PARAMETER,
    MISLEADING,
    RETIRED_ENDPOINTS,
    Refusal,
    invalid_access,
    invalid_credential,
    refusal,
    relogin,
    success,
    unauthorized,
)
from pipelines.simulator.sessions import TOKEN_SECONDS, WRONG_LOGIN, Sessions
from pipelines.simulator.view import Account, View

if TYPE_CHECKING:
    from pipelines.simulator.world import World

PREFIX: Final = "/thirdData/"
_PAGES: Final = {
    "http_500": (500, "500 Internal Server Error"),
    "http_502": (502, "502 Bad Gateway"),
    "http_503": (503, "503 Service Unavailable"),
}
_TOO_FREQUENT: Final[Mapping[str, Callable[[], Refusal]]] = {
    "too_frequent": Refusal.too_frequent,
    "too_frequent_null": lambda: Refusal(407, ""),
    "too_frequent_sentence": lambda: Refusal(407, MISLEADING),
}
SESSION_FAULTS: Final = frozenset({"kill_session", "steal_session"})
"""Faults that end the account's session, whatever else is played on the same request."""

_OWNER: Final = "owner:"
_DUMP: Final = orjson.OPT_SERIALIZE_NUMPY


@dataclass(slots=True)
class _Asked:
    """A request on its way: what is known of it so far, for the log."""

    at: datetime
    path: str
    endpoint: str
    body: Mapping[str, Any]
    account: str | None = None
    fail_code: int | None = None
    rows: int = 0
    fault: str | None = None
    ended: bool = False

    @property
    def now(self) -> float:
        return self.at.timestamp()

    @property
    def now_ms(self) -> int:
        return int(self.now * 1000)


class Service:
    """A SmartPVMS behind whatever carries the requests; safe to call from several threads."""

    def __init__(
        self,
        world: World,
        *,
        clock: Clock,
        accounts: Sequence[Account],
        flow: FlowControl,
        faults: Faults,
        log: RequestLog,
        alarm_span_ms: int | None = MAX_ALARM_MS,
        oauth: OAuthSetup | None = None,
    ) -> None:
        """Serve ``world`` to ``accounts``, and to owners of ``oauth`` who have consented, at the time of ``clock``."""
        self.clock = clock
        self.log = log
        self.faults = faults
        self.sessions = Sessions(
            {a.username: a.password for a in accounts},
            limited=flow.policy != "none",
            token_seconds=TOKEN_SECONDS if faults.token_minutes is None else faults.token_minutes * 60,
        )
        self._world = world
        self.oauth = OAuthService(_played(oauth or OAuthSetup(), faults))
        self._accounts = {a.username: a for a in accounts}
        self._accounts |= {_owner_name(owner.username): owner for owner in self.oauth.setup.owners}
        self._views: dict[tuple[str, Listing], View] = {}
        self._flow = flow
        self._owners_flow = flow.under("none" if flow.policy == "none" else "oauth")
        self._state = FaultState(faults)
        self._world_lock = threading.Lock()
        self._alarm_span_ms = alarm_span_ms

    def handle(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """Answer one POST; ``headers`` have names in lower case."""
        endpoint = path.removeprefix(PREFIX) if path.startswith(PREFIX) else ""
        body, readable = _read_body(content)
        asked = _Asked(self.clock.now(), path, endpoint, body)
        if endpoint == "login":
            answer = self._login(asked)
        elif endpoint == "logout":
            answer = self._logout(asked)
        elif endpoint in HANDLERS or endpoint in RETIRED_ENDPOINTS:
            answer = self._system_trouble(asked) or self._spoil(asked, self._read(asked, headers, readable))
        else:
            answer = _page(404, "404 Not Found")
        self._note(asked, answer)
        return answer

    def handle_oauth(self, method: str, path: str, query: Mapping[str, str], form: Mapping[str, str] | None) -> Answer:
        """Answer a request to the OAuth service; ``form`` None stands for a body that was none."""
        page = path.rsplit("/", 1)[-1]
        asked = _Asked(self.clock.now(), path, page, {**query, **(form or {})})
        if page == "token":
            answer = self.oauth.token(form, asked.now) if method == "POST" else Answer(405, b"", HTML)
        else:
            answer = self.oauth.page(method, query, form or {}, asked.now)
        if page == "token" and answer.status == 200:
            asked.fail_code = 0
        self._note(asked, answer)
        return answer

    def refuse_method(self, path: str) -> Answer:
        """Answer anything that is no POST: every API of the reference is one."""
        asked = _Asked(self.clock.now(), path, path.rsplit("/", 1)[-1], {})
        answer = Answer(405, b"", HTML, (("Allow", "POST"),))
        self._note(asked, answer)
        return answer

    def _login(self, asked: _Asked) -> Answer:
        user, password = str(asked.body.get("userName") or ""), str(asked.body.get("systemCode") or "")
        asked.account = user if user in self._accounts else None
        spoilt = self._login_trouble(asked)
        if spoilt is not None:
            return spoilt
        try:
            token = self.sessions.login(user, password, asked.now)
        except Refusal as why:
            if why.code == 20400 and self.faults.empty_login_refusal:
                asked.fail_code = None
                return Answer(200, b"")
            return self._envelope(asked, refusal("login", asked.body, why, asked.now_ms))
        answer = self._envelope(asked, success("login", asked.body, None, asked.now_ms))
        return Answer(answer.status, answer.body, answer.content_type, _token_headers(token, self.faults.header_token))

    def _login_trouble(self, asked: _Asked) -> Answer | None:
        """Play the faults of logins; a lock is left to the sessions, which tell nobody of it."""
        if self._strikes("login_locked", asked) and asked.account is not None:
            self.sessions.lock(asked.account, asked.now)
        if self._strikes("login_refused", asked):
            return self._envelope(asked, refusal("login", asked.body, Refusal(20400, WRONG_LOGIN), asked.now_ms))
        if self._strikes("login_limited", asked):
            return self._envelope(asked, refusal("login", asked.body, Refusal.too_frequent(), asked.now_ms))
        if self._strikes("login_empty", asked):
            return Answer(200, b"")
        if self._strikes("login_html", asked):
            return _page(200, "Maintenance")
        return None

    def _logout(self, asked: _Asked) -> Answer:
        token = asked.body.get("xsrfToken", asked.body.get("xsrftoken"))
        try:
            asked.account = self.sessions.logout(str(token or ""), asked.now)
        except Refusal as why:
            return self._envelope(asked, refusal("logout", asked.body, why, asked.now_ms))
        return self._envelope(asked, success("logout", asked.body, None, asked.now_ms))

    def _read(self, asked: _Asked, headers: Mapping[str, str], readable: bool) -> Answer:
        denied = self._admit(asked, headers)
        if denied is not None:
            return self._envelope(asked, denied)
        assert asked.account is not None
        try:
            data = self._data(asked, self._view(asked), readable)
        except Refusal as why:
            return self._envelope(asked, refusal(asked.endpoint, asked.body, why, asked.now_ms))
        asked.rows = len(data["list"] if isinstance(data, dict) else data)
        return self._envelope(asked, success(asked.endpoint, asked.body, data, asked.now_ms))

    def _admit(self, asked: _Asked, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """Find the session and the permission; return the body of the refusal, or None to go on."""
        token = headers.get("xsrf-token")
        if headers.get("authorization"):
            # An access token beside the session's token is refused.
            return relogin() if token else self._admit_owner(asked, headers["authorization"])
        account = self.sessions.account_of(token, asked.now) if token else None
        if account is None:
            return relogin()
        asked.account = account
        if self._strikes("kill_session", asked):
            self.sessions.kill(account)
            return relogin()
        if self._strikes("steal_session", asked):
            self.sessions.steal(account, asked.now)
            return relogin()
        if asked.endpoint in RETIRED_ENDPOINTS or self._state.denied(asked.endpoint, asked.now, asked.account):
            return unauthorized()
        return None

    def _admit_owner(self, asked: _Asked, authorization: str) -> dict[str, Any] | None:
        """Find the owner behind an access token, and what was consented to (reference 3.1.3)."""
        kind, _, token = authorization.partition(" ")
        owner = self.oauth.owner_of(token.strip(), asked.now) if kind.lower() == "bearer" else None
        if owner is None:
            return invalid_credential()
        asked.account = _owner_name(owner)
        if self._strikes("revoke_oauth", asked):
            self.oauth.revoke(owner)
            return invalid_credential()
        if self._strikes("kill_session", asked) or self._strikes("steal_session", asked):
            self.oauth.kill(owner)
            return invalid_credential()
        denied = asked.endpoint in RETIRED_ENDPOINTS or self._state.denied(asked.endpoint, asked.now, asked.account)
        return invalid_access() if denied or not self.oauth.allows(owner, BASIC) else None

    def _view(self, asked: _Asked) -> View:
        """What the account sees now."""
        assert asked.account is not None
        listing = self._state.listing(asked.now, asked.account)
        key = (asked.account, listing)
        if key not in self._views:
            account = self._accounts[asked.account]
            self._views[key] = View(
                self._world,
                account.plant_codes,
                hidden=listing.hidden,
                renamed=dict(listing.renamed),
                id_offset=account.id_offset,
            )
        return self._views[key]

    def _data(self, asked: _Asked, view: View, readable: bool) -> Any:
        assert asked.account is not None
        for name, why in _TOO_FREQUENT.items():
            if self._strikes(name, asked):
                raise why()
        flow = self._owners_flow if asked.account.startswith(_OWNER) else self._flow
        if not flow.admit(asked.account, asked.endpoint, view.counts, asked.now):
            raise Refusal.too_frequent()
        if not readable:
            raise Refusal(BAD_PARAMETER)
        call = Call(
            view=view,
            body=asked.body,
            now_ms=asked.now_ms,
            lock=self._world_lock,
            closed_plants=self._state.closed_plants(asked.now, asked.account),
            cut_short=self.faults.cut_short_paging,
            alarm_span_ms=self._alarm_span_ms,
        )
        data = HANDLERS[asked.endpoint](call)
        if self._strikes("empty_data", asked):
            return {**data, "list": [], "total": 0, "pageCount": 0} if isinstance(data, dict) else []
        return data

    def _system_trouble(self, asked: _Asked) -> Answer | None:
        """Play the faults of the whole system, which hit before anybody looks at the session."""
        endpoint = asked.endpoint
        if self._strikes("drop", asked):
            return Answer(0, b"", cut=True)
        for name, (status, title) in _PAGES.items():
            if self._strikes(name, asked):
                return _page(status, title)
        if self._strikes("quota_control_403", asked):
            reason = f"Request is rejected by api quotaControl. api:simulator, key:/{endpoint}_POST"
            return Answer(403, orjson.dumps({"errorCode": "49401021002", "exceptionInfo": reason}))
        if self._strikes("too_many_429", asked):
            asked.fail_code = 429
            return Answer(429, orjson.dumps({"data": None, "failCode": 429, "message": "", "success": False}))
        return None

    def _spoil(self, asked: _Asked, answer: Answer) -> Answer:
        """Play the faults of the way back: the request was worked on and counted, its answer is lost."""
        half = answer.body[: len(answer.body) // 2]
        if self._strikes("slow_body", asked):
            answer = replace(answer, drip_seconds=self.faults.slow_body_seconds)
        spoilt = None
        if self._strikes("html", asked):
            spoilt = _page(200, "Maintenance")
        elif self._strikes("empty_body", asked):
            spoilt = replace(answer, body=b"")
        elif self._strikes("cut_body", asked):
            spoilt = replace(answer, body=half)
        elif self._strikes("cut_connection", asked):
            spoilt = replace(answer, body=half, cut=True)
        elif self._strikes("other_shape", asked):
            other = {"success": True, "failCode": 0, "data": {"records": [], "size": 0}, "message": None}
            spoilt = Answer(200, orjson.dumps(other))
        if spoilt is None:
            return answer
        asked.fail_code = None
        return spoilt

    def _strikes(self, name: str, asked: _Asked) -> bool:
        if not self._state.strikes(name, asked.endpoint, asked.now):
            return False
        asked.fault = name
        asked.ended = asked.ended or name in SESSION_FAULTS
        return True

    def _envelope(self, asked: _Asked, envelope: dict[str, Any]) -> Answer:
        asked.fail_code = envelope["failCode"]
        if self.faults.string_fail_codes:
            envelope = {**envelope, "failCode": str(envelope["failCode"])}
        content_type = "text/plain;charset=UTF-8" if self._strikes("wrong_content_type", asked) else JSON
        return Answer(200, orjson.dumps(envelope, option=_DUMP), content_type)

    def _note(self, asked: _Asked, answer: Answer) -> None:
        record = RequestRecord(
            at=asked.at,
            path=asked.path,
            body=redact(asked.body),
            status=answer.status,
            fail_code=asked.fail_code,
            rows=asked.rows,
            account=asked.account,
            fault=asked.fault,
            ended=asked.ended,
        )
        self.log.add(record)


def _played(setup: OAuthSetup, faults: Faults) -> OAuthSetup:
    """The setup as the faults want it."""
    return replace(
        setup,
        refresh=faults.oauth_refresh or setup.refresh,
        refused=faults.oauth_refused or setup.refused,
        gives_state=setup.gives_state and not faults.oauth_no_state,
    )


def _owner_name(username: str) -> str:
    """The account that an owner's calls are counted and logged under."""
    return f"{_OWNER}{username}"


def _page(status: int, title: str) -> Answer:
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, html.encode(), HTML)


def _read_body(content: bytes) -> tuple[dict[str, Any], bool]:
    """Return the request's JSON object and whether it was one; an empty body reads as an empty object."""
    if not content.strip():
        return {}, True
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}, False
    return (body, True) if isinstance(body, dict) else ({}, False)


def _token_headers(token: str, form: str | None) -> tuple[tuple[str, str], ...]:
    """Return the headers that hand out a token: the documented one, and the cookie of earlier versions."""
    upper, lower = "XSRF-TOKEN", "xsrf-token"
    names = {
        None: (lower, upper),
        "lower": (lower, lower),
        "upper": (upper, upper),
        "header_only": (lower, None),
        "cookie_only": (None, upper),
    }
    header, cookie = names[form]
    headers = [] if header is None else [(header, token)]
    if cookie is not None:
        headers.append(("Set-Cookie", f"{cookie}={token}; Path=/; Secure"))
    return tuple(headers)
