"""One line of an examination: what was looked at, how it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["ok", "warn", "fail"]

EXIT_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a word for programs; `about` what of several it is about; `todo` is empty where all is well."""

    level: Level
    check: str
    text: str
    todo: str = ""
    about: str = ""


def ok(check: str, text: str, about: str = "") -> Finding:
    """All is well."""
    return Finding("ok", check, text, about=about)


def warn(check: str, text: str, todo: str, about: str = "") -> Finding:
    """Loads go on, but somebody should look."""
    return Finding("warn", check, text, todo, about)


def fail(check: str, text: str, todo: str, about: str = "") -> Finding:
    """Something that is wanted can't work like this."""
    return Finding("fail", check, text, todo, about)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 where nothing fails."""
    return EXIT_FAILED if any(each.level == "fail" for each in findings) else 0
