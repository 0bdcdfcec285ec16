"""`pvms load`: local dates of everything that has a past, within quota, into the published warehouse."""

import json
from datetime import date
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.dates import Day, read_day, settled
from pipelines.cli.summary import summary_lines
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import LOADABLE_DATASETS, LoadRequest, UsageError, WorkRequest

HELP = """Load local dates of everything that has a past, within quota, and publish the warehouse.

Without dates it does what is worth most now: the inventory, reports back to grid connection, fresh 5-minute data,
then the backlog since PVMS_HISTORY_START and of earlier loads, newest first, as far as the quota allows. Run it as
often as you like: what is there isn't asked again, and several at once share the work.

Dates are those of each plant's own time zone, both included. What is there and final is not asked again.
Alarms are read once, as of now; real-time data only if named. Empty seats of history calls take along
whatever else is wanted.

Exit codes: 0 all is there; 1 a call failed; 2 wrong usage; 3 the quota ended it (the message says when to
go on); 4 something was refused for good, the rest is there; 130 interrupted.

Examples:

  pvms load

  pvms load --wait

  pvms load --from yesterday --to yesterday

  pvms load --from 2025-01-01 --to 2025-01-31 --wait

  pvms load --from 2025-06-01 --to 2025-06-01 --dataset device_history --plant NE=33554785
"""

_FROM = typer.Option("--from", parser=read_day, metavar="DATE", help="First local date.")
_TO = typer.Option("--to", parser=read_day, metavar="DATE", help="Last local date, included.")
From = Annotated[Day, _FROM]
To = Annotated[Day, _TO]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", metavar="NAME", help=f"One of {', '.join(LOADABLE_DATASETS)}. May be repeated."),
]
Plants = Annotated[list[str] | None, typer.Option("--plant", metavar="CODE", help="A plant code. May be repeated.")]


def load(
    start: Annotated[Day | None, _FROM] = None,
    end: Annotated[Day | None, _TO] = None,
    dataset: Datasets = None,
    plant: Plants = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for quota and go on until all is there.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Read again also what is final.")] = False,
    refresh_inventory: Annotated[
        bool, typer.Option("--refresh-inventory", help="List plants and devices anew, however fresh the list is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")] = False,
) -> None:
    """Load local dates within quota and publish the warehouse."""

    def command() -> int:
        if (start is None) != (end is None):
            raise UsageError("Give both --from and --to, or neither for what is worth most now.")
        if start is None:
            refuse_without_dates(dataset=dataset, plant=plant, force=force, refresh_inventory=refresh_inventory)
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        first, last = settled(settings, start, end)
        request: LoadRequest | WorkRequest = WorkRequest(wait=wait)
        if first and last:
            request = request_of(first, last, dataset, plant, wait=wait, force=force, refresh=refresh_inventory)
        # Imported here: Dagster takes seconds to import, and `--help` shouldn't.
        from assets.launch import load_through_dagster

        with ConsoleListener() as listener:
            report = load_through_dagster(settings, request, listener)
        if as_json:
            stdout.print_json(json.dumps(report.as_dict()))
        for line in summary_lines(report):
            say(line)
        return report.exit_code

    raise typer.Exit(guarded(command))


def refuse_without_dates(**options: object) -> None:
    """Refuse options that only mean something for given dates.

    Raises:
        UsageError: naming the first of them.
    """
    for name, value in options.items():
        if value:
            raise UsageError(f"--{name.replace('_', '-')} needs dates: add --from and --to.")


def request_of(
    start: date,
    end: date,
    datasets: list[str] | None,
    plants: list[str] | None,
    *,
    wait: bool = False,
    force: bool = False,
    refresh: bool = False,
) -> LoadRequest:
    """The request that the options stand for.

    Raises:
        UsageError: an unknown dataset.
    """
    unknown = [name for name in datasets or () if name not in LOADABLE_DATASETS]
    if unknown:
        raise UsageError(f"Unknown dataset {', '.join(unknown)}; known: {', '.join(LOADABLE_DATASETS)}.")
    return LoadRequest(
        start=start,
        end=end,
        datasets=tuple(datasets or ()),
        plants=tuple(plants or ()),
        wait=wait,
        force=force,
        refresh_inventory=refresh,
    )
