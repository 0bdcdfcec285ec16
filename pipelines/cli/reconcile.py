"""`pvms reconcile`: makes Dagster show what coverage says."""

import json
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.load.request import EXIT_ERROR

HELP = """Make Dagster show what is there: plants as partitions, and which partitions are loaded.

Coverage is the truth. What Dagster lost (an instance that was deleted or restored from an older copy, a killed run) is
recorded anew from it; what it shows and nothing is there of is shown no more. Asks the vendor nothing and changes no
data. `pvms ui` does the same when it starts.

Exit codes: 0 done, or nothing differed; 1 nothing was ever loaded here.

Examples:

  pvms reconcile --dry-run

  pvms reconcile --json | jq .partitions_recorded
"""


def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what differs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
) -> None:
    """Make Dagster show what coverage says."""

    def command() -> int:
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        # Imported here: Dagster takes seconds to import, and `--help` shouldn't.
        from assets.instance import open_instance
        from assets.reconcile import is_loaded, lines_of
        from assets.reconcile import reconcile as make_alike
        from pipelines.cli.watching import ConsoleListener
        from pipelines.northbound.clock import SystemClock

        if not is_loaded(settings):
            say("Nothing was ever loaded here. Run pvms load first.")
            return EXIT_ERROR
        with ConsoleListener() as listener, open_instance(settings) as instance:
            found = make_alike(settings, instance, SystemClock().now(), dry_run=dry_run, progress=listener.progress)
        if as_json:
            stdout.print_json(json.dumps(found.as_dict()))
        whole = f"Dagster shows what is there: {sum(found.complete.values()):,} partitions."
        for line in lines_of(found, dry_run=dry_run) or [whole]:
            say(line)
        if dry_run and found.differed:
            say("This was a dry run: nothing was changed.")
        return 0

    raise typer.Exit(guarded(command))
