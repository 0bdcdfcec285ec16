"""The interface says no to a part, to everything, or to nothing but today's rest: what is there, and what is said."""

import shutil
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from truth.compare import summary
from truth.inside import load_into, raw_of, settings_of, with_password
from truth.raw import DATASETS, REPORTS, Load, datasets, raw_checks
from truth.running import loaded, simulator_process

from pipelines.cli.summary import summary_lines
from pipelines.load.request import LoadReport, UsageError
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Settings
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

DAY = date(2025, 6, 15)
EVERYTHING = (*DATASETS, "alarms")


@pytest.fixture(scope="module")
def demo() -> World:
    """Six plants."""
    return build_world("demo", 1)


@pytest.fixture(scope="module")
def single() -> World:
    """One home with an inverter, a battery and a meter."""
    return build_world("single", 1)


def said(report: LoadReport) -> str:
    """What the command would say at its end."""
    return "\n".join(summary_lines(report))


def differences_of(load: Load, settings: Settings) -> str:
    """What is wrong in the tables of the loaded datasets; empty if nothing is."""
    checks = raw_checks(load)
    with raw_of(settings) as connection:
        found = [each for dataset in datasets(load) for each in checks[dataset.table](connection)]
    return summary(found) if found else ""


def without_plant(world: World, code: str) -> World:
    """The same world with one plant less to look at."""
    rest = copy(world)
    rest.plants = [plant for plant in world.plants if plant.code != code]
    rest.devices = [device for device in world.devices if device.plant_code != code]
    return rest


def test_one_dataset_denied_leaves_all_others(demo: World, tmp_path: Path) -> None:
    with Simulator(demo, faults=Faults(deny={"getDevKpiMonth"})) as simulator:
        settings = settings_of(simulator, tmp_path)
        report = load_into(settings, DAY, DAY, *REPORTS)
        assert len(simulator.log.calls("getDevKpiMonth")) == 1, "a denied endpoint is asked once, not once per type"
        again = load_into(settings, DAY, DAY, *REPORTS)
        assert len(simulator.log.calls("getDevKpiMonth")) == 1, "nor again on the same day"
    assert report.exit_code == again.exit_code == 4
    assert [refusal.what for refusal in report.refusals] == ["device_monthly"]
    assert "device_monthly" in said(report) and "401" in said(report)
    others = tuple(name for name in REPORTS if name != "device_monthly")
    assert differences_of(Load(demo, DAY, DAY, "demo", datetime.now(UTC), others), settings) == ""
    with raw_of(settings) as connection:
        states = connection.sql("select distinct state from ops.coverage where dataset = 'device_monthly'").fetchall()
        assert states == [("denied",)]
        assert connection.sql("select count(*) from raw.device_monthly").fetchall() == [(0,)]


def test_one_plant_withdrawn_leaves_all_others(demo: World, tmp_path: Path) -> None:
    code = demo.plants[2].code
    with Simulator(demo) as simulator:
        settings = settings_of(simulator, tmp_path)
        assert load_into(settings, DAY, DAY, "plant_daily").exit_code == 0
    with Simulator(demo, faults=Faults(unauthorized_plant={code})) as simulator:
        settings = settings_of(simulator, tmp_path)
        report = load_into(settings, DAY, DAY, *EVERYTHING)
        refused = [call.endpoint for call in simulator.log.calls() if call.fail_code == 20056]
        assert len(refused) <= 2 * len(demo.plants), "halving finds the plant; it is left out from then on"
    assert report.exit_code == 4
    assert [refusal.what for refusal in report.refusals] == [f"plant {code}"]
    assert code in said(report) and "20056" in said(report)
    rest = tuple(name for name in DATASETS if name != "plant_daily")
    now = datetime.now(UTC)
    assert differences_of(Load(without_plant(demo, code), DAY, DAY, "demo", now, rest), settings) == ""
    # What it had sent before its owner withdrew stays.
    assert differences_of(Load(demo, DAY, DAY, "demo", now, ("plant_daily",)), settings) == ""
    with raw_of(settings) as connection:
        states = connection.sql(
            f"select dataset, state from ops.coverage where plant_code = '{code}' and period = date '{DAY}'"
        ).fetchall()
    assert sorted(states) == [
        ("device_daily", "denied"),
        ("device_history", "denied"),
        ("plant_daily", "final"),
        ("plant_hourly", "denied"),
    ]


def test_codes_as_text_mean_the_same(single: World, tmp_path: Path) -> None:
    faults = Faults(string_fail_codes=True, deny={"getKpiStationHour"}, header_token="cookie_only")
    with Simulator(single, faults=faults) as simulator:
        settings = settings_of(simulator, tmp_path)
        report = load_into(settings, DAY, DAY, *EVERYTHING)
    assert report.exit_code == 4
    assert [refusal.what for refusal in report.refusals] == ["plant_hourly"]
    rest = tuple(name for name in DATASETS if name != "plant_hourly")
    assert differences_of(Load(single, DAY, DAY, "demo", datetime.now(UTC), rest), settings) == ""


