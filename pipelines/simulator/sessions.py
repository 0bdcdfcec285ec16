"""Logins and tokens of the API account mode (reference 3.2.2, 7.1, 8.2.3, 8.2.4).

One online session per account: a login ends the one before. A token lives 30 minutes from its last use. Five logins
per 10 minutes, and five wrong passwords in a row within 10 minutes lock the account for 30.
"""

from __future__ import annotations

import secrets
import string
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pipelines.simulator.protocol import Refusal

TOKEN_SECONDS: Final = 30 * 60
"""A token's life after its last use (8.2.4)."""
LOGIN_WINDOW_SECONDS: Final = 10 * 60
LOGINS_PER_WINDOW: Final = 5
"""Calls of login, and of logout, per account in ten minutes (3.2.2.1, 3.2.2.2)."""
WRONG_PASSWORDS: Final = 5
LOCK_SECONDS: Final = 30 * 60
"""How long five wrong passwords lock an account (3.2.2.1)."""
WRONG_LOGIN: Final = "user.login.user_or_value_invalid"
"""What servers say beside a 20400."""

_TOKEN_LETTERS: Final = string.ascii_lowercase + string.digits


@dataclass(slots=True)
class _Session:
    account: str
    last_used: float


class Sessions:
    """Who is logged in. Times are seconds since the epoch, given by the caller."""

    def __init__(
        self, passwords: Mapping[str, str], *, limited: bool = True, token_seconds: float = TOKEN_SECONDS
    ) -> None:
        """Know the accounts and their passwords; ``limited`` False lifts the five calls per ten minutes.

        A token lives ``token_seconds`` after its last use.
        """
        self._token_seconds = token_seconds
        self._passwords = dict(passwords)
        self._limited = limited
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._attempts: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._wrong: dict[str, deque[float]] = defaultdict(deque)
        self._locked_until: dict[str, float] = {}

    def login(self, account: str, password: str, now: float) -> str:
        """Return a new token and end the account's earlier session.

        Raises Refusal 407 (too many logins) or 20400 (unknown, wrong or locked: the vendor doesn't tell which).
        """
        with self._lock:
            self._count("login", account, now)
            if now < self._locked_until.get(account, 0.0):
                raise Refusal(20400, WRONG_LOGIN)
            expected = self._passwords.get(account)
            if expected is None or not secrets.compare_digest(expected.encode(), password.encode()):
                self._note_wrong(account, now)
                raise Refusal(20400, WRONG_LOGIN)
            self._wrong.pop(account, None)
            self._end(account)
            token = "x-" + "".join(secrets.choice(_TOKEN_LETTERS) for _ in range(126))
            self._sessions[token] = _Session(account, now)
            return token

    def account_of(self, token: str, now: float) -> str | None:
        """Return the account behind a living token and prolong its life; None if it is unknown, ended or expired."""
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                return None
            if now - session.last_used > self._token_seconds:
                del self._sessions[token]
                return None
            session.last_used = now
            return session.account

    def logout(self, token: str, now: float) -> str:
        """End a session at once and return its account.

        Raises Refusal 20004 (the reference's example of a failed logout) for a token that isn't alive, or 407.
        """
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                raise Refusal(20004)
            self._count("logout", session.account, now)
            del self._sessions[token]
            return session.account

    def kill(self, account: str) -> None:
        """End the account's session, as the server does on its own."""
        with self._lock:
            self._end(account)

    def steal(self, account: str, now: float) -> None:
        """Let another client log in with the account, which ends our session; without effect if it may not."""
        with suppress(Refusal):
            self.login(account, self._passwords[account], now)

    def lock(self, account: str, now: float) -> None:
        """Lock the account as five wrong passwords do."""
        with self._lock:
            self._locked_until[account] = now + LOCK_SECONDS

    def _end(self, account: str) -> None:
        self._sessions = {token: s for token, s in self._sessions.items() if s.account != account}

    def _count(self, what: str, account: str, now: float) -> None:
        if not self._limited:
            return
        # Refused attempts don't count: the reference says "wait until it returns a normal response".
        times = _recent(self._attempts[what, account], now)
        if len(times) >= LOGINS_PER_WINDOW:
            raise Refusal.too_frequent()
        times.append(now)

    def _note_wrong(self, account: str, now: float) -> None:
        times = _recent(self._wrong[account], now)
        times.append(now)
        if len(times) >= WRONG_PASSWORDS:
            self._locked_until[account] = now + LOCK_SECONDS
            times.clear()


def _recent(times: deque[float], now: float) -> deque[float]:
    while times and times[0] <= now - LOGIN_WINDOW_SECONDS:
        times.popleft()
    return times
