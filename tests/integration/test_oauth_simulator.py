"""OAuth Connect against the simulator's OAuth service: tokens are counted by the simulator's log."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.northbound import errors
from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.oauth_app import OAuthApp
from pipelines.northbound.oauth_errors import ConsentNeeded, OAuthClientRefused, OAuthRefused
from pipelines.northbound.oauth_session import OAuthSession
from pipelines.simulator.faults import Faults
from pipelines.simulator.oauth import BASIC, CONTROL, OWNER, OAuthSetup
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
REDIRECT = "https://www.example.com/cn/?x=1&y=2"
HOUR_S = 3600
PAGE = {"pageNo": 1}


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


Serve = Callable[..., Simulator]
Make = Callable[..., Client]


@pytest.fixture
def serve(world: World, clock: ManualClock) -> Iterator[Serve]:
    with ExitStack() as stack:

        def one(**faults: Any) -> Simulator:
            setup = OAuthSetup(redirect_uri=REDIRECT)
            return stack.enter_context(Simulator(world, clock=clock, faults=Faults(**faults), oauth=setup))

        yield one


@pytest.fixture
def make(clock: ManualClock, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def one(simulator: Simulator, state: str = "state", **changes: Any) -> Client:
            return stack.enter_context(
                Client(
                    base_url=simulator.base_url,
                    oauth=app_of(simulator, **changes),
                    account="north",
                    state_dir=tmp_path / state,
                    flow_control="oauth",
                    clock=clock,
                )
            )

        yield one


def app_of(simulator: Simulator, **changes: Any) -> OAuthApp:
    setup = simulator.oauth.setup
    return OAuthApp(
        **{
            "client_id": setup.client_id,
            "client_secret": setup.client_secret,
            "oauth_url": simulator.base_url,
            "redirect_uri": setup.redirect_uri,
            **changes,
        }
    )


def session_of(client: Client) -> OAuthSession:
    assert isinstance(client.session, OAuthSession)
    return client.session


def connect(simulator: Simulator, client: Client, *scopes: str) -> None:
    code = simulator.oauth.consent(OWNER, *scopes, now=simulator.clock.now().timestamp())
    session_of(client).exchange(code, why="a test")


def ask(client: Client) -> None:
    client.call("stations", PAGE, why="a test")


def refresh_token_of(simulator: Simulator, client: Client) -> str:
    """A refresh token that an owner's consent elsewhere brought."""
    connect(simulator, client)
    token = session_of(client).grant().refresh_token
    assert token
    return token


def test_a_consent_becomes_answers_with_the_bearer_header_alone(serve: Serve, make: Make, tmp_path: Path) -> None:
    simulator = serve()
    client = make(simulator)
    connect(simulator, client, BASIC)
    ask(client)
    assert [(r.endpoint, r.ok, r.account) for r in simulator.log] == [
        ("token", True, None),
        ("stations", True, "owner:owner"),  # an XSRF-TOKEN beside the Bearer would have been a 305
    ]
    calls = client.ledger.calls()
    assert [(call.account, call.endpoint, call.outcome) for call in calls] == [
        ("north", "oauth_token", "ok"),
        ("north", "stations", "ok"),
    ]
    grant = session_of(client).grant()
    assert grant.scope == BASIC
    cache = tmp_path / "state" / "tokens.json"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    secrets = session_of(client).secrets()
    assert len(secrets) == 3
    for file in (tmp_path / "state").iterdir():
        if file != cache:
            assert not [secret for secret in secrets if secret.encode() in file.read_bytes()], file


@pytest.mark.parametrize("refresh", ["keep", "rotate", "omit"])
def test_hours_of_calls_cost_one_refresh_an_hour_and_no_refusal(
    serve: Serve, make: Make, clock: ManualClock, refresh: str
) -> None:
    simulator = serve(oauth_refresh=refresh)
    client = make(simulator)
    connect(simulator, client)
    for _ in range(6 * 4):
        ask(client)
        clock.advance(HOUR_S / 4)
    assert not simulator.log.calls("stations", ok=False)
    assert not simulator.log.calls("token", ok=False)
    assert len(simulator.log.calls("token")) == 1 + 5, "a token that is about to end is replaced before it does"


