"""Tokens and logins: one session per account, thirty minutes, five logins, five wrong passwords."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_desk import NOW_MS, Desk, logged_in

from pipelines.simulator.flow import FlowControl
from pipelines.simulator.view import Account

RELOGIN = {"failCode": 305, "immediately": True, "message": "USER_MUST_RELOGIN"}
WRONG = {
    "success": False,
    "data": None,
    "failCode": 20400,
    "message": "user.login.user_or_value_invalid",
    "params": {"currentTime": NOW_MS},
}
PAGE = {"pageNo": 1}


def test_without_a_token_or_with_a_foreign_one_the_answer_is_the_short_305() -> None:
    desk = logged_in()
    assert desk.ask("stations", PAGE, {}) == RELOGIN
    assert desk.ask("stations", PAGE, {"xsrf-token": "x-other"}) == RELOGIN
    assert desk.ask("getStationList", PAGE, {}) == RELOGIN


def test_the_cookie_alone_is_no_token() -> None:
    desk = logged_in()
    assert desk.ask("stations", PAGE, {"cookie": f"XSRF-TOKEN={desk.token}"}) == RELOGIN


def test_an_access_token_beside_the_sessions_token_is_refused() -> None:
    desk = logged_in()
    assert desk.token
    both = {"xsrf-token": desk.token, "authorization": "Bearer abc"}
    assert desk.ask("stations", PAGE, both) == RELOGIN
    alone = desk.ask("stations", PAGE, {"authorization": "Bearer abc"})
    assert alone == {"failCode": 305, "success": False, "message": "INVALID_CREDENTIAL"}
    assert desk.code("stations", PAGE) == 0, "the session itself lives on"


def test_a_login_ends_the_accounts_other_session_and_nobody_elses() -> None:
    desk = Desk(accounts=(Account("other", "secret"),))
    desk.login("other")
    others = desk.token
    desk.login()
    first = desk.token
    desk.login()
    assert first and others and first != desk.token
    assert desk.ask("stations", PAGE, {"xsrf-token": first}) == RELOGIN
    assert desk.ask("stations", PAGE, {"xsrf-token": others})["failCode"] == 0
    assert desk.code("stations", PAGE) == 0


def test_a_wrong_login_leaves_the_running_session_alone() -> None:
    desk = logged_in()
    assert desk.login(password="wrong") == WRONG
    assert desk.code("stations", PAGE) == 0


def test_a_token_lives_thirty_minutes_from_its_last_use() -> None:
    desk = logged_in()
    for _ in range(4):
        desk.clock.advance(29 * 60)
        assert desk.code("stations", PAGE) == 0
    desk.clock.advance(30 * 60 + 1)
    assert desk.ask("stations", PAGE) == RELOGIN


@pytest.mark.parametrize("window", ["rolling", "day", "bucket"])
def test_the_sixth_login_within_ten_minutes_is_407(window: Any) -> None:
    desk = Desk(flow=FlowControl("dynamic", window))
    for _ in range(5):
        assert desk.login()["failCode"] == 0
        desk.clock.advance(60)
    sixth = desk.login()
    assert (sixth["failCode"], sixth["data"], sixth["success"]) == (407, "ACCESS_FREQUENCY_IS_TOO_HIGH", False)
    assert desk.code("stations", PAGE) == 0, "a refused login ends no session"
    desk.clock.advance(5 * 60)
    assert desk.login()["failCode"] == 0


def test_without_flow_control_logins_are_not_counted() -> None:
    desk = Desk()
    assert [desk.login()["failCode"] for _ in range(20)] == [0] * 20


def test_logouts_are_counted_too() -> None:
    desk = Desk(flow=FlowControl("dynamic"))
    desk.login()
    desk.clock.advance(599)
    codes = []
    for number in range(6):  # the first login is ten minutes old when the sixth comes, so only logouts are too many
        if number:
            desk.clock.advance(0.5)
            assert desk.login()["failCode"] == 0
        codes.append(desk.ask("logout", {"xsrfToken": desk.token})["failCode"])
    assert codes == [0, 0, 0, 0, 0, 407]


def test_five_wrong_passwords_lock_the_account_for_half_an_hour() -> None:
    desk = Desk()
    for _ in range(5):
        assert desk.login(password="wrong") == WRONG
    assert desk.login()["failCode"] == 20400, "the right password doesn't help"
    desk.clock.advance(30 * 60 - 1)
    assert desk.login()["failCode"] == 20400
    desk.clock.advance(1)
    assert desk.login()["failCode"] == 0


def test_wrong_passwords_must_be_in_a_row_and_within_ten_minutes() -> None:
    desk = Desk()
    for _ in range(3):
        for _ in range(4):
            desk.login(password="wrong")
        assert desk.login()["failCode"] == 0
    for _ in range(6):
        desk.login(password="wrong")
        desk.clock.advance(151)
    assert desk.login()["failCode"] == 0


@pytest.mark.parametrize(("user", "password"), [("nobody", "secret"), ("", ""), ("demo", "geheim-ß")])
def test_a_login_that_is_refused_does_not_say_why(user: str, password: str) -> None:
    desk = Desk()
    assert desk.login(user, password) == WRONG
    assert desk.token is None


def test_an_account_sees_only_its_own_plants_and_devices() -> None:
    desk = Desk(accounts=(Account("branch", "secret", frozenset({"NE=1"})),))
    desk.login("branch")
    assert [p["plantCode"] for p in desk.ask("stations", PAGE)["data"]["list"]] == ["NE=1"]
    listed = desk.ask("getDevList", {"stationCodes": "NE=0,NE=1,NE=2"})["data"]
    assert listed and {device["stationCode"] for device in listed} == {"NE=1"}
    assert desk.ask("getDevRealKpi", {"devIds": "-1000", "devTypeId": 1})["data"] == []
    alarms = {"sns": "SN0,SN1", "beginTime": 0, "endTime": NOW_MS, "language": "en_US"}
    assert desk.ask("getAlarmList", {**alarms, "beginTime": NOW_MS - 10**9})["data"][0]["esnCode"] == "SN1"
