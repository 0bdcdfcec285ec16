"""The command `pvms`: one module a command, each of them a thin shell over the rooms."""

from pipelines.cli.app import main

__all__ = ["main"]
