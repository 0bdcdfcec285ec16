"""`pvms simulator`: a SmartPVMS on this machine, to develop against and to show with."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say
from pipelines.load.request import UsageError
from pipelines.simulator.faults import FAULT_HELP, parse_faults
from pipelines.simulator.server import run_forever
from pipelines.simulator.world import FLEETS, build_world

HELP = """Run a SmartPVMS on 127.0.0.1 until interrupted. Prints its address on stdout.

It serves every read endpoint of the reference, with its flow control, sessions, local days and faults.
Values are made from the sun, clouds and a seed: the same seed gives the same past.

Examples:

  pvms simulator --fleet demo --port 8088

  SMARTPVMS_BASE_URL=http://127.0.0.1:8088 SMARTPVMS_USERNAME=demo SMARTPVMS_PASSWORD=demo-password \\
    pvms load --from yesterday --to yesterday

  pvms simulator --fault deny=getDevHistoryKpi --policy static --window bucket
"""


def simulator(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    fleet: Annotated[str, typer.Option(help=f"One of {', '.join(FLEETS)}.")] = "demo",
    seed: Annotated[int, typer.Option(help="The same seed gives the same past.")] = 1,
    policy: Annotated[
        str, typer.Option(help="Flow control: dynamic (4.2), static (6.2), oauth (4.1) or none.")
    ] = "dynamic",
    window: Annotated[str, typer.Option(help="How quotas refill: rolling, day or bucket.")] = "rolling",
    labels: Annotated[
        str, typer.Option(help="Day labels at local or at standard midnight: local, standard.")
    ] = "local",
    fault: Annotated[list[str] | None, typer.Option(help=f"May be repeated. {FAULT_HELP}")] = None,
    log: Annotated[Path | None, typer.Option(help="Write every request to this file, one JSON object a line.")] = None,
) -> None:
    """Run a SmartPVMS on this machine."""

    def command() -> int:
        try:
            faults = parse_faults(fault or [])
            world = build_world(fleet, seed, labels=labels)
        except ValueError as error:
            raise UsageError(str(error)) from error

        def ready(base_url: str) -> None:
            typer.echo(base_url)
            say(f"{len(world.plants)} plants, {len(world.devices)} devices. Ctrl-C ends it.")
            say("User demo, password demo-password.")

        run_forever(world, port=port, flow_control=policy, window=window, faults=faults, log_file=log, on_ready=ready)
        return 0

    raise typer.Exit(guarded(command))
