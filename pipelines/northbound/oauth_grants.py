"""What an owner has granted, shared by all processes of a machine: tokens, their scope, and what was refused.

A refresh ends the access token before it (reference 3.1.2.1), and may end the refresh token too: so there is one
copy, in the token file, and whoever refreshes holds its lock.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.northbound.oauth_judge import Tokens
from pipelines.northbound.token_file import Refusal, TokenFile, aware

REFRESH_BEFORE: Final = timedelta(minutes=2)
"""An access token is replaced this long before it ends, so that no call leaves with one that dies on the way: the
longest call is given up after 70 s."""

ON_THE_WAY: Final = timedelta(seconds=10)
"""A call that got its token in the last moment reaches the server within this (the transport's connect time-out). A
refresh waits so long, or it would end that token under the call."""

KEPT_REFUSALS: Final = 4
"""Secrets that are remembered as refused: the app's, the cached refresh token and that of the settings, and one."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The state of one owner's consent. Tokens stay out of every printed form."""

    access_token: str | None = field(default=None, repr=False)
    refresh_at: datetime | None = None
    settled_at: datetime | None = None
    """From when on no call that carries the access token is on its way to the server any more."""
    refresh_token: str | None = field(default=None, repr=False)
    scope: str | None = None
    consented_at: datetime | None = None
    refusals: tuple[Refusal, ...] = field(default=(), repr=False)

    def live_token(self, now: datetime) -> str | None:
        """The access token, unless it is about to end."""
        return self.access_token if self.refresh_at is not None and now < self.refresh_at else None

    def refusal_of(self, secret: str) -> Refusal | None:
        """The refusal of exactly this secret, if there was one."""
        return next((each for each in self.refusals if each.is_about(secret)), None)

    def renewed(self, tokens: Tokens, now: datetime) -> "Grant":
        """With the tokens that a refresh brought; where it brought no refresh token, the old one goes on."""
        ahead = min(REFRESH_BEFORE, tokens.lifetime / 2)
        return replace(
            self,
            access_token=tokens.access_token,
            refresh_at=now + tokens.lifetime - ahead,
            settled_at=now + tokens.lifetime - ahead + min(ON_THE_WAY, ahead / 2),
            refresh_token=tokens.refresh_token or self.refresh_token,
            scope=tokens.scope or self.scope,
        )

    def refused(self, refusal: Refusal) -> "Grant":
        """With one more refusal; the oldest are forgotten."""
        return replace(self, refusals=(*self.refusals, refusal)[-KEPT_REFUSALS:])


class GrantCache:
    """One owner's grant in the token file; every method may be called from any thread or process."""

    def __init__(self, path: Path, *, client_id: str, account: str) -> None:
        """``account`` tells owners of the same app apart."""
        self._file = TokenFile(path)
        self._key = f"oauth {client_id} {account}"

    def lock(self) -> AbstractContextManager[None]:
        """Held around every use of a refresh token or a code; TransportError after ten minutes of waiting."""
        return self._file.login_lock(self._key)

    def get(self) -> Grant:
        """What is known now; an empty grant if nothing is."""
        return _grant(self._file.get(self._key))

    def change(self, change: Callable[[Grant], Grant]) -> None:
        """Read, change and write, while no other process does."""
        self._file.change(self._key, lambda content: _plain(change(_grant(content))))


_TIMES: Final = ("refresh_at", "settled_at", "consented_at")


def _plain(grant: Grant) -> dict[str, Any]:
    times = {name: getattr(grant, name) for name in _TIMES}
    return {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "scope": grant.scope,
        **{name: at.isoformat() if at else None for name, at in times.items()},
        "refusals": [each.plain() for each in grant.refusals],
    }


def _grant(content: dict[str, Any] | None) -> Grant:
    """Read a grant back; what isn't of the expected shape counts as unknown."""
    if not isinstance(content, dict):
        return Grant()
    try:
        times = {name: aware(content[name]) for name in _TIMES if content.get(name)}
        return Grant(
            access_token=content.get("access_token"),
            refresh_token=content.get("refresh_token"),
            scope=content.get("scope"),
            **times,
            refusals=tuple(Refusal.read(each) for each in content.get("refusals") or ()),
        )
    except (TypeError, ValueError, KeyError):
        return Grant()
