"""Time as a thing that is handed in, so that quotas and waits of a day can be tested in a millisecond."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the client asks of time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds; nothing for zero or less."""
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is told otherwise; sleeping moves it on at once.

    ``slept`` keeps every sleep in order, in seconds.
    """

    def __init__(self, start: datetime = datetime(2026, 6, 1, tzinfo=UTC)) -> None:
        """Start at an aware instant."""
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware instant")
        self._now = start.astimezone(UTC)
        self._ticks = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The instant the clock stands at."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds moved on since the start."""
        with self._lock:
            return self._ticks

    def sleep(self, seconds: float) -> None:
        """Move on by that many seconds, without waiting."""
        with self._lock:
            self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on by that many seconds."""
        if seconds < 0:
            raise ValueError("time doesn't run backwards here")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._ticks += seconds
