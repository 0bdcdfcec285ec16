"""From an HTTP answer to rows or to an error: the one place that decides what an answer means.

Order of the questions: does the status speak for the whole system (403, 429, 503)? Is there an envelope with a
failCode (number or text)? Is it a success, and of the endpoint's shape? Whatever fails a question is an error;
there is no way around that ends in an empty list.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import quote, quote_plus

import msgspec

from pipelines.northbound.errors import (
    BadAnswer,
    LoginRefused,
    NorthboundError,
    PermissionDenied,
    PlantNotAuthorized,
    RateLimited,
    RequestRejected,
    ServerFault,
    SessionExpired,
    SystemBusy,
    WrongAddress,
    error_class,
    old_name_hint,
)
from pipelines.northbound.transport import Reply

LONGEST_REASON: Final = 200
"""Characters of a server's text that an error quotes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
"""A server's time before this is a placeholder, not a time."""

_FARTHEST_AHEAD: Final = timedelta(days=1)
"""A server's time further ahead of ours isn't believed: rows stamped with it would outrank every later reading."""

_BUSY_STATUSES: Final = frozenset({403, 429, 503})


_Rows = list[msgspec.Raw]
_Scalar = str | int | float | bool | None


class _PageFrame(msgspec.Struct):
    rows: _Rows | dict[str, Any] | _Scalar = msgspec.field(default=None, name="list")
    total: Any = None
    page_count: Any = msgspec.field(default=None, name="pageCount")
    page_no: Any = msgspec.field(default=None, name="pageNo")


class _Envelope(msgspec.Struct):
    """The frame of every answer. Rows stay as the bytes that came: one pass over them, no object for each value."""

    success: Any = None
    fail_code: Any = msgspec.field(default=None, name="failCode")
    data: _Rows | _PageFrame | _Scalar = None
    params: Any = None
    message: Any = None
    # In the answers of the system-wide flow control.
    exception_info: Any = msgspec.field(default=None, name="exceptionInfo")


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


