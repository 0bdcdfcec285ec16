"""What a command imports: libraries that take seconds wait until they are needed."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("dagster", "dagster_dbt", "dbt", "pandera", "pandas", "pvlib", "scipy", "timezonefinder", "starlette")
LIGHT_ENOUGH = ("polars", "duckdb", "deltalake", "pyarrow", "httpx")

COMMAND = """
import sys
from pipelines.cli.app import app
app({arguments!r}, standalone_mode=False)
"""


def imported(code: str, folder: Path) -> set[str]:
    """Names of the top-level packages that are there after a process ran `code`."""
    told = "import atexit, sys; atexit.register(lambda: print('', *sys.modules, file=sys.stderr, sep='\\n'))\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", told + code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return {name.partition(".")[0] for name in done.stderr.splitlines()}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], (*HEAVY, *LIGHT_ENOUGH)),
        (["load", "--help"], (*HEAVY, *LIGHT_ENOUGH)),
        (["init"], HEAVY),
        (["status"], HEAVY),
        (["sql", "select 1"], HEAVY),
        # Planning reads the inventory, which is validated and put into time zones.
        (["plan", "--from", "2025-01-01", "--to", "2025-01-01"], ("dagster", "dagster_dbt", "dbt", "pvlib")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_waits_for_nothing_that_it_does_not_use(
    tmp_path: Path, arguments: list[str], unwanted: tuple[str, ...]
) -> None:
    found = imported(COMMAND.format(arguments=arguments), tmp_path)
    assert "pipelines" in found
    assert found.isdisjoint(unwanted), found & set(unwanted)


def test_a_load_does_not_import_the_dbt_assets(tmp_path: Path) -> None:
    found = imported("import assets.launch", tmp_path)
    assert "dagster" in found
    assert found.isdisjoint({"dagster_dbt", "dbt", "pvlib", "starlette"})
