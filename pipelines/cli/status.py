"""`pvms status`: what is loaded, provisional, missing and quarantined, and what the quota leaves."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.sql import as_table
from pipelines.load.request import EXIT_ERROR
from schemas.datasets import DATASETS
from schemas.endpoints import READ_ENDPOINTS

if TYPE_CHECKING:
    import polars as pl

    from pipelines.load.services import Services
    from pipelines.settings import Settings

HELP = """Say what is loaded, provisional, missing and quarantined, what the quota leaves, and the last errors.

Asks the vendor nothing.

Examples:

  pvms status

  pvms status --json | jq .coverage
"""

ERRORS_SHOWN = 5


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Say what is loaded and what is not."""

    def command() -> int:
        from pipelines.load.services import state_dir

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        if not (state_dir(settings.home) / "coverage.sqlite").exists():
            say("Nothing is loaded yet. Next: pvms load --from yesterday --to yesterday.")
            say("Without an account: pvms demo.")
            return EXIT_ERROR
        found = collect(settings)
        if as_json:
            stdout.print_json(json.dumps(found, default=str))
        else:
            show(found)
        return 0

    raise typer.Exit(guarded(command))


def collect(settings: "Settings") -> dict[str, Any]:
    """Everything that `status` shows, as plain data."""
    from pipelines.lake.coverage import Coverage
    from pipelines.lake.store import Lake
    from pipelines.load.services import Services, state_dir

    rollup = Coverage(state_dir(settings.home) / "coverage.sqlite").rollup()
    lake = Lake(settings.home)
    found: dict[str, Any] = {
        "home": str(settings.home),
        "coverage": coverage_rows(rollup),
        "quarantined": lake.read("quarantine").height,
        "unfolded_parts": lake.pending_parts(),
        "quota": [],
        "last_errors": [],
    }
    if settings.accounts:
        with Services.open(settings) as services:
            found["quota"] = quota_rows(services)
            found["last_errors"] = last_errors(services)
    return found


def coverage_rows(rollup: "pl.DataFrame") -> list[dict[str, Any]]:
    """A row per dataset: first and last period, and how many plant periods are in each state."""
    rows = []
    for name in (name for name in DATASETS if name in set(rollup["dataset"])):
        mine = rollup.filter(rollup["dataset"] == name)
        states = Counter(mine["state"].to_list())
        rows.append(
            {
                "dataset": name,
                "first": mine["period"].min(),
                "last": mine["period"].max(),
                "rows": int(mine["rows"].sum() or 0),
                **{
                    state: states.get(state, 0)
                    for state in ("final", "provisional", "missing", "empty", "suspect", "denied")
                },
            }
        )
    return rows


def quota_rows(services: "Services") -> list[dict[str, Any]]:
    """A row per endpoint that was called lately or is closed: used, limit, next possible call."""
    from pipelines.load.fleet import current_fleet

    services.client.counts = current_fleet(services).counts
    rows = []
    for endpoint in READ_ENDPOINTS:
        allowance = services.client.allowance(endpoint)
        rows.append(
            {
                "endpoint": endpoint,
                "used": allowance.used,
                "limit": allowance.limit,
                "next": "now" if allowance.granted else allowance.next_at,
            }
        )
    return rows


def last_errors(services: "Services") -> list[dict[str, Any]]:
    """The latest calls of the last week that did not end well."""
    since = datetime.now(UTC) - timedelta(days=7)
    bad = [call for call in services.client.ledger.calls(since) if call.outcome != "ok"]
    return [
        {
            "called_at": call.called_at,
            "endpoint": call.endpoint,
            "outcome": call.outcome or "its process ended",
            "code": call.fail_code,
            "asked": call.asked[:80],
        }
        for call in bad[-ERRORS_SHOWN:]
    ]


def show(found: dict[str, Any]) -> None:
    """Print the tables for a person."""
    for title, rows in (
        ("Plant periods by state", found["coverage"]),
        ("Quota", found["quota"]),
        ("Last calls that did not end well", found["last_errors"]),
    ):
        if rows:
            names = list(rows[0])
            stdout.print(as_table(names, [tuple(row.values()) for row in rows], title))
    stdout.print(f"Records in quarantine: {found['quarantined']}")
    if found["unfolded_parts"]:
        say(f"{found['unfolded_parts']} landing parts of an interrupted load wait; the next load folds them.")
