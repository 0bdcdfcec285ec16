"""Endpoints that an account may not call (401, 402): kept for a day, so that a load asks once and not at each turn.

One JSON file beside the ledger, shared by all processes. After a day the next call that is wanted anyway goes out and
so asks again; what it is answered with renews the memory or ends it.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock

from pipelines.northbound.errors import PermissionDenied, QuotaExhausted

ASKED_AGAIN_AFTER: Final = timedelta(days=1)
"""An administrator may have opened the endpoint meanwhile; one call a day finds out."""


TURN: Final = timedelta(minutes=2)
"""How long the one that asks again has for its call."""

_ASKED_BY_ANOTHER: Final = "another process is asking whether this account may call it by now"


@dataclass(frozen=True, slots=True)
class Denial:
    """What the vendor said of one endpoint: when first and last, and when it is asked again."""

    account: str
    endpoint: str
    code: int | None
    message: str
    since: datetime
    at: datetime

    @property
    def next_at(self) -> datetime:
        """From when on a call goes out again."""
        return self.at + ASKED_AGAIN_AFTER

    def error(self) -> PermissionDenied:
        """The refusal as it was, with the time from which it is asked again."""
        again = f"{self.message}; refused since {self.since:%Y-%m-%d %H:%M} UTC"
        advice = f"{PermissionDenied.default_advice} It is asked again from {self.next_at:%Y-%m-%d %H:%M} UTC on; "
        advice += "once it is open, `pvms doctor --ask-all` asks at once."
        return PermissionDenied(again, code=self.code, endpoint=self.endpoint, advice=advice)


class Denials:
    """The shared file; every method may be called from any thread or process."""

    def __init__(self, path: Path) -> None:
        """Use that file; it comes into being with the first refusal."""
        self._path = path
        self._me = uuid.uuid4().hex

    def current(self, account: str, endpoint: str, now: datetime) -> PermissionDenied | None:
        """The refusal that still stands, or None where a call may go out."""
        denial = self.known(account).get(endpoint)
        # One from the future was written under a wrong clock.
        return denial.error() if denial and denial.at <= now < denial.next_at else None

    def stands(self, account: str, endpoint: str, now: datetime) -> PermissionDenied | QuotaExhausted | None:
        """As :meth:`current`, for who would call now: of all that want to when the day is over, one goes first.

        The others are told to wait until its call has ended, for TURN at most.
        """
        denial = self.known(account).get(endpoint)
        if denial is None or denial.at > now:
            return None
        if now < denial.next_at:
            return denial.error()
        with self._changed() as entries:
            entry = entries.get(_key(account, endpoint))
            if entry is not None and entry["at"] == denial.at.isoformat():
                turn = entry.get("turn")
                if turn is not None and turn["of"] != self._me:
                    until = datetime.fromisoformat(turn["until"])
                    if now < until <= now + 2 * TURN:  # later only by a clock that was wrong
                        error = QuotaExhausted(_ASKED_BY_ANOTHER, next_at=until, endpoint=endpoint)
                        error.why = _ASKED_BY_ANOTHER
                        return error
                entry["turn"] = {"of": self._me, "until": (now + TURN).isoformat()}
                return None
        return self.current(account, endpoint, now)  # answered meanwhile

    def known(self, account: str) -> Mapping[str, Denial]:
        """What is refused to an account, by endpoint, also what is due to be asked again."""
        found = (_denial(entry) for entry in self._read().values())
        return {denial.endpoint: denial for denial in found if denial.account == account}

    def note(self, account: str, endpoint: str, error: PermissionDenied, now: datetime) -> None:
        """The vendor has just refused this endpoint."""
        with self._changed() as entries:
            key = _key(account, endpoint)
            since = entries.get(key, {}).get("since", now.isoformat())
            entries[key] = {
                "account": account,
                "endpoint": endpoint,
                "code": error.code,
                "message": error.message,
                "since": since,
                "at": now.isoformat(),
            }

    def lift(self, account: str, endpoint: str) -> None:
        """The endpoint has just answered."""
        if endpoint in self.known(account):
            with self._changed() as entries:
                entries.pop(_key(account, endpoint), None)

    def forget(self, account: str) -> None:
        """Let every endpoint be asked at once: for when somebody says that the permission is there now."""
        if self.known(account):
            with self._changed() as entries:
                for key in [key for key, entry in entries.items() if entry["account"] == account]:
                    del entries[key]

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return entries

    @contextmanager
    def _changed(self) -> Iterator[dict[str, dict[str, Any]]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{self._path}.lock", mode=0o600):
            entries = self._read()
            yield entries
            temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
            temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
            temporary.replace(self._path)


def _key(account: str, endpoint: str) -> str:
    return f"{account} {endpoint}"


def _denial(entry: Mapping[str, Any]) -> Denial:
    times = {name: datetime.fromisoformat(entry[name]) for name in ("since", "at")}
    return Denial(entry["account"], entry["endpoint"], entry["code"], entry["message"], **times)
