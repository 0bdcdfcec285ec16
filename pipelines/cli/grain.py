"""`pvms grain`: by what the assets by day are partitioned in Dagster, and the change of it."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.load.request import EXIT_ERROR

HELP = """Say by what assets by day are partitioned in Dagster (days or months of each plant), or change it.

Without an argument: the grain in use, and what `auto` would choose for the fleet as it is now. The first load chooses;
a fleet that grows beyond 80,000 plant days (three years to come included) is better partitioned by month.

With one, partitions are made anew by days or months, and what is complete is recorded by them, so that no status is
lost. Asks the vendor nothing and changes no data. End `pvms ui` and loads before. Old events stay in Dagster's history.

Exit codes: 0 done; 1 nothing was ever loaded here; 2 `pvms ui` or a load runs.

Examples:

  pvms grain

  pvms grain month
"""


class To(StrEnum):
    """What can be chosen."""

    DAY = "day"
    MONTH = "month"
    AUTO = "auto"


def grain(
    to: Annotated[To | None, typer.Argument(help="The grain to change to; none: only say what is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
) -> None:
    """Say or change the grain of the partitions."""

    def command() -> int:
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        # Imported here: Dagster takes seconds to import, and `--help` shouldn't.
        from assets.grain import change_grain, choice
        from assets.instance import open_instance
        from assets.reconcile import lines_of
        from pipelines.cli.watching import ConsoleListener
        from pipelines.northbound.clock import SystemClock

        now = SystemClock().now()
        found = choice(settings, now)
        if found is None:
            say("Nothing was ever loaded here. PVMS_PARTITION_GRAIN says what the first load chooses.")
            return EXIT_ERROR
        if to is not None:
            with ConsoleListener() as listener, open_instance(settings) as instance:
                _, made = change_grain(settings, instance, to.value, now, listener.progress)
            for line in lines_of(made):
                say(line)
            found = choice(settings, now) or found
            if settings.partition_grain not in ("auto", found.grain):
                say(f"PVMS_PARTITION_GRAIN says {settings.partition_grain}: correct or remove it.")
        if as_json:
            stdout.print_json(json.dumps(found.as_dict()))
            return 0
        stdout.print(
            f"Assets by day are partitioned by {found.grain}, from {found.start} on. By day, {found.plants:,} plants "
            f"make {found.partitions_by_day:,} partitions an asset within three years; auto chooses {found.auto}.",
            highlight=False,
        )
        return 0

    raise typer.Exit(guarded(command))