def test_a_refresh_lets_calls_with_the_old_token_arrive_first(serve: Serve, make: Make, clock: ManualClock) -> None:
    simulator = serve()
    client = make(simulator)
    connect(simulator, client)
    first = session_of(client).token(why="another process's call")
    clock.advance(HOUR_S - 121)
    assert session_of(client).token(why="a call that leaves now") == first
    clock.advance(2)
    assert session_of(client).token(why="the next one") != first
    assert clock.slept == [9]
    assert len(simulator.log.calls("token")) == 2


def test_a_rotated_refresh_token_in_the_cache_outranks_the_settings(
    serve: Serve, make: Make, clock: ManualClock
) -> None:
    simulator = serve(oauth_refresh="rotate")
    first = refresh_token_of(simulator, make(simulator))
    clock.advance(HOUR_S)
    client = make(simulator, refresh_token=first)
    for _ in range(3):
        ask(client)
        clock.advance(HOUR_S)
    assert not simulator.log.calls("token", ok=False)
    simulator.oauth.revoke(OWNER)
    asked = len(simulator.log.calls("token"))
    with pytest.raises(ConsentNeeded):
        ask(client)
    assert len(simulator.log.calls("token")) == asked + 1, "the settings' token was replaced: it isn't worth a call"


def test_the_settings_can_bring_the_first_refresh_token(
    serve: Serve, make: Make, clock: ManualClock, tmp_path: Path
) -> None:
    simulator = serve(oauth_refresh="omit")
    token = refresh_token_of(simulator, make(simulator))
    (tmp_path / "state" / "tokens.json").unlink()
    client = make(simulator, refresh_token=token)
    ask(client)
    clock.advance(HOUR_S)
    ask(client)
    assert [r.endpoint for r in simulator.log.calls(ok=True)] == ["token", "token", "stations", "token", "stations"]


def test_without_any_consent_nothing_is_called(serve: Serve, make: Make) -> None:
    simulator = serve()
    with pytest.raises(ConsentNeeded, match="pvms login"):
        ask(make(simulator))
    assert len(simulator.log) == 0


def test_a_revoked_consent_stops_everybody_until_the_next(serve: Serve, make: Make) -> None:
    simulator = serve()
    client = make(simulator)
    connect(simulator, client)
    simulator.oauth.revoke(OWNER)
    with pytest.raises(ConsentNeeded, match="the owner revokes it"):
        ask(client)
    assert [r.endpoint for r in simulator.log] == ["token", "stations", "token"]
    for other in (client, make(simulator)):
        with pytest.raises(ConsentNeeded, match=r"refused on 2026-06-10 12:00 UTC.*pvms login"):
            ask(other)
    assert len(simulator.log) == 3
    connect(simulator, make(simulator))
    ask(client)


def test_a_new_refresh_token_in_the_settings_ends_the_stop(serve: Serve, make: Make) -> None:
    simulator = serve()
    client = make(simulator)
    connect(simulator, client)
    simulator.oauth.revoke(OWNER)
    with pytest.raises(ConsentNeeded):
        ask(client)
    token = refresh_token_of(simulator, make(simulator, state="elsewhere"))
    ask(make(simulator, refresh_token=token))


@pytest.mark.parametrize(
    ("refused", "error"),
    [("invalid_client", OAuthClientRefused), ("unsupported_grant_type", OAuthRefused), ("invalid_scope", OAuthRefused)],
)
def test_the_token_apis_refusals_reach_the_caller(
    serve: Serve, make: Make, refused: str, error: type[errors.NorthboundError]
) -> None:
    simulator = serve(oauth_refused=refused)
    client = make(simulator, refresh_token="from-elsewhere")
    with pytest.raises(error) as stopped:
        ask(client)
    assert type(stopped.value) is error
    assert refused in str(stopped.value)
    (call,) = client.ledger.calls()
    assert (call.endpoint, call.outcome) == ("oauth_token", error.outcome)


