"""Flow control: the formulas of 4.1, 4.2 and 6.2, three kinds of window, and what a refusal looks like."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_desk import Desk, SmallWorld, logged_in

from pipelines.simulator.flow import DAY, POLICIES, WINDOWS, Counts, FlowControl, limit_of
from pipelines.simulator.protocol import READ_ENDPOINTS
from pipelines.simulator.view import Account

MIDNIGHT = 1_780_000_000 - 1_780_000_000 % DAY
SMALL = Counts(20, {1: 20, 17: 20})
LARGE = Counts(120, {1: 120, 17: 120})


@pytest.mark.parametrize(
    ("endpoint", "small", "large", "seconds"),
    [
        # The reference's own examples; the device reports don't serve meters, so those are not counted there.
        ("stations", 34, 44, DAY),
        ("getDevList", 25, 26, DAY),
        ("getStationRealKpi", 1, 2, 300),
        ("getDevRealKpi", 2, 4, 300),
        ("getDevHistoryKpi", 28, 48, DAY),
        ("getAlarmList", 2, 4, 1800),
        ("getKpiStationHour", 25, 26, DAY),
        ("getKpiStationDay", 25, 26, DAY),
        ("getKpiStationMonth", 25, 26, DAY),
        ("getKpiStationYear", 25, 26, DAY),
        ("getDevKpiDay", 25, 26, DAY),
        ("getDevKpiMonth", 25, 26, DAY),
        ("getDevKpiYear", 25, 26, DAY),
    ],
)
def test_dynamic_limits(endpoint: str, small: int, large: int, seconds: int) -> None:
    for counts, calls in ((SMALL, small), (LARGE, large)):
        limit = limit_of("dynamic", endpoint, counts)
        assert limit is not None
        assert (limit.calls, limit.seconds, limit.counter) == (calls, seconds, endpoint)


def test_only_types_that_an_api_serves_are_counted() -> None:
    counts = Counts(1, {1: 11, 39: 1, 46: 500, 62: 1, 60092: 1})
    calls = {name: limit_of("dynamic", name, counts) for name in READ_ENDPOINTS}
    assert {n: limit.calls for n, limit in calls.items() if limit and n.startswith(("getDev", "getAlarm"))} == {
        "getDevList": 25,
        "getDevRealKpi": 3,
        "getDevHistoryKpi": 2 + 1 + 24,
        "getAlarmList": 1 + 1 + 5 + 1 + 1,
        "getDevKpiDay": 26,
        "getDevKpiMonth": 26,
        "getDevKpiYear": 26,
    }


def test_alarms_take_the_larger_of_plants_and_devices() -> None:
    limit = limit_of("dynamic", "getAlarmList", Counts(301, {1: 150}))
    assert limit is not None and limit.calls == 4


def test_static_oauth_and_none() -> None:
    for endpoint in READ_ENDPOINTS:
        static, oauth = limit_of("static", endpoint, LARGE), limit_of("oauth", endpoint, LARGE)
        assert static is not None and oauth is not None
        expected = {"getStationRealKpi": 30, "getDevHistoryKpi": 1}.get(endpoint, 10)
        assert (static.calls, static.seconds, static.counter) == (expected, 60, endpoint)
        assert (oauth.calls, oauth.seconds, oauth.counter) == (1000, DAY, "basic APIs")
        assert limit_of("none", endpoint, LARGE) is None


def admitted(flow: FlowControl, times: list[float], endpoint: str = "getDevHistoryKpi") -> list[float]:
    """The instants, of those given, at which a call was let through; times are seconds after a midnight UTC."""
    return [at for at in times if flow.admit("demo", endpoint, SMALL, MIDNIGHT + at)]


def test_rolling_window() -> None:
    flow = FlowControl("dynamic", "rolling")
    assert len(admitted(flow, [3600.0] * 30)) == 28
    assert admitted(flow, [DAY - 1, DAY, 3600 + DAY - 0.1]) == []
    assert len(admitted(flow, [3600.0 + DAY] * 30)) == 28


def test_calendar_day() -> None:
    flow = FlowControl("dynamic", "day")
    assert len(admitted(flow, [DAY - 10.0] * 30)) == 28
    assert len(admitted(flow, [DAY - 0.5])) == 0
    assert len(admitted(flow, [float(DAY)] * 30)) == 28


def test_bucket_refills_evenly() -> None:
    flow = FlowControl("dynamic", "bucket")
    assert len(admitted(flow, [0.0] * 30)) == 28
    pace = DAY / 28
    assert admitted(flow, [pace - 1, pace, pace, 2 * pace - 1, 2 * pace]) == [pace, 2 * pace]
    assert len(admitted(flow, [40.0 * DAY] * 60)) == 28, "it holds no more than a period's calls"


def test_bucket_with_a_small_burst_shows_the_spacing_that_users_saw() -> None:
    """Asked every ten minutes, a server let the yearly report through after 50 or 60, 57.6 on average."""
    flow = FlowControl("dynamic", "bucket", burst=2)
    times = admitted(flow, [600.0 * n for n in range(2 * 24 * 6)], "getKpiStationYear")[2:]
    gaps = [round((later - sooner) / 60) for sooner, later in pairwise(times)]
    assert set(gaps) == {50, 60}
    assert sum(gaps) / len(gaps) == pytest.approx(57.6, abs=0.5)


@given(
    window=st.sampled_from(WINDOWS),
    steps=st.lists(st.floats(0, 40_000), min_size=1, max_size=120),
)
def test_no_window_lets_more_through_than_twice_its_limit_in_a_day(window: Any, steps: list[float]) -> None:
    flow, now, passed = FlowControl("dynamic", window), 0.0, []
    for step in steps:
        now += step
        passed += admitted(flow, [now])
    most = max(sum(1 for other in passed if at <= other < at + DAY) for at in passed)
    assert most <= (28 if window == "rolling" else 2 * 28)


@given(steps=st.lists(st.floats(0, 20_000), max_size=80))
def test_who_keeps_the_even_pace_is_never_refused_by_any_window(steps: list[float]) -> None:
    pace = DAY / 28
    for window in WINDOWS:
        flow, now, times = FlowControl("dynamic", window), 0.0, []
        for step in steps:
            now += pace + step
            times.append(now)
        assert admitted(flow, times) == times


def test_counters_are_kept_apart_by_account_and_endpoint_but_shared_under_oauth() -> None:
    flow = FlowControl("dynamic")
    one = Counts(1, {})
    assert [flow.admit("a", "getStationRealKpi", one, MIDNIGHT) for _ in range(2)] == [True, False]
    assert flow.admit("b", "getStationRealKpi", one, MIDNIGHT)
    assert flow.admit("a", "getDevList", one, MIDNIGHT)
    shared = FlowControl("oauth")
    passed = sum(shared.admit("a", endpoint, one, MIDNIGHT) for endpoint in READ_ENDPOINTS for _ in range(100))
    assert passed == 1000
    assert shared.admit("b", "stations", one, MIDNIGHT)


@pytest.mark.parametrize("wrong", [{"policy": "never"}, {"window": "week"}, {"burst": 0}])
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown|at least one"):
        FlowControl(**wrong)


def test_a_refusal_tells_its_reason_in_data_and_takes_no_row() -> None:
    desk = logged_in(SmallWorld(), flow=FlowControl("dynamic"))
    body = {"stationCodes": "NE=0"}
    assert desk.code("getStationRealKpi", body) == 0
    refused = desk.ask("getStationRealKpi", body)
    assert refused.pop("params") == {**body, "currentTime": int(desk.clock.now().timestamp() * 1000)}
    assert refused == {
        "success": False,
        "failCode": 407,
        "data": "ACCESS_FREQUENCY_IS_TOO_HIGH",
        "message": None,
    }
    assert [(r.fail_code, r.rows) for r in desk.log.calls("getStationRealKpi")] == [(0, 1), (407, 0)]
    desk.clock.advance(300)
    assert desk.code("getStationRealKpi", body) == 0


def test_a_call_with_wrong_parameters_costs_one_and_a_call_without_session_none() -> None:
    desk = logged_in(flow=FlowControl("dynamic"))
    assert desk.ask("getStationRealKpi", {"stationCodes": "NE=0"}, {})["failCode"] == 305
    assert desk.code("getStationRealKpi", {}) == 20010
    assert desk.code("getStationRealKpi", {"stationCodes": "NE=0"}) == 407


def test_each_account_has_the_limits_of_what_it_sees() -> None:
    world = SmallWorld(plants=101, devices={})
    desk = Desk(world, flow=FlowControl("dynamic"), accounts=(Account("branch", "secret", frozenset({"NE=1"})),))
    for user, expected in (("demo", [0, 0, 407]), ("branch", [0, 407, 407])):
        desk.login(user)
        assert [desk.code("getStationRealKpi", {"stationCodes": "NE=1"}) for _ in range(3)] == expected


def test_every_policy_and_window_serves_a_first_call_of_each_endpoint() -> None:
    for policy in POLICIES:
        for window in WINDOWS:
            flow = FlowControl(policy, window)
            assert all(flow.admit("demo", endpoint, SMALL, MIDNIGHT) for endpoint in READ_ENDPOINTS)
