"""An owner's consent in use: an access token at hand, or one refresh for all who need it (reference 3.1.2, 3.1.3).

The same methods as :class:`pipelines.northbound.session.Session`. The token travels as a Bearer header alone: some
servers answer 305 where an XSRF-TOKEN stands beside it.

A refresh ends the access token before it at once, for every process. So from some time before its end on nobody is
given it, and the refresh waits until the calls that carry it must have reached the server. Where one comes back with
305 all the same, it takes the new token from the cache and costs no second refresh.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final, NoReturn

from pipelines.northbound.clock import Clock
from pipelines.northbound.errors import (
    LoginRefused,
    NorthboundError,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    SessionExpired,
)
from pipelines.northbound.ledger import FleetCounts, Ledger
from pipelines.northbound.listed import name_account, named
from pipelines.northbound.oauth_app import OAuthApp
from pipelines.northbound.oauth_errors import (
    BASIC_APIS_ADVICE,
    STILL_DEAD_ADVICE,
    ConsentNeeded,
    OAuthClientRefused,
)
from pipelines.northbound.oauth_grants import ON_THE_WAY, Grant, GrantCache
from pipelines.northbound.oauth_judge import ENDPOINT, Tokens, judge_tokens
from pipelines.northbound.token_file import Refusal
from pipelines.northbound.transport import Reply, Transport

NO_FLEET: Final = FleetCounts()
"""The limit of the token API doesn't depend on the fleet."""

CODE_ADVICE: Final = (
    "A code is good for five minutes and for one use (reference 3.1.2.1): run `pvms login` again and finish within "
    "five minutes. If it was quick, SMARTPVMS_REDIRECT_URI isn't, letter by letter, the registered address."
)


