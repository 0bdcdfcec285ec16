"""The client over real HTTP against a server that says what the test wants it to say."""

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from northbound_loopback import CURRENT_TIME_MS, RELOGIN, Loopback, Say, logged_in, refused, rows

from pipelines.northbound import errors
from pipelines.northbound.client import ATTEMPTS, Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts
from schemas.endpoints import ENDPOINTS

SECRET = "a-very-secret-word"
DAY = "getKpiStationDay"
BODY = {"stationCodes": "NE=1", "collectTime": 1_501_862_400_000}
Make = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        server.say("login", logged_in())
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(server: Loopback, clock: ManualClock, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as open_clients:

        def one(**changes: Any) -> Client:
            settings: dict[str, Any] = {
                "base_url": server.url,
                "username": "api",
                "password": SECRET,
                "account": "main",
                "state_dir": tmp_path / "state",
                "clock": clock,
            }
            client = Client(**{**settings, **changes})
            client.counts = FleetCounts(plants=2, devices_by_type={1: 20, 47: 2})
            return open_clients.enter_context(client)

        yield one


def outcomes(client: Client) -> list[tuple[str, str | None]]:
    return [(call.endpoint, call.outcome) for call in client.ledger.calls()]


# --- a good answer -------------------------------------------------------------------------------------------


def test_an_answer_keeps_the_rows_as_they_came(server: Loopback, make: Make) -> None:
    text = '[{"stationCode":"NE=1",  "collectTime":1,"dataItemMap":{"x":1.10}}]'
    server.say(
        DAY, Say(f'{{"success":true,"failCode":0,"data":{text},"params":{{"currentTime":"{CURRENT_TIME_MS}"}}}}')
    )
    client = make()
    answer = client.call(DAY, BODY, why="a test")
    assert answer.data == text.encode()
    assert (answer.rows, answer.endpoint, answer.request) == (1, DAY, BODY)
    assert answer.server_time == datetime.fromtimestamp(CURRENT_TIME_MS / 1000, UTC)
    (login, call) = client.ledger.calls()
    assert (login.endpoint, login.outcome, login.asked) == ("login", "ok", "login")
    assert (call.outcome, call.fail_code, call.rows, call.bytes) == ("ok", 0, 1, answer.bytes)
    assert (call.why, json.loads(call.asked), call.account) == ("a test", BODY, "main")


def test_the_request_is_what_the_reference_asks_for(server: Loopback, make: Make) -> None:
    server.say(DAY, Say(rows({"a": 1}).raw(), packed=True))
    make().call(DAY, BODY, why="w")
    login, call = server.heard
    assert login.path == "/thirdData/login"
    assert login.body == {"userName": "api", "systemCode": SECRET}
    assert call.path == "/thirdData/getKpiStationDay"
    assert call.body == BODY
    assert call.headers["xsrf-token"] == "token-1"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["accept-encoding"] == "gzip"
    assert call.headers["user-agent"].startswith("smartpvms-warehouse")
    assert "cookie" not in call.headers
    assert login.connection == call.connection, "one connection for both"


def test_an_empty_list_is_an_answer(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    assert make().call(DAY, BODY, why="w").data == b"[]"


def test_without_a_time_in_the_answer_the_date_header_counts(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say(DAY, Say({"success": True, "failCode": 0, "data": []}))
    found = make().call(DAY, BODY, why="w").server_time
    assert abs(found - datetime.now(UTC)) < timedelta(hours=1)
    assert found != clock.now()


# --- login and token -----------------------------------------------------------------------------------------


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
    server.say(DAY, RELOGIN)
    with pytest.raises(errors.SessionExpired, match="other program"):
        make().call(DAY, BODY, why="w")
    assert len(server.calls("login")) == 2, "the first login and one more"


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


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, errors.PermissionDenied),
        ("402", errors.PermissionDenied),
        (20056, errors.PlantNotAuthorized),
        (20622, errors.PlantNotAuthorized),
        (20013, errors.RequestRejected),
        (99999, errors.RequestRejected),
    ],
)
def test_a_permanent_refusal_is_raised_at_once(
    server: Loopback, make: Make, code: int | str, kind: type[errors.NorthboundError]
) -> None:
    server.say(DAY, refused(code, "in other words"))
    client = make()
    with pytest.raises(kind, match="in other words") as stopped:
        client.call(DAY, BODY, why="w")
    assert (stopped.value.code, stopped.value.transient, stopped.value.endpoint) == (int(code), False, DAY)
    assert len(server.calls(DAY)) == 1
    assert client.ledger.calls()[-1].fail_code == int(code)
    assert client.allowance(DAY).used == 1, "a refused call counts"


