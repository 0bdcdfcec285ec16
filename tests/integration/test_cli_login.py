"""`pvms login` as a process against the simulator's OAuth service: redirect, paste, refusals; and what follows it."""

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from browser import ABSENT, CHROMIUM, DRIVER, Browser
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.simulator.faults import Faults
from pipelines.simulator.oauth import BASIC, CONTROL, OWNER, OWNER_PASSWORD, OAuthSetup
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

PVMS = [sys.executable, "-c", "from pipelines.cli import main; main()"]
ELSEWHERE = "https://www.example.com/cn/?x=1&y=2"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


Serve = Callable[..., Simulator]


@pytest.fixture
def serve(world: World) -> Iterator[Serve]:
    with ExitStack() as stack:

        def one(redirect_uri: str = ELSEWHERE, **faults: Any) -> Simulator:
            setup = OAuthSetup(redirect_uri=redirect_uri)
            return stack.enter_context(Simulator(world, oauth=setup, faults=Faults(**faults)))

        yield one


def free_redirect() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/back?somearg=x"


def environment(simulator: Simulator, home: Path, **more: str) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    setup = simulator.oauth.setup
    return {
        **os.environ,
        "PVMS_HOME": str(home),
        "SMARTPVMS_AUTH": "oauth",
        "SMARTPVMS_BASE_URL": simulator.base_url,
        "SMARTPVMS_OAUTH_URL": simulator.base_url,
        "SMARTPVMS_CLIENT_ID": setup.client_id,
        "SMARTPVMS_CLIENT_SECRET": setup.client_secret,
        "SMARTPVMS_REDIRECT_URI": setup.redirect_uri,
        **more,
    }


def pvms(env: dict[str, str], *arguments: str) -> Result:
    """A command that asks nobody anything, in this process."""
    return CliRunner().invoke(app, arguments, env=env)


