"""A real web server and daemon: a backfill of 10 plants x 20 days, with a run that is killed and a quota that ends.

Dagster makes several runs of it. Everything is waited for through GraphQL, as the UI does. Without dbt, and by a clock
that is moved on, so that the quota's next day comes.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
import pytest
from dagster_bench import no_dbt
from test_dagster_commands import LAUNCH, STATUS, Fleet, ask, needs_proc, ui

from assets.home import dagster_home
from assets.instance import open_instance
from assets.launch import load_through_dagster
from pipelines.load.request import DEFAULT_DATASETS, LoadRequest, Silent
from pipelines.load.request_table import RequestTable, table_file
from pipelines.settings import Settings, load_settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import parse_faults
from pipelines.simulator.log import RequestRecord
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account
from pipelines.simulator.world import build_world

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3000), needs_proc]

FIRST = datetime.now(UTC).date() - timedelta(days=40)
DAYS = [FIRST + timedelta(days=number) for number in range(20)]
BEFORE = FIRST - timedelta(days=1)
USER, PASSWORD = "ten", "ten-password"
ENDPOINT = "getKpiStationHour"
HANGS = 5
"""The call of the endpoint whose answer never ends: one of a load before, and three of the backfill, go well."""

LIMIT = 18
"""Calls of the endpoint a day. One goes to the load before, one hangs: four dates are left for the next day, which has
room for them beside its own fresh dates."""

AT_ONCE = 3

AHEAD = "ahead.txt"
"""What `backfill_location` reads its clock from."""

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
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Ten plants of one zone, listed and partitions already."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr("pipelines.load.build.run_dbt", no_dbt)
    monkeypatch.setenv("DAGSTER_HOME", "set by what is called")
    world = build_world("portfolio")
    there = [plant for plant in world.plants if plant.zone == "Europe/Berlin" and plant.grid_connection.date() < BEFORE]
    codes = sorted(plant.code for plant in there)[:10]
    faults = parse_faults([f"slow_body={ENDPOINT},every={HANGS},times=1", "slow_body_seconds=2400"])
    accounts = [Account(USER, PASSWORD, frozenset(codes))]
    clock = SimClock.system()
    with Simulator(world, clock=clock, flow_control="none", faults=faults, accounts=accounts) as simulator:
        (tmp_path / "policy.toml").write_text('[default]\ndatasets = ["plant_hourly"]\nsince = "none"\n')
        (tmp_path / "quotas.toml").write_text(f"[dynamic.{ENDPOINT}]\nlimit = {LIMIT}\n")
        (tmp_path / ".env").write_text(
            f"PVMS_HOME=data\nSMARTPVMS_BASE_URL={simulator.base_url}\nSMARTPVMS_USERNAME={USER}\n"
            f"SMARTPVMS_PASSWORD={PASSWORD}\nPVMS_QUOTAS_FILE=quotas.toml\nPVMS_POLICY_FILE=policy.toml\n"
        )
        settings = load_settings(tmp_path)
        look_often(settings)
        done = load_through_dagster(settings, LoadRequest(BEFORE, BEFORE, ("plant_hourly",)), Silent())
        assert done.exit_code == 0, done.as_dict()
        yield Fleet(tmp_path, simulator, codes[0])


def look_often(settings: Settings) -> None:
    """The instance's settings, with shorter waits for what is watched."""
    with open_instance(settings):
        file = dagster_home(settings.home) / "dagster.yaml"
    text = file.read_text(encoding="utf-8")
    for setting in ("free_slots_after_run_end_seconds", "poll_interval_seconds"):
        assert f"{setting}: 30" in text
        text = text.replace(f"{setting}: 30", f"{setting}: 3")
    assert "\nrun_queue:\n" in text
    text = text.replace("\nrun_queue:\n", "\nrun_queue:\n  dequeue_interval_seconds: 1\n")
    file.write_text(text.replace("retry_delay: 30", "retry_delay: 3"), encoding="utf-8")


