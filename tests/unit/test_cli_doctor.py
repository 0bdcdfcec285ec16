"""`pvms doctor` against a simulated server over HTTP: each finding, what it says to do, and what it costs in calls."""

import json
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from subprocess import run
from threading import Thread
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.init import ENV_TEMPLATE
from pipelines.doctor import machine
from pipelines.doctor.connection import address, proxy_for
from pipelines.doctor.data import devices, zones
from pipelines.doctor.machine import file_system_of, is_network
from pipelines.load.request import LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.settings import load_settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import parse_faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world
from schemas.endpoints import READ_ENDPOINTS

PASSWORD = "demo-password"


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single", 1)


class Examined(NamedTuple):
    code: int
    findings: list[dict[str, str]]
    output: str

    def levels(self, check: str) -> list[str]:
        return [each["level"] for each in self.findings if each["check"] == check]

    def one(self, check: str, about: str = "") -> dict[str, str]:
        (found,) = [each for each in self.findings if each["check"] == check and each["about"].endswith(about)]
        return found


def doctor(*options: str) -> Examined:
    result = CliRunner().invoke(app, ["doctor", "--json", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    document = json.loads(result.stdout)
    assert document["exit_code"] == result.exit_code
    assert PASSWORD not in result.output
    assert all(each["todo"] or each["level"] == "ok" for each in document["findings"])
    return Examined(result.exit_code, document["findings"], result.output)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    return tmp_path


def use(folder: Path, base_url: str, password: str = PASSWORD, further: str = "") -> None:
    text = f"SMARTPVMS_BASE_URL={base_url}\nSMARTPVMS_USERNAME=demo\nSMARTPVMS_PASSWORD={password}\n{further}"
    (folder / ".env").write_text(text, encoding="utf-8")


def asked(simulator: Simulator) -> Counter[str]:
    return Counter(record.endpoint for record in simulator.log.calls())


def test_all_is_well_and_each_endpoint_is_asked_once(world: World, folder: Path) -> None:
    with Simulator(world) as simulator:
        use(folder, simulator.base_url)
        first = doctor()
        assert first.code == 0, first.output
        assert set(first.levels("permission")) == {"ok"}
        assert len(first.levels("permission")) == len(READ_ENDPOINTS)
        calls = asked(simulator)
        assert calls["login"] == 1
        assert set(calls.values()) == {1}
        assert first.one("clock")["level"] == "ok"
        assert "Europe/" in first.one("zones")["text"]
        # What has answered within a day isn't asked again: only what tells of the login, and the list of devices.
        assert doctor().code == 0
        assert asked(simulator) - calls == Counter({"stations": 1, "getDevList": 1})
        before = asked(simulator)
        assert doctor("--offline").code == 0
        assert asked(simulator) == before


def test_a_denied_endpoint_fails_and_the_others_are_asked(world: World, folder: Path) -> None:
    with Simulator(world, faults=parse_faults(["deny=getDevHistoryKpi"])) as simulator:
        use(folder, simulator.base_url)
        found = doctor()
        assert doctor().one("permission", "getDevHistoryKpi")["level"] == "fail"
        assert asked(simulator)["getDevHistoryKpi"] == 1  # remembered, not asked for again
        assert doctor("--ask-all").code == 1
        assert asked(simulator)["getDevHistoryKpi"] == 2
    assert found.code == 1
    history = found.one("permission", "getDevHistoryKpi")
    assert history["level"] == "fail"
    assert "401" in history["text"]
    assert "Northbound Management" in history["todo"]
    assert Counter(found.levels("permission"))["ok"] == len(READ_ENDPOINTS) - 1
    assert found.one("login")["level"] == "ok"


def test_a_refused_password_is_tried_once_and_again_only_when_told(world: World, folder: Path) -> None:
    with Simulator(world) as simulator:
        use(folder, simulator.base_url, "wrong-secret")
        first = doctor()
        assert (first.code, first.one("login")["level"]) == (1, "fail")
        assert asked(simulator) == Counter({"login": 1})
        second = doctor()
        assert "not tried again" in second.one("login")["text"]
        assert "pvms login --again" in second.one("login")["todo"]
        assert asked(simulator) == Counter({"login": 1})
        assert doctor("--retry-login").code == 1
        assert asked(simulator) == Counter({"login": 2})
        use(folder, simulator.base_url)
        assert doctor().one("login")["level"] == "ok"
    for each in (first, second):
        assert "wrong-secret" not in each.output


def test_a_slip_in_a_file_of_the_owners_is_said_as_such(world: World, folder: Path) -> None:
    plants = folder / "plants.csv"
    plants.write_text("plant_code,tilt\nNE=1,91\n", encoding="utf-8")
    with Simulator(world) as simulator:
        use(folder, simulator.base_url, further=f"PVMS_PLANTS_FILE={plants}\n")
        wrong = doctor()
        assert wrong.code == 1
        assert (wrong.one("owner files", "plants")["level"], wrong.levels("account")) == ("fail", [])
        assert "line 2" in wrong.one("owner files", "plants")["text"]
        plants.write_text("plant_code,tilt\nNE=1,9\n", encoding="utf-8")
        right = doctor()
        assert right.one("owner files", "plants")["level"] == "ok"
        assert right.one("login")["level"] == "ok"


def test_policy_and_quotas_are_read_and_a_slip_in_them_is_said_once(world: World, folder: Path) -> None:
    (folder / "policy.toml").write_text("[default]\nsince = 2025-01-01\n")
    (folder / "quotas.toml").write_text("[dynamic.stations]\nlimit = 30\n")
    further = "PVMS_POLICY_FILE=policy.toml\nPVMS_QUOTAS_FILE=quotas.toml\n"
    with Simulator(world) as simulator:
        use(folder, simulator.base_url, further=further)
        well = doctor("--offline")
        assert [each["level"] for each in well.findings if each["check"] == "owner files"] == ["ok", "ok"]
        (folder / "policy.toml").write_text("[default]\nsince = 'soon'\n")
        (folder / "quotas.toml").write_text("[dynamic.stations]\nlimit = 'much'\n")
        wrong = doctor("--offline")
    assert wrong.code == 1
    for about in ("policy", "quotas"):
        assert wrong.one("owner files", about)["level"] == "fail"
        assert f"{about}.toml" in wrong.one("owner files", about)["text"]
    assert wrong.levels("account") == []


def test_an_account_without_plants_is_no_account_that_is_well(world: World, folder: Path) -> None:
    with Simulator(world, faults=parse_faults(["empty_data=stations"])) as simulator:
        use(folder, simulator.base_url)
        found = doctor()
    assert found.one("permission", "stations")["level"] == "warn"
    assert "API Access" in found.one("permission", "stations")["todo"]


def test_plants_that_are_refused_or_listed_no_more_are_named_with_what_to_do(folder: Path) -> None:
    fleet = build_world("demo")
    refused, gone = fleet.plants[0].code, fleet.plants[1].code
    day = datetime.now(UTC).date() - timedelta(days=3)
    with Simulator(fleet) as simulator:
        use(folder, simulator.base_url)
        with Services.open(load_settings()) as services:
            run_load(LoadRequest(day, day, ("plant_daily",)), services, build=False)
        assert doctor("--offline").levels("plants") == []
    with Simulator(fleet, faults=parse_faults([f"unauthorized_plant={refused}", f"vanish_plant={gone}"])) as simulator:
        use(folder, simulator.base_url)
        again = LoadRequest(day, day, ("plant_daily", "plant_hourly"), force=True, refresh_inventory=True)
        with Services.open(load_settings()) as services:
            run_load(again, services, build=False)
        found = doctor("--offline")
    assert found.levels("plants") == ["warn", "warn"]
    closed, lost = [each for each in found.findings if each["check"] == "plants"]
    assert closed["text"] == f"the vendor refuses 1 plant to every account that lists them: {refused}"
    assert "API Access" in closed["todo"] and f"--force --plant {refused}" in closed["todo"]
    assert lost["text"] == f"the vendor lists 1 plant no more, and they aren't asked about: {gone}"


@pytest.mark.parametrize(
    ("fault", "words"),
    [("login_limited", "since the vendor refused some"), ("steal_session", "another program logs in")],
)
def test_a_login_that_can_not_be_made_now_fails_for_its_own_reason(
    world: World, folder: Path, fault: str, words: str
) -> None:
    with Simulator(world, faults=parse_faults([fault])) as simulator:
        use(folder, simulator.base_url)
        doctor()
        doctor()
        found = doctor()
    assert found.code == 1
    assert found.one("login")["level"] == "fail"
    assert words in found.one("login")["text"]
    assert not [each for each in found.findings if "spaced out" in each["text"] and each["check"] == "permission"]


def test_a_page_in_place_of_the_login_is_asked_for_once(world: World, folder: Path) -> None:
    with Simulator(world, faults=parse_faults(["login_html"])) as simulator:
        use(folder, simulator.base_url)
        found = doctor()
        assert asked(simulator) == {"login": 1}
    assert found.code == 1
    assert "text/html" in found.one("connection")["text"]


def test_a_used_up_quota_is_told_from_the_ledger(world: World, folder: Path) -> None:
    with Simulator(world) as simulator:
        use(folder, simulator.base_url)
        doctor()
        calls = asked(simulator)
        found = doctor("--ask-all")
        # One call in five minutes is all that the quota of real-time data gives one plant.
        line = found.one("permission", "getStationRealKpi")
        assert line["level"] == "ok"
        assert "quota" in line["text"]
        assert asked(simulator)["getStationRealKpi"] == calls["getStationRealKpi"]


def test_a_busy_system_is_said_and_not_waited_out(world: World, folder: Path) -> None:
    with Simulator(world, faults=parse_faults(["quota_control_403_once=getDevList"])) as simulator:
        use(folder, simulator.base_url)
        found = doctor()
        # The account rests now, so nothing further was asked.
        assert asked(simulator) == Counter({"login": 1, "stations": 1, "getDevList": 1})
    assert found.code == 0
    assert found.one("permission", "getDevList")["level"] == "warn"
    assert found.one("login")["level"] == "ok"


def test_a_clock_that_is_wrong_is_said(world: World, folder: Path) -> None:
    clock = SimClock.running(datetime.now(UTC) + timedelta(minutes=7))
    with Simulator(world, clock=clock) as simulator:
        use(folder, simulator.base_url)
        found = doctor()
    assert found.one("clock")["level"] == "warn"
    assert "ahead" in found.one("clock")["text"]
    assert "NTP" in found.one("clock")["todo"]


def test_a_server_that_is_not_there(folder: Path) -> None:
    use(folder, "http://127.0.0.1:1")
    found = doctor()
    assert found.code == 1
    assert found.one("address")["level"] == "fail"
    assert found.levels("login") == found.levels("permission") == []


def test_typing_errors_of_settings_are_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("PVMS_HISTORY_STRAT=2025-01-01\nEDITOR=vi\n", encoding="utf-8")
    (folder / ".env").chmod(0o644)
    monkeypatch.setenv("SMARTPVMS_USER_NAME", "north")
    found = doctor("--offline")
    assert "PVMS_HISTORY_START" in found.one("settings", "PVMS_HISTORY_STRAT")["todo"]
    assert "SMARTPVMS_USERNAME" in found.one("settings", "SMARTPVMS_USER_NAME")["todo"]
    assert "EDITOR" not in found.output
    assert "chmod 600" in found.one("secrets")["todo"]
    assert found.one("account")["level"] == "warn"
    assert found.code == 0


def test_the_fresh_env_has_no_typing_errors(folder: Path) -> None:
    (folder / ".env").write_text(ENV_TEMPLATE, encoding="utf-8")
    assert doctor("--offline").levels("settings") == ["ok"]


def test_settings_that_can_not_be_used_end_it_with_a_sentence(folder: Path) -> None:
    (folder / ".env").write_text("PVMS_DUCKDB_THREADS=many\n", encoding="utf-8")
    found = doctor()
    assert found.code == 1
    assert found.one("settings")["text"].endswith("PVMS_DUCKDB_THREADS: must be a whole number, not 'many'.")


def test_a_missing_home_is_said_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctor("--offline")
    assert found.code == 1
    assert "pvms init" in found.one("home")["todo"]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_and_a_wrong_package_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int = 10**12
        used: int = 10**12
        free: int = 10**8

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage())
    real = machine.version
    monkeypatch.setattr(machine, "version", lambda name: "1.5.0" if name == "duckdb" else real(name))
    found = doctor("--offline")
    assert found.one("disk")["level"] == "fail"
    assert "duckdb 1.5.0 is not" in found.one("packages")["text"]


def test_damaged_files_are_said(folder: Path) -> None:
    (folder / "data" / "state" / "coverage.sqlite").write_bytes(b"no database at all, and not a short one either" * 50)
    (folder / "data" / "warehouse.duckdb").write_bytes(b"neither is this" * 100)
    found = doctor("--offline")
    assert "coverage.sqlite" in found.one("state")["text"]
    assert found.one("warehouse")["level"] == "fail"


def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    deep = tmp_path / "a b" / "c"
    deep.mkdir(parents=True)
    point = str(tmp_path / "a b").replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {point} nfs4 rw 0 0\nx {tmp_path}/a tmpfs rw 0 0\n")
    assert file_system_of(deep, mounts) == "nfs4"
    assert file_system_of(tmp_path, mounts) == "ext4"
    assert file_system_of(tmp_path, tmp_path / "absent") is None
    assert [is_network(kind) for kind in ("nfs4", "fuse.sshfs", "ext4", "fuse.mergerfs")] == [True, True, False, False]


def test_the_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:hush@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    (line,) = address("https://eu5.example", datetime.now(UTC))
    assert "proxy.example:3128" in line.text
    assert "hush" not in str(line)
    assert proxy_for("https", "inside.example") is None
    assert proxy_for("http", "127.0.0.1") is None


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    if which("openssl") is None:
        pytest.skip("making a certificate needs the openssl command")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    run([*command.split(), *names], check=True, capture_output=True)

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who hangs up over a certificate is what is tested here."""

    server = Quiet(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", cert
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_certificate_is_seen_without_a_request(encrypted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, cert = encrypted
    assert [(each.check, each.level) for each in address(url, datetime.now(UTC))][-1] == ("certificate", "fail")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    *_, last = address(url, datetime.now(UTC))
    assert (last.check, last.level) == ("certificate", "warn")  # good for three days more
    assert "localhost" in last.text


def test_zones_and_devices_that_need_somebody(world: World) -> None:
    import polars as pl

    listed = pl.DataFrame(
        {
            "plant_code": ["A", "B", "C"],
            "time_zone": ["Europe/Berlin", None, "Europe/Rome"],
            "time_zone_source": ["coordinates", None, "plants_file"],
        }
    )
    told, unknown = zones(listed)
    assert "1 by coordinates" in told.text
    assert (unknown.level, "B" in unknown.text, "PVMS_PLANTS_FILE" in unknown.todo) == ("warn", True, True)
    served, without = devices(pl.DataFrame({"device_type_id": [38, 38, 62, 4711]}))
    assert served.text.startswith("2 of 4")
    assert "Dongle 62 (1)" in without.text
    assert "unknown type 4711 (1)" in without.text
