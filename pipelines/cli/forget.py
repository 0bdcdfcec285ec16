"""`pvms forget`: deletes a plant, or the time before a date; says first what would go."""

import json
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.dates import Day, read_day, settled
from pipelines.cli.sql import as_table
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import EXIT_USAGE

HELP = """Delete all rows of a plant, or all that lies before a local date. Without --yes it only says what would go.

Goes through the lake's tables and coverage, then publishes the warehouse anew. A month's or a year's report goes if
the whole period lies before the date. Old files stay on the disk for a week, for readers that have them open. The
ledger of calls is kept. Killed halfway, the same command goes on.

Exit codes: 0 done, or said; 1 an error, a load is running; 2 wrong usage.

Examples:

  pvms forget --plant NE=33554785

  pvms forget --before 2020-01-01 --yes
"""


def forget(
    plant: Annotated[str | None, typer.Option(help="The plant's code.", metavar="CODE")] = None,
    before: Annotated[
        Day | None, typer.Option(parser=read_day, help="The first local date that stays.", metavar="DATE")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say rows by table as JSON on stdout.")] = False,
) -> None:
    """Delete all rows of a plant, or all that lies before a local date."""

    def command() -> int:
        from pipelines.load.build import build_and_publish
        from pipelines.load.forget import Forgetting, rows_to_forget
        from pipelines.load.forget import forget as forget_rows
        from pipelines.load.services import Services

        if (plant is None) == (before is None):
            say("Say what is to go: --plant CODE or --before DATE.")
            return EXIT_USAGE
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        if not (settings.home / "lake").is_dir():
            say("Nothing was ever loaded here.")
            return EXIT_USAGE
        (limit,) = settled(settings, before)
        wanted = Forgetting(plant, limit)
        with Services.open(settings, account_needed=False) as services:
            found = rows_to_forget(services, wanted)
            if as_json:
                stdout.print_json(json.dumps({"deleted": yes, "rows": found}))
            elif found:
                stdout.print(as_table(["table", "rows"], sorted(found.items())), markup=False)
            if not yes:
                nothing = f"There is no row of {plant} here." if plant is not None else f"No row lies before {limit}."
                say("Nothing is deleted yet: the same command with --yes deletes." if found else nothing)
                return 0
            with ConsoleListener() as listener:
                gone = forget_rows(services, wanted, listener.progress)
                build_and_publish(services, listener)
        say(f"{gone} rows are gone, and the warehouse is published without them.")
        if limit and settings.history_start and settings.history_start < limit:
            say(f"Set PVMS_HISTORY_START={limit}, or the next load asks for these dates again.")
        if plant:
            say("If the vendor still lists the plant, the next load asks for it again: leave it out by a policy file.")
        return 0

    raise typer.Exit(guarded(command))