def test_a_wrong_password_is_tried_once(single: World, tmp_path: Path) -> None:
    with Simulator(single) as simulator:
        wrong = with_password(settings_of(simulator, tmp_path), "not-the-password")
        first, second = (load_into(wrong, DAY, DAY) for _ in range(2))
        assert len(simulator.log.calls("login")) == 1, "five wrong passwords lock the account"
        assert len(simulator.log) == 1, "and nothing else was asked"
        right = load_into(settings_of(simulator, tmp_path), DAY, DAY, "plant_daily")
    assert first.exit_code == second.exit_code == 1
    for report in (first, second):
        assert len(report.failures) == 1
        assert "SMARTPVMS_PASSWORD" in report.failures[0], report.failures[0]
        assert "not-the-password" not in said(report)
    assert right.exit_code == 0, "a corrected password is tried at once"


def test_no_server_is_one_sentence(single: World, tmp_path: Path) -> None:
    with Simulator(single) as simulator:
        settings = settings_of(simulator, tmp_path)
    report = load_into(settings, DAY, DAY, clock=ManualClock(datetime.now(UTC)))
    assert report.exit_code == 1
    assert len(report.failures) == 1 and "SMARTPVMS_BASE_URL" in report.failures[0]
    assert not list((tmp_path / "lake").rglob("*.parquet")) and not (tmp_path / "warehouse.duckdb").exists()


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """The address of an https server whose certificate nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here that could make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_nobody_vouches_for_is_one_sentence(single: World, self_signed: str, tmp_path: Path) -> None:
    with Simulator(single) as simulator:
        settings = settings_of(simulator, tmp_path / "home")
    elsewhere = replace(settings, accounts=(replace(settings.accounts[0], base_url=self_signed),))
    report = load_into(elsewhere, DAY, DAY)
    assert report.exit_code == 1
    assert len(report.failures) == 1 and "certificate" in report.failures[0].lower()


def test_a_future_date_and_an_unknown_plant_are_refused_before_anything_is_asked_for(
    single: World, tmp_path: Path
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    with Simulator(single) as simulator:
        settings = settings_of(simulator, tmp_path)
        with pytest.raises(UsageError, match=str(tomorrow)):
            load_into(settings, DAY, tomorrow)
        assert len(simulator.log) == 0
        with pytest.raises(UsageError, match="NE=404"):
            load_into(settings, DAY, DAY, plants=("NE=404",))
        assert {call.endpoint for call in simulator.log.calls()} == {"login", "stations", "getDevList"}


@pytest.mark.slow
def test_a_quota_ends_a_load_which_goes_on_when_it_may(single: World, tmp_path: Path) -> None:
    """Thirty days of one home are 30 history calls; its three types of device allow 3 + 24 a day (reference 4.2)."""
    clock = ManualClock(datetime(2026, 6, 1, 9, tzinfo=UTC))
    days = date(2025, 3, 16), date(2025, 4, 14)
    with Simulator(single, clock=clock, flow_control="dynamic") as simulator:
        settings = settings_of(simulator, tmp_path)
        first = load_into(settings, *days, "device_history", clock=clock)
        assert first.exit_code == 3
        (waiting,) = first.waiting
        assert (waiting.dataset, waiting.calls) == ("device_history", 3)
        assert waiting.next_at is not None and waiting.next_at > clock.now()
        assert f"go on at {waiting.next_at:%Y-%m-%d %H:%M} UTC" in said(first)
        assert len(simulator.log.calls("getDevHistoryKpi", ok=True)) == 27
        assert load_into(settings, *days, "device_history", clock=clock).exit_code == 3
        assert len(simulator.log.calls("getDevHistoryKpi")) == 27, "asking again at once asks nothing"
        assert load_into(settings, *days, "device_history", clock=clock, wait=True).exit_code == 0
        assert clock.now() >= waiting.next_at
        calls = simulator.log.calls("getDevHistoryKpi")
        assert not [call for call in simulator.log.calls() if call.fail_code == 407], "the quota was never overdrawn"
        assert max(Counter(str(call.body) for call in calls).values()) == 1 and len(calls) == 30
    assert differences_of(Load(single, *days, "demo", clock.now(), ("device_history",)), settings) == ""


@pytest.mark.slow
def test_the_command_ends_with_the_code_and_the_sentence_of_each_case(tmp_path: Path) -> None:
    withdrawn = "NE=33554818"
    options = ["--fault", "deny=getDevKpiYear", "--fault", f"unauthorized_plant={withdrawn}"]
    day, future = str(DAY), str((datetime.now(UTC) + timedelta(days=3)).date())
    with simulator_process(tmp_path / "simulator", *options) as server:
        home = tmp_path / "nothing" / "home"
        assert future in loaded(home, server.base_url, day, future, code=2)
        assert server.calls() == []
        said = loaded(home, server.base_url, day, day, "--dataset", "plant_daily", "--plant", "NE=404", code=2)
        assert "NE=404" in said
        said = loaded(tmp_path / "home", server.base_url, day, day, code=4)
        assert "Refused: device_yearly: " in said and f"Refused: plant {withdrawn}: " in said
        assert said.splitlines()[-1] == "The warehouse is published."
        logins = len(server.calls("login"))
        for _ in range(2):
            said = loaded(tmp_path / "wrong" / "home", server.base_url, day, day, code=1, SMARTPVMS_PASSWORD="wrong")
            assert "SMARTPVMS_PASSWORD" in said.splitlines()[-1]
        assert len(server.calls("login")) == logins + 1
    said = loaded(tmp_path / "none" / "home", server.base_url, day, day, code=1)
    assert "no connection to 127.0.0.1" in said.splitlines()[-1]
    assert not (tmp_path / "none" / "home" / "warehouse.duckdb").exists()
