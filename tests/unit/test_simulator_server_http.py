"""The simulator over real HTTP: headers, compression, threads, the log file, and its life as a program."""

from __future__ import annotations

import http.cookies
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from simulator_desk import HOUR_MS, NOW, NOW_MS, SmallWorld

from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import Faults
from pipelines.simulator.log import read_log
from pipelines.simulator.server import Simulator

DEMO = {"userName": "demo", "systemCode": "demo-password"}


def simulator(world: Any = None, **options: Any) -> Simulator:
    return Simulator(world or SmallWorld(), clock=SimClock.fixed(NOW), **options)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with simulator(flow_control="none") as started:
        yield started


@pytest.fixture
def client(running: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.base_url + "/thirdData/", trust_env=False) as opened:
        opened.headers["XSRF-TOKEN"] = opened.post("login", json=DEMO).headers["xsrf-token"]
        opened.cookies.clear()
        yield opened


def test_login_hands_out_the_token_as_header_and_as_cookie(running: Simulator, client: httpx.Client) -> None:
    answer = client.post("login", json=DEMO)
    cookie = http.cookies.SimpleCookie(answer.headers["set-cookie"])["XSRF-TOKEN"]
    assert cookie.value == answer.headers["xsrf-token"]
    assert (cookie["path"], cookie["secure"]) == ("/", True)
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize("name", ["XSRF-TOKEN", "xsrf-token", "Xsrf-Token"])
def test_the_token_is_accepted_in_any_letter_case(client: httpx.Client, name: str) -> None:
    token = client.headers.pop("XSRF-TOKEN")
    assert client.post("stations", json={"pageNo": 1}).json()["failCode"] == 305
    assert client.post("stations", json={"pageNo": 1}, headers=[(name, token)]).json()["failCode"] == 0


@pytest.mark.parametrize(("form", "wire"), [("upper", b"\r\nXSRF-TOKEN: x-"), ("lower", b"\r\nxsrf-token: x-")])
def test_the_letter_case_of_the_tokens_header_reaches_the_wire(form: Any, wire: bytes) -> None:
    with (
        simulator(faults=Faults(header_token=form)) as started,
        socket.create_connection(("127.0.0.1", started.port), timeout=30) as raw,
    ):
        body = b'{"userName":"demo","systemCode":"demo-password"}'
        head = b"POST /thirdData/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        raw.sendall(head % len(body) + body)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert wire in received


