"""Every fault that the simulator can play does what its line of help says, and no more."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from simulator_desk import DAY_MS, NOW, NOW_MS, Desk, SmallWorld, logged_in
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.simulator.faults import Faults, FaultState, describe_faults, parse_faults
from pipelines.simulator.flow import FlowControl
from pipelines.simulator.sessions import LOCK_SECONDS
from pipelines.simulator.strikes import When
from pipelines.simulator.view import Account

PAGE = {"pageNo": 1}
STRIKE_FIELDS = [item.name for item in fields(Faults) if item.metadata.get("strike")]
LOGIN_STRIKES = [name for name in STRIKE_FIELDS if name.startswith("login_")]
READ_STRIKES = [name for name in STRIKE_FIELDS if not name.startswith("login_")]
STRIKES = [f"{name}=stations,every=2" for name in READ_STRIKES] + [f"{name}=once" for name in LOGIN_STRIKES]
UNAUTHORIZED = {"data": None, "failCode": 401, "message": "Unauthorized", "params": {}, "success": False}


def test_no_faults_by_default() -> None:
    assert parse_faults([]) == Faults()
    assert Faults().deny == frozenset() and Faults().slow == 0


def test_text_form_of_each_fault() -> None:
    texts = [
        "deny=getDevHistoryKpi",
        "deny=getAlarmList",
        "unauthorized_plant=NE=33554785",
        "string_fail_codes",
        "empty-login-refusal",
        "header_token=upper",
        "oauth_refresh=rotate",
        "oauth_refused=invalid_client",
        "oauth-no-state",
        "cut_short_paging",
        "http_500_every=3",
        "http_503_once",
        "quota_control_403_once=getDevList",
        "too_many_429_once",
        "html_once",
        "empty_body_once",
        "cut_body_once",
        "kill_session_every=5",
        "slow=0.25",
        *STRIKES,
        "token_minutes=5",
        "slow_body_seconds=0.5",
        "vanish_plant=NE=1,from=2026-06-01,until=2026-06-03,as=NE=2",
        "seed=7",
    ]
    assert parse_faults(texts) == Faults(
        deny={"getDevHistoryKpi", "getAlarmList"},
        unauthorized_plant="NE=33554785",
        string_fail_codes=True,
        empty_login_refusal=True,
        header_token="upper",
        oauth_refresh="rotate",
        oauth_refused="invalid_client",
        oauth_no_state=True,
        cut_short_paging=True,
        http_500_every=3,
        http_503_once=True,
        quota_control_403_once="getDevList",
        too_many_429_once=True,
        html_once=True,
        empty_body_once=True,
        cut_body_once=True,
        kill_session_every=5,
        slow=0.25,
        token_minutes=5,
        slow_body_seconds=0.5,
        vanish_plant="NE=1,from=2026-06-01,until=2026-06-03,as=NE=2",
        seed=7,
        **{name: When(endpoint="stations", every=2) for name in READ_STRIKES},
        **dict.fromkeys(LOGIN_STRIKES, "times=1"),
    )
    named = {text.replace("-", "_").split("=")[0] for text in texts}
    assert named == {item.name for item in fields(Faults)}, "a fault without its text form here"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "known: .*deny, unauthorized_plant"),
        ("deny", "deny=ENDPOINT"),
        ("deny=stations,as=getDevList", "deny takes no as"),
        ("deny=stations,when=now", r"deny: it is written ENDPOINT\[,account=USER\]\[,from=DATE\]"),
        ("html=getNothing", "known: stations"),
        ("html=often", "known: stations"),
        ("html=rate=2", "html.*probability"),
        ("html=every=0", "from 1 on"),
        ("html=apart=soon", "apart takes a number"),
        ("html=ever=3", "html=.*no condition is called 'ever'|no endpoint is called"),
        ("login_html=stations", "a login has no endpoint"),
        ("drop=from=June", "from takes a date"),
        ("drop=from=2026-06-02,until=2026-06-01", "until must come after from"),
        ("vanish_plant=from=2026-06-01", "vanish_plant: it is written CODE"),
        ("token_minutes=0", "minutes above 0"),
        ("deny=getNothing", "known: stations, getDevList"),
        ("html_once=login", "known: stations"),
        ("unauthorized_plant=", "unauthorized_plant=CODE"),
        ("string_fail_codes=yes", "takes no value"),
        ("http_500_every=often", "takes a number"),
        ("http_500_every=0", "from 1 on"),
        ("slow=-1", "from 0 on"),
        ("slow=nan", "from 0 on"),
        ("header_token=crooked", "lower, upper, cookie_only, header_only"),
    ],
)
def test_wrong_texts_say_what_is_known(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_faults([text])


def test_the_help_lists_every_fault_as_it_is_written() -> None:
    lines = dict(describe_faults())
    assert len(lines) == len(fields(Faults)) and all(lines.values())
    assert {"html[=WHEN]", "html_once[=ENDPOINT]", "string_fail_codes", "slow=SECONDS"} <= lines.keys()


def test_deny() -> None:
    desk = logged_in(faults=Faults(deny="getDevHistoryKpi"), flow=FlowControl("dynamic"))
    for _ in range(50):
        assert desk.ask("getDevHistoryKpi", {}) == UNAUTHORIZED
    assert desk.code("stations", PAGE) == 0
    assert desk.ask("getDevHistoryKpi", {}, {})["failCode"] == 305, "the session is looked at first"


def test_unauthorized_plant_fails_every_batch_that_holds_it() -> None:
    desk = logged_in(faults=Faults(unauthorized_plant=["NE=1"]))
    time = {"collectTime": 1}
    span = {"startTime": 0, "endTime": 1}
    alarm = {"beginTime": 0, "endTime": 1, "language": "en_US"}
    for endpoint, body, holds, spares in (
        ("getDevList", {}, {"stationCodes": "NE=0,NE=1"}, {"stationCodes": "NE=0,NE=2"}),
        ("getStationRealKpi", {}, {"stationCodes": "NE=1"}, {"stationCodes": "NE=0"}),
        ("getKpiStationDay", time, {"stationCodes": "NE=2,NE=1"}, {"stationCodes": "NE=0"}),
        ("getAlarmList", alarm, {"stationCodes": "NE=1"}, {"stationCodes": "NE=2"}),
        ("getAlarmList", alarm, {"sns": "SN0,SN1"}, {"sns": "SN0"}),
        ("getDevRealKpi", {"devTypeId": 1}, {"devIds": "-1000,-1001"}, {"devIds": "-1000"}),
        ("getDevHistoryKpi", {"devTypeId": 1, **span}, {"devIds": "-1001"}, {"devIds": "-1000"}),
        ("getDevKpiYear", {"devTypeId": 1, **time}, {"devIds": "-1001"}, {"devIds": "-1000"}),
    ):
        refused = desk.ask(endpoint, {**body, **holds})
        assert (refused["failCode"], refused["message"], refused["data"]) == (20056, None, None), endpoint
        assert desk.code(endpoint, {**body, **spares}) == 0, endpoint
    assert len(desk.ask("stations", PAGE)["data"]["list"]) == 3, "the plant list still names it"


def test_string_fail_codes() -> None:
    desk = Desk(faults=Faults(string_fail_codes=True))
    assert desk.login()["failCode"] == "0"
    assert desk.ask("stations", {})["failCode"] == "30004"
    assert desk.ask("stations", {}, {})["failCode"] == "305"
    assert [record.fail_code for record in desk.log] == [0, 30004, 305]


def test_empty_login_refusal() -> None:
    desk = Desk(faults=Faults(empty_login_refusal=True))
    refused = desk.answer("login", {"userName": "demo", "systemCode": "wrong"})
    assert (refused.status, refused.body) == (200, b"")
    assert desk.login()["failCode"] == 0


@pytest.mark.parametrize(
    ("form", "header", "cookie"),
    [
        (None, "xsrf-token", "XSRF-TOKEN"),
        ("lower", "xsrf-token", "xsrf-token"),
        ("upper", "XSRF-TOKEN", "XSRF-TOKEN"),
        ("header_only", "xsrf-token", None),
        ("cookie_only", None, "XSRF-TOKEN"),
    ],
)
def test_header_token(form: Any, header: str | None, cookie: str | None) -> None:
    answer = Desk(faults=Faults(header_token=form)).answer("login", {"userName": "demo", "systemCode": "secret"})
    given = dict(answer.headers)
    assert set(given) == {name for name in (header, cookie and "Set-Cookie") if name}
    if cookie:
        value = given["Set-Cookie"]
        assert value.startswith(f"{cookie}=x-") and value.endswith("; Path=/; Secure")
        assert header is None or given[header] == value.split(";")[0].split("=")[1]


def test_wrong_content_type() -> None:
    answer = logged_in(faults=Faults(wrong_content_type=True)).answer("stations", PAGE)
    assert answer.content_type.startswith("text/plain")
    assert orjson.loads(answer.body)["success"] is True


@pytest.mark.parametrize(("plants", "size"), [(3, 100), (130, 100), (130, 10)])
def test_cut_short_paging_announces_more_than_it_serves(plants: int, size: int) -> None:
    desk = logged_in(SmallWorld(plants=plants, devices={}), faults=Faults(cut_short_paging=True))
    first = desk.ask("stations", {"pageNo": 1, "pageSize": size})["data"]
    pages = [
        desk.ask("stations", {"pageNo": n, "pageSize": size})["data"]["list"] for n in range(1, first["pageCount"] + 1)
    ]
    assert first["total"] == plants and sum(map(len, pages)) == (plants + 1) // 2
    assert first["pageCount"] >= 2 and pages[-1] == []


def test_http_500_every() -> None:
    desk = logged_in(faults=Faults(http_500_every=3))
    assert [desk.answer("stations", PAGE).status for _ in range(6)] == [200, 200, 500, 200, 200, 500]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("http_503_once", 503),
        ("quota_control_403_once", 403),
        ("too_many_429_once", 429),
        ("html_once", 200),
        ("empty_body_once", 200),
        ("cut_body_once", 200),
    ],
)
def test_what_comes_once(fault: str, status: int) -> None:
    desk = Desk(faults=Faults(**{fault: True}))
    assert desk.login()["failCode"] == 0, "a login is spared"
    struck = desk.answer("stations", PAGE)
    assert struck.status == status
    with pytest.raises((orjson.JSONDecodeError, KeyError, AssertionError)):
        assert orjson.loads(struck.body)["success"] is True
    assert desk.code("stations", PAGE) == 0
    assert desk.code("getDevList", {"stationCodes": "NE=0"}) == 0

    aimed = logged_in(faults=Faults(**{fault: "getDevList"}))
    assert aimed.code("stations", PAGE) == 0
    assert aimed.answer("getDevList", {"stationCodes": "NE=0"}).body == struck.body or status in (200, 403)
    assert aimed.log[-1].status == status
    assert aimed.code("getDevList", {"stationCodes": "NE=0"}) == 0


def test_the_whole_systems_quota_control_speaks_another_json() -> None:
    answer = logged_in(faults=Faults(quota_control_403_once=True)).answer("stations", PAGE)
    body = orjson.loads(answer.body)
    assert set(body) == {"errorCode", "exceptionInfo"} and "/stations_POST" in body["exceptionInfo"]


def test_trouble_of_the_whole_system_costs_no_quota_but_a_lost_answer_does() -> None:
    body = {"stationCodes": "NE=0"}
    for fault, then in (("http_503_once", 0), ("too_many_429_once", 0), ("html_once", 407), ("cut_body_once", 407)):
        desk = logged_in(faults=Faults(**{fault: True}), flow=FlowControl("dynamic"))
        desk.answer("getStationRealKpi", body)
        assert desk.code("getStationRealKpi", body) == then, fault


def test_kill_session_every() -> None:
    desk = logged_in(faults=Faults(kill_session_every=3))
    codes = []
    for _ in range(7):
        codes.append(desk.code("stations", PAGE))
        if codes[-1] == 305:
            assert desk.code("stations", PAGE) == 305, "it stays ended until a login"
            desk.login()
    assert codes == [0, 0, 305, 0, 0, 305, 0]


def test_what_is_logged() -> None:
    desk = logged_in(faults=Faults(http_503_once=True, html_once=True))
    for _ in range(3):
        desk.answer("stations", PAGE)
    desk.answer("stations", PAGE, {})
    seen = [(r.endpoint, r.status, r.fail_code, r.rows, r.account, r.ok) for r in desk.log]
    assert seen == [
        ("login", 200, 0, 0, "demo", True),
        ("stations", 503, None, 0, None, False),
        ("stations", 200, None, 3, "demo", False),
        ("stations", 200, 0, 3, "demo", True),
        ("stations", 200, 305, 0, None, False),
    ]
    desk.ask("logout", {"xsrfToken": desk.token})
    bodies = str([record.body for record in desk.log])
    assert "secret" not in bodies and str(desk.token) not in bodies and "'userName': 'demo'" in bodies
    assert desk.log.calls("stations", ok=True) == [desk.log[3]]
    assert len(desk.log.calls(ok=False)) == 3


def struck(desk: Desk, count: int, endpoint: str = "stations") -> list[int]:
    """Which of so many requests the fault of the desk strikes, by their numbers from 1 on."""
    bodies = {"stations": PAGE, "getDevList": {"stationCodes": "NE=0"}}
    return [number for number in range(1, count + 1) if desk.answer(endpoint, bodies[endpoint]).status == 500]


@pytest.mark.parametrize(
    ("when", "numbers"),
    [
        (True, [1, 2, 3, 4, 5, 6]),
        ("stations", [1, 2, 3, 4, 5, 6]),
        ("getDevList", []),
        ("once", [1]),
        ("every=2", [2, 4, 6]),
        ("every=2,times=2", [2, 4]),
        (["every=2", When(every=3)], [2, 3, 4, 6]),
        ("from=2026-06-16", []),
        ("until=2026-06-16", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_when_a_fault_strikes(when: Any, numbers: list[int]) -> None:
    assert struck(logged_in(faults=Faults(http_500=when)), 6) == numbers


def test_a_rate_is_repeatable_and_near_what_it_says() -> None:
    one, again, other = (struck(logged_in(faults=Faults(http_500="rate=0.3", seed=n)), 200) for n in (1, 1, 2))
    assert one == again != other
    assert all(40 <= len(found) <= 80 for found in (one, other))


def test_faults_that_strike_minutes_apart_go_by_the_simulators_clock() -> None:
    desk = logged_in(faults=Faults(http_500="apart=60,from=2026-06-15T11:00,until=2026-06-15T15:00"))
    hits = []
    for minute in range(0, 6 * 60, 20):
        desk.clock.set(NOW + timedelta(minutes=minute))
        hits += [minute] * len(struck(desk, 2))
    assert hits == [60, 120, 180, 240]


def test_faults_in_combination_each_keep_their_own_count() -> None:
    desk = logged_in(faults=Faults(http_502="every=3", html="every=2", too_frequent="getDevList"))
    answers = [desk.answer("stations", PAGE) for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 502, 200, 200, 502]
    assert [record.fault for record in desk.log[1:]] == [None, "html", "http_502", None, "html", "http_502"]
    assert desk.code("getDevList", {"stationCodes": "NE=0"}) == 407


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("too_frequent", "ACCESS_FREQUENCY_IS_TOO_HIGH", None),
        ("too_frequent_null", None, ""),
        ("too_frequent_sentence", None, "The request failed because the user was not authenticated."),
    ],
)
def test_the_three_forms_of_a_407(form: str, data: str | None, message: str | None) -> None:
    desk = logged_in(faults=Faults(**{form: "once"}), flow=FlowControl("dynamic"))
    refused = desk.ask("getDevList", {"stationCodes": "NE=0"})
    assert (refused["failCode"], refused["data"], refused["success"]) == (407, data, False)
    assert refused["message"] == message or refused["message"].startswith(str(message))
    assert desk.code("getDevList", {"stationCodes": "NE=0"}) == 0


def test_a_stolen_session_ends_ours_and_counts_as_the_others_login() -> None:
    desk = logged_in(faults=Faults(steal_session="times=4"), flow=FlowControl("dynamic"))
    codes = []
    for _ in range(4):
        codes.append(desk.code("stations", PAGE))
        desk.login()
    assert codes == [305] * 4
    # Ours and theirs: the account has five logins in ten minutes, whoever makes them.
    assert [record.fail_code for record in desk.log.calls("login")] == [0, 0, 0, 407, 407]


def test_a_token_that_lives_shorter() -> None:
    desk = logged_in(faults=Faults(token_minutes=5))
    for minutes, code in ((4, 0), (4, 0), (6, 305)):
        desk.clock.advance(timedelta(minutes=minutes))
        assert desk.code("stations", PAGE) == code


@pytest.mark.parametrize(
    ("fault", "body", "code"),
    [
        ("login_refused", None, 20400),
        ("login_limited", None, 407),
        ("login_empty", b"", None),
        ("login_html", b"<html>", None),
    ],
)
def test_logins_that_fail_although_the_password_is_right(fault: str, body: bytes | None, code: int | None) -> None:
    desk = Desk(faults=Faults(**{fault: "once"}))
    answer = desk.answer("login", {"userName": "demo", "systemCode": "secret"})
    assert answer.status == 200 and not answer.headers
    assert orjson.loads(answer.body)["failCode"] == code if body is None else answer.body.startswith(body)
    assert desk.log[-1].fail_code == code and desk.log[-1].fault == fault
    assert desk.login()["failCode"] == 0


def test_a_locked_account_refuses_the_right_password_for_half_an_hour() -> None:
    desk = Desk(faults=Faults(login_locked="once"))
    assert desk.login()["failCode"] == 20400
    desk.clock.advance(LOCK_SECONDS - 1)
    assert desk.login()["failCode"] == 20400
    desk.clock.advance(1)
    assert desk.login()["failCode"] == 0


def test_successes_that_hold_nothing_or_something_else() -> None:
    desk = logged_in(
        faults=Faults(empty_data=["stations,once", "getDevList,times=1"], other_shape="getDevList,every=2")
    )
    listed = desk.ask("stations", PAGE)
    assert (listed["success"], listed["data"]["list"], listed["data"]["total"]) == (True, [], 0)
    assert desk.ask("getDevList", {"stationCodes": "NE=0"})["data"] == []
    assert isinstance(desk.ask("getDevList", {"stationCodes": "NE=0"})["data"], dict)
    assert desk.ask("getDevList", {"stationCodes": "NE=0"})["data"]


def test_permissions_come_and_go_at_dates() -> None:
    faults = Faults(
        deny=["getDevList,until=2026-06-16", "getDevList,from=2026-06-17,until=2026-06-18"],
        unauthorized_plant="NE=1,from=2026-06-16",
    )
    desk = logged_in(faults=faults)
    codes = []
    for day in (15, 16, 17, 18):
        desk.clock.set(datetime(2026, 6, day, 12, tzinfo=UTC))
        desk.login()
        codes.append([desk.code("getDevList", {"stationCodes": plants}) for plants in ("NE=0", "NE=0,NE=1")])
    assert codes == [[401, 401], [0, 20056], [401, 401], [0, 20056]]


def test_plants_vanish_and_return_under_the_same_or_another_code() -> None:
    faults = Faults(
        vanish_plant=[
            "NE=0,from=2026-06-16,until=2026-06-18",
            "NE=1,from=2026-06-16,until=2026-06-17,as=NE=11",
            "NE=2,from=2026-06-17,as=NE=22",
        ]
    )
    desk = logged_in(faults=faults)
    time = {"collectTime": 1}
    seen, answered, owners = [], [], []
    for day in (15, 16, 17, 18):
        desk.clock.set(datetime(2026, 6, day, 12, tzinfo=UTC))
        desk.login()
        codes = [plant["plantCode"] for plant in desk.ask("stations", PAGE)["data"]["list"]]
        every = {"stationCodes": "NE=0,NE=1,NE=2,NE=11,NE=22"}
        seen.append(codes)
        answered.append([row["stationCode"] for row in desk.ask("getKpiStationDay", {**every, **time})["data"]])
        owners.append({device["stationCode"] for device in desk.ask("getDevList", every)["data"]})
        month = {"language": "en_US", "beginTime": NOW_MS - 20 * DAY_MS, "endTime": NOW_MS + 5 * DAY_MS}
        alarms = desk.ask("getAlarmList", {**every, **month})["data"]
        assert {alarm["stationCode"] for alarm in alarms} == set(codes)
    assert seen == [["NE=0", "NE=1", "NE=2"], ["NE=2"], ["NE=11", "NE=22"], ["NE=0", "NE=11", "NE=22"]]
    assert answered == [["NE=0", "NE=1", "NE=2"], ["NE=2"], ["NE=11", "NE=22"], ["NE=0", "NE=11", "NE=22"]]
    assert owners == [set(codes) for codes in seen]


def test_what_is_closed_to_one_account_is_open_to_the_others() -> None:
    state = FaultState(parse_faults(["deny=getDevList,account=north", "unauthorized_plant=NE=1,account=north"]))
    assert state.denied("getDevList", 0.0, "north") and not state.denied("getDevList", 0.0, "south")
    assert (state.closed_plants(0.0, "north"), state.closed_plants(0.0, "south")) == ({"NE=1"}, frozenset())
    vanished = FaultState(parse_faults(["vanish_plant=NE=1,account=north", "vanish_plant=NE=2"]))
    assert vanished.listing(0.0, "north").hidden == {"NE=1", "NE=2"}
    assert vanished.listing(0.0, "south").hidden == {"NE=2"}
    assert vanished.faults.plants() == {"NE=1", "NE=2"}


def test_a_further_account_is_read_as_it_is_written() -> None:
    assert Account.read("north:secret") == Account("north", "secret")
    south = Account.read("south:s=1:2,plants=NE=1+NE=2,offset=7")
    assert south == Account("south", "s=1:2", frozenset({"NE=1", "NE=2"}), 7)
    for wrong in ("north", ":secret", "north:", "north:secret,offset=far", "north:secret,plant=NE=1"):
        with pytest.raises(ValueError, match=r"--account is written USER:PASSWORD"):
            Account.read(wrong)


def test_a_plant_that_the_fleet_does_not_have_is_said_and_not_passed_over() -> None:
    wrong = CliRunner().invoke(app, ["simulator", "--fleet", "single", "--fault", "vanish_plant=NE=7"])
    assert wrong.exit_code == 2
    assert "there is no plant NE=7; there is NE=" in wrong.output
    lost = CliRunner().invoke(app, ["simulator", "--fleet", "single", "--fault", "deny=stations,account=north"])
    assert (lost.exit_code, "there is no account north; there is demo" in lost.output) == (2, True)
