"""What a check found: exact counts, a capped sample, and a sentence that says what to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Severity = Literal["WARN", "ERROR"]

SAMPLE_ROWS: Final = 5
"""As many as fit beside a check in the UI; the count is always exact."""

ERROR_SHARE: Final = 0.5
"""More than this share off is no longer the fault of single devices, plants or days: it is a unit, a sign, a label,
a permission or a load that doesn't run, and every figure made of it misleads."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check's verdict. `count` of `looked_at` things (`unit`) are off; `sample` shows at most SAMPLE_ROWS."""

    passed: bool
    severity: Severity
    count: int
    looked_at: int
    unit: str
    sentence: str
    sample: tuple[Row, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def judged(
    off: Sequence[Row],
    looked_at: int,
    unit: str,
    *,
    good: str,
    bad: str,
    look: str,
    figures: Mapping[str, Any] | None = None,
    count: int | None = None,
    error_share: float = ERROR_SHARE,
) -> Outcome:
    """The verdict on `off` of `looked_at` things: WARN where some are off, ERROR above `error_share`.

    `good` and `bad` say what the things do, `look` what to look at. `count` where `off` holds a part of them.
    """
    number = len(off) if count is None else count
    severity: Severity = "ERROR" if looked_at and number > error_share * looked_at else "WARN"
    if not looked_at and not number:
        sentence = f"There are no {unit} to look at yet."
    elif number:
        sentence = f"{number:,} of {looked_at:,} {unit} {bad}. {look}"
    else:
        sentence = f"{looked_at:,} {unit}: all {good}."
    return Outcome(not number, severity, number, looked_at, unit, sentence, tuple(off[:SAMPLE_ROWS]), figures or {})
