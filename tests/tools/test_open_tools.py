"""Exports are what open tools read: equal sums in five readers and two time zones, and frames that their tools take.

The tools are heavy and live in an environment of their own, `.venv-tools` (`.ci/run` makes it).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.export.frames import FrameRequest, export_frames
from pipelines.export.relations import chosen, relations_of
from pipelines.export.tables import export_tables
from pipelines.lake.publish import open_published
from pipelines.load.request import LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.settings import Account, Settings
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import build_world

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("PVMS_TOOLS_PYTHON", ROOT / ".venv-tools" / "bin" / "python"))
SPAN = date(2025, 10, 25), date(2025, 11, 1)
"""Over the day of 25 hours and the end of a month."""

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not PYTHON.exists(), reason="the open tools are not installed: see .ci/run, `.venv-tools`"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, float]]]:
    """A loaded week of the demo fleet, exported; and the sums that the warehouse itself has."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("exports")
    with Simulator(build_world("demo", 1)) as server:
        account = Account("demo", server.base_url, server.username, SecretStr(server.password))
        settings = Settings(home=home, env_file=None, accounts=(account,))
        with Services.open(settings) as services:
            assert run_load(LoadRequest(*SPAN, ("plant_daily", "device_history")), services).exit_code == 0
    warehouse = open_published(home)
    try:
        tables = chosen(relations_of(warehouse), ["fct_plant_day", "fct_inverter_5min"])
        list(export_tables(warehouse, tables, folder, "parquet"))
        for frame in ("pvlib", "rdtools", "rdtools-availability", "odse"):
            assert list(export_frames(warehouse, FrameRequest(frame), folder, "parquet"))
        row = warehouse.execute(
            "with newest as (select date_trunc('month', max(local_date)) as first from marts.fct_plant_day) "
            "select count(*), sum(pv_energy_kwh), sum(epoch(day_start_utc)), "
            "count(*) filter (where local_date >= first) "
            "from marts.fct_plant_day, newest"
        ).fetchone()
    finally:
        warehouse.close()
    assert row is not None
    yield folder, {"rows": row[0], "kwh": round(row[1], 6), "seconds": round(row[2]), "last_month": row[3]}


def read(zone: str, *readers: str) -> dict[str, Any]:
    """What the tools' Python says when its machine stands in a zone."""
    environment = {**os.environ, "TZ": zone, "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [PYTHON, Path(__file__).parent / "read_export.py", *readers],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC"])
def test_all_readers_find_the_same_rows_energies_and_instants(
    exported: tuple[Path, dict[str, float]], zone: str
) -> None:
    folder, expected = exported
    names = ["pandas", "polars", "pyarrow", "duckdb", *(["spark"] if shutil.which("java") else [])]
    found = read(zone, *(f"{name}={folder / 'marts' / 'fct_plant_day'}" for name in names))
    assert found == dict.fromkeys(names, expected)
    if "spark" not in names:
        pytest.skip("Spark needs java; the other four agree")


def test_frames_are_taken_by_the_tools_whose_words_they_use(exported: tuple[Path, dict[str, float]]) -> None:
    folder, _ = exported
    folders = {"rdtools": "rdtools", "availability": "rdtools-availability", "pvanalytics": "pvlib", "odse": "odse"}
    found = read("Asia/Tokyo", *(f"{name}={folder / frame}" for name, frame in folders.items()))
    assert found["rdtools"]["kwh"] > 0
    # The simulator's plants lose something and gain nothing.
    assert 0.5 < found["rdtools"]["normalized"] < 1.1
    availability = found["availability"]
    assert availability["inverters"] > 1
    assert 0.95 < availability["whole"] <= 1
    assert availability["broken"] < availability["whole"] - 0.005, "four hours at noon without one inverter"
    assert found["pvanalytics"]["regular"] is True
    assert found["pvanalytics"]["completeness"] > 0.9
    assert 0.5 < found["pvanalytics"]["ratio"] < 1.2
    assert found["odse"]["invalid"] == 0
    assert found["odse"]["valid"] > 1000
