"""The file that keeps tokens and refusals: JSON, readable by its owner alone, shared by all processes of a machine."""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import filelock

from pipelines.northbound.errors import TransportError

LOCK_WAIT_S: Final = 600.0
"""How long a process waits while another logs in: that one's login may wait out a busy server."""

Content = dict[str, Any]


class TokenFile:
    """Entries by key; every method may be called from any thread or process."""

    def __init__(self, path: Path) -> None:
        """Use that file; it comes into being with the first entry, in a folder made for it if need be."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def login_lock(self, key: str) -> Iterator[None]:
        """Held around a login, so that of all processes that find the token dead one logs in.

        TransportError when another process holds it for ten minutes.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
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

    def get(self, key: str) -> Content | None:
        """The entry as it was written; None for one that isn't there or isn't an object."""
        found = self._read().get(key)
        return found if isinstance(found, dict) else None

    def change(self, key: str, change: Callable[[Content | None], Content]) -> None:
        """Read, change and write one entry, while no other process does."""
        with filelock.FileLock(f"{self._path}.lock", mode=0o600):
            entries = self._read()
            entries[key] = change(entries.get(key))
            self._write(entries)

    def _read(self) -> dict[str, Any]:
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

    def _write(self, entries: dict[str, Any]) -> None:
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """A secret that was refused, as a fingerprint from which it can't be read back, and the server's words."""

    salt: str
    digest: str
    code: int | None
    message: str
    at: datetime

    @classmethod
    def of(cls, secret: str, *, code: int | None, message: str, now: datetime) -> Self:
        """The refusal of this secret."""
        salt = secrets.token_hex(16)
        return cls(salt=salt, digest=_digest(secret, salt), code=code, message=message, at=now)

    def is_about(self, secret: str) -> bool:
        """Was it exactly this secret?"""
        return hmac.compare_digest(self.digest, _digest(secret, self.salt))

    def plain(self) -> Content:
        """The form that JSON can hold."""
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def read(cls, content: Content) -> Self:
        """Read :meth:`plain` back; TypeError, ValueError or KeyError for anything else."""
        return cls(**{**content, "at": aware(content["at"])})


def aware(text: str) -> datetime:
    """An instant from its ISO text, in UTC; ValueError or TypeError if it is none."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _digest(secret: str, salt: str) -> str:
    # scrypt, so that whoever gets hold of the file can't try passwords by the million. 16 MB, about 50 ms.
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()
