"""From an answer of the OAuth service's token API to tokens or to an error (reference 3.1.2.3, 8.1.2)."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pipelines.northbound.errors import (
    BadAnswer,
    NorthboundError,
    RateLimited,
    ServerFault,
    SystemBusy,
    WrongAddress,
)
from pipelines.northbound.judge import said_by_server
from pipelines.northbound.oauth_errors import (
    SCOPE_ADVICE,
    UNSUPPORTED_GRANT_ADVICE,
    ConsentNeeded,
    OAuthClientRefused,
    OAuthRefused,
)
from pipelines.northbound.transport import Reply

ACCESS_LIFETIME: Final = timedelta(hours=1)
"""What the reference promises (3.1.2.1); the answer's own expires_in counts."""

LONGEST_LIFETIME: Final = timedelta(days=1)
"""An expires_in beyond this isn't believed."""

ENDPOINT: Final = "oauth_token"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A good answer. ``refresh_token`` None: the one that was used goes on (some servers leave it out)."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    lifetime: timedelta
    scope: str | None


def judge_tokens(reply: Reply, *, hide: tuple[str, ...] = ()) -> Tokens:
    """The tokens, or ConsentNeeded (invalid_grant), OAuthClientRefused, OAuthRefused, RateLimited, SystemBusy, or a
    transport error. ``hide``: secrets that an error must not quote."""
    if reply.status in (403, 429, 503):
        raise SystemBusy(f"HTTP {reply.status}", endpoint=ENDPOINT)
    content = _opened(reply.body)
    if content is None:
        raise _no_answer(reply)
    if reply.status == 200 and "access_token" in content:
        return _tokens(content)
    raise _refusal(reply, content, hide)


def _opened(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _tokens(content: dict[str, Any]) -> Tokens:
    access, refresh = content["access_token"], content.get("refresh_token") or None
    if not _is_token(access) or not (refresh is None or _is_token(refresh)):
        raise _odd_shape("tokens of unexpected shape")
    if str(content.get("token_type") or "Bearer").lower() != "bearer":
        raise _odd_shape("a token that isn't a Bearer token")
    scope = content.get("scope")
    return Tokens(access, refresh, _lifetime(content.get("expires_in")), scope if isinstance(scope, str) else None)


def _is_token(text: object) -> bool:
    # It goes into a header: whatever could end that header is no token.
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


def _lifetime(seconds: Any) -> timedelta:
    try:
        found = timedelta(seconds=int(seconds))
    except (TypeError, ValueError, OverflowError):
        return ACCESS_LIFETIME
    return min(found, LONGEST_LIFETIME) if found > timedelta(0) else ACCESS_LIFETIME


def _refusal(reply: Reply, content: dict[str, Any], hide: tuple[str, ...]) -> NorthboundError:
    """The name of the error stands in `error` or, beside a number, in `error_description`; both are looked at."""
    said = [str(content[key]).strip() for key in ("error", "error_description") if content.get(key)]
    words = {text.lower() for text in said}
    reason = said_by_server(": ".join(said), hide)
    if words & {"invalid_grant", "1110"}:
        return ConsentNeeded("the OAuth service doesn't take the grant (invalid_grant)", endpoint=ENDPOINT)
    if words & {"invalid_client", "unauthorized_client"}:
        return OAuthClientRefused("the OAuth service doesn't know this app (invalid_client)", endpoint=ENDPOINT)
    if words & {"unsupported_grant_type", "1111"}:
        return OAuthRefused(
            "unsupported_grant_type, says the OAuth service", endpoint=ENDPOINT, advice=UNSUPPORTED_GRANT_ADVICE
        )
    if "invalid_scope" in words:
        return OAuthRefused("invalid_scope, says the OAuth service", endpoint=ENDPOINT, advice=SCOPE_ADVICE)
    if str(content.get("failCode")) == "407":
        return RateLimited("tokens were asked for too often", code=407, endpoint=ENDPOINT)
    if str(content.get("failCode")) == "429":
        return SystemBusy("the vendor's system is busy", code=429, endpoint=ENDPOINT)
    if reply.status >= 500:
        return ServerFault(f"the OAuth service failed: HTTP {reply.status}", endpoint=ENDPOINT)
    if not said:
        return _odd_shape(f"HTTP {reply.status} with neither tokens nor a reason")
    return OAuthRefused(f"HTTP {reply.status}, in the OAuth service's words: {reason}", code=None, endpoint=ENDPOINT)


def _no_answer(reply: Reply) -> NorthboundError:
    kind = (reply.header("content-type") or "nothing that it names").partition(";")[0]
    what = f"HTTP {reply.status} with {kind} instead of an answer of the OAuth service"
    if reply.status >= 500:
        return ServerFault(what, endpoint=ENDPOINT)
    if reply.status == 401:
        return OAuthClientRefused(what, endpoint=ENDPOINT)
    if 300 <= reply.status < 500:
        advice = "Check SMARTPVMS_OAUTH_URL: the reference names https://oauth2.fusionsolar.huawei.com."
        return WrongAddress(what, endpoint=ENDPOINT, advice=advice)
    return BadAnswer(what, endpoint=ENDPOINT)


def _odd_shape(what: str) -> BadAnswer:
    return BadAnswer(what, endpoint=ENDPOINT, transient=False)
