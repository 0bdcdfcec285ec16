"""`pvms ui`: Dagster's web page and daemon on this `PVMS_HOME`."""

from typing import Annotated

import typer

from pipelines.cli.common import guarded, say, settings_for_command

HELP = """Open Dagster's UI and daemon on this PVMS_HOME, until interrupted.

Assets are partitioned by plant and date: select a rectangle and press materialize to load it.

Example:

  pvms ui --port 3000
"""


def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> None:
    """Open Dagster's UI and daemon on this PVMS_HOME."""

    def command() -> int:
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        from assets.webserver import run_ui

        return run_ui(settings, port, say)

    raise typer.Exit(guarded(command))