@pytest.mark.parametrize(
    "answer",
    [
        Say({"success": False, "failCode": 407, "data": "ACCESS_FREQUENCY_IS_TOO_HIGH", "message": None}),
        Say({"success": False, "failCode": "407", "data": None, "message": "ACCESS_FREQUENCY_IS_TOO_HIGH"}),
        refused(20618, "ACCESS_FREQUENCY_IS_TOO_HIGH"),
    ],
)
def test_called_too_often_closes_the_endpoint_for_one_pace(
    server: Loopback, make: Make, clock: ManualClock, answer: Say
) -> None:
    server.say(DAY, answer, rows())
    pace = timedelta(days=1) / 25
    client = make()
    with pytest.raises(errors.QuotaExhausted, match="ACCESS_FREQUENCY_IS_TOO_HIGH") as stopped:
        client.call(DAY, BODY, why="w")
    assert isinstance(stopped.value.__cause__, errors.RateLimited)
    assert stopped.value.next_at == clock.now() + pace
    with pytest.raises(errors.QuotaExhausted):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1, "the second never left"
    clock.advance(pace.total_seconds())
    client.call(DAY, BODY, why="w")
    assert client.allowance(DAY).next_at == clock.now() + pace, "spaced from now on"
    assert client.allowance("getKpiStationHour").granted, "the others aren't"


@pytest.mark.parametrize(
    "answer",
    [
        Say({"errorCode": "49401021002", "exceptionInfo": "Request is rejected by api quotaControl."}, status=403),
        Say("<html>busy</html>", status=503, content_type="text/html"),
        refused(429),
        refused(20200),
        Say(b"", status=429),
    ],
)
def test_a_busy_system_is_given_a_minute_then_longer(
    server: Loopback, make: Make, clock: ManualClock, answer: Say
) -> None:
    server.say(DAY, answer, rows({"a": 1}), answer)
    client = make()
    assert client.call(DAY, BODY, why="w").rows == 1
    assert clock.slept == [60.0], "a minute is worth waiting for"
    assert outcomes(client)[1:] == [(DAY, "system_busy"), (DAY, "ok")]
    rests = []
    for _ in range(6):
        with pytest.raises(errors.QuotaExhausted) as stopped:
            client.call(DAY, BODY, why="w")
        assert isinstance(stopped.value.__cause__, errors.SystemBusy)
        assert stopped.value.next_at is not None
        rests.append((stopped.value.next_at - clock.now()).total_seconds() / 60)
        clock.advance(rests[-1] * 60)
    assert rests == [3, 10, 30, 60, 60, 60], "the first minute was waited out within the call"
    assert clock.slept == [60.0, 60.0]


