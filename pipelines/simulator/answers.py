"""What goes back over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JSON: Final = "application/json;charset=UTF-8"
HTML: Final = "text/html;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP; ``headers`` keep their letter case. A cut answer without a body has no head either."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    """The connection breaks off after what there is of the body."""
    drip_seconds: float = 0.0
    """How long the body takes to come, in real time."""
