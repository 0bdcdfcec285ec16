"""Telling people: a real webhook and a real command get each event once a day, no secret, and when it is over."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pipelines.load import notify as notify_module
from pipelines.load.notify import Event, notify
from pipelines.load.standing import AccountStanding, EndpointStanding, Standing
from pipelines.load.watch import NO_DATA_AFTER, troubles, watch
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Settings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
NASTY = 'Plant "$(touch broken)"; `touch broken` \0 | <b>Ä\n'
EVENT = Event("disk_low", "error", f"0.1 GB are left. {NASTY}", "/data", NOW, "", {"plant": NASTY})


class Hook:
    """A webhook on loopback: keeps what it is told, answers with `status`, or not at all until let go."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 204
        self.let_go = Flag()
        self.let_go.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                hook.let_go.wait()
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/T0/very-secret-path"

    def events(self) -> list[str]:
        return [each["event"] for each in self.heard]


@pytest.fixture
def hook() -> Iterator[Hook]:
    one = Hook()
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.let_go.set()
    one.server.shutdown()
    one.server.server_close()
    thread.join()


def settings_of(home: Path, **other: Any) -> Settings:
    return Settings(home=home, env_file=None, **other)


def test_the_webhook_gets_one_document(hook: Hook, tmp_path: Path) -> None:
    assert notify(settings_of(tmp_path, notify_url=SecretStr(hook.url)), EVENT)
    (document,) = hook.heard
    assert list(document) == ["event", "severity", "text", "home", "at", "details"]
    assert document["text"] == EVENT.text
    assert datetime.fromisoformat(document["at"]) == NOW
    assert document["details"] == {"subject": "", "plant": NASTY}


@pytest.mark.parametrize("trouble", ["status", "nobody", "slow", "no address"])
def test_a_webhook_that_fails_is_logged_without_its_address_and_ends_nothing(
    hook: Hook,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    url = hook.url
    if trouble == "status":
        hook.status = 500
    elif trouble == "slow":
        monkeypatch.setattr(notify_module, "WEBHOOK_TIMEOUT_S", 0.2)
        hook.let_go.clear()
    else:
        url = "http://127.0.0.1:1/very-secret-path" if trouble == "nobody" else "ftp://very-secret-path"
    assert not notify(settings_of(tmp_path, notify_url=SecretStr(url)), EVENT)
    assert "PVMS_NOTIFY_URL" in caplog.text
    assert "very-secret" not in caplog.text


def test_the_command_gets_the_text_and_no_secret_and_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTPVMS_PASSWORD", "tr0ub4dor")
    monkeypatch.setenv("PVMS_NOTIFY_URL", "https://hooks.example/secret")
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "tell me.py"
    script.write_text(
        "import json, os, sys\n"
        "json.dump({'argv': sys.argv[1:], 'in': sys.stdin.read(), 'env': dict(os.environ)}, open(sys.argv[1], 'w'))\n"
    )
    heard = tmp_path / "heard.json"
    command = f"'{sys.executable}' '{script}' '{heard}' '; touch broken'"
    assert notify(settings_of(tmp_path, notify_command=command), EVENT)
    told = json.loads(heard.read_text())
    assert told["argv"] == [str(heard), "; touch broken"]
    assert told["in"] == EVENT.text + "\n"
    assert told["env"]["PVMS_EVENT"] == "disk_low"
    assert told["env"]["PVMS_EVENT_TEXT"] == EVENT.text.replace("\0", "")
    assert json.loads(told["env"]["PVMS_EVENT_DETAILS"])["plant"] == NASTY
    assert "tr0ub4dor" not in heard.read_text()
    assert "hooks.example" not in heard.read_text()
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nowhere/at/all", "can't be started"),
        ("unbalanced '", "can't be started"),
        ("", "can't be started"),
        (f"{sys.executable} -c 'raise SystemExit(3)'", "code 3"),
        (f"{sys.executable} -c 'import time; time.sleep(600)'", "was ended"),
    ],
    ids=["absent", "unbalanced", "empty", "fails", "hangs"],
)
def test_a_command_that_fails_is_logged_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    if said == "was ended":
        monkeypatch.setattr(notify_module, "COMMAND_TIMEOUT_S", 0.2)
    assert not notify(settings_of(tmp_path, notify_command=command), EVENT)
    assert said in caplog.text


# --- What is worth telling ---

ENDPOINT = EndpointStanding("getDevHistoryKpi", 3, 30, 27, 30, None, None, False, 0)
ACCOUNT = AccountStanding("north", "ok", NOW, None, None, (ENDPOINT,))
WELL = Standing(
    home="/data",
    at=NOW,
    started=True,
    account_problem=None,
    accounts=(ACCOUNT,),
    datasets=(),
    ahead=(),
    due=(),
    denied=(),
    refused_plants=(),
    plants=130,
    devices=800,
    plants_without_zone=(),
    plants_gone=(),
    listed_at=NOW,
    quarantined=0,
    unfolded_parts=0,
    sees_no_plant=(),
    doubted=0,
    doubted_until=None,
    loading=False,
    last_call_at=NOW,
    first_call_at=NOW - timedelta(days=7),
    last_data_at=NOW,
    rows_last_day=1234,
    calls_last_day=56,
    busy_lately=0,
    last_errors=(),
    next_fresh_at=None,
    disk_free_bytes=10**11,
    disk_total_bytes=10**12,
    warehouse_bytes=10**9,
    published_at=NOW,
)


