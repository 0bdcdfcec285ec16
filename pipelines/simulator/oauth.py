"""The OAuth service: owners consent on its pages, apps get tokens from its token API (reference 3.1, 6.4, 8.1).

A code lives five minutes and is good once, an access token an hour. A refresh ends the access token before it; a new
consent, once its code is exchanged, ends all earlier tokens of that owner.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from pipelines.simulator.answers import HTML, JSON, Answer
from pipelines.simulator.oauth_pages import consent_page, login_page, whitelabel_page
from pipelines.simulator.view import Account

PREFIX: Final = "/rest/dp/uidm/oauth2/v1/"
PAGES: Final = ("authorize", "login-page")
"""Both names of the page of consent are in use."""

CODE_SECONDS: Final = 5 * 60
ACCESS_SECONDS: Final = 60 * 60
BASIC: Final = "pvms.openapi.basic"
CONTROL: Final = "pvms.openapi.control"

CLIENT_ID: Final = "123456789"
CLIENT_SECRET: Final = "simulated-client-secret"  # noqa: S105 - the published secret of a server on loopback
REDIRECT_URI: Final = "http://127.0.0.1:8976/pvms"
OWNER: Final = "owner"
OWNER_PASSWORD: Final = "owner-password"  # noqa: S105

_REFUSALS: Final[Mapping[str, tuple[int, dict[str, str]]]] = {
    "invalid_client": (401, {"error": "invalid_client"}),
    "invalid_grant": (400, {"error_description": "invalid_grant", "error": "1110"}),
    "unsupported_grant_type": (400, {"error_description": "unsupported_grant_type", "error": "1111"}),
    "invalid_scope": (400, {"error_description": "OAuth 2.0 Parameter: scope", "error": "invalid_scope"}),
}
REFUSED: Final = tuple(_REFUSALS)
"""What the token API can be told to refuse everything with."""


@dataclass(frozen=True)
class OAuthSetup:
    """The registered app and the owners who may consent to it.

    ``refresh`` says what a refresh does to the refresh token: "keep" answers with the same one (as in the
    reference's example), "rotate" with a new one that ends it, "omit" leaves it out of the answer. ``gives_state``
    False leaves the link's state out of the redirect. ``refused`` names an error that the token API always answers.
    """

    client_id: str = CLIENT_ID
    client_secret: str = field(default=CLIENT_SECRET, repr=False)
    redirect_uri: str = REDIRECT_URI
    scopes: Sequence[str] = (BASIC, CONTROL)
    owners: Sequence[Account] = (Account(OWNER, OWNER_PASSWORD),)
    refresh: str = "keep"
    gives_state: bool = True
    refused: str | None = None


@dataclass(slots=True)
class _Asked:
    """A consent on its way: what the link asked for, and who has logged in."""

    scopes: tuple[str, ...]
    state: str | None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class _Code:
    owner: str
    scopes: tuple[str, ...]
    until: float


@dataclass(slots=True)
class _Grant:
    """What an owner has consented to, and the tokens that stand for it."""

    scopes: tuple[str, ...]
    refresh_token: str
    access_token: str
    access_until: float


class OAuthService:
    """Consent and tokens of one app. Times are seconds since the epoch, given by the caller."""

    def __init__(self, setup: OAuthSetup) -> None:
        """Nobody has consented yet."""
        self.setup = setup
        self._owners = {owner.username: owner for owner in setup.owners}
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._codes: dict[str, _Code] = {}
        self._grants: dict[str, _Grant] = {}

    # --- The pages ---

    def page(self, method: str, query: Mapping[str, str], form: Mapping[str, str], now: float) -> Answer:
        """The page of consent: what a browser gets for a link (GET), and for the forms on it (POST)."""
        with self._lock:
            return self._begin(query) if method == "GET" else self._go_on(form, now)

    def _begin(self, query: Mapping[str, str]) -> Answer:
        setup = self.setup
        right = (query.get("response_type"), query.get("client_id"), query.get("redirect_uri"))
        if right != ("code", setup.client_id, setup.redirect_uri):
            return Answer(400, whitelabel_page(), HTML)
        scopes = tuple(query.get("scope", "").split()) or tuple(setup.scopes)
        if not set(scopes) <= set(setup.scopes):
            return self._redirect(
                query.get("state"), error="invalid_scope", error_description="OAuth 2.0 Parameter: scope"
            )
        ticket = secrets.token_hex(16)
        self._asked[ticket] = _Asked(scopes, query.get("state"))
        return Answer(200, login_page(ticket), HTML)

    def _go_on(self, form: Mapping[str, str], now: float) -> Answer:
        ticket = form.get("ticket", "")
        asked = self._asked.get(ticket)
        if asked is None:
            return Answer(400, whitelabel_page(), HTML)
        if asked.owner is None:
            owner = self._owners.get(form.get("username", ""))
            if owner is None or not secrets.compare_digest(owner.password, form.get("password", "")):
                return Answer(200, login_page(ticket, wrong=True), HTML)
            asked.owner = owner.username
            return Answer(200, consent_page(ticket, owner.username, asked.scopes), HTML)
        del self._asked[ticket]
        granted = tuple(scope for scope in asked.scopes if form.get(scope))
        if form.get("decision") != "authorize" or not granted:
            return self._redirect(asked.state, error="10002", error_description="access_is_denied")
        return self._redirect(asked.state, code=self._code(asked.owner, granted, now))

    def _redirect(self, state: str | None, **said: str) -> Answer:
        if state is not None and self.setup.gives_state:
            said["state"] = state
        joint = "&" if "?" in self.setup.redirect_uri else "?"
        place = f"{self.setup.redirect_uri}{joint}{urlencode(said, quote_via=quote)}"
        return Answer(302, b"", HTML, (("Location", place),))

    def _code(self, owner: str, scopes: tuple[str, ...], now: float) -> str:
        code = secrets.token_hex(24)
        self._codes[code] = _Code(owner, scopes, now + CODE_SECONDS)
        return code

    # --- The token API ---

    def token(self, form: Mapping[str, str] | None, now: float) -> Answer:
        """Tokens for a code or a refresh token; ``form`` None stands for a body that was no form."""
        if form is None:
            return _refuse("unsupported_grant_type")
        with self._lock:
            if self.setup.refused is not None:
                return _refuse(self.setup.refused)
            right = secrets.compare_digest(form.get("client_secret", "").encode(), self.setup.client_secret.encode())
            if form.get("client_id") != self.setup.client_id or not right:
                return _refuse("invalid_client")
            if form.get("grant_type") == "authorization_code":
                return self._exchange(form, now)
            if form.get("grant_type") == "refresh_token":
                return self._refresh(form.get("refresh_token", ""), now)
            return _refuse("unsupported_grant_type")

    def _exchange(self, form: Mapping[str, str], now: float) -> Answer:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or now > code.until or form.get("redirect_uri") != self.setup.redirect_uri:
            return _refuse("invalid_grant")
        grant = _Grant(code.scopes, _new("r"), _new("a"), now + ACCESS_SECONDS)
        self._grants[code.owner] = grant
        return _tokens(grant, grant.refresh_token)

    def _refresh(self, refresh_token: str, now: float) -> Answer:
        grant = next((g for g in self._grants.values() if g.refresh_token == refresh_token), None)
        if grant is None:
            return _refuse("invalid_grant")
        if self.setup.refresh == "rotate":
            grant.refresh_token = _new("r")
        grant.access_token, grant.access_until = _new("a"), now + ACCESS_SECONDS
        return _tokens(grant, None if self.setup.refresh == "omit" else grant.refresh_token)

    # --- What the rest of the simulator, and a test, may ask and do ---

    def consent(self, owner: str = OWNER, *scopes: str, now: float) -> str:
        """Let an owner consent without a browser: a code, as the redirect would carry it."""
        with self._lock:
            return self._code(owner, scopes or tuple(self.setup.scopes), now)

    def owner_of(self, access_token: str, now: float) -> str | None:
        """The owner behind a living access token."""
        with self._lock:
            found = [
                owner
                for owner, grant in self._grants.items()
                if secrets.compare_digest(grant.access_token.encode(), access_token.encode())
            ]
            return found[0] if found and now < self._grants[found[0]].access_until else None

    def allows(self, owner: str, scope: str) -> bool:
        """Whether the owner's consent covers this permission set."""
        with self._lock:
            return owner in self._grants and scope in self._grants[owner].scopes

    def set_scopes(self, owner: str, *scopes: str) -> None:
        """What an owner does in the app's list of authorized apps: other permission sets, same tokens (3.1.4)."""
        with self._lock:
            self._grants[owner].scopes = scopes

    def kill(self, owner: str) -> None:
        """End the access token; the refresh token lives on."""
        with self._lock:
            self._grants[owner].access_token = _new("a")

    def revoke(self, owner: str) -> None:
        """End all tokens, as an owner's Revoke Authorization does (3.1.4)."""
        with self._lock:
            self._grants.pop(owner, None)


def _new(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(32)}"


def _tokens(grant: _Grant, refresh_token: str | None) -> Answer:
    body: dict[str, Any] = {
        "access_token": grant.access_token,
        "expires_in": ACCESS_SECONDS,
        "scope": " ".join(grant.scopes),
        "token_type": "Bearer",
    }
    if refresh_token is not None:
        body["refresh_token"] = refresh_token
    return Answer(200, orjson.dumps(body), JSON)


def _refuse(why: str) -> Answer:
    status, body = _REFUSALS[why]
    return Answer(status, orjson.dumps(body), JSON)
