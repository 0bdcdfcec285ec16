"""`--help` of every command: it answers, it has examples, and the examples are ones that the command takes."""

import re
import shlex
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli.app import app

COMMANDS = typer.main.get_command(app)
NAMES = sorted(COMMANDS.commands)


def examples_of(text: str) -> list[list[str]]:
    """The arguments of every `pvms ...` in a text of help, without what a shell does around it."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in joined.splitlines():
        for part in re.split(r" && | \| | > ", line):
            match = re.match(r"\s*(?:\w+=\S+ +)*pvms +(.+)", part)
            if match:
                found.append(shlex.split(match[1]))
    return found


def test_the_contract_names_these_commands() -> None:
    data = ["export", "forget", "grain", "load", "plan", "reconcile", "refile", "report", "sql", "status"]
    assert sorted([*data, "demo", "doctor", "init", "login", "simulator", "ui"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_answers_with_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"pvms {name}" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_taken(name: str) -> None:
    command = COMMANDS.commands[name]
    mine = [arguments[1:] for arguments in examples_of(command.help or "") if arguments[0] == name]
    assert mine
    for arguments in mine:
        # Reads and checks every option as a real call does, but runs nothing.
        assert command.make_context(name, arguments).params


def test_the_examples_of_other_commands_are_taken_too() -> None:
    for name in NAMES:
        for other, *arguments in examples_of(COMMANDS.commands[name].help or ""):
            COMMANDS.commands[other].make_context(other, arguments)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name: str) -> None:
    for parameter in COMMANDS.commands[name].params:
        assert getattr(parameter, "help", None), f"pvms {name}: {parameter.name} has no help"


def test_pvms_alone_shows_the_commands() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert all(name in result.output for name in NAMES)


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"pvms {version('smartpvms-warehouse')}\n")
