"""The installed wheel, away from the checkout: its own modules, its own dbt project, a command that runs.

In the checkout, everything would be found even if the wheel left it out, or if a name clashed with a package.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

LOOK = """
import importlib, importlib.metadata, importlib.resources, json, pkgutil
found = {}
for top in ("schemas", "pipelines", "assets"):
    package = importlib.import_module(top)
    found[top] = package.__file__
    for module in pkgutil.walk_packages(package.__path__, top + "."):
        # The code location itself refuses to be loaded without Dagster's instance, and programs would run.
        if module.name != "assets.definitions" and not module.name.endswith("__main__"):
            found[module.name] = importlib.import_module(module.name).__file__
from pipelines.lake.transform import project_folder
print(json.dumps({
    "modules": found,
    "project": str(project_folder()),
    "version": importlib.metadata.version("smartpvms-warehouse"),
    "dagster_yaml": importlib.resources.files("assets").joinpath("dagster.yaml").is_file(),
}))
"""


def run(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)], folder)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    done = run(command, target)
    assert done.returncode == 0, done.stderr
    return target


def test_the_wheel_holds_what_git_holds_of_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = run(["git", "ls-files", "-z", "schemas", "pipelines", "assets", "dbt"], ROOT)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    wanted = {name.replace("dbt/", "assets/dbt_project/", 1) if name.startswith("dbt/") else name for name in tracked}
    assert wanted - names == set()
    # dbt's compiled files and logs, if somebody ran it in the checkout.
    assert [name for name in names if "/target/" in name or "/logs/" in name or name.endswith(".pyc")] == []
    assert {name.split("/")[0] for name in names} == {"schemas", "pipelines", "assets"}


def test_every_module_comes_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    done = run([sys.executable, "-W", "ignore", "-c", LOOK], tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    outside = {name: file for name, file in found["modules"].items() if not Path(file).is_relative_to(installed)}
    assert outside == {}
    assert len(found["modules"]) > 50
    assert Path(found["project"]) == installed / "assets" / "dbt_project"
    assert found["dagster_yaml"]


def test_the_command_answers(installed: Path, tmp_path: Path) -> None:
    pvms = [sys.executable, str(installed / "bin" / "pvms")]
    shown = run([*pvms, "--help"], tmp_path, PYTHONPATH=str(installed))
    assert shown.returncode == 0, shown.stderr
    assert "pvms demo" in shown.stdout
    written = run([*pvms, "init"], tmp_path, PYTHONPATH=str(installed))
    assert written.returncode == 0, written.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "data"]


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    pvms = [sys.executable, str(installed / "bin" / "pvms")]
    shown = run([*pvms, "demo", "--days", "1", "--fleet", "single"], tmp_path, PYTHONPATH=str(installed))
    assert shown.returncode == 0, shown.stderr
    assert "marts.fct_plant_day" in shown.stdout
    assert (tmp_path / "pvms-demo" / "warehouse.duckdb").is_file()
    days = "select count(*) as days from marts.fct_plant_day where pv_energy_kwh > 0"
    asked = run([*pvms, "sql", days], tmp_path, PYTHONPATH=str(installed), PVMS_HOME=str(tmp_path / "pvms-demo"))
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout.splitlines()[1]) > 0