def test_a_backfill_is_done_though_a_run_is_killed_and_the_quota_runs_out(fleet: Fleet) -> None:
    with fleet.instance() as instance:
        plants = instance.get_dynamic_partitions("plants")
    assert len(plants) == 10
    keys = {f"{day}|{plant}" for day in DAYS for plant in plants}
    with ui(fleet, signal.SIGINT, "python", "-m", "backfill_location") as port:
        params = {"assetSelection": [{"path": ["raw", "plant_hourly"]}], "partitionNames": sorted(keys)}
        launched = ask(port, BACKFILL, {"params": params})["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill = launched["backfillId"]

        wait(lambda: fleet.calls(ENDPOINT) >= HANGS)
        assert [run["status"] for run in runs_of(port, backfill)].count("STARTED") == 1, "one of the pool at a time"
        killed, pid = reader(fleet)
        os.kill(pid, signal.SIGKILL)
        # Its place is free again, and the next run has it.
        wait(lambda: {"FAILURE", "SUCCESS"} <= {run["status"] for run in runs_of(port, backfill)})
        with fleet.instance() as instance:
            instance.event_log_storage.set_concurrency_slots("northbound", AT_ONCE)
        wait(lambda: status_of(port, backfill).startswith("COMPLETED"))
        shown = status_of(port, backfill)
        runs = runs_of(port, backfill)
        assert len(runs) >= len(plants)
        others = [run["runId"] for run in runs if run["status"] != "SUCCESS" and run["runId"] != killed]
        if others:
            # Whole: an assertion's words are cut.
            told = [line for run_id in others for line in said_at_its_end(fleet, run_id)]
            pytest.fail("\n".join([f"killed: {killed}", *told, *timeline(fleet, [run["runId"] for run in runs])]))
        assert killed in {run["runId"] for run in runs if run["status"] == "FAILURE"}
        waiting = [run for run in runs if any(tag["key"] == "pvms/waits_until" for tag in run["tags"])]
        assert waiting
        assert all(run["status"] == "SUCCESS" for run in waiting)
        assert fleet.calls(ENDPOINT) == LIMIT
        recorded = len(keys & fleet.partitions("plant_hourly"))
        (asked,) = requests_of(fleet)
        calls = [(f"{record.at:%H:%M:%S}", day_of(record.body), record.fault) for record in asked_for(fleet)]
        assert recorded + asked.periods == len(keys), "what was read is recorded, all else waits"
        # One call went to the load before, one was killed.
        assert recorded == 10 * (LIMIT - 2), calls
        assert asked.next_at is not None

        move_on(fleet, timedelta(hours=25))
        going_on = ask(port, LAUNCH, {"params": job_load()})["launchRun"]
        assert going_on["__typename"] == "LaunchRunSuccess", going_on
        run_id = going_on["run"]["runId"]
        wait(lambda: ended(port, run_id))
        assert ask(port, STATUS, {"id": run_id})["runOrError"]["status"] == "SUCCESS"
    assert keys <= fleet.partitions("plant_hourly")
    assert requests_of(fleet) == []
    assert len(DAYS) <= len(asked_for(fleet)) <= 1.1 * len(DAYS)
    first, last = DAYS[0], DAYS[-1]
    read = f"from raw.plant_hourly where local_date between '{first}' and '{last}'"
    assert fleet.count(f"(select distinct plant_code, local_date {read})") == len(keys)
    # The quota left some undone at first, and Dagster has a name of its own for that.
    assert shown == "COMPLETED_FAILED"

    before, calls = matrix(fleet), len(list(fleet.simulator.log))
    shutil.rmtree(dagster_home(load_settings(fleet.folder).home))
    done = fleet.run("pvms", "reconcile", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["partitions_recorded"]["plant_hourly"] >= len(keys)
    assert matrix(fleet) == before
    assert len(list(fleet.simulator.log)) == calls


def asked_for(fleet: Fleet) -> list[RequestRecord]:
    """The calls for dates of the backfill."""
    return [record for record in fleet.simulator.log.calls(ENDPOINT) if day_of(record.body) in DAYS]


def move_on(fleet: Fleet, time: timedelta) -> None:
    """Both sides' clocks."""
    clock = fleet.simulator.clock
    assert isinstance(clock, SimClock)
    clock.advance(time)
    (fleet.folder / AHEAD).write_text(str(time.total_seconds()), encoding="utf-8")


def job_load() -> dict[str, Any]:
    """The job without dates: what is worth most now, and so what still waits."""
    selector = {"repositoryLocationName": "backfill_location", "repositoryName": "__repository__", "jobName": "load"}
    return {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": []}}


def status_of(port: int, backfill: str) -> str:
    return str(ask(port, HOW_IT_STANDS, {"id": backfill})["partitionBackfillOrError"]["status"])


def runs_of(port: int, backfill: str) -> list[dict[str, Any]]:
    return list(ask(port, RUNS, {"id": backfill})["runsOrError"]["results"])


def ended(port: int, run_id: str) -> bool:
    return ask(port, STATUS, {"id": run_id})["runOrError"]["status"] in ("SUCCESS", "FAILURE", "CANCELED")


def wait(until: Callable[[], bool]) -> None:
    between = Event()
    while not until():
        between.wait(1)


def reader(fleet: Fleet) -> tuple[str, int]:
    """Run and process of what loads just now: the one that holds its lock file."""
    folder = load_settings(fleet.folder).home / "state" / "runs"
    runs = {path.stat().st_ino: path.stem for path in folder.glob("*.lock")}
    for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
        _, _, _, _, pid, place, *_ = line.split()
        node = int(place.rpartition(":")[2])
        if node in runs and int(pid) > 0:
            return runs[node], int(pid)
    raise AssertionError("no run holds its lock")


def said_at_its_end(fleet: Fleet, run_id: str) -> list[str]:
    """The last events of a run that failed, with their errors."""
    with fleet.instance() as instance:
        events = [record.dagster_event for record in instance.all_logs(run_id)]
    return [f"{each.event_type_value}: {each.message} {each.event_specific_data}"[:8000] for each in events if each][
        -6:
    ]


def timeline(fleet: Fleet, run_ids: list[str]) -> list[str]:
    """When each call was made, and when each run began and ended."""
    lines = [f"{record.at:%H:%M:%S} call for {day_of(record.body)} {record.fault}" for record in asked_for(fleet)]
    with fleet.instance() as instance:
        records = [record for run_id in run_ids for record in instance.get_run_records(dg.RunsFilter([run_id]))]
    for record in records:
        began, ended_at = (datetime.fromtimestamp(at or 0, UTC) for at in (record.start_time, record.end_time))
        run = record.dagster_run
        lines.append(f"{began:%H:%M:%S} to {ended_at:%H:%M:%S} run {run.run_id} {run.status.value}")
    return sorted(lines)


def requests_of(fleet: Fleet) -> list[Any]:
    return list(RequestTable(table_file(load_settings(fleet.folder).home)).unfinished())


def day_of(body: Mapping[str, Any]) -> date:
    return datetime.fromtimestamp(body["collectTime"] / 1000, UTC).date()


def matrix(fleet: Fleet) -> dict[str, set[str]]:
    with fleet.instance() as instance:
        return {
            name: {str(key) for key in instance.get_materialized_partitions(dg.AssetKey(["raw", name]))}
            for name in DEFAULT_DATASETS
        }