def test_large_answers_are_compressed_only_for_those_who_accept_it(client: httpx.Client) -> None:
    body = {"devIds": "-1000", "devTypeId": 1, "startTime": NOW_MS - 24 * HOUR_MS, "endTime": NOW_MS}
    packed = client.post("getDevHistoryKpi", json=body, headers={"Accept-Encoding": "gzip"})
    plain = client.post("getDevHistoryKpi", json=body, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.json() == plain.json() and len(plain.json()["data"]) == 289
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post(running: Simulator, client: httpx.Client, method: str) -> None:
    answer = client.request(method, "stations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (running.log[-1].endpoint, running.log[-1].status) == ("stations", 405)


def test_a_long_answer_does_not_hold_up_others() -> None:
    """While a history call waits inside the world, a call that needs no world is answered."""
    inside, go_on = threading.Event(), threading.Event()

    class SlowWorld(SmallWorld):
        def history(self, *asked: Any) -> list[tuple[int, dict[str, Any]]]:
            inside.set()
            assert go_on.wait(60)
            return super().history(*asked)

    rows: list[int] = []
    with (
        simulator(SlowWorld(), flow_control="none") as started,
        httpx.Client(base_url=started.base_url + "/thirdData/", trust_env=False, timeout=60) as client,
    ):
        client.headers["XSRF-TOKEN"] = client.post("login", json=DEMO).headers["xsrf-token"]
        body = {"devIds": "-1000", "devTypeId": 1, "startTime": NOW_MS, "endTime": NOW_MS}

        def ask() -> None:
            with httpx.Client(headers={"XSRF-TOKEN": client.headers["XSRF-TOKEN"]}, trust_env=False, timeout=60) as own:
                rows.append(len(own.post(f"{started.base_url}/thirdData/getDevHistoryKpi", json=body).json()["data"]))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            assert inside.wait(60)
            answer = client.post("getDevHistoryKpi", json={}).json()
            assert answer["failCode"] == 20011 and rows == []
        finally:
            go_on.set()
            thread.join()
    assert rows == [1]


def test_slow_answers_arrive_whole() -> None:
    with simulator(faults=Faults(slow=0.05)) as started:
        answer = httpx.post(f"{started.base_url}/thirdData/login", json=DEMO, trust_env=False)
    assert answer.json()["success"] is True
    assert answer.elapsed >= timedelta(seconds=0.05)


def test_a_client_without_patience_sees_a_slow_server_as_a_timeout() -> None:
    with simulator(faults=Faults(slow=0.3)) as started, pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{started.base_url}/thirdData/login", json=DEMO, trust_env=False, timeout=0.05)


def test_records_are_appended_to_the_log_file(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    assert read_log(file) == []
    with simulator(log_file=file) as started:
        httpx.post(f"{started.base_url}/thirdData/login", json=DEMO, trust_env=False)
        httpx.post(f"{started.base_url}/thirdData/stations", json={"pageNo": 1}, trust_env=False)
        assert read_log(file) == list(started.log)
    assert [(r.endpoint, r.fail_code, r.at) for r in read_log(file)] == [("login", 0, NOW), ("stations", 305, NOW)]
    with file.open("ab") as still_written:
        still_written.write(b'{"at": "2026-06')
    assert len(read_log(file)) == 2
    assert "demo-password" not in file.read_text()


def test_a_log_file_that_cannot_be_written_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        simulator(log_file=tmp_path / "nowhere" / "calls.jsonl")


def test_a_taken_port_is_said_and_a_stopped_simulator_frees_its_own(running: Simulator) -> None:
    with pytest.raises(OSError, match=f"port {running.port} can't be listened on"):
        simulator(port=running.port).start()
    first = simulator().start()
    port = first.port
    first.stop()
    first.stop()
    with simulator(port=port) as again:
        assert again.base_url == f"http://127.0.0.1:{port}"


def test_it_listens_on_loopback_only_and_only_once_started(running: Simulator) -> None:
    assert running.base_url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="isn't started"):
        _ = simulator().base_url
    with pytest.raises(RuntimeError, match="runs already"):
        running.start()


def test_labels_go_to_the_world_without_changing_it_for_others() -> None:
    world = SmallWorld()
    labelled = simulator(world, labels="standard")
    assert labelled.service._world.labels == "standard"
    assert world.labels == "local"


# The clock


def test_clocks() -> None:
    fixed = SimClock.fixed(NOW)
    assert fixed.now() == fixed.now() == NOW
    fixed.advance(timedelta(days=1))
    fixed.advance(0.5)
    assert fixed.now() == NOW + timedelta(days=1, seconds=0.5)
    fixed.set(NOW)
    assert fixed.now() == NOW
    fast = SimClock.running(NOW, speed=1e9)
    later = fast.now()
    assert NOW < later < fast.now()
    assert abs(SimClock.system().now() - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(ValueError, match="time zone"):
        SimClock.fixed(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test
    with pytest.raises(ValueError, match="backwards"):
        SimClock.running(NOW, speed=-1)


# As a program


PROGRAM = """
import os, sys
sys.path.insert(0, {folder!r})
from simulator_desk import SmallWorld
from pipelines.simulator.runner import run_forever
from pipelines.simulator.server import Simulator
run_forever(
    Simulator(SmallWorld()),
    on_ready=lambda url: (sys.stdout.write(f"{{os.getpid()}} {{url}}\\n"), sys.stdout.flush()),
    parent_pid={parent},
)
sys.stdout.write("stopped\\n")
"""


def program(parent: str = "None") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(folder=str(Path(__file__).parent), parent=parent)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen(program(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        assert httpx.post(f"{url}/thirdData/login", json=DEMO, trust_env=False).json()["success"] is True
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{url}/thirdData/login", json=DEMO, trust_env=False)


def test_it_ends_when_its_parent_is_killed() -> None:
    """A parent starts the simulator and is killed; the pipe's end tells that the simulator has gone too."""
    starter = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = PROGRAM.format(folder=str(Path(__file__).parent), parent="os.getppid()")
    with subprocess.Popen([sys.executable, "-c", starter, child], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        os.kill(pid, 0)
        parent.kill()
        assert parent.stdout.read() == "stopped\n"


def test_it_ends_when_a_process_that_is_not_its_parent_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        process = subprocess.Popen(program(str(other.pid)), stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None and process.stdout.readline()
            other.communicate(b"\n")
            assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0


@pytest.mark.parametrize("fault", ["drop", "cut_connection"])
def test_a_connection_that_breaks_off(fault: str) -> None:
    with (
        simulator(faults=Faults(**{fault: "stations,once"})) as started,
        httpx.Client(base_url=started.base_url + "/thirdData/", trust_env=False) as client,
    ):
        token = {"xsrf-token": client.post("login", json=DEMO).headers["xsrf-token"]}
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("stations", json={"pageNo": 1}, headers=token)
        assert client.post("stations", json={"pageNo": 1}, headers=token).json()["success"], "the next one is served"
        assert [record.fault for record in started.log] == [None, fault, None]


def test_an_answer_that_drips_in_is_whole_in_the_end() -> None:
    faults = Faults(slow_body="stations,once", slow_body_seconds=0.05)
    with (
        simulator(faults=faults) as started,
        httpx.Client(base_url=started.base_url + "/thirdData/", trust_env=False) as client,
    ):
        token = {"xsrf-token": client.post("login", json=DEMO).headers["xsrf-token"]}
        slow, quick = (client.post("stations", json={"pageNo": 1}, headers=token) for _ in range(2))
        assert slow.json() == quick.json() and slow.json()["success"]
        assert slow.elapsed >= timedelta(seconds=0.05)
