"""Dagster's and our own commands as processes: in a folder that `pvms init` made, beside a simulator, with dbt."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from typer.testing import CliRunner

from assets.instance import open_instance
from assets.jobs import load_job
from assets.partitions import keep_plan, partition_plan
from assets.pools import NORTHBOUND, REALTIME
from assets.resources import Pvms
from assets.unfinished import unfinished
from assets.webserver import free_port
from pipelines.cli.app import app
from pipelines.lake.publish import open_published
from pipelines.settings import Settings, load_settings
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
DAY = datetime.now(UTC).date() - timedelta(days=9)
NEXT = DAY + timedelta(days=1)
MARK = "PVMS_TEST_PROCESS"
LOCATION = ("-m", "assets.definitions")


@dataclass
class Fleet:
    """A folder with an `.env`, and the simulator that it points at."""

    folder: Path
    simulator: Simulator
    plant: str

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        program, *arguments = command
        return subprocess.run([BIN / program, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)

    def start(self, *command: str, together: bool = False) -> "subprocess.Popen[str]":
        """Start a command whose descendants can be told by a variable of their environment.

        `together`: what they say on stderr comes on stdout, too.
        """
        program, *arguments = command
        environment = {**os.environ, MARK: self.mark}
        return subprocess.Popen(
            [BIN / program, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            text=True,
        )

    @property
    def mark(self) -> str:
        return f"{self.folder.name}-{os.getpid()}"

    def running(self) -> dict[int, str]:
        """Pids and command lines of the processes that are there of what was started."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with open_instance(load_settings(self.folder)) as instance:
            yield instance

    def partitions(self, dataset: str) -> set[str]:
        with self.instance() as instance:
            return set(instance.get_materialized_partitions(dg.AssetKey(["raw", dataset])))

    def count(self, relation: str) -> int:
        connection = open_published(load_settings(self.folder).home)
        try:
            (row,) = connection.sql(f"select count(*) from {relation}").fetchall()
        finally:
            connection.close()
        return int(row[0])

    def calls(self, endpoint: str) -> int:
        return len(self.simulator.log.calls(endpoint))


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="lists processes by /proc")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@contextmanager
def fleet_in(folder: Path, world: World) -> Iterator[Fleet]:
    assert CliRunner().invoke(app, ["init", str(folder)]).exit_code == 0
    with Simulator(world) as simulator:
        env = folder / ".env"
        text = env.read_text(encoding="utf-8")
        for name, value in (
            ("BASE_URL", simulator.base_url),
            ("USERNAME", simulator.username),
            ("PASSWORD", simulator.password),
        ):
            text = text.replace(f"SMARTPVMS_{name}=\n", f"SMARTPVMS_{name}={value}\n")
        env.write_text(text, encoding="utf-8")
        yield Fleet(folder, simulator, world.plants[0].code)


