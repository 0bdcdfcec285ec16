"""`pvms report`: one page about a fleet, for a browser, a phone or a printer."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.dates import Day, read_day, settled
from pipelines.load.request import EXIT_USAGE, UsageError

if TYPE_CHECKING:
    import duckdb

MOST_DAYS: Final = 1100
"""Three years: the page has a field for every plant and day."""

HELP = """Write one HTML page about a fleet: production, plants against peers, completeness, alarms, batteries, money.

The page is a single file: it loads nothing from a network and runs no script; send it, print it, read it on a phone.
A figure that can't be had says why. Without --out it goes to stdout. Three years at most.

Exit codes: 0 written; 1 an error; 2 wrong usage, an unknown plant.

Examples:

  pvms report --from 2026-11-01 --to yesterday --out november.html

  pvms report --from yesterday --to yesterday --plant NE=33554785 --title "Hof Süd" > hof.html
"""


def report(
    from_: Annotated[Day, typer.Option("--from", parser=read_day, help="First local date.", metavar="DATE")],
    to: Annotated[Day, typer.Option("--to", parser=read_day, help="Last local date, included.", metavar="DATE")],
    out: Annotated[Path | None, typer.Option(help="The file to write.", metavar="FILE")] = None,
    plant: Annotated[list[str] | None, typer.Option(help="Only this plant; may be repeated.")] = None,
    title: Annotated[str, typer.Option(help="The page's title.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --out: say what was written as JSON.")] = False,
) -> None:
    """Write one HTML page about a fleet."""

    def command() -> int:
        from pipelines.lake.durable import write_durably
        from pipelines.lake.publish import as_this_version_reads, open_published
        from pipelines.report.page import report_page

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        start, end = settled(settings, from_, to)
        assert start and end
        if start > end:
            say(f"--from {start} is after --to {end}.")
            return EXIT_USAGE
        if (end - start).days >= MOST_DAYS:
            say(f"{start} to {end} is more than a page can show: ask for {MOST_DAYS} days at most.")
            return EXIT_USAGE
        target = _checked(out)
        connection = open_published(settings.home, threads=settings.duckdb_threads, memory_limit=settings.duckdb_memory)
        try:
            with as_this_version_reads():
                page = report_page(connection, start, end, _known(connection, plant or []), title)
        finally:
            connection.close()
        if target is None:
            # The page says that it is UTF-8, whatever the terminal speaks.
            sys.stdout.buffer.write(page.encode())
            sys.stdout.flush()
            return 0
        data = page.encode()
        write_durably(target, data)
        say(f"Written to {target}; open it in a browser.")
        if as_json:
            stdout.print_json(
                json.dumps({"path": str(target), "bytes": len(data), "from": start, "to": end}, default=str)
            )
        return 0

    raise typer.Exit(guarded(command))


def _checked(out: Path | None) -> Path | None:
    if out is None:
        return None
    target = out.expanduser().resolve()
    if target.is_dir() or not target.parent.is_dir():
        raise UsageError(f"{target} can't be written: --out wants a file in a folder that is there.")
    return target


def _known(connection: "duckdb.DuckDBPyConnection", plants: list[str]) -> tuple[str, ...]:
    if plants:
        query = "select plant_code from staging.stg_plants"
        known = {code for (code,) in connection.execute(query).fetchall()}
        for code in plants:
            if code not in known:
                raise UsageError(f"There is no plant {code} in the warehouse. `pvms sql` on raw.plants lists them.")
    return tuple(plants)
