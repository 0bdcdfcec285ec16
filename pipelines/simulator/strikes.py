"""When a fault strikes: the small grammar that all of them share, and the counts behind it.

    [ENDPOINT][,every=N][,rate=P][,times=N][,apart=MINUTES][,from=DATE][,until=DATE]

All conditions given must hold; none strikes every request. Dates and minutes go by the simulator's clock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pipelines.simulator.protocol import READ_ENDPOINTS

GRAMMAR: Final = "[ENDPOINT][,every=N][,rate=P][,times=N][,apart=MINUTES][,from=DATE][,until=DATE]"


@dataclass(frozen=True, slots=True)
class Span:
    """From one instant (included) to another (left out); None is without end."""

    begins: datetime | None = None
    ends: datetime | None = None

    def holds(self, now: float) -> bool:
        """Whether ``now`` (seconds since the epoch) lies in it."""
        after = self.begins is None or self.begins.timestamp() <= now
        return after and (self.ends is None or now < self.ends.timestamp())


@dataclass(frozen=True, slots=True)
class When:
    """Which requests a fault strikes; the default is all of them.

    ``every`` Nth, with probability ``rate``, ``times`` in all, at least ``apart`` minutes from one to the next.
    """

    endpoint: str | None = None
    every: int = 1
    rate: float = 1.0
    times: int | None = None
    apart: float = 0.0
    span: Span = Span()

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError that says what is taken."""
        if self.endpoint is not None and self.endpoint not in READ_ENDPOINTS:
            raise ValueError(f"no endpoint is called {self.endpoint!r}; known: {', '.join(READ_ENDPOINTS)}")
        if self.every < 1 or (self.times is not None and self.times < 1):
            raise ValueError("every and times take a whole number from 1 on")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate takes a probability above 0, up to 1, not {self.rate}")
        if not 0 <= self.apart < float("inf"):
            raise ValueError(f"apart takes minutes from 0 on, not {self.apart}")

    @classmethod
    def read(cls, text: str) -> When:
        """Read the grammar; ``once`` stands for ``times=1``. Raises ValueError."""
        first, given = options(text)
        unknown = given.keys() - {"every", "rate", "times", "apart", "from", "until"}
        if unknown:
            raise ValueError(f"no condition is called {sorted(unknown)[0]!r}; it is written {GRAMMAR}")
        return cls(
            endpoint=first or None,
            every=_whole(given.get("every", "1"), "every"),
            rate=_number(given.get("rate", "1"), "rate"),
            times=_whole(given["times"], "times") if "times" in given else None,
            apart=_number(given.get("apart", "0"), "apart"),
            span=span_of(given),
        )


def options(text: str) -> tuple[str, dict[str, str]]:
    """Split ``FIRST,name=value,...``; FIRST, which may hold an equals sign, is "" where only conditions are given."""
    first, *rest = ["times=1" if part.strip() == "once" else part.strip() for part in text.split(",")]
    if first.partition("=")[0] in ("every", "rate", "times", "apart", "from", "until", "as", "account"):
        first, rest = "", [first, *rest]
    given = {}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"{part!r} is no condition; it is written {GRAMMAR}")
        given[name] = value
    return first, given


def span_of(given: Mapping[str, str]) -> Span:
    """The span of ``from`` and ``until``: dates or instants; without an offset they are UTC. Raises ValueError."""
    begins, ends = (_instant(given[name], name) if name in given else None for name in ("from", "until"))
    if begins is not None and ends is not None and ends <= begins:
        raise ValueError("until must come after from")
    return Span(begins, ends)


def _instant(text: str, name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} takes a date such as 2026-06-01 or 2026-06-01T12:00, not {text!r}") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} takes a number, not {text!r}") from None


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} takes a number, not {text!r}") from None


@dataclass(slots=True)
class _Rule:
    when: When
    chance: random.Random
    seen: int = 0
    struck: int = 0
    last: float = field(default=float("-inf"))

    def strikes(self, endpoint: str, now: float) -> bool:
        when = self.when
        if when.endpoint not in (None, endpoint) or not when.span.holds(now):
            return False
        self.seen += 1
        if self.seen % when.every or (when.times is not None and self.struck >= when.times):
            return False
        if now - self.last < when.apart * 60 or (when.rate < 1 and self.chance.random() >= when.rate):
            return False
        self.struck += 1
        self.last = now
        return True


class Strikes:
    """Remembers what has struck how often; safe to ask from several threads."""

    def __init__(self, rules: Mapping[str, Iterable[When]], *, seed: int) -> None:
        """Know the faults and when each strikes; ``seed`` makes rates repeatable."""
        self._lock = threading.Lock()
        self._rules = {
            name: [_Rule(when, random.Random(f"{seed}/{name}/{at}")) for at, when in enumerate(whens)]
            for name, whens in rules.items()
        }

    def strikes(self, name: str, endpoint: str, now: float) -> bool:
        """Count one more request at ``now`` (seconds since the epoch) and tell whether the fault strikes it."""
        rules = self._rules.get(name, ())
        if not rules:
            return False
        with self._lock:
            struck = [rule.strikes(endpoint, now) for rule in rules]  # each rule counts each request
        return any(struck)
