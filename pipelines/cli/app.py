"""The application: which commands there are, in the order in which a newcomer needs them."""

from typing import Annotated

import typer

from pipelines.cli import (
    demo,
    doctor,
    export,
    forget,
    grain,
    init,
    load,
    login,
    plan,
    reconcile,
    refile,
    report,
    simulator,
    sql,
    status,
    ui,
)

HELP = """A fleet of solar plants from Huawei SmartPVMS (FusionSolar) into a DuckDB warehouse that analysts trust.

Start with `pvms demo`: it needs no account. With an account: `pvms init`, fill in .env, `pvms load`.

Progress goes to stderr, results to stdout. Settings come from the environment and the nearest .env.
"""

app = typer.Typer(
    name="pvms",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        # Imported here: `pvms --help` doesn't need it.
        from importlib.metadata import version

        typer.echo(f"pvms {version('smartpvms-warehouse')}")
        raise typer.Exit


@app.callback(help=HELP)
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


app.command(help=demo.HELP)(demo.demo)
app.command(help=init.HELP)(init.init)
app.command(help=login.HELP)(login.login)
app.command(help=load.HELP)(load.load)
app.command(help=plan.HELP)(plan.plan)
app.command(help=status.HELP)(status.status)
app.command(help=doctor.HELP)(doctor.doctor)
app.command(help=sql.HELP)(sql.sql)
app.command(help=export.HELP)(export.export)
app.command(help=report.HELP)(report.report)
app.command(help=refile.HELP)(refile.refile)
app.command(help=forget.HELP)(forget.forget)
app.command(help=ui.HELP)(ui.ui)
app.command(help=reconcile.HELP)(reconcile.reconcile)
app.command(help=grain.HELP)(grain.grain)
app.command(help=simulator.HELP)(simulator.simulator)