def with_endpoint(**changes: Any) -> Standing:
    return replace(WELL, accounts=(replace(ACCOUNT, endpoints=(replace(ENDPOINT, **changes),)),))


REFUSED = replace(
    WELL, accounts=(replace(ACCOUNT, login="refused", login_at=NOW, login_words="wrong", login_todo="Correct it."),)
)
SILENT = replace(WELL, last_data_at=NOW - NO_DATA_AFTER - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("standing", "event", "subject"),
    [
        (SILENT, "no_data", ""),
        (replace(WELL, last_data_at=None), "no_data", ""),
        (REFUSED, "login_stopped", "north"),
        (with_endpoint(denied=True), "permission_lost", "north getDevHistoryKpi"),
        (replace(WELL, refused_plants=("NE=1",)), "permission_lost", "plants"),
        (replace(WELL, accounts=(replace(ACCOUNT, policy_differs=("It differs.",)),)), "refusals", "north policy"),
        (with_endpoint(refused_lately=3), "refusals", "north getDevHistoryKpi"),
        (replace(WELL, busy_lately=3), "refusals", "system"),
        (with_endpoint(closed_by="contested", next_at=NOW), "session_contested", "north"),
        (replace(WELL, disk_free_bytes=10**9), "disk_low", ""),
        (replace(WELL, disk_free_bytes=10**10, warehouse_bytes=6 * 10**9), "disk_low", ""),
    ],
)
def test_each_trouble_is_seen(standing: Standing, event: str, subject: str) -> None:
    (found,) = troubles(standing, NOW)
    assert (found.event, found.subject) == (event, subject)
    assert found.text.endswith((".", "?"))


def test_what_is_expected_is_no_trouble() -> None:
    assert list(troubles(WELL, NOW)) == []
    assert list(troubles(with_endpoint(refused_lately=2), NOW)) == []
    assert list(troubles(replace(WELL, last_data_at=None, first_call_at=None), NOW)) == []
    # History that may wait three days isn't silence.
    assert list(troubles(SILENT, NOW, timedelta(days=3))) == []


class Watched:
    """A home whose standing the test decides."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, arrives: Callable[[Event], bool]) -> None:
        (home / "state").mkdir(parents=True)
        self.settings = settings_of(home)
        self.clock = ManualClock(NOW)
        self.standing = WELL
        self.arrives = arrives
        monkeypatch.setattr("pipelines.load.watch.standing_of", lambda *_: self.standing)

    def look(self) -> list[Event]:
        return watch(self.settings, self.clock.now(), send=lambda _, event: self.arrives(event), clock=self.clock)


def test_once_a_day_and_once_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, monkeypatch, lambda _: True)
    assert [each.event for each in watched.look()] == ["alive"]
    watched.standing = REFUSED
    assert [each.event for each in watched.look()] == ["login_stopped"]
    watched.clock.advance(23 * 3600)
    assert watched.look() == []
    watched.clock.advance(3600)
    assert sorted(each.event for each in watched.look()) == ["alive", "login_stopped"]
    watched.standing = WELL
    (over,) = watched.look()
    assert (over.event, over.severity, over.details["event"]) == ("resolved", "info", "login_stopped")
    assert over.details["since"] == NOW.isoformat()
    assert watched.look() == []
    watched.standing = REFUSED
    assert watched.look() == []  # told within the day already


def test_what_did_not_arrive_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, monkeypatch, lambda _: False)
    watched.standing = REFUSED
    assert watched.look() == []
    watched.arrives = lambda _: True
    assert sorted(each.event for each in watched.look()) == ["alive", "login_stopped"]


def test_nothing_is_over_while_nothing_is_known_of_the_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch, lambda _: True)
    watched.standing = REFUSED
    watched.look()
    watched.standing = replace(WELL, accounts=(), account_problem="SMARTPVMS_PASSWORD is missing")
    assert watched.look() == []


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=20))
def test_a_subject_is_never_told_twice_within_a_day(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(tmp_path_factory.mktemp("home"), patch, lambda _: True)
        told: list[Event] = []
        for hours, wrong in steps:
            watched.clock.advance(hours * 3600)
            watched.standing = REFUSED if wrong else WELL
            told += watched.look()
    for word in ("login_stopped", "alive"):
        times = [each.at for each in told if each.event == word]
        assert all(later - earlier >= timedelta(days=1) for earlier, later in pairwise(times))
    assert len([e for e in told if e.event == "resolved"]) <= len([e for e in told if e.event == "login_stopped"])