@contextmanager
def running(env: dict[str, str], *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`pvms login` up to where it waits: its link, and the process."""
    process = subprocess.Popen(
        [*PVMS, "login", "--no-browser", *options],
        env=env,
        cwd=env["PVMS_HOME"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert link.startswith("http"), process.communicate()
        yield link, process
    finally:
        process.kill()
        process.communicate()


def consent(link: str, decision: str = "authorize", scopes: tuple[str, ...] = (BASIC,)) -> str:
    """What the owner does, form by form; the address that the browser is sent to."""
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(link)
        assert page.status_code == 200, page.text
        ticket = re.findall(r'name="ticket" value="(\w+)"', page.text)[0]
        wrong = browser.post(link, data={"ticket": ticket, "username": OWNER, "password": "wrong"})
        assert "wrong" in wrong.text
        page = browser.post(link, data={"ticket": ticket, "username": OWNER, "password": OWNER_PASSWORD})
        assert "Basic APIs" in page.text
        ticked = dict.fromkeys(scopes, "on")
        answer = browser.post(link, data={"ticket": ticket, "decision": decision, **ticked})
        assert answer.status_code == 302
        return answer.headers["location"]


def ended(process: subprocess.Popen[str], paste: str | None = None) -> tuple[int, str]:
    out, said = process.communicate(None if paste is None else f"{paste}\n", timeout=600)
    assert out == "", "the link alone is a result"
    return process.returncode, said


def test_the_redirect_is_taken_and_the_next_command_asks_by_oauth(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(free_redirect())
    env = environment(simulator, tmp_path / "home")
    with running(env) as (link, process):
        address = consent(link)
        with httpx.Client(trust_env=False) as browser:
            assert browser.get(re.sub("state=[^&]+", "state=guessed", address)).status_code == 400
            page = browser.get(address)
        code = httpx.URL(address).params["code"]
        assert page.status_code == 200
        assert code not in page.text
        status, said = ended(process)
    assert status == 0, said
    assert "Basic APIs (pvms.openapi.basic)" in said
    assert "What next: pvms plan" in said
    cache = tmp_path / "home" / "state" / "tokens.json"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    for secret in (code, simulator.oauth.setup.client_secret, *re.findall(r'"[ar]-\w+"', cache.read_text())):
        assert secret.strip('"') not in said
        assert not [file for file in cache.parent.iterdir() if file != cache and secret.encode() in file.read_bytes()]
    planned = pvms(env, "plan", "--from", "yesterday", "--to", "yesterday")
    assert planned.exit_code == 0, planned.stderr
    assert {r.account for r in simulator.log.calls("stations")} == {"owner:owner"}
    assert len(simulator.log.calls("token")) == 1


@pytest.mark.slow
def test_the_address_can_be_pasted(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    with running(environment(simulator, tmp_path / "home")) as (link, process):
        status, said = ended(process, paste=f"{ELSEWHERE}&code=c0de&state=guessed\n{consent(link)}")
    assert status == 0, said
    assert "within five minutes" in said
    assert "another link" in said and "Paste another one" in said


@pytest.mark.slow
def test_a_declined_consent_and_a_strange_answer_are_sentences(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    env = environment(simulator, tmp_path / "home")
    with running(env) as (link, process):
        status, said = ended(process, paste=consent(link, "reject"))
    assert (status, "the owner declined" in said) == (1, True), said
    with running(env) as (link, process):
        status, said = ended(process, paste=f"{ELSEWHERE}&code=c0de&state=guessed")
    assert status == 1
    assert "another link" in said
    assert "c0de" not in said
    assert not simulator.log.calls("token")


@pytest.mark.slow
def test_a_service_that_keeps_the_state_needs_a_word(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(oauth_no_state=True)
    env = environment(simulator, tmp_path / "home")
    with running(env, "--paste") as (link, process):
        status, said = ended(process, paste=consent(link))
    assert status == 1
    assert "pvms login --paste --without-state" in said
    with running(env, "--paste", "--without-state") as (link, process):
        status, said = ended(process, paste=consent(link))
    assert status == 0, said
    assert pvms(env, "login", "--without-state").exit_code == 2


@pytest.mark.slow
def test_a_consent_without_basic_apis_is_said(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    with running(environment(simulator, tmp_path / "home")) as (link, process):
        link = link.replace(BASIC, f"{BASIC}%20{CONTROL}")
        status, said = ended(process, paste=consent(link, scopes=(CONTROL,)))
    assert status == 1
    assert "Basic APIs are missing" in said


def test_what_lacks_is_said_before_anything_is_called(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    env = environment(simulator, tmp_path / "home")
    for changed, options, status, word in (
        ({"SMARTPVMS_REDIRECT_URI": ""}, (), 1, "SMARTPVMS_REDIRECT_URI must be set"),
        ({"SMARTPVMS_CLIENT_SECRET": ""}, (), 1, "SMARTPVMS_CLIENT_SECRET must be set"),
        ({}, ("--account", "north"), 2, "No account is called north"),
    ):
        result = pvms({**env, **changed}, "login", *options)
        assert (result.exit_code, word in result.stderr) == (status, True), result.stderr
    stopped = pvms(env, "plan", "--from", "yesterday", "--to", "yesterday")
    assert stopped.exit_code == 1
    assert "pvms login" in stopped.stderr
    assert len(simulator.log) == 0


def test_an_api_account_is_checked_once(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    account = {"SMARTPVMS_AUTH": "account", "SMARTPVMS_USERNAME": "demo", "SMARTPVMS_PASSWORD": "demo-password"}
    env = environment(simulator, tmp_path / "home", **account)
    wrong = {**env, "SMARTPVMS_PASSWORD": "mistyped"}
    for _ in range(2):
        assert "--again" in pvms(wrong, "login").stderr
    assert pvms(wrong, "login", "--again").exit_code == 1
    assert len(simulator.log.calls("login")) == 2
    for options, words in (((), "logged in at"), ((), "nothing was called"), (("--again",), "logged in at")):
        result = pvms(env, "login", *options)
        assert (result.exit_code, words in result.stderr) == (0, True), result.stderr
    assert len(simulator.log.calls("login", ok=True)) == 2


def test_an_account_of_several_is_named_in_what_to_do(serve: Serve, tmp_path: Path) -> None:
    simulator = serve()
    accounts = tmp_path / "accounts.toml"
    table = f'smartpvms_base_url = "{simulator.base_url}"\nsmartpvms_username = "demo"\nsmartpvms_password = '
    accounts.write_text(f'[north]\n{table}"mistyped"\n[south]\n{table.replace("demo", "other")}"secret"\n')
    accounts.chmod(0o600)
    env = environment(simulator, tmp_path / "home", PVMS_ACCOUNTS_FILE=str(accounts))
    for _ in range(2):  # refused, and remembered
        said = pvms(env, "login", "--account", "north").stderr
        assert "Check smartpvms_username and smartpvms_password: " in said
        assert "`pvms login --account north --again`" in said
        assert said.rstrip().endswith("The account is [north] of PVMS_ACCOUNTS_FILE.")


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=ABSENT)
def test_an_owner_clicks_through_the_consent(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(free_redirect())
    env = environment(simulator, tmp_path / "home")
    with running(env) as (link, process), Browser(tmp_path / "profile") as browser:
        browser.open(link)
        browser.fill("#username", OWNER)
        browser.fill("#password", OWNER_PASSWORD)
        browser.click("#login")
        browser.until(lambda: "Basic APIs" in browser.text("form"))
        assert "Control APIs" not in browser.text("form"), "more than it needs isn't asked for"
        browser.click("#authorize")
        browser.until(lambda: browser.text("h1") == "Received")
        browser.until(lambda: "code" not in browser.url)
        status, said = ended(process)
    assert status == 0, said
    assert "Basic APIs (pvms.openapi.basic)" in said


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=ABSENT)
def test_an_owner_clicks_reject(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(free_redirect())
    env = environment(simulator, tmp_path / "home")
    with running(env) as (link, process), Browser(tmp_path / "profile") as browser:
        browser.open(link)
        browser.fill("#username", OWNER)
        browser.fill("#password", OWNER_PASSWORD)
        browser.click("#login")
        browser.click("#reject")
        browser.until(lambda: browser.text("h1") == "Received")
        status, said = ended(process)
    assert status == 1
    assert "the owner declined" in said


@pytest.mark.slow
def test_a_load_by_oauth_reaches_the_warehouse(serve: Serve, tmp_path: Path) -> None:
    """Tokens die and rotate on the way, and nothing that was a secret is left outside the cache."""
    simulator = serve(kill_session="every=7", oauth_refresh="rotate")
    home = tmp_path / "home"
    env = environment(simulator, home)
    with running(env) as (link, process):
        status, said = ended(process, paste=consent(link))
    assert status == 0, said
    day = str((datetime.now(UTC) - timedelta(days=3)).date())
    loaded = pvms(env, "load", "--from", day, "--to", day)
    assert loaded.exit_code == 0, loaded.stderr
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        found = warehouse.execute(
            f"select count(*), sum(pv_energy_kwh) from marts.fct_plant_day where local_date = '{day}'"
        ).fetchone()
        calls = "select endpoint, count(*) from ops.api_calls where account = 'oauth' group by 1"
        endpoints = dict(warehouse.execute(calls).fetchall())
    assert found is not None
    assert found[0] == 1
    assert found[1] is not None
    ended_tokens = len([r for r in simulator.log.calls(ok=False) if r.account])
    assert ended_tokens >= 1
    assert len(simulator.log.calls("token")) == 1 + ended_tokens == endpoints["oauth_token"]
    tokens = re.findall(r'"([ar]-\w+)"', (home / "state" / "tokens.json").read_text())
    assert len(tokens) == 2
    left = [
        file
        for file in home.rglob("*")
        if file.is_file() and file.name != "tokens.json"
        for secret in (*tokens, simulator.oauth.setup.client_secret)
        if secret.encode() in file.read_bytes()
    ]
    assert left == []
    assert not [secret for secret in tokens if secret in loaded.stderr + loaded.stdout]
