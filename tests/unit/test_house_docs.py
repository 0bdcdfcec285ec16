"""What the documents say is what the project does: commands, settings, links, versions."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from pipelines.cli.app import app
from pipelines.cli.init import ENV_TEMPLATE
from pipelines.load.request import LOADABLE_DATASETS, PERIODIC_DATASETS
from pipelines.settings import ACCOUNT_KEYS, _Environment

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "dbt" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMANDS = typer.main.get_command(app)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_lines(text: str) -> list[str]:
    """The lines of all code blocks."""
    return [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def pvms_calls(text: str) -> list[list[str]]:
    """The arguments of every call of `pvms` in the code blocks, without what a shell does around them."""
    found = []
    for line in code_lines(text):
        plain = re.sub(r"\$\(.*?\)", "2025-01-01", line)
        for part in re.split(r" && | \| | >>?", plain):
            match = re.match(r"(?:.* |\S*/)?pvms (.+)", part.strip())
            if match:
                found.append(shlex.split(match[1], comments=True))
    return found


# --- The README's two commands ---


def test_the_readme_has_each_command_as_one_line_of_its_own() -> None:
    lines = [line for line in code_lines(README) if "-m venv" in line]
    demo, tests = lines
    assert re.fullmatch(r"python3 -m venv \.venv && \.venv/bin/pip install .+ && \.venv/bin/pvms demo", demo)
    assert re.fullmatch(r"python3 -m venv \.venv && \.venv/bin/pip install .+ && \.venv/bin/pytest", tests)
    for line in lines:
        assert "-c constraints.txt" in line


def test_ci_runs_both_commands_of_the_readme() -> None:
    for end in ("&& .venv/bin/pvms demo", "&& .venv/bin/pytest"):
        assert f"grep -m 1 -F '{end}' README.md" in CI
        assert len([line for line in README.splitlines() if end in line]) == 1


def test_ci_is_a_script_that_can_be_run() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111 == 0o111
    assert CI.startswith("#!/usr/bin/env bash\n")


def test_the_readme_names_the_python_that_the_package_takes() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.13"
    assert "CI proves Python 3.11" in README
    assert "3.13 is refused" in README


# --- Commands and settings ---


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `pvms (\w+)` \|", README, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS.commands)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_call_in_the_documents_is_one_that_pvms_takes(path: Path) -> None:
    calls = pvms_calls(path.read_text(encoding="utf-8"))
    for name, *arguments in calls:
        COMMANDS.commands[name].make_context(name, arguments)
    assert calls or path.name not in ("README.md", "first-steps.md", "operating.md") or "dbt" in path.parts


def test_first_steps_explains_every_setting_and_no_other() -> None:
    text = (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| (`[A-Z_]+`.*)$", text, re.MULTILINE))
    assert {name.lower() for name in re.findall(r"`((?:SMARTPVMS|PVMS)_[A-Z_]+)`", rows)} == set(
        _Environment.model_fields
    )


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_documents_name_only_settings_that_exist(path: Path) -> None:
    known = {name.upper() for name in _Environment.model_fields} | {"PVMS_BUILD_DB", "PVMS_DBT_THREADS"}
    named = set(re.findall(r"\b(?:SMARTPVMS|PVMS)_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert {name for name in named if not name.startswith("PVMS_EVENT")} <= known


def test_the_example_of_an_accounts_file_has_known_keys() -> None:
    text = (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for table in tomllib.loads(block).values():
        assert set(table) <= set(ACCOUNT_KEYS)


def test_datasets_that_the_documents_name_can_be_loaded() -> None:
    for path in PAGES:
        named = re.findall(r"--dataset (\w+)", path.read_text(encoding="utf-8"))
        assert set(named) <= {*LOADABLE_DATASETS, "NAME"}


def test_the_architecture_lists_the_partitions_of_every_dataset() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## Partitions in Dagster")[1].split("\n\n")[1]
    assert {*PERIODIC_DATASETS, "alarms"} <= set(re.findall(r"`(\w+)`", table))


def test_the_example_of_settings_is_what_init_writes() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == ENV_TEMPLATE


# --- Links, versions, words ---


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


def test_every_marked_place_in_the_floor_plan_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:pipelines|assets|schemas)/[\w/]+\.py)\b", text):
        assert (ROOT / name).is_file(), name
    for room in ("northbound", "planning", "lake", "simulator", "load", "cli"):
        assert f"  {room}/" in text
        assert (ROOT / "pipelines" / room / "__init__.py").is_file()
