"""A real web server and daemon: a backfill of 10 plants x 20 days, with a run that is killed and a quota that ends.

Dagster makes 20 runs of it. Everything is waited for through GraphQL, as the UI does.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
import pytest
from test_dagster_commands import LAUNCH, STATUS, Fleet, ask, dates, needs_proc, ui
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.load.request import DEFAULT_DATASETS
from pipelines.settings import load_settings
from pipelines.simulator.faults import parse_faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account
from pipelines.simulator.world import build_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000), needs_proc]

FIRST = datetime.now(UTC).date() - timedelta(days=40)
DAYS = [FIRST + timedelta(days=number) for number in range(20)]
BEFORE = FIRST - timedelta(days=1)
USER, PASSWORD = "ten", "ten-password"
HANGS = 5
"""The call of the endpoint whose answer never ends: one of a load before, and three of the backfill, go well."""

LIMIT = 13
ENDPOINT = "getKpiStationHour"

BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
HOW_IT_STANDS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
RUNS = """
query ($id: String!) {
  runsOrError(filter: { tags: [{ key: "dagster/backfill", value: $id }] }) {
    ... on Runs { results { runId status tags { key value } } }
  }
}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Ten plants of one zone behind a quota that ends in the middle of the backfill."""
    world = build_world("portfolio")
    codes = sorted(plant.code for plant in world.plants if plant.zone == "Europe/Berlin")[:10]
    faults = parse_faults([f"slow_body={ENDPOINT},every={HANGS},times=1", "slow_body_seconds=1200"])
    accounts = [Account(USER, PASSWORD, frozenset(codes))]
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    with Simulator(world, flow_control="none", faults=faults, accounts=accounts) as simulator:
        env = tmp_path / ".env"
        text = env.read_text(encoding="utf-8")
        for name, value in (("BASE_URL", simulator.base_url), ("USERNAME", USER), ("PASSWORD", PASSWORD)):
            text = text.replace(f"SMARTPVMS_{name}=\n", f"SMARTPVMS_{name}={value}\n")
        env.write_text(f"{text}\nPVMS_QUOTAS_FILE=quotas.toml\nPVMS_POLICY_FILE=policy.toml\n", encoding="utf-8")
        (tmp_path / "policy.toml").write_text('[default]\ndatasets = ["plant_hourly"]\n', encoding="utf-8")
        allow(tmp_path, LIMIT)
        one = Fleet(tmp_path, simulator, codes[0])
        done = one.run("pvms", "load", *dates(BEFORE), "--dataset", "plant_hourly", "--json")
        assert done.returncode == 0, done.stderr
        yield one


def allow(folder: Path, calls: int) -> None:
    (folder / "quotas.toml").write_text(f"[dynamic.{ENDPOINT}]\nlimit = {calls}\n", encoding="utf-8")


def test_a_backfill_is_done_though_a_run_is_killed_and_the_quota_runs_out(fleet: Fleet) -> None:
    with fleet.instance() as instance:
        plants = instance.get_dynamic_partitions("plants")
    assert len(plants) == 10
    keys = {f"{day}|{plant}" for day in DAYS for plant in plants}
    with ui(fleet, signal.SIGINT) as port:
        params = {"assetSelection": [{"path": ["raw", "plant_hourly"]}], "partitionNames": sorted(keys)}
        launched = ask(port, BACKFILL, {"params": params})["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill = launched["backfillId"]

        wait(lambda: fleet.calls(ENDPOINT) >= HANGS)
        os.kill(reader(fleet), signal.SIGKILL)
        wait(lambda: status_of(port, backfill).startswith("COMPLETED"))
        # The quota left some undone, and Dagster has a name of its own for that.
        assert status_of(port, backfill) == "COMPLETED_FAILED"
        runs = ask(port, RUNS, {"id": backfill})["runsOrError"]["results"]
        assert len(runs) == len(DAYS)
        assert sorted(run["status"] for run in runs) == ["FAILURE"] + ["SUCCESS"] * (len(DAYS) - 1)
        waiting = [run for run in runs if any(tag["key"] == "pvms/waits_until" for tag in run["tags"])]
        assert waiting
        assert all(run["status"] == "SUCCESS" for run in waiting)
        assert fleet.calls(ENDPOINT) == LIMIT
        # One call of the quota went to the day before, and one hung.
        assert len(keys & fleet.partitions("plant_hourly")) == 10 * (LIMIT - 2)

        allow(fleet.folder, 1000)
        going_on = ask(port, LAUNCH, {"params": job_load()})["launchRun"]
        assert going_on["__typename"] == "LaunchRunSuccess", going_on
        run_id = going_on["run"]["runId"]
        wait(lambda: ended(port, run_id))
        assert ask(port, STATUS, {"id": run_id})["runOrError"]["status"] == "SUCCESS"
    assert keys <= fleet.partitions("plant_hourly")
    asked = [record for record in fleet.simulator.log.calls(ENDPOINT) if day_of(record.body) in DAYS]
    assert len(DAYS) <= len(asked) <= 1.1 * len(DAYS)
    first, last = DAYS[0], DAYS[-1]
    assert fleet.count(f"raw.plant_hourly where local_date between '{first}' and '{last}'") == 24 * len(keys)

    before = matrix(fleet)
    shutil.rmtree(load_settings(fleet.folder).home / "state" / "dagster")
    calls = len(list(fleet.simulator.log))
    done = fleet.run("pvms", "reconcile", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["partitions_recorded"]["plant_hourly"] >= len(keys)
    assert matrix(fleet) == before
    assert len(list(fleet.simulator.log)) == calls


def job_load() -> dict[str, Any]:
    """The job without dates: what is worth most now, and so what still waits."""
    selector = {"repositoryLocationName": "assets.definitions", "repositoryName": "__repository__", "jobName": "load"}
    return {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": []}}


def status_of(port: int, backfill: str) -> str:
    return str(ask(port, HOW_IT_STANDS, {"id": backfill})["partitionBackfillOrError"]["status"])


def ended(port: int, run_id: str) -> bool:
    return ask(port, STATUS, {"id": run_id})["runOrError"]["status"] in ("SUCCESS", "FAILURE", "CANCELED")


def wait(until: Any) -> None:
    between = Event()
    while not until():
        between.wait(0.5)


def reader(fleet: Fleet) -> int:
    """The process of the run that loads just now: the one that holds its lock file."""
    folder = load_settings(fleet.folder).home / "state" / "runs"
    nodes = {path.stat().st_ino for path in folder.glob("*.lock")}
    for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
        _, _, _, _, pid, place, *_ = line.split()
        if int(place.rpartition(":")[2]) in nodes and int(pid) > 0:
            return int(pid)
    raise AssertionError("no run holds its lock")


def day_of(body: Mapping[str, Any]) -> date:
    return datetime.fromtimestamp(body["collectTime"] / 1000, UTC).date()


def matrix(fleet: Fleet) -> dict[str, set[str]]:
    with fleet.instance() as instance:
        return {
            name: {str(key) for key in instance.get_materialized_partitions(dg.AssetKey(["raw", name]))}
            for name in DEFAULT_DATASETS
        }
