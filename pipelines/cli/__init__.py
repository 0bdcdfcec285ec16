"""The command `pvms`: one module a command, each of them a thin shell over the rooms."""

from pipelines.interrupts import quiet_interrupts


def main() -> None:
    """Run `pvms` with the arguments of the process."""
    quiet_interrupts()
    # Imported here: an interrupt while this is imported should be quiet, too.
    from pipelines.cli.app import app

    app()
