"""The client against the simulator, which shares no code with it: calls are counted by the simulator's log."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.northbound import errors, requests
from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world
from schemas.endpoints import ENDPOINTS, READ_ENDPOINTS

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
YESTERDAY = datetime(2026, 6, 9, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@pytest.fixture(scope="module")
def portfolio() -> World:
    return build_world("portfolio")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


Serve = Callable[..., tuple[Simulator, Client]]


@pytest.fixture
def serve(clock: ManualClock, tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def one(world: World, **options: Any) -> tuple[Simulator, Client]:
            simulator = stack.enter_context(Simulator(world, clock=clock, **options))
            client = Client(
                base_url=simulator.base_url,
                username=simulator.username,
                password=simulator.password,
                account="main",
                state_dir=tmp_path / "state",
                flow_control=options.get("flow_control", "dynamic"),
                clock=clock,
            )
            client.counts = counts_of(world)
            return simulator, stack.enter_context(client)

        yield one


def counts_of(world: World) -> FleetCounts:
    return FleetCounts(len(world.plants), Counter(device.type_id for device in world.devices))


def bodies(world: World) -> dict[str, dict[str, Any]]:
    """A good request of each endpoint."""
    plants = [plant.code for plant in world.plants]
    kind = next(device.type_id for device in world.devices if device.type_id in (1, 38))
    devices = [device.id for device in world.devices if device.type_id == kind][:10]
    reports = {
        name: requests.report_body(name, plants, YESTERDAY)
        if ENDPOINTS[name].max_plants
        else requests.report_body(name, devices, YESTERDAY, kind)
        for name in READ_ENDPOINTS
        if ENDPOINTS[name].section.startswith("5.1.4.")
    }
    return {
        "stations": requests.stations_body(1),
        "getDevList": requests.devices_body(plants),
        "getStationRealKpi": requests.plant_realtime_body(plants),
        "getDevRealKpi": requests.device_realtime_body(devices, kind),
        "getDevHistoryKpi": requests.history_body(devices, kind, YESTERDAY - 12 * HOUR, YESTERDAY + 12 * HOUR),
        "getAlarmList": requests.alarms_body(plants, NOW - 30 * 24 * HOUR, NOW),
        **reports,
    }


def test_every_read_endpoint_answers_on_one_login(serve: Serve, world: World) -> None:
    simulator, client = serve(world)
    asked = bodies(world)
    assert set(asked) == set(READ_ENDPOINTS)
    for name, body in asked.items():
        answer = client.call(name, body, why="a test")
        rows = json.loads(answer.data)
        (seen,) = simulator.log.calls(name)
        assert (answer.rows, len(rows)) == (seen.rows, seen.rows), name
        assert answer.server_time.replace(microsecond=0) == NOW or name == "stations"
        if name != "getAlarmList":
            assert rows, name
    assert len(simulator.log.calls("login")) == 1
    assert all(record.ok for record in simulator.log.calls())
    assert [call.endpoint for call in client.ledger.calls()] == ["login", *asked]


def test_the_whole_inventory_of_130_plants(serve: Serve, portfolio: World) -> None:
    simulator, client = serve(portfolio)
    client.counts = FleetCounts()
    plants = [row["plantCode"] for page in client.plants(why="w") for row in json.loads(page.data)]
    assert sorted(plants) == sorted(plant.code for plant in portfolio.plants)
    assert client.counts.plants == 130
    devices = [row["id"] for answer in client.devices(plants, why="w") for row in json.loads(answer.data)]
    assert sorted(devices) == sorted(device.id for device in portfolio.devices)
    assert [len(simulator.log.calls(name)) for name in ("stations", "getDevList", "login")] == [2, 2, 1]


def test_a_list_that_is_cut_short_is_refused(serve: Serve, portfolio: World) -> None:
    _, client = serve(portfolio, faults=Faults(cut_short_paging=True))
    with pytest.raises(errors.IncompleteList):
        client.plants(why="w")


@pytest.mark.parametrize(
    ("flow_control", "name"),
    [("dynamic", "getDevHistoryKpi"), ("dynamic", "getStationRealKpi"), ("static", "getDevHistoryKpi")],
)
def test_a_client_that_keeps_to_its_ledger_never_meets_a_407(
    serve: Serve, world: World, clock: ManualClock, flow_control: str, name: str
) -> None:
    simulator, client = serve(world, flow_control=flow_control)
    body = bodies(world)[name]
    served = 0
    for _ in range(32):
        allowance = client.allowance(name)
        if not allowance.granted:
            assert allowance.next_at is not None
            clock.advance((allowance.next_at - clock.now()).total_seconds())
        client.call(name, body, why="w")
        served += 1
        clock.advance(7)
    assert len(simulator.log.calls(name, ok=True)) == served == 32
    assert not simulator.log.calls(name, ok=False)


def test_a_bucket_is_learnt_from_its_first_407(serve: Serve, world: World, clock: ManualClock) -> None:
    simulator, client = serve(world, window="bucket", burst=3)
    body = bodies(world)["getKpiStationDay"]
    for _ in range(3):
        client.call("getKpiStationDay", body, why="w")
    with pytest.raises(errors.QuotaExhausted) as stopped:
        client.call("getKpiStationDay", body, why="w")
    assert stopped.value.code == 407
    for _ in range(10):
        next_at = client.allowance("getKpiStationDay").next_at
        assert next_at is not None
        clock.advance((next_at - clock.now()).total_seconds())
        client.call("getKpiStationDay", body, why="w")
    assert [record.fail_code for record in simulator.log.calls("getKpiStationDay", ok=False)] == [407]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(string_fail_codes=True, kill_session_every=3),
        Faults(header_token="cookie_only"),
        Faults(header_token="header_only", wrong_content_type=True),
        Faults(http_500_every=2),
        Faults(html_once=True),
        Faults(empty_body_once=True),
        Faults(cut_body_once=True),
        Faults(http_503_once=True),
        Faults(quota_control_403_once=True),
        Faults(too_many_429_once=True),
    ],
)
def test_what_passes_is_survived(serve: Serve, world: World, faults: Faults) -> None:
    _, client = serve(world, faults=faults)
    body = bodies(world)["getKpiStationDay"]
    answers = [client.call("getKpiStationDay", body, why="w") for _ in range(4)]
    assert len({answer.data for answer in answers}) == 1
    assert answers[0].rows > 0


def test_a_permission_and_a_plant_are_refused_for_good(serve: Serve, world: World) -> None:
    code = world.plants[0].code
    faults = Faults(deny=("getKpiStationYear",), unauthorized_plant=(code,))
    simulator, client = serve(world, faults=faults)
    asked = bodies(world)
    with pytest.raises(errors.PermissionDenied):
        client.call("getKpiStationYear", asked["getKpiStationYear"], why="w")
    with pytest.raises(errors.PlantNotAuthorized):
        client.call("getKpiStationDay", asked["getKpiStationDay"], why="w")
    assert len(simulator.log) == 3


@pytest.mark.parametrize("empty", [False, True])
def test_a_wrong_password_is_tried_once_whoever_starts(
    serve: Serve, world: World, tmp_path: Path, clock: ManualClock, empty: bool
) -> None:
    simulator, client = serve(world, faults=Faults(empty_login_refusal=empty))
    for _ in range(8):
        with Client(
            base_url=simulator.base_url,
            username=simulator.username,
            password="wrong",
            account="main",
            state_dir=tmp_path / "state",
            clock=clock,
        ) as wrong:
            wrong.counts = counts_of(world)
            with pytest.raises(errors.LoginRefused):
                wrong.call("getKpiStationDay", bodies(world)["getKpiStationDay"], why="w")
    assert len(simulator.log.calls("login")) == 1
    client.call("getKpiStationDay", bodies(world)["getKpiStationDay"], why="the right one isn't locked out")


PROGRAM = """
import json, sys
from pathlib import Path
from pipelines.northbound.client import Client
from pipelines.northbound.ledger import FleetCounts
url, user, word, state, body, calls = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
with Client(base_url=url, username=user, password=word, account="main", state_dir=Path(state)) as client:
    client.counts = FleetCounts(plants=1)
    for _ in range(int(calls)):
        client.call("getKpiStationDay", json.loads(body), why="one of several processes")