def test_the_whole_account_rests_in_every_process(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say(DAY, Say(b"", status=429))
    server.say("getKpiStationHour", rows({"a": 1}))
    with pytest.raises(errors.QuotaExhausted):
        make().call(DAY, BODY, why="w")
    heard = len(server.heard)
    other = make()
    found = other.allowance("getKpiStationHour")
    assert (found.granted, found.closed_by, found.next_at) == (False, "pause", clock.now() + timedelta(minutes=3))
    with pytest.raises(errors.QuotaExhausted, match="account rests"):
        other.call("getKpiStationHour", BODY, why="w")
    assert make(account="another").allowance("getKpiStationHour").granted
    clock.advance(150)
    assert other.call("getKpiStationHour", BODY, why="w").rows == 1, "half a minute is waited for"
    assert clock.slept[-1] == 30.0
    assert len(server.heard) == heard + 1, "no call went out inside the rest"
    assert other.allowance(DAY).granted
    with pytest.raises(errors.QuotaExhausted):
        other.call(DAY, BODY, why="w")
    assert clock.slept[-1] == 60.0, "a success has made the rest short again"


def test_nobody_waits_for_a_busy_system_when_the_quota_is_gone_anyway(
    server: Loopback, make: Make, clock: ManualClock
) -> None:
    server.say("getAlarmList", Say(b"", status=403))
    client = make()
    client.counts = FleetCounts(plants=1)
    with pytest.raises(errors.QuotaExhausted) as stopped:
        client.call("getAlarmList", {"stationCodes": "NE=1"}, why="w")
    assert isinstance(stopped.value.__cause__, errors.SystemBusy)
    assert stopped.value.next_at == clock.now() + timedelta(minutes=30)
    assert clock.slept == []


@pytest.mark.parametrize(
    "answer",
    [
        Say("<html>maintenance</html>", content_type="text/html"),
        Say(b""),
        Say('{"success":true,"data":[{"a":1}'),
        Say(rows({"a": "x" * 5000}).raw(), cut=True),
        Say("<html>oops</html>", status=502, content_type="text/html"),
        refused(20004),
    ],
)
def test_what_may_pass_is_tried_a_few_times(server: Loopback, make: Make, clock: ManualClock, answer: Say) -> None:
    server.say(DAY, answer, rows({"a": 1}))
    client = make()
    assert client.call(DAY, BODY, why="w").rows == 1
    server.say(DAY, answer)
    with pytest.raises(errors.TransportError) as stopped:
        client.call(DAY, BODY, why="w")
    assert stopped.value.transient
    assert len(server.calls(DAY)) == 2 + ATTEMPTS
    assert client.allowance(DAY).used == 2 + ATTEMPTS, "every try is in the ledger"
    assert 0 < clock.slept[0] < clock.slept[2] < 30


@pytest.mark.parametrize(
    "body",
    [
        '{"success":true,"failCode":0,"data":null}',
        '{"success":true,"failCode":0}',
        '{"success":true,"failCode":0,"data":{"list":[]}}',
        '{"success":false,"failCode":0,"data":[]}',
        '{"success":true,"failCode":"many","data":[]}',
        '{"failCode":0,"data":[]}',
    ],
)
def test_a_whole_answer_of_another_shape_is_neither_empty_nor_repeated(server: Loopback, make: Make, body: str) -> None:
    server.say(DAY, Say(body))
    with pytest.raises(errors.BadAnswer, match="unexpected shape"):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1


@pytest.mark.parametrize("body", ["[]", "null", "{}", '{"hello":1}', "3"])
def test_json_of_somebody_else_is_no_answer(server: Loopback, make: Make, body: str) -> None:
    server.say(DAY, Say(body))
    with pytest.raises(errors.BadAnswer):
        make().call(DAY, BODY, why="w")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Say("<html>", status=404, content_type="text/html"), errors.WrongAddress),
        (Say(b"", status=302, headers=(("Location", "https://elsewhere.example/"),)), errors.WrongAddress),
        (Say("nope", status=400), errors.RequestRejected),
    ],
)
def test_http_statuses_without_an_answer(
    server: Loopback, make: Make, answer: Say, kind: type[errors.NorthboundError]
) -> None:
    server.say(DAY, answer)
    with pytest.raises(kind):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1


def test_a_success_that_names_a_code_is_a_refusal(server: Loopback, make: Make) -> None:
    server.say(DAY, Say({"success": True, "failCode": 20009, "data": []}))
    with pytest.raises(errors.RequestRejected):
        make().call(DAY, BODY, why="w")


def test_json_that_calls_itself_something_else_is_taken(server: Loopback, make: Make) -> None:
    server.say(DAY, Say(rows({"a": 1}).raw(), content_type="text/plain"))
    assert make().call(DAY, BODY, why="w").rows == 1


# --- before a call leaves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [("getStationList", "stations"), ("getDevFiveMinutes", "getDevHistoryKpi")])
def test_old_endpoints_lead_to_the_new_ones(server: Loopback, make: Make, old: str, new: str) -> None:
    with pytest.raises(errors.RequestInvalid, match=new):
        make().call(old, {}, why="w")
    server.say(new, refused(401, "Invalid access to current interface!"))
    with pytest.raises(errors.PermissionDenied, match=old):
        make().call(new, {}, why="w")
    assert ENDPOINTS[new].replaces == old
    assert not server.calls(old)


def test_login_and_unknown_names_are_no_calls(server: Loopback, make: Make) -> None:
    for name in ("login", "logout", "nonsense"):
        with pytest.raises(errors.RequestInvalid):
            make().call(name, {}, why="w")
    assert not server.heard


def test_a_used_up_quota_costs_not_even_a_login(server: Loopback, make: Make, clock: ManualClock) -> None:
    client = make()
    client.counts = FleetCounts(plants=1)
    server.say("getStationRealKpi", rows())
    client.call("getStationRealKpi", {"stationCodes": "NE=1"}, why="w")
    client._session._cache.drop_token(server.url, "api", "token-1")
    with pytest.raises(errors.QuotaExhausted) as stopped:
        client.call("getStationRealKpi", {"stationCodes": "NE=1"}, why="w")
    assert stopped.value.next_at == clock.now() + timedelta(minutes=5)
    assert len(server.heard) == 2


# --- the plant list and the device list ----------------------------------------------------------------------


