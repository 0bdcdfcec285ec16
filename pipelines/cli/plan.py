"""`pvms plan`: what a load would cost, without making it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.dates import Day, read_day, settled
from pipelines.cli.load import Datasets, Plants, request_of
from pipelines.cli.sql import as_table
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import UsageError, latest_local_date
from pipelines.planning.estimate import days_until_done

if TYPE_CHECKING:
    from pipelines.load.cost import Cost

HELP = """Say what a load would cost: calls per endpoint, the least possible, quota a day, days until done.

Without dates: what settings and the policy file want, back to PVMS_HISTORY_START or the grid connection. Below it
the ways to keep 5-minute data up to date while the past is fetched, what each means for the KPIs, and which one to
take. Nothing is asked of the vendor but the inventory, if the last one is over a day old.

Examples:

  pvms plan

  pvms plan --from 2024-01-01 --to 2024-12-31

  pvms plan --from 2025-06-01 --to 2025-06-30 --dataset device_history --json
"""

COLUMNS = ["dataset", "endpoint", "calls", "least possible", "quota a day", "free now", "days"]
WAYS = ["way", "fresh calls a day", "backlog calls", "days until done", "what it means for the KPIs"]

From = Annotated[
    Day | None, typer.Option("--from", parser=read_day, metavar="DATE", help="First local date; with --to.")
]
To = Annotated[
    Day | None, typer.Option("--to", parser=read_day, metavar="DATE", help="Last local date, included; with --from.")
]


def plan(
    start: From = None,
    end: To = None,
    dataset: Datasets = None,
    plant: Plants = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON on stdout.")] = False,
) -> None:
    """Say what a load would cost."""

    def command() -> int:
        from pipelines.load.asking import LoadStopped
        from pipelines.load.cost import cost_of, cost_of_wanted
        from pipelines.load.run import check_dates
        from pipelines.load.services import Services
        from pipelines.northbound.clock import SystemClock

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        if (start is None) != (end is None):
            raise UsageError("Give --from and --to, or neither: then settings and policy say what is wanted.")
        today = latest_local_date(SystemClock().now())
        first, last = settled(settings, start, end)
        request = request_of(first or today, last or today, dataset, plant)
        check_dates(request, SystemClock().now())
        settings.account  # noqa: B018  a missing account is said first
        if not settings.home.exists():
            raise UsageError("There is no such folder yet. `pvms init` makes it, with a .env to fill in.")
        with Services.open(settings) as services, ConsoleListener() as listener:
            try:
                cost = (cost_of if start else cost_of_wanted)(request, services, listener)
            except LoadStopped as stopped:
                raise stopped.error from stopped
        if as_json:
            stdout.print_json(json.dumps(as_dict(cost)))
        else:
            stdout.print(as_table(COLUMNS, rows_of(cost), "What is wanted"))
            if cost.alternatives:
                stdout.print(
                    as_table(WAYS, ways_of(cost), "5-minute data alone: ways to keep them up to date beside their past")
                )
        for line in (verdict(cost), *advice(cost, policy_file=settings.policy_file)):
            say(line)
        return 0

    raise typer.Exit(guarded(command))


def as_dict(cost: "Cost") -> dict[str, Any]:
    """The plan for `--json`."""
    names = [name.replace(" ", "_") for name in COLUMNS]
    best = cost.recommended
    return {
        "datasets": [dict(zip(names, row, strict=True)) for row in rows_of(cost)],
        "periods_wanted": cost.wanted,
        "periods_there": cost.covered,
        "alternatives": [asdict(way) for way in cost.alternatives],
        "recommended": {"key": best.alternative.key, "reason": best.reason} if best else None,
    }


def ways_of(cost: "Cost") -> list[tuple[Any, ...]]:
    """A row per alternative; the recommended one is marked."""
    best = cost.recommended.alternative.key if cost.recommended else None
    return [
        (
            f"{'* ' if way.key == best else ''}{way.name}",
            f"{way.fresh_a_day:.1f}",
            way.backlog,
            "never" if way.days is None else f"{way.days}",
            way.effect,
        )
        for way in cost.alternatives
    ]


def advice(cost: "Cost", *, policy_file: Path | None = None) -> list[str]:
    """Which way to take and why, and what to set for it: the policy file outranks the setting."""
    lines = []
    if cost.no_depth:
        lines.append(
            "No past is wanted: set PVMS_HISTORY_START, or since and history_since in PVMS_POLICY_FILE; "
            "or name dates with --from and --to."
        )
    if cost.recommended:
        way = cost.recommended.alternative
        setting = ""
        if way.key.startswith("freshness_"):
            days = way.key[-1]
            variable = f"PVMS_HISTORY_FRESHNESS_DAYS={days}"
            in_policy = f"freshness_days = {days} in {policy_file}, or where that sets none " if policy_file else ""
            setting = f" ({in_policy}{variable})"
        lines.append(f"Recommended for 5-minute data: {way.name}{setting}. {cost.recommended.reason}")
    return lines


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
    alone = " if nothing else is asked for meanwhile" if cost.alternatives and days != 1 else ""
    return f"{calls:,} calls, done {when}{alone}; {there}. Real time and alarms have quotas of their own."
