"""From one request to one answer, without HTTP: who asks, may they, what do they get, and the log of it.

The order of the checks is the order of gateways: the whole system's troubles first, then the session, the permission,
the account's flow control, and only then the parameters. So a call with wrong parameters costs quota, and a call
that the whole system turned away costs none.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipelines.simulator.clock import Clock
from pipelines.simulator.endpoints import HANDLERS, MAX_ALARM_MS, Call
from pipelines.simulator.faults import Faults, FaultState
from pipelines.simulator.flow import FlowControl
from pipelines.simulator.log import RequestLog, RequestRecord, redact
from pipelines.simulator.protocol import (
    BAD_PARAMETER,
    RETIRED_ENDPOINTS,
    Refusal,
    invalid_credential,
    refusal,
    relogin,
    success,
    unauthorized,
)
from pipelines.simulator.sessions import Sessions
from pipelines.simulator.view import Account, View

if TYPE_CHECKING:
    from pipelines.simulator.world import World

PREFIX: Final = "/thirdData/"
JSON: Final = "application/json;charset=UTF-8"
HTML: Final = "text/html;charset=UTF-8"
_PAGE: Final = b"<html><head><title>%s</title></head><body><h1>%s</h1></body></html>"
_DUMP: Final = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP; ``headers`` keep their letter case."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


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
    ) -> None:
        """Serve ``world`` to ``accounts`` at the time of ``clock``."""
        self.clock = clock
        self.log = log
        self.faults = faults
        self.sessions = Sessions({a.username: a.password for a in accounts}, limited=flow.policy != "none")
        self._views = {a.username: View(world, a.plant_codes) for a in accounts}
        self._flow = flow
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
            answer = Answer(404, _PAGE % (b"404 Not Found", b"404 Not Found"), HTML)
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
        asked.account = user if user in self._views else None
        try:
            token = self.sessions.login(user, password, asked.now)
        except Refusal as why:
            if why.code == 20400 and self.faults.empty_login_refusal:
                asked.fail_code = None
                return Answer(200, b"")
            return self._envelope(asked, refusal("login", asked.body, why, asked.now_ms))
        answer = self._envelope(asked, success("login", asked.body, None, asked.now_ms))
        return Answer(answer.status, answer.body, answer.content_type, _token_headers(token, self.faults.header_token))

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
            data = self._data(asked, self._views[asked.account], readable)
        except Refusal as why:
            return self._envelope(asked, refusal(asked.endpoint, asked.body, why, asked.now_ms))
        asked.rows = len(data["list"] if isinstance(data, dict) else data)
        return self._envelope(asked, success(asked.endpoint, asked.body, data, asked.now_ms))

    def _admit(self, asked: _Asked, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """Find the session and the permission; return the body of the refusal, or None to go on."""
        token = headers.get("xsrf-token")
        if headers.get("authorization"):
            # An access token beside the session's token is refused; alone, it is one that nobody issued here.
            return relogin() if token else invalid_credential()
        account = self.sessions.account_of(token, asked.now) if token else None
        if account is None:
            return relogin()
        asked.account = account
        if self._state.every("kill_session_every"):
            self.sessions.kill(account)
            return relogin()
        if asked.endpoint in RETIRED_ENDPOINTS or asked.endpoint in self.faults.deny:
            return unauthorized()
        return None

    def _data(self, asked: _Asked, view: View, readable: bool) -> Any:
        assert asked.account is not None
        if not self._flow.admit(asked.account, asked.endpoint, view.counts, asked.now):
            raise Refusal.too_frequent()
        if not readable:
            raise Refusal(BAD_PARAMETER)
        call = Call(
            view=view,
            body=asked.body,
            now_ms=asked.now_ms,
            lock=self._world_lock,
            closed_plants=self.faults.unauthorized_plant,
            cut_short=self.faults.cut_short_paging,
            alarm_span_ms=self._alarm_span_ms,
        )
        return HANDLERS[asked.endpoint](call)

    def _system_trouble(self, asked: _Asked) -> Answer | None:
        """Play the faults of the whole system, which hit before anybody looks at the session."""
        endpoint = asked.endpoint
        if self._state.every("http_500_every"):
            return Answer(500, _PAGE % (b"500 Internal Server Error", b"500 Internal Server Error"), HTML)
        if self._state.once("http_503_once", endpoint):
            return Answer(503, _PAGE % (b"503 Service Unavailable", b"503 Service Unavailable"), HTML)
        if self._state.once("quota_control_403_once", endpoint):
            reason = f"Request is rejected by api quotaControl. api:simulator, key:/{endpoint}_POST"
            return Answer(403, orjson.dumps({"errorCode": "49401021002", "exceptionInfo": reason}))
        if self._state.once("too_many_429_once", endpoint):
            asked.fail_code = 429
            return Answer(429, orjson.dumps({"data": None, "failCode": 429, "message": "", "success": False}))
        return None

    def _spoil(self, asked: _Asked, answer: Answer) -> Answer:
        """Play the faults of the way back: the request was worked on and counted, its answer is lost."""
        if self._state.once("html_once", asked.endpoint):
            asked.fail_code = None
            return Answer(200, _PAGE % (b"Maintenance", b"Maintenance"), HTML)
        if self._state.once("empty_body_once", asked.endpoint):
            asked.fail_code = None
            return Answer(200, b"", answer.content_type)
        if self._state.once("cut_body_once", asked.endpoint):
            asked.fail_code = None
            return Answer(200, answer.body[: len(answer.body) // 2], answer.content_type)
        return answer

    def _envelope(self, asked: _Asked, envelope: dict[str, Any]) -> Answer:
        asked.fail_code = envelope["failCode"]
        if self.faults.string_fail_codes:
            envelope = {**envelope, "failCode": str(envelope["failCode"])}
        content_type = "text/plain;charset=UTF-8" if self.faults.wrong_content_type else JSON
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
        )
        self.log.add(record)


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
