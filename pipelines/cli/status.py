"""`pvms status`: why nothing is coming and when it will, what is loaded and what is not, and what the quota leaves."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.sql import as_table
from pipelines.load.request import EXIT_ERROR

if TYPE_CHECKING:
    from pipelines.load.standing import Standing

HELP = """Say why nothing is coming and when it will; what is loaded, missing and refused; what the quota leaves.

The first line is the answer. Asks the vendor nothing; works while loads run.
With --notify it tells PVMS_NOTIFY_URL or PVMS_NOTIFY_COMMAND what is worth telling, for cron.

Exit codes: 0 answered; 1 nothing was ever loaded here: the first line says what stopped it.

Examples:

  pvms status

  pvms status --json | jq .answer

  pvms status --notify
"""

SKEW_SHOWN_S = 60.0


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
    tell: Annotated[
        bool, typer.Option("--notify", help="Also tell the webhook or command of the settings what is new.")
    ] = False,
) -> None:
    """Say how things stand."""

    def command() -> int:
        from pipelines.load.headline import headline
        from pipelines.load.standing import standing_of
        from pipelines.northbound.clock import SystemClock

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        standing = standing_of(settings, SystemClock())
        if as_json:
            stdout.print_json(json.dumps({"answer": headline(standing), **document(standing)}, default=str))
        else:
            stdout.print(headline(standing), highlight=False, markup=False)
            if standing.datasets or standing.last_call_at:
                show(standing)
        if tell:
            _tell(settings)
        return 0 if standing.started else EXIT_ERROR

    raise typer.Exit(guarded(command))


def _tell(settings: Any) -> None:
    from pipelines.load.notify import wanted
    from pipelines.load.watch import watch
    from pipelines.northbound.clock import SystemClock

    if not wanted(settings):
        say("Nobody is told: set PVMS_NOTIFY_URL or PVMS_NOTIFY_COMMAND.")
        return
    sent = watch(settings, SystemClock().now())
    say(f"Told: {', '.join(event.event for event in sent) or 'nothing new'}.")


def document(standing: "Standing") -> dict[str, Any]:
    """Everything for JSON; `coverage` and `quota` as flat rows."""
    found = standing.as_dict()
    for row, account in zip(found["accounts"], standing.accounts, strict=True):
        row["paused_until"] = account.paused_until
    found["coverage"] = coverage_rows(standing)
    found["quota"] = quota_rows(standing)
    return found


def coverage_rows(standing: "Standing") -> list[dict[str, Any]]:
    """A row per dataset: first and last period, how many plant periods are in each state, and what is to come."""
    from pipelines.load.headline import calls_left

    left, ahead = calls_left(standing), {each.dataset: each.periods for each in standing.ahead}
    due = {each.dataset: each.periods for each in standing.due}
    return [
        {
            "dataset": each.dataset,
            "first": each.first,
            "last": each.last,
            "newest_data": each.newest_data,
            "rows": each.rows,
            **{state: each.states.get(state, 0) for state in ("final", "provisional", "missing", "empty")},
            **{state: each.states.get(state, 0) for state in ("suspect", "denied")},
            "due": due.get(each.dataset, 0),
            "not_begun": ahead.get(each.dataset, 0),
            "calls_left": left.get(each.dataset, 0),
        }
        for each in standing.datasets
    ]


def quota_rows(standing: "Standing") -> list[dict[str, Any]]:
    """A row per account and endpoint: used, free, and when the next call may go out."""
    return [
        {
            "account": account.account,
            "endpoint": each.endpoint,
            "used": each.used,
            "limit": each.limit,
            "free": each.free,
            "spacing_s": each.spacing_s,
            "next": f"denied, asked again {each.next_at:%Y-%m-%d %H:%M}" if each.denied else each.next_at or "now",
        }
        for account in standing.accounts
        for each in account.endpoints
    ]


def show(standing: "Standing") -> None:
    """Print the tables for a person."""
    from pipelines.load.obstacles import rest_sentence, why_it_rests
    from pipelines.load.room import forecast
    from pipelines.load.words import counted, gigabytes, moment

    for title, rows in (
        ("Plant periods by state", coverage_rows(standing)),
        ("Quota", quota_rows(standing)),
        (
            "Refused by the vendor",
            [{"dataset": d.dataset, "periods": d.periods, "last": d.last_at, "why": d.reason} for d in standing.denied],
        ),
        (
            "Last calls that did not end well",
            [
                {"at": e.at, "account": e.account, "endpoint": e.endpoint, "code": e.code, "words": e.words}
                for e in standing.last_errors
            ],
        ),
    ):
        if rows:
            names = [name.replace("_", " ") for name in rows[0]]
            stdout.print(as_table(names, [tuple(map(_short, row.values())) for row in rows], title))
    for account in standing.accounts:
        if account.skew_s is not None and abs(account.skew_s) > SKEW_SHOWN_S:
            where = "ahead of" if account.skew_s > 0 else "behind"
            stdout.print(
                f"The clock of {account.account}'s server is {abs(account.skew_s):.0f} s {where} this machine's."
            )
        if account.rests_until and not rest_sentence(standing.accounts):
            stdout.print(f"{why_it_rests(account)} It rests until {moment(account.rests_until)}.", markup=False)
        for sentence in account.policy_differs:
            stdout.print(sentence, markup=False)
    if standing.refused_plants:
        stdout.print(f"Plants that the vendor refuses: {', '.join(standing.refused_plants)}", markup=False)
    if standing.plants_without_zone:
        stdout.print(f"Plants without a time zone, not loaded: {', '.join(standing.plants_without_zone)}", markup=False)
    if standing.plants_gone:
        gone = ", ".join(standing.plants_gone)
        stdout.print(f"Plants that are listed no more, not asked about (their data stay): {gone}", markup=False)
    age = standing.at - standing.last_data_at if standing.last_data_at else None
    stdout.print(
        f"Newest data came {moment(standing.last_data_at)}"
        + (f" ({_ago(age.total_seconds())} ago)" if age else "")
        + f"; {standing.plants} plants, {standing.devices} devices, listed {moment(standing.listed_at)}.",
        highlight=False,
    )
    stdout.print(
        f"Records in quarantine: {standing.quarantined}. Disk: {gigabytes(standing.disk_free_bytes)} of "
        f"{gigabytes(standing.disk_total_bytes)} free{forecast(Path(standing.home), standing.disk_free_bytes)}. "
        f"Warehouse published: {moment(standing.published_at)}.",
        highlight=False,
    )
    if standing.doubted or standing.doubted_until:
        later = f", the next from {moment(standing.doubted_until)}" if standing.doubted_until else ""
        doubted = counted(standing.doubted, "plant period")
        stdout.print(
            f"Suspect (answered with nothing at all): {doubted} may be asked again now{later}.", highlight=False
        )
    if standing.next_fresh_at:
        stdout.print(f"The next days come due about {moment(standing.next_fresh_at)}.", highlight=False)
    if standing.unfolded_parts and not standing.loading:
        say(f"{standing.unfolded_parts} landing parts of an interrupted load wait; the next load folds them.")


def _short(value: Any) -> Any:
    from datetime import datetime

    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value


def _ago(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