"""


def run_processes(simulator: Simulator, state: Path, body: dict[str, Any], *, processes: int, calls: int) -> None:
    arguments = (simulator.base_url, simulator.username, simulator.password, str(state), json.dumps(body), str(calls))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:  # all imports are done, so they start as one
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        _, complaint = process.communicate(timeout=300)
        assert process.returncode == 0, complaint


def test_processes_that_start_together_log_in_once(world: World, tmp_path: Path) -> None:
    with Simulator(world) as simulator:
        run_processes(simulator, tmp_path / "state", bodies(world)["getKpiStationDay"], processes=6, calls=3)
        assert len(simulator.log.calls("login")) == 1
        assert len(simulator.log.calls("getKpiStationDay", ok=True)) == 18
        assert not simulator.log.calls("getKpiStationDay", ok=False)


def test_processes_that_find_the_session_dead_log_in_once_each_time(world: World, tmp_path: Path) -> None:
    with Simulator(world, faults=Faults(kill_session_every=5)) as simulator:
        run_processes(simulator, tmp_path / "state", bodies(world)["getKpiStationDay"], processes=4, calls=3)
        log = simulator.log
        assert len(log.calls("getKpiStationDay", ok=True)) == 12
        killed = len([record for record in log.calls("getKpiStationDay", ok=False) if record.account])
        assert killed >= 2
        assert len(log.calls("login")) == 1 + killed, "one login per ended session, however many noticed"
