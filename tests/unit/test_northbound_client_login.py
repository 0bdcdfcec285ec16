"""Login and token over real HTTP: one session, kept, renewed, refused."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from northbound_clients import BODY, DAY, Make, clock, make, outcomes, server
from northbound_loopback import RELOGIN, Loopback, Say, logged_in, refused, rows

from pipelines.northbound import errors
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.judge import said_by_server
from pipelines.northbound.ledger import FleetCounts

__all__ = ["clock", "make", "server"]


@pytest.mark.parametrize(
    "headers",
    [
        (("XSRF-TOKEN", "t"),),
        (("xsrf-token", "t"),),
        (("Set-Cookie", "XSRF-TOKEN=t; Path=/; Secure"),),
        (("Set-Cookie", "JSESSIONID=x; Path=/"), ("Set-Cookie", "xsrf-token=t")),
    ],
)
def test_the_token_comes_by_header_or_cookie_in_any_case(server: Loopback, make: Make, headers: Any) -> None:
    server.say("login", logged_in(headers=headers))
    server.say(DAY, rows())
    make().call(DAY, BODY, why="w")
    assert server.calls(DAY)[0].headers["xsrf-token"] == "t"
    assert "cookie" not in server.calls(DAY)[0].headers


def test_a_login_without_a_token_is_not_repeated(server: Loopback, make: Make) -> None:
    server.say("login", logged_in(headers=()))
    with pytest.raises(errors.BadAnswer, match="no token"):
        make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 1


def test_a_second_client_uses_the_same_token(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    make().call(DAY, BODY, why="w")
    make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 1


def test_an_idle_token_is_replaced_without_a_call_lost_on_it(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say("login", logged_in("one"), logged_in("two"))
    server.say(DAY, rows())
    client = make()
    client.call(DAY, BODY, why="w")
    clock.advance(29 * 60)
    client.call(DAY, BODY, why="w")  # prolongs it
    clock.advance(29 * 60)
    client.call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 1
    clock.advance(31 * 60)
    client.call(DAY, BODY, why="w")
    assert [each.headers["xsrf-token"] for each in server.calls(DAY)] == ["one", "one", "one", "two"]


def test_a_token_is_as_old_as_the_call_that_used_it_and_its_age_is_no_theft(
    server: Loopback, make: Make, clock: ManualClock
) -> None:
    server.say("login", logged_in("one"), logged_in("two"), logged_in("three"), logged_in("four"))
    client = make()

    def slow(_: Any) -> Say:
        clock.advance(60)
        return rows()

    server.say(DAY, slow)
    client.call(DAY, BODY, why="w")
    # The server reckons from when the call came, a minute before its answer.
    clock.advance(29 * 60 + 1)
    server.say(DAY, rows())
    client.call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 2, "the first token's time was over"
    for _ in range(2):
        # Found dead a little early by this machine's clock: nobody stole it, however often.
        clock.advance(29 * 60 + 30)
        server.say(DAY, RELOGIN, rows())
        client.call(DAY, BODY, why="w")
    assert client._session._cache.get(server.url, "api").ends == ()  # type: ignore[union-attr]


def test_a_stolen_session_does_not_shorten_the_rest_that_the_vendor_asked_for(make: Make, clock: ManualClock) -> None:
    ledger = make().ledger
    for _ in range(4):
        until = ledger.note_busy("main", clock.now(), 429)
        clock.advance((until - clock.now()).total_seconds() + 1)
    now = clock.now()
    until = ledger.note_busy("main", now, 429)
    ledger.note_contested("main", now, now + timedelta(minutes=10))
    counts = FleetCounts(plants=2, devices_by_type={1: 20})
    assert not ledger.allowance("main", DAY, until - timedelta(seconds=1), counts).granted
    ledger.note_contested("main", now, until + timedelta(minutes=5))
    assert not ledger.allowance("main", DAY, until + timedelta(seconds=1), counts).granted


@pytest.mark.parametrize(
    "answer", [refused(407), refused(20056), refused(20013), Say({"success": True, "failCode": 0, "data": None})]
)
def test_a_call_that_was_refused_prolongs_the_token_too(
    server: Loopback, make: Make, clock: ManualClock, answer: Say
) -> None:
    server.say(DAY, rows(), answer, rows())
    client = make()
    client.call(DAY, BODY, why="w")
    clock.advance(20 * 60)
    with pytest.raises(errors.NorthboundError):
        client.call(DAY, BODY, why="w")
    clock.advance(20 * 60)
    server.say("getKpiStationHour", rows())
    client.call("getKpiStationHour", BODY, why="w")
    assert len(server.calls("login")) == 1


@pytest.mark.parametrize("code", [305, "305", 306, 307])
def test_an_ended_session_costs_one_login(server: Loopback, make: Make, code: int | str) -> None:
    server.say("login", logged_in("one"), logged_in("two"))
    server.say(DAY, Say({"failCode": code, "immediately": True, "message": "USER_MUST_RELOGIN"}), rows())
    client = make()
    client.call(DAY, BODY, why="w")
    assert [each.headers["xsrf-token"] for each in server.calls(DAY)] == ["one", "two"]
    assert outcomes(client) == [("login", "ok"), (DAY, "session_expired"), ("login", "ok"), (DAY, "ok")]


def test_a_session_that_keeps_ending_is_not_chased(server: Loopback, make: Make) -> None:
    server.say("login", logged_in("one"), logged_in("two"), logged_in("three"))
    server.say(DAY, RELOGIN, RELOGIN, rows())
    with pytest.raises(errors.SessionExpired, match="other program"):
        make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 2, "the first login and one more"
    # Whoever calls next doesn't begin with a token that is known to be dead.
    make().call(DAY, BODY, why="w")
    assert [each.headers["xsrf-token"] for each in server.calls(DAY)] == ["one", "two", "three"]


def test_a_session_that_another_process_has_renewed_costs_no_login(
    server: Loopback, make: Make, clock: ManualClock
) -> None:
    server.say("login", logged_in("one"), logged_in("two"))
    server.say(DAY, rows())
    first = make()
    first.call(DAY, BODY, why="w")

    def ended_meanwhile(_: Any) -> Say:
        # While the call with token one is under way, somebody else finds it dead and logs in.
        other = make()
        other._session.renew("one", why="as another process would")
        return RELOGIN

    server.say(DAY, ended_meanwhile, rows())
    first.call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 2, "the first, and the other's"
    assert server.calls(DAY)[-1].headers["xsrf-token"] == "two"


def test_an_ended_session_takes_no_seat_of_the_quota(server: Loopback, make: Make) -> None:
    server.say("login", logged_in("one"), logged_in("two"))
    server.say("getStationRealKpi", RELOGIN, rows())
    client = make()
    client.call("getStationRealKpi", {"stationCodes": "NE=1"}, why="w")  # one call per five minutes
    assert client.allowance("getStationRealKpi").used == 1


def test_many_threads_log_in_once(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    client = make()
    start = threading.Barrier(6)
    failures: list[Exception] = []

    def work() -> None:
        start.wait()
        try:
            client.call(DAY, BODY, why="w")
        except errors.NorthboundError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(server.calls("login")) == 1, "the others waited for its token"
    assert len(server.calls(DAY)) == 6


@pytest.mark.parametrize(
    "answer",
    [
        refused(20400, "user.login.user_or_value_invalid"),
        refused("20001"),
        refused(20403),
        refused(30029),
        Say(b""),
        Say(b"{}"),
    ],
)
def test_a_refused_login_is_never_repeated(server: Loopback, make: Make, clock: ManualClock, answer: Say) -> None:
    server.say("login", answer)
    client = make()
    with pytest.raises(errors.LoginRefused) as first:
        client.call(DAY, BODY, why="w")
    clock.advance(3600)
    with pytest.raises(errors.LoginRefused, match="isn't tried again") as second:
        make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 1
    assert first.value.code == second.value.code
    assert "SMARTPVMS_PASSWORD" in second.value.describe()
    assert not first.value.transient


def test_another_secret_or_a_word_of_the_user_opens_a_refused_account(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    server.say("login", refused(20400))
    with pytest.raises(errors.LoginRefused):
        make().call(DAY, BODY, why="w")
    server.say("login", logged_in())
    make(password="corrected").call(DAY, BODY, why="w")
    assert server.calls("login")[-1].body["systemCode"] == "corrected"

    server.say(DAY, RELOGIN, rows())
    server.say("login", refused(20400))
    with pytest.raises(errors.LoginRefused):
        make().call(DAY, BODY, why="w")
    server.say("login", logged_in())
    client = make()
    client.forget_refusal()
    client.call(DAY, BODY, why="w")


def test_five_logins_in_ten_minutes_and_no_more(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say("login", *[logged_in(f"t{number}") for number in range(9)])
    server.say(DAY, rows())
    for number in range(5):
        client = make()
        client.call(DAY, BODY, why="w")
        client._session._cache.drop_token(server.url, "api", f"t{number}")
    with pytest.raises(errors.QuotaExhausted) as stopped:
        make().call(DAY, BODY, why="w")
    assert stopped.value.endpoint == "login"
    assert len(server.calls("login")) == 5
    assert stopped.value.next_at == clock.now() + timedelta(minutes=10)
    clock.advance(600)
    make().call(DAY, BODY, why="w")


def test_a_login_that_is_called_too_often_is_left_alone(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say("login", refused(407, data="ACCESS_FREQUENCY_IS_TOO_HIGH"))
    with pytest.raises(errors.QuotaExhausted) as stopped:
        make().call(DAY, BODY, why="w")
    assert stopped.value.next_at == clock.now() + timedelta(seconds=120)
    with pytest.raises(errors.QuotaExhausted):
        make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 1


def test_logout_ends_the_session_for_all(server: Loopback, make: Make) -> None:
    server.say("login", logged_in("one"), logged_in("two"))
    server.say(DAY, rows())
    server.say("logout", Say({"success": True, "data": None, "failCode": 0, "message": None}))
    client = make()
    client.logout()
    assert not server.calls("logout"), "there was no session to end"
    client.call(DAY, BODY, why="w")
    client.logout()
    assert server.calls("logout")[0].body["xsrftoken"] == "one"
    make().call(DAY, BODY, why="w")
    assert server.calls(DAY)[-1].headers["xsrf-token"] == "two"


def test_a_logout_that_comes_too_late_is_no_error(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    server.say("logout", refused(20004))
    client = make()
    client.call(DAY, BODY, why="w")
    client.logout()
    assert outcomes(client)[-1] == ("logout", "ok")


@pytest.mark.parametrize("secret", ['x"y', "pä1", 'pa"ss\\w ö&d', "a/b+c=d&e"])
@pytest.mark.parametrize("write", [str, json.dumps, quote, quote_plus])
def test_a_secret_that_a_server_quotes_is_hidden_however_it_is_written(
    secret: str, write: Callable[[str], str]
) -> None:
    said = said_by_server(f"bad request: {write(secret)}!", (secret,))
    assert write(secret).strip('"') not in said
    assert "***" in said