def test_a_wrong_client_secret_is_tried_once_until_it_is_corrected(
    serve: Serve, make: Make, clock: ManualClock
) -> None:
    simulator = serve()
    connect(simulator, make(simulator))
    clock.advance(HOUR_S)
    for _ in range(3):
        with pytest.raises(OAuthClientRefused, match="SMARTPVMS_CLIENT_SECRET"):
            ask(make(simulator, client_secret="mistyped"))
    assert len(simulator.log.calls("token", ok=False)) == 1
    ask(make(simulator))


def test_a_token_that_stays_dead_costs_one_refresh(serve: Serve, make: Make) -> None:
    simulator = serve(kill_session=True)
    client = make(simulator)
    connect(simulator, client)
    with pytest.raises(errors.SessionExpired, match="revoked the consent"):
        ask(client)
    assert [r.endpoint for r in simulator.log] == ["token", "stations", "token", "stations"]


def test_a_permission_that_lacks_is_the_owners_to_give(serve: Serve, make: Make) -> None:
    simulator = serve()
    client = make(simulator)
    connect(simulator, client, CONTROL)
    for again in ("", "asked again from 2026-06-11"):
        with pytest.raises(errors.PermissionDenied, match=r"this app > Basic APIs") as stopped:
            ask(client)
        assert again in str(stopped.value)
        assert "Northbound Management" not in str(stopped.value)
    assert len(simulator.log.calls("stations")) == 1
    simulator.oauth.set_scopes(OWNER, BASIC)
    client.forget_denials()
    ask(client)
    assert len(simulator.log.calls("token")) == 1


def test_a_code_is_good_for_five_minutes_and_once(serve: Serve, make: Make, clock: ManualClock) -> None:
    simulator = serve()
    session = session_of(make(simulator))
    late, twice = (simulator.oauth.consent(now=clock.now().timestamp()) for _ in range(2))
    session.exchange(twice, why="in time")
    clock.advance(301)
    for code in (late, twice):
        with pytest.raises(ConsentNeeded, match="five minutes"):
            session.exchange(code, why="too late, or again")
    assert session.grant().refresh_token, "a failed login leaves the working one alone"


PROGRAM = """
import sys
from pathlib import Path
from pipelines.northbound.client import Client
from pipelines.northbound.oauth_app import OAuthApp
url, client_id, secret, refresh_token, state, calls = sys.argv[1:]
app = OAuthApp(client_id=client_id, client_secret=secret, oauth_url=url, refresh_token=refresh_token)
print("ready", flush=True)
sys.stdin.readline()
with Client(base_url=url, oauth=app, account="north", state_dir=Path(state), flow_control="oauth") as client:
    for _ in range(int(calls)):
        client.call("stations", {"pageNo": 1}, why="one of several processes")
"""


@pytest.mark.slow
def test_six_processes_that_need_a_token_at_once_refresh_once(world: World, tmp_path: Path) -> None:
    with Simulator(world, faults=Faults(oauth_refresh="rotate")) as simulator:
        setup = simulator.oauth.setup
        code = simulator.oauth.consent(now=simulator.clock.now().timestamp())
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": setup.redirect_uri}
        secret = {"client_id": setup.client_id, "client_secret": setup.client_secret}
        answer = simulator.oauth.token({**form, **secret}, simulator.clock.now().timestamp())
        first = json.loads(answer.body)["refresh_token"]
        arguments = (simulator.base_url, setup.client_id, setup.client_secret, first, str(tmp_path / "state"), "3")
        started = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
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
        assert len(simulator.log.calls("token")) == 1
        assert len(simulator.log.calls("stations", ok=True)) == 18
        assert not simulator.log.calls("stations", ok=False)
