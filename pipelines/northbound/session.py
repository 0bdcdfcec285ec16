"""The account's session: a token at hand, or one login for all who need it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NoReturn

from pipelines.northbound.clock import Clock
from pipelines.northbound.errors import (
    LoginRefused,
    NorthboundError,
    QuotaExhausted,
    RateLimited,
    SessionContested,
)
from pipelines.northbound.judge import judge_login, judge_logout
from pipelines.northbound.ledger import FleetCounts, Ledger
from pipelines.northbound.listed import name_account, named
from pipelines.northbound.tokens import TOKEN_LIFETIME, Refusal, TokenCache
from pipelines.northbound.transport import Transport
from schemas.endpoints import ENDPOINTS

TOKEN_HEADER: Final = "XSRF-TOKEN"  # noqa: S105 a name
"""The request header that carries the token (3.2.3)."""

ENDS_BORNE: Final = 3
"""So many tokens that die before their time within ENDS_WITHIN are chance; then another program is at work."""

ENDS_WITHIN: Final = timedelta(minutes=30)

RESTS: Final = (timedelta(minutes=10), timedelta(minutes=30), timedelta(minutes=60))
"""How long the account rests then, by how often it has come to that in a day. Two programs that log in against each
other would use up the five logins of ten minutes, and neither would get anything done."""

NEAR_THE_END: Final = timedelta(minutes=1)
"""So much before 30 idle minutes are over, by this machine's clock, a token may be found dead for its age."""

NO_FLEET: Final = FleetCounts()
"""The limits of login and logout don't depend on the fleet."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API account on a server. The password stays out of every printed form."""

    base_url: str
    username: str
    password: str = field(repr=False)