@pytest.fixture
def fleet(tmp_path: Path, world: World) -> Iterator[Fleet]:
    with fleet_in(tmp_path, world) as one:
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Fleet]:
    """A folder that several tests use; the first one loads a day of it."""
    with fleet_in(tmp_path_factory.mktemp("shared"), world) as one:
        done = one.run("pvms", "load", *dates(DAY), "--dataset", "plant_hourly", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["warehouse_published"]
        assert_ours(done.stderr)
        yield one


def dates(first: date, last: date | None = None) -> Sequence[str]:
    return ("--from", str(first), "--to", str(last or first))


def assert_ours(stderr: str) -> None:
    """Every line is one of ours: no log of Dagster's or dbt's, no warning."""
    known = re.compile(r"PVMS_HOME is |\w+: \d+ steps?$|[\d,]+ calls?, |[\d,]+ periods? provisional|The warehouse is")
    strange = [line for line in stderr.splitlines() if not known.match(line)]
    assert strange == []


def test_the_code_location_loads_from_the_env_that_init_wrote(shared: Fleet) -> None:
    done = shared.run("dagster", "definitions", "validate", *LOCATION)
    assert done.returncode == 0, done.stderr
    assert "Validation successful" in done.stderr + done.stdout


def test_without_it_the_user_is_told_why_and_what_to_do(shared: Fleet, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    done = Fleet(tmp_path / "elsewhere", shared.simulator, "").run("dagster", "definitions", "validate", *LOCATION)
    assert done.returncode == 1
    said = done.stderr + done.stdout
    assert "SettingsError: DAGSTER_HOME is not set" in said
    assert "pvms ui" in said
    # Only `init`, `demo`, `load` and `ui` create a home.
    assert not (tmp_path / "elsewhere" / "data").exists()


def test_a_range_materialised_by_dagsters_command_lands_and_publishes(shared: Fleet) -> None:
    corners = f"{DAY}|{shared.plant}...{NEXT}|{shared.plant}"
    before = shared.calls("getKpiStationHour")
    done = shared.run(
        "dagster", "asset", "materialize", *LOCATION, "--select", "raw/plant_hourly", "--partition-range", corners
    )
    assert done.returncode == 0, done.stderr
    assert "BetaWarning" not in done.stderr
    # The first day was there already: one call for the second.
    assert shared.calls("getKpiStationHour") == before + 1
    assert shared.partitions("plant_hourly") == {f"{day}|{shared.plant}" for day in (DAY, NEXT)}
    assert shared.count("raw.plant_hourly") == 48
    assert shared.count("staging.stg_plant_hourly") == 48


@needs_proc
@pytest.mark.parametrize("stage", ["device_daily", "warehouse"])
def test_an_interrupt_ends_a_load_at_once_and_keeps_what_was_done(fleet: Fleet, stage: str) -> None:
    load = ("pvms", "load", *dates(DAY), "--dataset", "plant_hourly", "--dataset", "device_daily")
    with fleet.start(*load) as process:
        assert process.stderr is not None
        said, pressed = [], False
        for line in process.stderr:
            said.append(line)
            if line.startswith(stage) and not pressed:
                # Once: a second one, after the last word, may end the process as a signal does.
                pressed = True
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130, (process.returncode, "".join(said))
    assert any(line.startswith("Interrupted.") for line in said), "".join(said)
    assert not any("Traceback" in line for line in said), "".join(said)
    assert fleet.running() == {}
    with fleet.instance() as instance:
        (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert unfinished(load_settings(fleet.folder).home) == [run.run_id]
    assert fleet.partitions("plant_hourly") == {f"{DAY}|{fleet.plant}"}

    again = fleet.run(*load)
    assert again.returncode == 0, again.stderr
    assert_ours(again.stderr)
    assert fleet.calls("getKpiStationHour") == 1
    assert fleet.count("raw.plant_hourly") == 24


def test_a_killed_load_is_completed_by_the_next(fleet: Fleet) -> None:
    load = ("pvms", "load", *dates(DAY), "--dataset", "plant_hourly")
    with fleet.start(*load) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("warehouse"):
                process.kill()
    with fleet.instance() as instance:
        (killed,) = instance.get_runs()
    assert killed.status is dg.DagsterRunStatus.STARTED

    again = fleet.run(*load)
    assert again.returncode == 0, again.stderr
    assert "The warehouse is published" in again.stderr
    assert fleet.calls("getKpiStationHour") == 1
    assert fleet.count("raw.plant_hourly") == 24
    with fleet.instance() as instance:
        ended = instance.get_run_by_id(killed.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_loads_at_once_on_one_home_do_not_break_each_other(fleet: Fleet) -> None:
    days = [DAY, NEXT, NEXT + timedelta(days=1)]
    with ExitStack() as stack:
        at_once = [
            stack.enter_context(fleet.start("pvms", "load", *dates(day), "--dataset", "plant_hourly")) for day in days
        ]
        ended = [(process.communicate()[1], process.returncode) for process in at_once]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert fleet.partitions("plant_hourly") == {f"{day}|{fleet.plant}" for day in days}
    with fleet.instance() as instance:
        assert instance.get_dynamic_partitions("plants") == [fleet.plant]
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    home = load_settings(fleet.folder).home
    assert json.loads((home / "state" / "partitions.json").read_text(encoding="utf-8"))["start"] == str(DAY)
    assert unfinished(home) == []
    assert fleet.count("raw.plant_hourly") == 72
    assert fleet.calls("getKpiStationHour") == 3


@needs_proc
def test_a_run_launched_in_the_ui_lands_its_partition(shared: Fleet) -> None:
    third = f"{NEXT + timedelta(days=1)}|{shared.plant}"
    with ui(shared, signal.SIGINT) as port:
        launched = ask(port, LAUNCH, {"params": parameters("plant_hourly", third)})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        wait_for_end(port, launched["run"]["runId"])
    with shared.instance() as instance:
        run = instance.get_run_by_id(launched["run"]["runId"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert third in shared.partitions("plant_hourly")
    assert shared.count(f"raw.plant_hourly where local_date = '{third[:10]}'") == 24


@needs_proc
def test_the_ui_shows_other_days_once_they_are_wanted_and_leaves_no_process_if_terminated(shared: Fleet) -> None:
    settings, between = load_settings(shared.folder), Event()
    plan = partition_plan(settings)
    earlier = plan.start - timedelta(days=30)

    def first_day(port: int) -> str | None:
        # Without a code server there is no such asset.
        dimensions = ask(port, PARTITIONS)["assetNodeOrError"].get("partitionKeysByDimension", ())
        return next((str(each["partitionKeys"][0]) for each in dimensions if each["name"] == "date"), None)

    with ui(shared, signal.SIGTERM) as port:
        assets = {tuple(node["assetKey"]["path"]) for node in ask(port, ASSETS)["assetNodes"]}
        assert {("raw", "plant_hourly"), ("marts", "fct_plant_day")} <= assets
        assert first_day(port) == str(plan.start)
        keep_plan(settings, plan.model_copy(update={"start": earlier}))
        while first_day(port) != str(earlier):
            between.wait(0.5)
        # The code server is started again if it is killed; the web server then asks the new one.
        (pid,) = (pid for pid, command in shared.running().items() if "code-server start" in command)
        os.kill(pid, signal.SIGKILL)
        keep_plan(settings, plan)
        while first_day(port) != str(plan.start):
            between.wait(0.5)


STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

PARTITIONS = """
{
  assetNodeOrError(assetKey: { path: ["raw", "plant_hourly"] }) {
    ... on AssetNode { partitionKeysByDimension { name partitionKeys } }
  }
}
"""

ASSETS = "{ assetNodes { assetKey { path } } }"

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


def parameters(dataset: str, key: str) -> dict[str, Any]:
    """What the UI sends when a partition is selected and materialize is pressed."""
    tags = [{"key": f"dagster/asset_partition_range_{corner}", "value": key} for corner in ("start", "end")]
    return {
        "selector": {
            "repositoryLocationName": "assets.definitions",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["raw", dataset]}],
        },
        "runConfigData": {},
        "executionMetadata": {"tags": tags},
    }


@contextmanager
def ui(fleet: Fleet, number: signal.Signals, *command: str) -> Iterator[int]:
    """`pvms ui`, or a command like it, from the moment it serves until a signal ends it."""
    port = free_port()
    process = fleet.start(*(command or ("pvms", "ui")), "--port", str(port), together=True)
    # Read to its end, which comes when every process that holds the pipe has ended: a full pipe would stop them.
    rest = Thread(target=lambda: deque(process.stdout or (), maxlen=0))
    try:
        read_until(process, "Serving dagster-webserver")
        rest.start()
        knock(port, process)
        assert len(fleet.running()) >= 4  # the command, the web server, the daemon, a code server
        yield port
    finally:
        process.send_signal(number)
        if rest.ident is not None:
            rest.join()
        process.communicate()
    assert process.returncode == 0
    assert fleet.running() == {}


def wait_for_end(port: int, run_id: str) -> None:
    """Ask for a run's status, as the UI does, until it has ended."""
    between = Event()
    while ask(port, STATUS, {"id": run_id})["runOrError"]["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
        between.wait(0.5)


def knock(port: int, process: "subprocess.Popen[str]") -> None:
    """The server says that it serves a moment before it does; a refused connection costs nothing."""
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    raise AssertionError(f"it ended with {process.returncode}")


def read_until(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what a process and its children say until they say these words."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    raise AssertionError("".join(said[-40:]))


def ask(port: int, query: str, variables: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables or {}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        raise AssertionError(refused.read().decode()) from refused


def test_the_first_runs_of_a_pool_go_one_after_the_other(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "data", env_file=None, accounts=())
    job = load_job(Pvms(settings))
    with open_instance(settings) as instance:
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("any"), "any"), job.name)
        queued = [
            instance.create_run_for_job(job, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin)
            for _ in range(3)
        ]
        assert all(run.run_op_concurrency for run in queued)
        # What Dagster's daemon asks itself, in the first look at a pool that no run was ever in.
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        let_go = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
        assert [run.run_id for run in let_go] == [queued[0].run_id]
        instance.event_log_storage.set_concurrency_slots(NORTHBOUND, 2)
    with open_instance(settings) as instance:
        limits = {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()}
    assert limits == {NORTHBOUND: 2, REALTIME: 1}, "a limit that somebody has set stays"
