"""`pvms doctor`: each thing that a load needs, OK or what to do."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.common import guarded, say, stdout

if TYPE_CHECKING:
    from pipelines.doctor.findings import Finding

HELP = """Look at everything that a load needs; each line is OK, WARN or FAIL, with what to do.

Versions, settings and typing errors in them, the data folder and its disk, the way to the server (name, proxy,
certificate), each account's login and permissions, the server's clock, time zones, devices without history,
quotas, the files. Endpoints that have answered within a day aren't asked again; the others are asked once with the
smallest request, within the quota. At most one login; a refused password isn't tried again.

Exit codes: 0 nothing fails (warnings may be there); 1 something fails.

Examples:

  pvms doctor

  pvms doctor --offline --json

  pvms doctor --retry-login
"""

WORDS = {"ok": "OK  ", "warn": "WARN", "fail": "FAIL"}
STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Make no connection and no call.")] = False,
    retry_login: Annotated[
        bool,
        typer.Option("--retry-login", help="Try a password once more that was refused: the account was locked."),
    ] = False,
    ask_all: Annotated[
        bool, typer.Option("--ask-all", help="Ask also the endpoints that have answered, or were denied, within a day.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON on stdout.")] = False,
) -> None:
    """Look at everything that a load needs."""

    def command() -> int:
        from pipelines.doctor.examine import examine
        from pipelines.doctor.findings import exit_code

        found = []
        for each in examine(offline=offline, retry_login=retry_login, ask_all=ask_all):
            found.append(each)
            if not as_json:
                _print(each)
        if as_json:
            document = {"exit_code": exit_code(found), "findings": [asdict(each) for each in found]}
            stdout.print_json(json.dumps(document))
        say(verdict(found))
        return exit_code(found)

    raise typer.Exit(guarded(command))


def _print(one: "Finding") -> None:
    about = f" {one.about}" if one.about else ""
    stdout.print(WORDS[one.level], style=STYLES[one.level], end=" ")
    stdout.print(f"{one.check}{about}: {one.text.rstrip('.')}.", highlight=False, markup=False)
    if one.todo:
        stdout.print(f"       -> {one.todo}", highlight=False, markup=False)


def verdict(found: Iterable["Finding"]) -> str:
    """The count, in one sentence."""
    levels = [each.level for each in found]
    fails, warns = levels.count("fail"), levels.count("warn")
    if not fails and not warns:
        return f"All {len(levels)} lines are OK."
    return f"{fails} of {len(levels)} lines fail, {warns} warn; each says what to do."
