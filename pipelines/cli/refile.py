"""`pvms refile`: moves rows between local days after a plant's time zone was corrected, without calls."""

import json
from typing import Annotated, Any

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.sql import as_table
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import EXIT_USAGE

HELP = """Move rows to the local days where they belong, after a plant's time zone was corrected. Makes no calls.

A plant keeps the zone by which its rows are filed until this command moves them: write the right zone into the plants
file (PVMS_PLANTS_FILE), look at what would move, then run it with --yes. Local days that now lack rows which were
never read are wanted again by the next load. Killed halfway, the same command goes on.

Exit codes: 0 done, or said; 1 an error, a load is running; 2 wrong usage, a plant whose zone is not to be corrected.

Examples:

  pvms refile

  pvms refile --plant NE=33554785 --yes
"""


def refile(
    plant: Annotated[list[str] | None, typer.Option(help="Only this plant; may be repeated.", metavar="CODE")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Move; without it nothing is changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say plants, zones and rows as JSON on stdout.")] = False,
) -> None:
    """Move rows to the local days where they belong."""

    def command() -> int:
        from pipelines.load.build import build_and_publish
        from pipelines.load.refile import corrections, rows_to_move
        from pipelines.load.refile import refile as refile_rows
        from pipelines.load.services import Services

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        if not (settings.home / "lake").is_dir():
            say("Nothing was ever loaded here.")
            return EXIT_USAGE
        with Services.open(settings, account_needed=False) as services:
            found = [each for each in corrections(services) if not plant or each.plant in plant]
            known = set(services.lake.read("plants", ["plant_code"])["plant_code"]) if plant else set()
            for code in sorted(set(plant or ()) - known):
                say(f"There is no plant {code} here. `pvms sql` on raw.plants lists them.")
                return EXIT_USAGE
            for code in sorted(set(plant or ()) - {each.plant for each in found}):
                say(f"Plant {code} is filed by the zone that is known of it. Correct its zone in PVMS_PLANTS_FILE.")
                return EXIT_USAGE
            rows: list[dict[str, Any]] = [
                {
                    "plant": each.plant,
                    "filed_by": each.filed,
                    "zone": each.zone,
                    "says": each.source,
                    "rows": sum(rows_to_move(services, each).values()),
                }
                for each in found
            ]
            if as_json:
                stdout.print_json(json.dumps({"moved": yes, "plants": rows}))
            elif rows:
                stdout.print(as_table(list(rows[0]), [tuple(row.values()) for row in rows]), markup=False)
            if not found:
                say("Every plant's rows are filed by the zone that is known of it.")
                return 0
            if not yes:
                say("Nothing is moved yet: the same command with --yes moves.")
                return 0
            with ConsoleListener() as listener:
                moved = sum(refile_rows(services, each, listener.progress) for each in found)
                build_and_publish(services, listener)
        say(f"{moved} rows moved, and the warehouse is published. The next load asks for what days lack now.")
        return 0

    raise typer.Exit(guarded(command))