class Session:
    """Gives out tokens. All processes on this machine share them through the cache file."""

    endpoint: Final = "login"
    """By what name the ledger knows the calls that bring one."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        account: str,
        transport: Transport,
        cache: TokenCache,
        ledger: Ledger,
        clock: Clock,
        listed: bool = False,
    ) -> None:
        """``account`` is the ledger's name; ``listed``: it stands in an accounts file, so that errors name it."""
        self._named = account if listed else None
        self._credentials = credentials
        self._account = account
        self._transport = transport
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._who = (credentials.base_url, credentials.username)

    def token(self, *, why: str) -> str:
        """A token that should be good; logs in when there is none.

        LoginRefused (at once, without a call, if this very secret was refused before), QuotaExhausted after five
        logins in ten minutes, or a transport error.
        """
        found = self._live()
        if found is not None:
            return found
        with named(self._named), self._cache.login_lock(*self._who):
            return self._live() or self._login(why)

    def renew(self, dead: str, *, why: str) -> tuple[str, bool]:
        """Another token than the one that the server turned down, and whether it took a login of ours.

        If another process has logged in meanwhile, its token is taken and nothing is called. SessionContested when
        tokens have died before their time again and again; else errors as for :meth:`token`.
        """
        with named(self._named), self._cache.login_lock(*self._who):
            found = self._live()
            if found is not None and found != dead:
                return found, False
            early = found is not None and self._died_early()
            self._cache.drop_token(*self._who, dead)
            if early:
                self._note_end()
            return self._login(why), True

    def ended(self, dead: str) -> None:
        """The server turned down a token that nobody renews now; the next call begins with a login.

        SessionContested as :meth:`renew`.
        """
        with self._cache.login_lock(*self._who):
            if self._live() == dead:
                early = self._died_early()
                self._cache.drop_token(*self._who, dead)
                if early:
                    self._note_end()

    def headers(self, token: str) -> dict[str, str]:
        """The request headers that carry the token."""
        return {TOKEN_HEADER: token}

    def good(self, token: str, sent_at: datetime) -> None:
        """The server has accepted this token, in a call that left then: idle time runs from the call's arrival."""
        self._cache.touch(*self._who, token, sent_at)

    def secrets(self, token: str | None = None) -> tuple[str, ...]:
        """What must not show up in any text."""
        return tuple(secret for secret in (self._credentials.password, token) if secret)

    def explain(self, error: NorthboundError) -> None:
        """Correct an error's advice where it depends on the kind of access: the errors speak of API accounts."""

    def close(self) -> None:
        """Nothing: the connections are the client's."""

    def at_hand(self) -> bool:
        """Is there a session that should be good? Costs nothing."""
        return self._live() is not None

    def opens_at(self) -> datetime | None:
        """When a login may be made, if none may now and there is no session; costs nothing."""
        if self.at_hand():
            return None
        return self._ledger.allowance(self._account, self.endpoint, self._clock.now(), NO_FLEET).next_at

    def stopped(self) -> tuple[datetime | None, LoginRefused] | None:
        """Since when and why no login is tried, if this secret was refused; costs nothing."""
        refusal = self._cache.refusal(*self._who, self._credentials.password)
        if refusal is None:
            return None
        error = LoginRefused(refusal.message, code=refusal.code, endpoint="login")
        name_account(error, self._named)
        return refusal.at, error

    def login_again(self, *, why: str) -> None:
        """Log in, even if there is a session or this secret was refused; errors as for :meth:`token`."""
        with named(self._named), self._cache.login_lock(*self._who):
            self._cache.forget_refusal(*self._who, self._credentials.password)
            self._login(why)

    def logout(self) -> None:
        """End the session, for every process that shares it; nothing if there is none."""
        with self._cache.login_lock(*self._who):
            token = self._live()
            if token is None:
                return
            call_id = self._reserve("logout", "the session is to end")
            # The reference prints the parameter as xsrftoken and its picture of a request as xsrfToken.
            body = {"xsrftoken": token, "xsrfToken": token}
            try:
                reply = self._transport.post(ENDPOINTS["logout"].path, body, {TOKEN_HEADER: token})
                judge_logout(reply, hide=self.secrets(token))
            except NorthboundError as error:
                self._settle(call_id, error)
                raise
            self._settle(call_id)
            self._cache.drop_token(*self._who, token)

    def forget_refusal(self) -> None:
        """Let a secret that was refused be tried again: for when the account was locked and no longer is."""
        self._cache.forget_refusal(*self._who, self._credentials.password)

    def _live(self) -> str | None:
        return self._cache.live_token(*self._who, self._clock.now())

    def _login(self, why: str) -> str:
        """One login; the caller holds the lock."""
        refusal = self._cache.refusal(*self._who, self._credentials.password)
        if refusal is not None:
            _refuse_again(refusal)
        call_id = self._reserve("login", why)
        body = {"userName": self._credentials.username, "systemCode": self._credentials.password}
        try:
            token = judge_login(self._transport.post(ENDPOINTS["login"].path, body), hide=self.secrets())
        except NorthboundError as error:
            error.endpoint = error.endpoint or "login"
            self._settle(call_id, error)
            self._learn(error)
            raise
        self._settle(call_id)
        self._cache.put_token(*self._who, token, self._clock.now())
        return token

    def _died_early(self) -> bool:
        """Whether the token that is known should have lived on; near the end of its life nobody ended it."""
        used_at = self._cache.get(*self._who).used_at
        return used_at is None or self._clock.now() - used_at < TOKEN_LIFETIME - NEAR_THE_END

    def _note_end(self) -> None:
        """A token that should have been good was turned down: the first times a new login cures it, then it waits."""
        now = self._clock.now()
        ends = self._cache.note_end(*self._who, now)
        lately = sum(now - end < ENDS_WITHIN for end in ends)
        if lately >= ENDS_BORNE:
            rest = RESTS[min(len(ends) - ENDS_BORNE, len(RESTS) - 1)]
            self._ledger.note_contested(self._account, now, now + rest)
            raise SessionContested(
                f"the session was ended {lately} times within half an hour: another program seems to log in with this "
                "account, and each login ends the session before it. Give this warehouse an API account of its own",
                next_at=now + rest,
                endpoint="login",
            )

    def _learn(self, error: NorthboundError) -> None:
        now = self._clock.now()
        if isinstance(error, LoginRefused):
            self._cache.put_refusal(
                *self._who, self._credentials.password, code=error.code, message=error.message, now=now
            )
        elif isinstance(error, RateLimited):
            next_at = self._ledger.note_refusal(self._account, "login", now, NO_FLEET)
            raise QuotaExhausted(error.message, next_at=next_at, code=error.code, endpoint="login") from error

    def _reserve(self, endpoint: str, why: str) -> int:
        # What was asked is in the name; the body holds the secret and is written nowhere.
        return self._ledger.reserve(self._account, endpoint, endpoint, why, self._clock.now(), NO_FLEET)

    def _settle(self, call_id: int, error: NorthboundError | None = None) -> None:
        self._ledger.settle(
            call_id,
            error.outcome if error else "ok",
            error.code if error else 0,
            rows=None,
            bytes=None,
            ms=None,
            now=self._clock.now(),
            words=error.message if error else None,
            counted=error.costs_quota if error else True,
        )


def _refuse_again(refusal: Refusal) -> NoReturn:
    raise LoginRefused(
        f"this password was refused on {refusal.at:%Y-%m-%d %H:%M} UTC and isn't tried again: {refusal.message}",
        code=refusal.code,
        endpoint="login",
    )