TimeSource = Literal["answer", "header", "none"]
"""Where the server's time was read: params.currentTime, the Date header, nowhere (it is this machine's)."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of `stations` says of itself."""

    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A well-shaped success. ``data`` is the JSON text of the list of rows, as it came."""

    data: bytes = field(repr=False)
    rows: int
    server_time: datetime
    time_source: TimeSource
    page: Page | None = None


def judge_rows(endpoint: str, reply: Reply, *, paged: bool, now: datetime, hide: tuple[str, ...] = ()) -> Verdict:
    """The rows of a read endpoint, or the error that the answer stands for.

    ``hide``: secrets that must not show up in an error, wherever a server may quote them.
    """
    envelope = _judged(endpoint, reply, hide)
    rows: object = envelope.data
    page = None
    if paged and isinstance(envelope.data, _PageFrame):
        page, rows = _page(endpoint, envelope.data), envelope.data.rows
    elif paged and rows == []:
        # Seen where no plant is bound to the account: no page frame around an empty list.
        page = Page(number=1, pages=0, total=0)
    elif paged:
        raise _odd_shape(endpoint, "a list without its page frame")
    if not isinstance(rows, list):
        # A null too. Servers answer [] where there is nothing; a null with success true is known from broken
        # clients' reports only, and to take it for "no data" would mark a period as read that wasn't.
        raise _odd_shape(endpoint, "data is no list")
    text = b"[" + b",".join(rows) + b"]"
    server_time, source = _server_time(envelope, reply, now)
    return Verdict(data=text, rows=len(rows), server_time=server_time, time_source=source, page=page)


def judge_login(reply: Reply, *, hide: tuple[str, ...] = ()) -> str:
    """The token of a login, or LoginRefused (permanent), RateLimited, SystemBusy, or a transient error."""
    if reply.status == 200 and reply.body.strip() in (b"", b"{}"):
        # How older servers say that they don't know the user or the password.
        raise LoginRefused("the login was answered with nothing, which older servers do", endpoint="login")
    try:
        _judged("login", reply, hide)
    except (RequestRejected, PermissionDenied, PlantNotAuthorized, SessionExpired) as error:
        # Whatever a login is refused for, repeating it only brings the account nearer to its lock.
        raise LoginRefused(error.message, code=error.code, endpoint="login") from None
    token = token_of(reply)
    if token is None:
        raise BadAnswer("the login succeeded but brought no token", endpoint="login", transient=False)
    return token


def judge_logout(reply: Reply, *, hide: tuple[str, ...] = ()) -> None:
    """Nothing for a logout that worked or that came too late; else the error."""
    try:
        _judged("logout", reply, hide)
    except SessionExpired:
        return
    except ServerFault as error:
        # 20004 is the reference's example of a logout that came too late (3.2.2.2).
        if error.code is None:
            raise


def token_of(reply: Reply) -> str | None:
    """XSRF-TOKEN from the header, else from a cookie; servers differ in place and letter case (3.2.2.1)."""
    found = [(reply.header("xsrf-token") or "").strip()]
    for key, value in reply.headers:
        if key == "set-cookie":
            name, _, rest = value.partition("=")
            if name.strip().lower() == "xsrf-token":
                found.append(rest.partition(";")[0].strip().strip('"'))
    return next((token for token in found if token and token.isascii() and token.isprintable()), None)


def _judged(endpoint: str, reply: Reply, hide: tuple[str, ...]) -> _Envelope:
    """The envelope of a success, else its error."""
    envelope = _opened(reply.body)
    if reply.status in _BUSY_STATUSES:
        reason = _reason(envelope, hide) if envelope else None
        raise SystemBusy(_sentence(f"HTTP {reply.status}", reason), code=_busy_code(reply), endpoint=endpoint)
    code = _code(endpoint, envelope) if envelope else None
    if envelope is None or (code is None and envelope.success is None):
        raise _no_envelope(endpoint, reply)
    if code not in (None, 0):
        raise _refusal(endpoint, code, _reason(envelope, hide))
    if envelope.success is not True and envelope.success != "true":
        raise _odd_shape(endpoint, "neither a success nor a failure with a code")
    if reply.status != 200:
        raise _odd_shape(endpoint, f"a success under HTTP {reply.status}")
    return envelope


def _opened(body: bytes) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _code(endpoint: str, envelope: _Envelope) -> int | None:
    code = envelope.fail_code
    if code is None or (isinstance(code, int) and not isinstance(code, bool)):
        return code
    try:
        return int(code)
    except (TypeError, ValueError):
        raise _odd_shape(endpoint, "a failCode that is no number") from None


def _busy_code(reply: Reply) -> int | None:
    return reply.status if reply.status in (403, 429) else None


def _refusal(endpoint: str, code: int | None, reason: str | None) -> NorthboundError:
    kind = error_class(code)
    advice = None
    if kind is PermissionDenied and (hint := old_name_hint(endpoint)):
        advice = f"{kind.default_advice} {hint}"
    return kind(_sentence(_WHAT.get(kind, "refused"), reason), code=code, endpoint=endpoint, advice=advice)


_WHAT: Final[dict[type[NorthboundError], str]] = {
    LoginRefused: "the login was refused",
    SessionExpired: "the session has ended",
    PermissionDenied: "this account may not call it",
    PlantNotAuthorized: "a plant or device in the request isn't open to this account",
    RateLimited: "called more often than this account may",
    SystemBusy: "the vendor's system is busy",
    ServerFault: "the server failed",
}


def _no_envelope(endpoint: str, reply: Reply) -> NorthboundError:
    """The error for an answer that isn't the interface's JSON."""
    kind = (reply.header("content-type") or "nothing that it names").partition(";")[0]
    what = f"HTTP {reply.status} with {kind} instead of an answer of this interface"
    if reply.status >= 500:
        return ServerFault(f"the server failed: {what}", endpoint=endpoint)
    if reply.status in (404, 405, 410) or 300 <= reply.status < 400:
        return WrongAddress(what, endpoint=endpoint)
    if reply.status == 401:
        # What gateways say to a session that has ended; a missing permission comes as failCode 401.
        return SessionExpired(what, endpoint=endpoint)
    if 400 <= reply.status < 500:
        return RequestRejected(what, endpoint=endpoint)
    if not reply.body.strip():
        what = "an empty answer"
    elif reply.body.lstrip()[:1] in (b"{", b"["):
        what = f"JSON that is cut off or broken ({len(reply.body):,} bytes)"
    return BadAnswer(what, endpoint=endpoint)


def _odd_shape(endpoint: str, what: str) -> BadAnswer:
    # The JSON is whole, so the same question would get the same answer: not transient.
    return BadAnswer(
        f"an answer of unexpected shape: {what}",
        endpoint=endpoint,
        transient=False,
        advice="Nothing was taken over from it. If it lasts, please report it with the server's host name.",
    )


def _page(endpoint: str, frame: _PageFrame) -> Page:
    number, pages, total = (_whole(value) for value in (frame.page_no, frame.page_count, frame.total))
    if number is None or pages is None or total is None or min(number, pages, total) < 0:
        raise _odd_shape(endpoint, "a page without pageNo, pageCount or total")
    return Page(number=number, pages=pages, total=total)


def _whole(value: Any) -> int | None:
    try:
        return None if value is None or isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        return None


def _reason(envelope: _Envelope, hide: tuple[str, ...]) -> str | None:
    """The server's own words: in `message` or, on a 407, in `data`."""
    texts = [envelope.message, envelope.data, envelope.exception_info]
    found = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if found is None:
        return None
    return said_by_server(found, hide)


def said_by_server(text: str, hide: tuple[str, ...]) -> str:
    """A server's words for people: short, printable, without these secrets, also where JSON or a URL writes them
    otherwise."""
    for secret in hide:
        forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        forms |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
        for form in sorted(filter(None, forms), key=len, reverse=True):
            text = text.replace(form, "***")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:LONGEST_REASON]


def _sentence(what: str, reason: str | None) -> str:
    return f"{what}, in the server's words: {reason}" if reason else what


def _server_time(envelope: _Envelope, reply: Reply, now: datetime) -> tuple[datetime, TimeSource]:
    """The server's clock: params.currentTime, else the Date header (`stations` has no params), else ours."""
    current = envelope.params.get("currentTime") if isinstance(envelope.params, dict) else None
    millis = _whole(current)
    if millis is not None and 0 < millis < 10**14:
        instant = _EPOCH + timedelta(milliseconds=millis)
        if _EARLIEST <= instant <= now + _FARTHEST_AHEAD:
            return instant, "answer"
    try:
        return parsedate_to_datetime(reply.header("date") or "").astimezone(UTC), "header"
    except (TypeError, ValueError):
        return now, "none"
