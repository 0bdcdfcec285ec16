"""`pvms ui`: Dagster's web page and daemon on this `PVMS_HOME`."""

import os
from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command

HELP = """Open Dagster's UI and daemon on this PVMS_HOME, until interrupted.

Assets are partitioned by plant and date: select a rectangle and press materialize to load it.

With --ticks (or PVMS_TICKS=on) it also works unattended, without anybody looking: it loads what is due within the
quota, polls real-time values every 5 minutes and alarms every 30, and publishes the warehouse after landings.

Examples:

  pvms ui --port 3000

  pvms ui --ticks
"""


def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    ticks: Annotated[
        bool | None,
        typer.Option(
            "--ticks/--no-ticks", help="Start by itself what is due; else as PVMS_TICKS says.", show_default=False
        ),
    ] = None,
) -> None:
    """Open Dagster's UI and daemon on this PVMS_HOME."""

    def command() -> int:
        if ticks is not None:
            # For the processes that are started, too: they read their settings anew.
            os.environ["PVMS_TICKS"] = "on" if ticks else "off"
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        say(
            "Ticks are on: what is due starts by itself."
            if settings.ticks
            else "Ticks are off (--ticks turns them on)."
        )
        from assets.webserver import run_ui

        return run_ui(settings, port, say)

    raise typer.Exit(guarded(command))
