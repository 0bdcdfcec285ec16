"""The token that all processes of one machine share, and the refusals that all of them respect.

One JSON file, readable by its owner alone, keyed by server and user. A login ends every earlier session of the
account (reference 3.2.2.1), so a token is worth sharing; and five wrong passwords lock the account, so a refused
secret is worth remembering: as a salted hash, from which it can't be read back.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock

from pipelines.northbound.errors import TransportError

TOKEN_LIFETIME: Final = timedelta(minutes=30)
"""A token dies this long after its last use (reference 7.1, 8.2.4)."""

TOUCH_EVERY: Final = timedelta(minutes=1)
"""How often the last use is written down: often enough against 30 minutes, rare enough to cost nothing."""

LOCK_WAIT_S: Final = 600.0
"""How long a process waits while another logs in: that one's login may wait out a busy server."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A login that was refused, with the fingerprint of the secret that was tried."""

    salt: str
    digest: str
    code: int | None
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one account on one server. The token stays out of every printed form."""

    token: str | None = field(default=None, repr=False)
    used_at: datetime | None = None
    refusal: Refusal | None = field(default=None, repr=False)


class TokenCache:
    """The shared file; every method may be called from any thread or process."""

    def __init__(self, path: Path) -> None:
        """Use that file; it comes into being with the first entry, in a folder made for it if need be."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def login_lock(self, base_url: str, user: str) -> Iterator[None]:
        """Held around a login, so that of all processes that find the token dead one logs in.

        TransportError when another process holds it for ten minutes.
        """
        name = hashlib.sha256(_key(base_url, user).encode()).hexdigest()[:16]
        lock = filelock.FileLock(f"{self._path}.login-{name}.lock", timeout=LOCK_WAIT_S, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise TransportError(
                "another process has been logging in for ten minutes",
                endpoint="login",
                advice="Look for a pvms that hangs, end it, and try again.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def get(self, base_url: str, user: str) -> Entry:
        """What is known now; an empty entry for an account that isn't."""
        return _entry(self._read().get(_key(base_url, user)))

    def live_token(self, base_url: str, user: str, now: datetime) -> str | None:
        """The token, unless it has been idle for so long that the server has dropped it."""
        entry = self.get(base_url, user)
        if entry.token is None or entry.used_at is None or now - entry.used_at >= TOKEN_LIFETIME:
            return None
        return entry.token

    def put_token(self, base_url: str, user: str, token: str, now: datetime) -> None:
        """A login succeeded: keep its token, forget any refusal."""
        self._change(base_url, user, lambda _: Entry(token=token, used_at=now))

    def touch(self, base_url: str, user: str, token: str, now: datetime) -> None:
        """The token was used and good; written down at most once a minute."""
        entry = self.get(base_url, user)
        if entry.token != token or entry.used_at is None or now - entry.used_at < TOUCH_EVERY:
            return
        self._change(base_url, user, lambda old: replace(old, used_at=now) if old.token == token else old)

    def drop_token(self, base_url: str, user: str, token: str) -> None:
        """Forget that token, unless another has taken its place."""
        self._change(base_url, user, lambda old: replace(old, token=None) if old.token == token else old)

    def put_refusal(
        self, base_url: str, user: str, secret: str, *, code: int | None, message: str, now: datetime
    ) -> None:
        """Remember that this secret was refused."""
        salt = secrets.token_hex(16)
        refusal = Refusal(salt=salt, digest=_digest(secret, salt), code=code, message=message, at=now)
        self._change(base_url, user, lambda _: Entry(refusal=refusal))

    def refusal(self, base_url: str, user: str, secret: str) -> Refusal | None:
        """The refusal of exactly this secret, if there was one."""
        found = self.get(base_url, user).refusal
        if found is None or not hmac.compare_digest(found.digest, _digest(secret, found.salt)):
            return None
        return found

    def forget_refusal(self, base_url: str, user: str) -> None:
        """Let the same secret be tried once more."""
        self._change(base_url, user, lambda old: replace(old, refusal=None))

    def _change(self, base_url: str, user: str, change: Callable[[Entry], Entry]) -> None:
        with filelock.FileLock(f"{self._path}.lock", mode=0o600):
            entries = self._read()
            key = _key(base_url, user)
            entries[key] = _plain(change(_entry(entries.get(key))))
            self._write(entries)

    def _read(self) -> dict[str, dict[str, Any]]:
        # Writers replace the file as a whole, so a reader needs no lock.
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            # A cache that can't be read costs one login; stopping for it would cost more.
            return {}
        entries = content.get("accounts") if isinstance(content, dict) else None
        return entries if isinstance(entries, dict) else {}

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"accounts": entries}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except BaseException:
            with suppress(FileNotFoundError):
                beside.unlink()
            raise


def _key(base_url: str, user: str) -> str:
    return f"{base_url.rstrip('/').lower()} {user}"


def _digest(secret: str, salt: str) -> str:
    # scrypt, so that whoever gets hold of the file can't try passwords by the million. 16 MB, about 50 ms.
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


def _plain(entry: Entry) -> dict[str, Any]:
    content = asdict(entry)
    content["used_at"] = entry.used_at.isoformat() if entry.used_at else None
    if entry.refusal is not None:
        content["refusal"]["at"] = entry.refusal.at.isoformat()
    return content


def _entry(content: dict[str, Any] | None) -> Entry:
    """Read an entry back; what isn't of the expected shape counts as unknown."""
    if not isinstance(content, dict):
        return Entry()
    try:
        used_at, refusal = content.get("used_at"), content.get("refusal")
        return Entry(
            token=content.get("token"),
            used_at=_aware(used_at) if used_at else None,
            refusal=Refusal(**{**refusal, "at": _aware(refusal["at"])}) if refusal else None,
        )
    except (TypeError, ValueError, KeyError):
        return Entry()


def _aware(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
