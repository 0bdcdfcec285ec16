"""The token that all processes of one machine share, and the refusals that all of them respect.

One JSON file, readable by its owner alone, keyed by server and user. A login ends every earlier session of the
account (reference 3.2.2.1), so a token is worth sharing; and five wrong passwords lock the account, so a refused
secret is worth remembering: as a salted hash, from which it can't be read back.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.northbound.token_file import Refusal, TokenFile, aware

__all__ = ["Entry", "Refusal", "TokenCache"]

TOKEN_LIFETIME: Final = timedelta(minutes=30)
"""A token dies this long after its last use (reference 7.1, 8.2.4)."""

ENDS_KEPT: Final = timedelta(days=1)
"""How long it is remembered that a token died before its time."""

TOUCH_EVERY: Final = timedelta(seconds=5)
"""How often the last use is written down: often enough against 30 minutes, rare enough to cost nothing."""

SECRETS_KEPT: Final = 4
"""Refused secrets that are remembered: a daemon with an old one must not forget what a command's was told."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one account on one server. The token stays out of every printed form."""

    token: str | None = field(default=None, repr=False)
    used_at: datetime | None = None
    refusals: tuple[Refusal, ...] = field(default=(), repr=False)
    ends: tuple[datetime, ...] = ()
    """When tokens died before their time, in the last day."""


class TokenCache:
    """The shared file; every method may be called from any thread or process."""

    def __init__(self, path: Path) -> None:
        """Use that file; it comes into being with the first entry, in a folder made for it if need be."""
        self._file = TokenFile(path)

    def login_lock(self, base_url: str, user: str) -> AbstractContextManager[None]:
        """Held around a login, so that of all processes that find the token dead one logs in.

        TransportError when another process holds it for ten minutes.
        """
        return self._file.login_lock(_key(base_url, user))

    def get(self, base_url: str, user: str) -> Entry:
        """What is known now; an empty entry for an account that isn't."""
        return _entry(self._file.get(_key(base_url, user)))

    def live_token(self, base_url: str, user: str, now: datetime) -> str | None:
        """The token, unless it has been idle for so long that the server has dropped it."""
        entry = self.get(base_url, user)
        if entry.token is None or entry.used_at is None or now - entry.used_at >= TOKEN_LIFETIME:
            return None
        return entry.token

    def put_token(self, base_url: str, user: str, token: str, now: datetime) -> None:
        """A login succeeded: keep its token. What was refused was another secret, and stays so."""
        self._change(base_url, user, lambda old: replace(old, token=token, used_at=now))

    def touch(self, base_url: str, user: str, token: str, now: datetime) -> None:
        """The token was used at that time and good; written down every few seconds at most."""
        entry = self.get(base_url, user)
        if entry.token != token or entry.used_at is None or now - entry.used_at < TOUCH_EVERY:
            return
        self._change(base_url, user, lambda old: replace(old, used_at=now) if old.token == token else old)

    def drop_token(self, base_url: str, user: str, token: str) -> None:
        """Forget that token, unless another has taken its place."""
        self._change(base_url, user, lambda old: replace(old, token=None) if old.token == token else old)

    def note_end(self, base_url: str, user: str, now: datetime) -> tuple[datetime, ...]:
        """A token died before its time; returns all such ends of the last day, this one included."""

        def noted(old: Entry) -> Entry:
            kept = [end for end in old.ends if now - ENDS_KEPT < end <= now]
            return replace(old, ends=(*kept, now))

        self._change(base_url, user, noted)
        return self.get(base_url, user).ends

    def put_refusal(
        self, base_url: str, user: str, secret: str, *, code: int | None, message: str, now: datetime
    ) -> None:
        """Remember that this secret was refused."""
        refusal = Refusal.of(secret, code=code, message=message, now=now)

        def noted(old: Entry) -> Entry:
            others = [each for each in old.refusals if not each.is_about(secret)]
            return replace(old, refusals=(*others, refusal)[-SECRETS_KEPT:])

        self._change(base_url, user, noted)

    def refusal(self, base_url: str, user: str, secret: str) -> Refusal | None:
        """The refusal of exactly this secret, if there was one."""
        refusals = self.get(base_url, user).refusals
        return next((each for each in refusals if each.is_about(secret)), None)

    def forget_refusal(self, base_url: str, user: str, secret: str) -> None:
        """Let this secret be tried once more."""

        def forgotten(old: Entry) -> Entry:
            return replace(old, refusals=tuple(each for each in old.refusals if not each.is_about(secret)))

        self._change(base_url, user, forgotten)

    def _change(self, base_url: str, user: str, change: Callable[[Entry], Entry]) -> None:
        self._file.change(_key(base_url, user), lambda content: _plain(change(_entry(content))))


def _key(base_url: str, user: str) -> str:
    return f"{base_url.rstrip('/').lower()} {user}"


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "token": entry.token,
        "used_at": entry.used_at.isoformat() if entry.used_at else None,
        "refusals": [each.plain() for each in entry.refusals],
        "ends": [end.isoformat() for end in entry.ends],
    }


def _entry(content: dict[str, Any] | None) -> Entry:
    """Read an entry back; what isn't of the expected shape counts as unknown."""
    if not isinstance(content, dict):
        return Entry()
    try:
        used_at, refusals = content.get("used_at"), content.get("refusals") or ()
        # Earlier versions kept one.
        if content.get("refusal"):
            refusals = (*refusals, content["refusal"])
        return Entry(
            token=content.get("token"),
            used_at=aware(used_at) if used_at else None,
            refusals=tuple(Refusal.read(each) for each in refusals),
            ends=tuple(aware(end) for end in content.get("ends") or ()),
        )
    except (TypeError, ValueError, KeyError):
        return Entry()