def page(number: int, pages: int, total: int, *codes: str) -> Say:
    data = {
        "list": [{"plantCode": code, "plantName": "p"} for code in codes],
        "pageNo": number,
        "pageCount": pages,
        "pageSize": 100,
        "total": total,
    }
    return Say({"success": True, "failCode": 0, "data": data, "message": "get plant list success"})


def test_all_pages_of_the_plant_list(server: Loopback, make: Make) -> None:
    server.say("stations", page(1, 2, 3, "a", "b"), page(2, 2, 3, "c"))
    client = make()
    answers = client.plants(why="w")
    assert [json.loads(each.data) for each in answers] == [
        [{"plantCode": "a", "plantName": "p"}, {"plantCode": "b", "plantName": "p"}],
        [{"plantCode": "c", "plantName": "p"}],
    ]
    assert [each.body for each in server.calls("stations")] == [{"pageNo": 1}, {"pageNo": 2}]
    assert client.counts.plants == 3
    assert client.counts.devices_by_type == {1: 20, 47: 2}


@pytest.mark.parametrize("answer", [page(1, 0, 0), page(1, 1, 0), rows()])
def test_an_account_without_plants(server: Loopback, make: Make, answer: Say) -> None:
    server.say("stations", answer)
    (found,) = make().plants(why="w")
    assert found.data == "[]"


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(1, 2, 3, "a", "b"), page(1, 2, 3, "a", "b")], "page 2 was asked for"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 4, "c", "d")], "announced 3 plants"),
        ([page(1, 2, 3, "a", "b"), page(2, 3, 3, "c")], "announced 3 plants"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 3)], "page 2 of 2 is empty"),
        ([page(1, 1, 3, "a", "b")], "3 plants were announced and 2 came"),
        ([page(1, 1, 1, "a", "b")], "1 plants were announced and 2 came"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 3, "b")], "came twice"),
        ([page(1, 1_000_000, 3, "a", "b")], "pages were announced"),
        ([page(0, 1, 1, "a")], "page 1 was asked for"),
    ],
)
def test_a_list_that_does_not_add_up_is_refused(server: Loopback, make: Make, pages: list[Say], why: str) -> None:
    server.say("stations", *pages)
    with pytest.raises(errors.IncompleteList, match=why):
        make().plants(why="w")


@pytest.mark.parametrize(
    "data", [{"list": []}, {"list": None, "pageNo": 1, "pageCount": 1, "total": 0}, None, [{"plantCode": "a"}]]
)
def test_a_plant_list_without_its_frame_is_refused(server: Loopback, make: Make, data: Any) -> None:
    server.say("stations", Say({"success": True, "failCode": 0, "data": data}))
    with pytest.raises(errors.BadAnswer, match="unexpected shape"):
        make().plants(why="w")


def test_devices_are_asked_for_by_hundreds(server: Loopback, make: Make) -> None:
    server.say("getDevList", rows({"id": 1}))
    client = make()
    codes = [f"NE={number}" for number in range(130)]
    assert len(client.devices(codes, why="w")) == 2
    first, second = server.calls("getDevList")
    assert first.body["stationCodes"].split(",") + second.body["stationCodes"].split(",") == codes
    asked = json.loads(client.ledger.calls()[1].asked)["stationCodes"]
    assert asked.startswith("NE=0,NE=1,")
    assert asked.endswith("(100)")


# --- secrets -------------------------------------------------------------------------------------------------


def test_no_secret_shows_up_anywhere(
    server: Loopback, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "token-that-nobody-may-see"
    server.say("login", logged_in(token))
    client = make()
    texts = [repr(client), repr(client.__dict__), repr(client._session.__dict__)]
    for answer in (
        refused(20013, f"you sent {SECRET} with {token}"),
        Say(f"<p>{SECRET}{token}", content_type="text/html"),
    ):
        server.say(DAY, answer)
        with pytest.raises(errors.NorthboundError) as stopped:
            client.call(DAY, BODY, why="w")
        texts += [
            repr(stopped.value),
            errors.describe_error(stopped.value),
            "".join(traceback.format_exception(stopped.value)),
        ]
    server.say("login", refused(20400, f"wrong: {SECRET}"))
    client._session._cache.drop_token(server.url, "api", token)
    with pytest.raises(errors.LoginRefused) as refusal:
        client.call(DAY, BODY, why="w")
    texts += [refusal.value.describe(), caplog.text, repr(client._session._cache.get(server.url, "api"))]
    everything = "\n".join(texts)
    assert SECRET not in everything
    assert token not in everything
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert SECRET.encode() not in on_disk
    ledger = b"".join(path.read_bytes() for path in (tmp_path / "state").glob("ledger*"))
    assert token.encode() not in ledger