class OAuthSession:
    """Gives out access tokens. All processes on this machine share them through the token file."""

    endpoint: Final = ENDPOINT
    """By what name the ledger knows the calls that bring one."""

    def __init__(
        self,
        app: OAuthApp,
        *,
        account: str,
        cache: GrantCache,
        ledger: Ledger,
        clock: Clock,
        transport: Transport | None = None,
        listed: bool = False,
    ) -> None:
        """``account`` is the ledger's name for the owner's consent; ``listed``: it stands in an accounts file, so that
        errors name it."""
        self._named = account if listed else None
        self.app = app
        self._account = account
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._transport = transport or Transport(app.host)

    def token(self, *, why: str) -> str:
        """An access token that should be good; refreshes when there is none or it is about to end.

        ConsentNeeded or OAuthClientRefused (at once, without a call, if the very same was refused before),
        QuotaExhausted after five refreshes in ten minutes, or a transport error.
        """
        found = self._live()
        if found is not None:
            return found
        with named(self._named), self._cache.lock():
            found = self._live()
            if found is None:
                self._let_arrive(self._cache.get())
                found = self._refresh(why)
            return found

    def renew(self, dead: str, *, why: str) -> tuple[str, bool]:
        """Another token than the one that the server turned down, and whether it took a refresh of ours.

        If another process has refreshed meanwhile, its token is taken and nothing is called.
        """
        with named(self._named), self._cache.lock():
            found = self._live()
            if found is not None and found != dead:
                return found, False
            self._cache.change(lambda old: replace(old, access_token=None) if old.access_token == dead else old)
            return self._refresh(why), True

    def ended(self, dead: str) -> None:
        """The server turned down a token that nobody renews now; the next call begins with a refresh."""
        with self._cache.lock():
            self._cache.change(lambda old: replace(old, access_token=None) if old.access_token == dead else old)

    def headers(self, token: str) -> dict[str, str]:
        """The request headers that carry the token: this one and no other (3.1.3)."""
        return {"Authorization": f"Bearer {token}"}

    def good(self, token: str, sent_at: datetime) -> None:
        """The server has accepted this token; that doesn't lengthen its life."""

    def secrets(self, token: str | None = None) -> tuple[str, ...]:
        """What must not show up in any text."""
        grant = self._cache.get()
        known = (self.app.client_secret, self.app.refresh_token, grant.refresh_token, grant.access_token, token)
        return tuple(secret for secret in known if secret)

    def explain(self, error: NorthboundError) -> None:
        """Put the advice for OAuth where the error speaks of API accounts."""
        if isinstance(error, SessionExpired):
            error.advice = STILL_DEAD_ADVICE
        elif isinstance(error, PermissionDenied):
            error.advice = error.advice.replace(PermissionDenied.default_advice, BASIC_APIS_ADVICE)

    def opens_at(self) -> datetime | None:
        """When a refresh may be made, if none may now and there is no access token; costs nothing."""
        if self._live() is not None:
            return None
        return self._ledger.allowance(self._account, self.endpoint, self._clock.now(), NO_FLEET).next_at

    def stopped(self) -> tuple[datetime | None, LoginRefused] | None:
        """Since when and why no refresh is tried, if only a person can help; costs nothing."""
        found = self._stopped()
        if found is not None:
            name_account(found[1], self._named)
        return found

    def _stopped(self) -> tuple[datetime | None, LoginRefused] | None:
        grant = self._cache.get()
        if grant.live_token(self._clock.now()) is not None:
            return None
        refusal = grant.refusal_of(self._app_secret())
        if refusal is not None:
            return refusal.at, OAuthClientRefused(refusal.message, endpoint=ENDPOINT)
        refusals = [grant.refusal_of(each) for each in self._candidates(grant)]
        if not refusals:
            return None, ConsentNeeded("no owner has consented yet", endpoint=ENDPOINT, advice="Run `pvms login`.")
        last = refusals[-1]
        if last is None or None in refusals:
            return None
        return last.at, ConsentNeeded(last.message, code=last.code, endpoint=ENDPOINT)

    def logout(self) -> None:
        """Nothing: only the owner can end a consent (3.1.4)."""

    def forget_refusal(self) -> None:
        """Let what was refused be tried once more."""
        self._cache.change(lambda old: replace(old, refusals=()))

    def close(self) -> None:
        """Close the connections to the OAuth service."""
        self._transport.close()

    def grant(self) -> Grant:
        """What is known of the owner's consent. Costs nothing."""
        return self._cache.get()

    def exchange(self, code: str, *, why: str) -> Grant:
        """Turn the code of a consent into tokens and keep them; they take the place of all earlier ones.

        ConsentNeeded for a code that is too old, used, or of another redirect address; else as :meth:`token`.
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.app.redirect_uri or "",
        }
        with named(self._named), self._cache.lock():
            try:
                tokens = self._ask(fields, "an authorization code", why, (code,))
            except ConsentNeeded as error:
                error.advice = CODE_ADVICE
                raise
            now = self._clock.now()
            grant = replace(Grant().renewed(tokens, now), consented_at=now)
            if self.app.refresh_token and self.app.refresh_token != grant.refresh_token:
                # New tokens make the old ones invalid (3.1.2.3), so the one in the settings isn't worth a call.
                grant = grant.refused(self._replaced(self.app.refresh_token))
            self._cache.change(lambda _: grant)
        return grant

    def _live(self) -> str | None:
        return self._cache.get().live_token(self._clock.now())

    def _let_arrive(self, grant: Grant) -> None:
        """Wait for calls that other processes have just sent with the token that a refresh is about to end."""
        if grant.access_token is not None and grant.settled_at is not None:
            wait = (grant.settled_at - self._clock.now()).total_seconds()
            if 0 < wait <= ON_THE_WAY.total_seconds():
                self._clock.sleep(wait)

    def _refresh(self, why: str) -> str:
        """One refresh; the caller holds the lock."""
        grant = self._cache.get()
        self._stop_if_refused(grant)
        refused: Refusal | None = None
        for refresh_token in self._candidates(grant):
            refused = grant.refusal_of(refresh_token)
            if refused is not None:
                continue
            try:
                return self._refresh_with(refresh_token, why)
            except ConsentNeeded as error:
                refused = Refusal.of(refresh_token, code=error.code, message=error.message, now=self._clock.now())
                self._cache.change(lambda old, new=refused: replace(old.refused(new), access_token=None))  # type: ignore[misc]
        if refused is not None:
            raise ConsentNeeded(
                f"the refresh token was refused on {refused.at:%Y-%m-%d %H:%M} UTC: {refused.message}",
                endpoint=ENDPOINT,
            )
        raise ConsentNeeded("no owner has consented yet", endpoint=ENDPOINT, advice="Run `pvms login`.")

    def _candidates(self, grant: Grant) -> Iterator[str]:
        """A rotated refresh token in the cache outranks the settings, which may hold its forerunner."""
        if grant.refresh_token:
            yield grant.refresh_token
        if self.app.refresh_token and self.app.refresh_token != grant.refresh_token:
            yield self.app.refresh_token

    def _refresh_with(self, refresh_token: str, why: str) -> str:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        tokens = self._ask(fields, "a refresh token", why, (refresh_token,))
        now = self._clock.now()
        rotated = tokens.refresh_token not in (None, refresh_token)
        replaced = self._replaced(refresh_token) if rotated and refresh_token == self.app.refresh_token else None

        def renewed(old: Grant) -> Grant:
            new = replace(old, refresh_token=refresh_token).renewed(tokens, now)
            return new if replaced is None else new.refused(replaced)

        self._cache.change(renewed)
        return tokens.access_token

    def _replaced(self, refresh_token: str) -> Refusal:
        return Refusal.of(refresh_token, code=None, message="a newer one took its place", now=self._clock.now())

    def _ask(self, fields: dict[str, str], asked: str, why: str, hide: tuple[str, ...]) -> Tokens:
        """One call of the token API, in the ledger before it leaves. The caller holds the lock."""
        call_id = self._ledger.reserve(self._account, ENDPOINT, asked, why, self._clock.now(), NO_FLEET)
        # Id and secret go into the form, as the reference's examples show, and not into a Basic header.
        form = {**fields, "client_id": self.app.client_id, "client_secret": self.app.client_secret}
        reply: Reply | None = None
        try:
            reply = self._transport.post_form(self.app.token_path, form)
            tokens = judge_tokens(reply, hide=(*hide, *self.secrets()))
        except NorthboundError as error:
            error.endpoint = ENDPOINT
            error.advice = error.advice.replace("SMARTPVMS_BASE_URL", "SMARTPVMS_OAUTH_URL")
            self._settle(call_id, reply, error)
            self._learn(error)
            raise
        self._settle(call_id, reply)
        return tokens

    def _learn(self, error: NorthboundError) -> None:
        now = self._clock.now()
        if isinstance(error, OAuthClientRefused):
            refusal = Refusal.of(self._app_secret(), code=error.code, message=error.message, now=now)
            self._cache.change(lambda old: old.refused(refusal))
        elif isinstance(error, RateLimited):
            next_at = self._ledger.note_refusal(self._account, ENDPOINT, now, NO_FLEET)
            raise QuotaExhausted(error.message, next_at=next_at, code=error.code, endpoint=ENDPOINT) from error

    def _stop_if_refused(self, grant: Grant) -> None:
        refusal = grant.refusal_of(self._app_secret())
        if refusal is not None:
            _refuse_again(refusal)

    def _app_secret(self) -> str:
        # The three together: whichever is corrected, the next command tries again.
        return f"{self.app.oauth_url} {self.app.client_id} {self.app.client_secret}"

    def _settle(self, call_id: int, reply: Reply | None, error: NorthboundError | None = None) -> None:
        self._ledger.settle(
            call_id,
            error.outcome if error else "ok",
            error.code if error else 0,
            rows=None,
            bytes=None,
            ms=reply.ms if reply else None,
            now=self._clock.now(),
            words=error.message if error else None,
            counted=error.costs_quota if error else True,
        )


def _refuse_again(refusal: Refusal) -> NoReturn:
    raise OAuthClientRefused(
        f"this app was refused on {refusal.at:%Y-%m-%d %H:%M} UTC and isn't tried again: {refusal.message}",
        endpoint=ENDPOINT,
    )
