"""The simulator's time: the system's, a fixed one that tests move by hand, or one that runs from elsewhere.

Anything with ``now() -> datetime`` (aware) serves as a clock of the simulator; this module holds the usual ones.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the simulator asks of a clock."""

    def now(self) -> datetime:
        """Return the current instant, aware."""
        ...


class SimClock:
    """A clock that reads ``start + speed x (real seconds since it was set)``.

    Speed 0 stands still until :meth:`set` or :meth:`advance` moves it; speed 1 runs as the world does.
    """

    def __init__(self, start: datetime, *, speed: float = 0.0) -> None:
        """Start at the aware instant ``start``; ``speed`` is in simulated seconds per real second."""
        if speed < 0:
            raise ValueError(f"a clock can't run backwards: speed {speed}")
        self._lock = threading.Lock()
        self._speed = speed
        self._base = _aware(start)
        self._since = time.monotonic()

    @classmethod
    def system(cls) -> SimClock:
        """Return a clock that follows the machine's."""
        return cls(datetime.now(UTC), speed=1.0)

    @classmethod
    def fixed(cls, at: datetime) -> SimClock:
        """Return a clock that stands at ``at`` until it is moved."""
        return cls(at)

    @classmethod
    def running(cls, at: datetime, *, speed: float = 1.0) -> SimClock:
        """Return a clock that reads ``at`` now and runs on from there, ``speed`` times as fast as the real one."""
        return cls(at, speed=speed)

    def now(self) -> datetime:
        """Return the simulated instant, in UTC."""
        with self._lock:
            return self._read()

    def set(self, at: datetime) -> None:
        """Put the clock to ``at`` (aware); it keeps its speed."""
        with self._lock:
            self._base = _aware(at)
            self._since = time.monotonic()

    def advance(self, step: timedelta | float) -> None:
        """Move the clock on by a timedelta or a number of seconds."""
        delta = step if isinstance(step, timedelta) else timedelta(seconds=step)
        with self._lock:
            self._base = self._read() + delta
            self._since = time.monotonic()

    def _read(self) -> datetime:
        return self._base + timedelta(seconds=(time.monotonic() - self._since) * self._speed)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"the simulator's clock needs an instant with a time zone, not {at!r}")
    return at.astimezone(UTC)
