"""`pvms plan`: what a load would cost, without making it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.load import Datasets, From, Plants, To, request_of
from pipelines.cli.sql import as_table
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import UsageError
from pipelines.planning.estimate import days_until_done

if TYPE_CHECKING:
    from pipelines.load.cost import Cost

HELP = """Say what a load would cost: calls per endpoint, the least possible, quota a day, days until done.

Nothing is asked of the vendor but the inventory, if the last one is over a day old.

Examples:

  pvms plan --from 2024-01-01 --to 2024-12-31

  pvms plan --from 2025-06-01 --to 2025-06-30 --dataset device_history --json
"""

COLUMNS = ["dataset", "endpoint", "calls", "least possible", "quota a day", "free now", "days"]


def plan(
    start: From,
    end: To,
    dataset: Datasets = None,
    plant: Plants = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON on stdout.")] = False,
) -> None:
    """Say what a load would cost."""

    def command() -> int:
        from pipelines.load.asking import LoadStopped
        from pipelines.load.cost import cost_of
        from pipelines.load.run import check_dates
        from pipelines.load.services import Services
        from pipelines.northbound.clock import SystemClock

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        request = request_of(start, end, dataset, plant)
        check_dates(request, SystemClock().now())
        settings.account  # noqa: B018  a missing account is said first
        if not settings.home.exists():
            raise UsageError("There is no such folder yet. `pvms init` makes it, with a .env to fill in.")
        with Services.open(settings) as services, ConsoleListener() as listener:
            try:
                cost = cost_of(request, services, listener)
            except LoadStopped as stopped:
                raise stopped.error from stopped
        if as_json:
            stdout.print_json(
                json.dumps(
                    [dict(zip((name.replace(" ", "_") for name in COLUMNS), row, strict=True)) for row in rows_of(cost)]
                )
            )
        else:
            stdout.print(as_table(COLUMNS, rows_of(cost)))
        say(verdict(cost))
        return 0

    raise typer.Exit(guarded(command))


def rows_of(cost: "Cost") -> list[tuple[Any, ...]]:
    """A row per dataset, in the order in which they would be asked."""
    return [
        (name, e.endpoint, e.calls, e.least_possible, e.quota_per_day, e.free_now, e.days)
        for name, e in cost.estimates.items()
    ]


def verdict(cost: "Cost") -> str:
    """One sentence: how long it takes."""
    days = days_until_done(cost.estimates.values())
    calls = sum(e.calls for e in cost.estimates.values())
    there = f"{cost.covered:,} of {cost.wanted:,} wanted periods are final already"
    if not calls:
        return f"Nothing to do: {there}."
    when = "never, as a quota is zero" if days is None else "today" if days == 1 else f"in {days} days of quota"
    return f"{calls:,} calls, done {when}; {there}. Real time and alarms have quotas of their own."
