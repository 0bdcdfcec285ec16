"""`pvms simulator`: a SmartPVMS on this machine, to develop against and to show with."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.common import guarded, say
from pipelines.load.request import UsageError
from pipelines.simulator.faults import GROUPS, describe_group, parse_faults
from pipelines.simulator.fleets import FLEETS
from pipelines.simulator.habits import describe_habits, parse_habits
from pipelines.simulator.oauth import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, OAuthSetup
from pipelines.simulator.strikes import GRAMMAR
from pipelines.simulator.view import ACCOUNT_GRAMMAR, Account

FAULTS = "\n\n".join(
    f"{group}:\n\n" + "\n".join(f"- `{name}` {meaning}" for name, meaning in describe_group(group)) for group in GROUPS
)

HABITS = "\n".join(f"- `{name}` {meaning}" for name, meaning in describe_habits())

HELP = f"""Run a SmartPVMS on 127.0.0.1 until interrupted. Prints its address on stdout.

It serves every read endpoint of the reference, with its flow control, sessions, local days and faults, and the OAuth
service with its page of consent.
Values are made from the sun, clouds and a seed: the same seed gives the same past.

Examples:

  pvms simulator --fleet demo --port 8088

  SMARTPVMS_BASE_URL=http://127.0.0.1:8088 SMARTPVMS_USERNAME=demo SMARTPVMS_PASSWORD=demo-password
  pvms load --from yesterday --to yesterday

  pvms simulator --fault deny=getDevHistoryKpi --policy static --window bucket

  pvms simulator --port 8088 --redirect-uri http://127.0.0.1:8976/pvms --fault oauth_refresh=rotate

  pvms simulator --account north:secret --account south:secret,offset=7000000 --fault deny=getAlarmList,account=south

  pvms simulator --fault http_502=getDevHistoryKpi,every=20 --fault steal_session=apart=90

  pvms simulator --habit hour_labels=end --habit merged_hour --habit 17=import,W --habit 41=discharge,daily

Habits, each with --habit: what the reference leaves open, and servers and wirings answer differently. Where it isn't
said, the past stays the same, only how it is told changes:

{HABITS}

Faults, each with --fault, as many as wanted, together. WHEN says which requests are struck, and is written

  {GRAMMAR}

All conditions given must hold; without any, every read request is struck; once is times=1.

{FAULTS}
"""


def simulator(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    fleet: Annotated[str, typer.Option(help=f"One of {', '.join(FLEETS)}.")] = "demo",
    seed: Annotated[int, typer.Option(help="The same seed gives the same past.")] = 1,
    policy: Annotated[
        Literal["dynamic", "static", "oauth", "none"],
        typer.Option(help="Flow control: reference 4.2, 6.2, 4.1 or none."),
    ] = "dynamic",
    window: Annotated[Literal["rolling", "day", "bucket"], typer.Option(help="How quotas refill.")] = "rolling",
    labels: Annotated[
        Literal["local", "standard"], typer.Option(help="Day labels at local midnight, or at that of standard time.")
    ] = "local",
    habit: Annotated[list[str] | None, typer.Option(help="A habit of the list above. May be repeated.")] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A further API account, {ACCOUNT_GRAMMAR}: of all plants or of these, with ids that differ by N. "
            "May be repeated."
        ),
    ] = None,
    redirect_uri: Annotated[
        str, typer.Option(help="The redirect address that the simulated OAuth app is registered with.")
    ] = REDIRECT_URI,
    fault: Annotated[list[str] | None, typer.Option(help="A fault of the list above. May be repeated.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write every request to this file, one JSON object a line.")] = None,
    parent: Annotated[int | None, typer.Option(help="End when the process of this id has ended.")] = None,
) -> None:
    """Run a SmartPVMS on this machine."""

    def command() -> int:
        from pipelines.simulator.runner import run_forever
        from pipelines.simulator.server import USERNAME, Simulator
        from pipelines.simulator.world import build_world

        try:
            faults = parse_faults(fault or [])
            accounts = [Account.read(each) for each in account or []]
            world = build_world(fleet, seed, labels=labels, habits=parse_habits(habit or []))
            named = faults.plants().union(*(each.plant_codes or () for each in accounts))
            check_names("plant", named, [plant.code for plant in world.plants])
            check_names("account", faults.accounts(), [USERNAME, *(each.username for each in accounts)])
        except ValueError as error:
            raise UsageError(str(error)) from error

        def ready(base_url: str) -> None:
            typer.echo(base_url)
            say(f"{len(world.plants)} plants, {len(world.devices)} devices. Ctrl-C ends it.")
            say("User demo, password demo-password.")
            for each in accounts:
                say(f"User {each.username}: {'all' if each.plant_codes is None else len(each.plant_codes)} plants.")
            say("For pvms login by OAuth, where owner consents with the password owner-password:")
            say(f"  SMARTPVMS_AUTH=oauth SMARTPVMS_BASE_URL={base_url} SMARTPVMS_OAUTH_URL={base_url}")
            say(f"  SMARTPVMS_CLIENT_ID={CLIENT_ID} SMARTPVMS_CLIENT_SECRET={CLIENT_SECRET}")
            say(f"  SMARTPVMS_REDIRECT_URI={redirect_uri}")

        server = Simulator(
            world,
            port=port,
            flow_control=policy,
            window=window,
            faults=faults,
            accounts=accounts,
            log_file=log,
            oauth=OAuthSetup(redirect_uri=redirect_uri),
        )
        run_forever(server, on_ready=ready, parent_pid=parent)
        return 0

    raise typer.Exit(guarded(command))


def check_names(what: str, named: Collection[str], there: Sequence[str]) -> None:
    """A fault that strikes nobody would look like one that is borne well.

    Raises:
        ValueError: a plant or an account is named that isn't there.
    """
    from pipelines.load.words import few

    strange = sorted(set(named) - set(there))
    if strange:
        raise ValueError(f"there is no {what} {few(strange)}; there is {few(there)}")
