"""The simulator's answers have the shapes of the reference's examples, and it refuses what the reference refuses."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from simulator_desk import DAY_MS, HOUR_MS, NOW_MS, Desk, SmallWorld, logged_in, ms

from pipelines.simulator.endpoints import HANDLERS
from pipelines.simulator.protocol import READ_ENDPOINTS

FIXTURES = Path(__file__).parent.parent / "fixtures" / "reference"
PLANTS = "NE=0,NE=1"
INVERTERS = "-1000,-1001"
SPAN = {"startTime": NOW_MS - HOUR_MS, "endTime": NOW_MS}

GOOD: dict[str, dict[str, Any]] = {
    "stations": {"pageNo": 1},
    "getDevList": {"stationCodes": PLANTS},
    "getStationRealKpi": {"stationCodes": PLANTS},
    "getDevRealKpi": {"devIds": INVERTERS, "devTypeId": "1"},
    "getDevHistoryKpi": {"devIds": INVERTERS, "devTypeId": 1, **SPAN},
    "getAlarmList": {
        "stationCodes": PLANTS,
        "sns": "SN0",
        "beginTime": str(NOW_MS - 30 * DAY_MS),
        "endTime": str(NOW_MS),
        "language": "en_US",
        "levels": "1,2,3,4",
        "devTypes": "1,38,62",
    },
    **{
        f"getKpiStation{period}": {"stationCodes": PLANTS, "collectTime": NOW_MS}
        for period in ("Hour", "Day", "Month", "Year")
    },
    **{f"getDevKpi{p}": {"devIds": INVERTERS, "devTypeId": 1, "collectTime": NOW_MS} for p in ("Day", "Month", "Year")},
}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return logged_in(SmallWorld(devices={1: 12, 10: 1, 38: 2, 39: 2, 47: 1, 62: 1}))


def fixture(endpoint: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / f"{endpoint}.json").read_text())
    return found


def kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def shape_errors(example: Any, ours: Any, where: str = "") -> list[str]:
    """List where ``ours`` lacks a key of the example or has a value of another type; null fits any."""
    if example is None or ours is None:
        return []
    if kind(example) != kind(ours):
        return [f"{where}: {kind(ours)} instead of {kind(example)}"]
    if isinstance(example, list):
        return [error for one in ours for error in shape_errors(example[0], one, f"{where}[]")] if example else []
    if not isinstance(example, dict) or where.endswith(
        "dataItemMap"
    ):  # which items, and as what, is the world's affair
        return []
    errors = [f"{where}.{key}: missing" for key in example if key not in ours]
    for key in example.keys() & ours.keys():
        errors += shape_errors(example[key], ours[key], f"{where}.{key}")
    return sorted(errors)


def test_shape_errors_tells_a_missing_key_and_a_wrong_type() -> None:
    example = {"data": [{"devId": 1, "dataItemMap": {"a": 1.0}}], "failCode": 0}
    assert shape_errors(example, {"data": [{"devId": 2, "dataItemMap": {}}], "failCode": 0}) == []
    assert shape_errors(example, {"data": [{"dataItemMap": []}], "failCode": "0"}) == [
        ".data[].dataItemMap: list instead of dict",
        ".data[].devId: missing",
        ".failCode: str instead of number",
    ]


def test_every_endpoint_of_the_reference_has_a_handler_an_example_and_a_case_here() -> None:
    assert set(HANDLERS) == set(READ_ENDPOINTS) == set(GOOD)
    assert {path.stem for path in FIXTURES.glob("*.json")} == {*READ_ENDPOINTS, "login", "logout"}


@pytest.mark.parametrize("endpoint", READ_ENDPOINTS)
def test_success_has_the_examples_shape(desk: Desk, endpoint: str) -> None:
    ours = desk.ask(endpoint, GOOD[endpoint])
    example = fixture(endpoint)["success"]
    assert ours["success"] is True and ours["failCode"] == 0
    assert set(ours) == set(example), "the envelope's keys"
    assert ours["data"], "an empty answer would prove nothing"
    assert shape_errors(example, ours) == []


@pytest.mark.parametrize("endpoint", READ_ENDPOINTS)
def test_refusal_has_the_examples_shape(desk: Desk, endpoint: str) -> None:
    broken = {"stations": {"pageNo": 1, "gridConnectedStartTime": -1}}.get(endpoint, {**GOOD[endpoint]})
    for key in ("stationCodes", "devIds", "sns"):
        if key in broken:
            broken[key] = ""
    ours = desk.ask(endpoint, broken)
    example = fixture(endpoint)["error"]
    assert ours["success"] is False and ours["data"] is None and ours["failCode"] > 0
    assert set(ours) == set(example)
    assert shape_errors(example, ours) == []


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if e != "stations"])
def test_params_echo_the_request_and_tell_the_servers_time(desk: Desk, endpoint: str) -> None:
    params = desk.ask(endpoint, {**GOOD[endpoint], "nobody": "knows"})["params"]
    assert params.pop("currentTime") == NOW_MS
    expected = {k: int(v) if k in ("beginTime", "endTime") else v for k, v in GOOD[endpoint].items()}
    assert params == expected


def test_login_has_the_examples_shape() -> None:
    fresh = Desk()
    assert fresh.login(password="wrong").keys() == fixture("login")["error"].keys()
    assert fresh.login() == fixture("login")["success"]


def test_logout_has_the_examples_shape() -> None:
    fresh = logged_in()
    for key in ("xsrfToken", "xsrftoken"):
        fresh.login()
        answer = fresh.ask("logout", {key: fresh.token})
        assert answer == {**fixture("logout")["success"], "params": {key: fresh.token, "currentTime": NOW_MS}}
        assert fresh.ask("stations", {"pageNo": 1})["failCode"] == 305
    again = fresh.ask("logout", {"xsrfToken": fresh.token})
    assert again == {**fixture("logout")["error"], "params": {"currentTime": NOW_MS}}


# Rows


def test_kpi_rows_hold_what_the_reference_lists(desk: Desk) -> None:
    history = desk.ask("getDevHistoryKpi", GOOD["getDevHistoryKpi"])["data"]
    assert [set(row) for row in history] == [{"devId", "sn", "collectTime", "dataItemMap"}] * 26
    assert history[0]["collectTime"] == NOW_MS - HOUR_MS and history[12]["collectTime"] == NOW_MS
    plants = desk.ask("getKpiStationDay", GOOD["getKpiStationDay"])["data"]
    assert [set(row) for row in plants] == [{"stationCode", "collectTime", "dataItemMap"}] * 2
    realtime = desk.ask("getStationRealKpi", GOOD["getStationRealKpi"])["data"]
    assert realtime[0] == {"stationCode": "NE=0", "dataItemMap": {"day_power": "10.000", "real_health_state": "3"}}


def test_negative_ids_and_served_serial_numbers_pass_through(desk: Desk) -> None:
    meter = next(d for d in desk.world.devices if d.type_id == 47)
    row = desk.ask("getDevRealKpi", {"devIds": str(meter.id), "devTypeId": 47})["data"][0]
    assert (row["devId"], row["sn"], row["dataItemMap"]["close_time"]) == (meter.id, "null", "N/A")


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if e.startswith("getKpi")])
def test_one_instant_is_read_in_each_plants_own_zone(endpoint: str) -> None:
    desk = logged_in()
    instant = ms(datetime(2025, 12, 31, 23, 30, tzinfo=UTC))
    codes = {"stationCodes": "NE=0,NE=1,NE=2", "collectTime": instant}
    assert desk.code(endpoint, codes) == 0
    local = {"NE=0": date(2026, 1, 1), "NE=1": date(2025, 12, 31), "NE=2": date(2026, 1, 1)}
    parts = {
        "getKpiStationHour": lambda d: (d,),
        "getKpiStationDay": lambda d: (d.year, d.month),
        "getKpiStationMonth": lambda d: (d.year,),
        "getKpiStationYear": lambda d: (),
    }[endpoint]
    assert [asked[1:] for asked in desk.world.asked] == [(code, *parts(day)) for code, day in local.items()]


def test_device_reports_are_read_in_the_zone_of_the_devices_plant() -> None:
    desk = logged_in()
    body = {"devIds": "-1000,-1001", "devTypeId": 1, "collectTime": ms(datetime(2026, 3, 1, 2, tzinfo=UTC))}
    assert desk.code("getDevKpiDay", body) == desk.code("getDevKpiMonth", body) == desk.code("getDevKpiYear", body) == 0
    assert desk.world.asked == [
        ("device_days", -1000, 2026, 3),
        ("device_days", -1001, 2026, 2),
        ("device_months", -1000, 2026),
        ("device_months", -1001, 2026),
        ("device_years", -1000),
        ("device_years", -1001),
    ]


def test_unknown_plants_and_devices_are_left_out_and_an_empty_answer_is_a_list(desk: Desk) -> None:
    some = desk.ask("getStationRealKpi", {"stationCodes": "nobody,NE=1,NE=1"})
    assert [row["stationCode"] for row in some["data"]] == ["NE=1"]
    for endpoint in READ_ENDPOINTS:
        if endpoint == "stations":
            continue
        body = {**GOOD[endpoint], **({"stationCodes": "x"} if "stationCodes" in GOOD[endpoint] else {"devIds": "5"})}
        answer = desk.ask(endpoint, body)
        assert (answer["success"], answer["data"]) == (True, []), endpoint


def test_devices_can_be_named_by_serial_number(desk: Desk) -> None:
    body = {"sns": "SN3,SN0,nobody", "devTypeId": 1}
    answer = desk.ask("getDevRealKpi", body)
    assert [row["devId"] for row in answer["data"]] == [-1003, -1000]
    assert answer["params"] == {**body, "currentTime": NOW_MS}


# Limits and their numbers


def codes(count: int, prefix: str = "NE=") -> str:
    return ",".join(f"{prefix}{n}" for n in range(count))


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if "stationCodes" in GOOD[e]])
def test_at_most_a_hundred_plants(desk: Desk, endpoint: str) -> None:
    assert desk.code(endpoint, {**GOOD[endpoint], "stationCodes": codes(100)}) == 0
    assert desk.code(endpoint, {**GOOD[endpoint], "stationCodes": codes(101)}) == 20014


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if "stationCodes" in GOOD[e] and e != "getAlarmList"])
@pytest.mark.parametrize("nothing", ["", None, " , "])
def test_the_plant_list_may_not_be_empty(desk: Desk, endpoint: str, nothing: str | None) -> None:
    assert desk.code(endpoint, {**GOOD[endpoint], "stationCodes": nothing}) == 20010


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if "devIds" in GOOD[e]])
def test_limits_on_devices(desk: Desk, endpoint: str) -> None:
    most, number = (10, 30031) if endpoint == "getDevHistoryKpi" else (100, 20016)
    good = GOOD[endpoint]
    assert desk.code(endpoint, {**good, "devIds": codes(most, "9")}) == 0
    assert desk.code(endpoint, {**good, "devIds": codes(most + 1, "9")}) == number
    by_sn = {key: value for key, value in good.items() if key != "devIds"}
    assert desk.code(endpoint, {**by_sn, "sns": codes(most + 1, "S")}) == number
    assert desk.code(endpoint, {**good, "devIds": ""}) == desk.code(endpoint, by_sn) == 20011


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if "devTypeId" in GOOD[e]])
def test_device_types(desk: Desk, endpoint: str) -> None:
    good = GOOD[endpoint]
    assert desk.code(endpoint, {**good, "devTypeId": 62}) == 20013
    assert desk.code(endpoint, {**good, "devTypeId": 38}) == 20006
    assert desk.code(endpoint, {key: value for key, value in good.items() if key != "devTypeId"}) == 20013
    assert desk.code(endpoint, {**good, "devTypeId": "one"}) == 30030
    mixed = {**good, "devIds": "-1000,-1013"}  # an inverter and a residential one
    assert desk.code(endpoint, mixed) == 20006


@pytest.mark.parametrize(
    ("kind_", "endpoint", "expected"),
    [
        (60092, "getDevRealKpi", 0),
        (60092, "getDevHistoryKpi", 20013),
        (60092, "getDevKpiDay", 20013),
        (10, "getDevHistoryKpi", 0),
        (10, "getDevKpiDay", 20013),
        (41, "getDevKpiYear", 0),
        (23070, "getDevRealKpi", 20013),
    ],
)
def test_each_api_serves_its_own_list_of_types(desk: Desk, kind_: int, endpoint: str, expected: int) -> None:
    assert desk.code(endpoint, {**GOOD[endpoint], "devIds": "999", "devTypeId": kind_}) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"startTime": None}, 20012),
        ({"endTime": ""}, 20012),
        ({"startTime": -1}, 20605),
        ({"startTime": NOW_MS + 1}, 20023),
        ({"startTime": NOW_MS}, 0),
        ({"startTime": NOW_MS - 72 * HOUR_MS}, 0),
        ({"startTime": NOW_MS - 72 * HOUR_MS - 1}, 30032),
        ({"startTime": "soon"}, 30030),
        ({"endTime": 10**18}, 30030),
        ({"startTime": True}, 30030),
    ],
)
def test_history_window(desk: Desk, change: dict[str, Any], expected: int) -> None:
    assert desk.code("getDevHistoryKpi", {**GOOD["getDevHistoryKpi"], **change}) == expected


@pytest.mark.parametrize("endpoint", [e for e in READ_ENDPOINTS if "collectTime" in GOOD[e]])
def test_collect_time(desk: Desk, endpoint: str) -> None:
    good = GOOD[endpoint]
    assert desk.code(endpoint, {key: value for key, value in good.items() if key != "collectTime"}) == 20012
    # As the examples of 5.1.4.2 and 5.1.4.3 have it.
    assert desk.code(endpoint, {**good, "collectTime": -1677051223000}) == 20012
    assert desk.code(endpoint, {**good, "collectTime": str(NOW_MS)}) == 0
    assert desk.code(endpoint, {**good, "collectTime": 10**17}) == 30030


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"stationCodes": "", "sns": ""}, 20055),
        ({"language": None}, 20024),
        ({"language": "xx_XX"}, 20025),
        ({"beginTime": None}, 20012),
        ({"beginTime": -5}, 20605),
        ({"beginTime": NOW_MS + 1}, 20023),
        ({"beginTime": NOW_MS - 31 * DAY_MS}, 0),
        ({"beginTime": NOW_MS - 31 * DAY_MS - 1}, 20027),
        ({"levels": "5"}, 30030),
        ({"devTypes": "41"}, 30030),
        ({"stationCodes": "", "sns": codes(101, "S")}, 20016),
    ],
)
def test_alarm_parameters(desk: Desk, change: dict[str, Any], expected: int) -> None:
    assert desk.code("getAlarmList", {**GOOD["getAlarmList"], **change}) == expected


def test_alarm_windows_of_any_length_by_a_switch() -> None:
    desk = logged_in(alarm_span_ms=None)
    assert desk.code("getAlarmList", {**GOOD["getAlarmList"], "beginTime": 0}) == 0


def test_alarms_are_chosen_by_plant_first_then_serial_number_severity_type_and_time(desk: Desk) -> None:
    def found(**change: Any) -> list[str]:
        body = {"beginTime": NOW_MS - 31 * DAY_MS, "endTime": NOW_MS, "language": "en_US", **change}
        return [alarm["esnCode"] for alarm in desk.ask("getAlarmList", body)["data"]]

    all_of_plant = [d.sn for d in desk.world.devices if d.plant_code == "NE=1"]
    assert found(stationCodes="NE=1") == found(stationCodes="NE=1", sns="SN0") == all_of_plant
    assert found(sns="SN0,SN5") == ["SN0", "SN5"]
    assert found(sns="SN0,SN1,SN4,SN5", levels="1") == ["SN0", "SN4"]
    assert found(sns="SN0,SN12,SN13", devTypes="10") == ["SN12"]
    assert found(sns="SN0,SN1,SN2", endTime=NOW_MS - DAY_MS) == ["SN1", "SN2"]
    assert found(sns="SN0,SN1,SN2", beginTime=NOW_MS - DAY_MS) == ["SN0", "SN1"]


# The plant list's pages


def test_pages_cover_every_plant_once() -> None:
    desk = logged_in(SmallWorld(plants=130, devices={}))
    for size, count in ((10, 13), (20, 7), (30, 5), (50, 3), (100, 2), (None, 2)):
        seen = []
        for page in range(1, count + 1):
            body = {"pageNo": page} if size is None else {"pageNo": page, "pageSize": size}
            data = desk.ask("stations", body)["data"]
            assert (data["pageNo"], data["pageSize"], data["pageCount"], data["total"]) == (
                page,
                size or 100,
                count,
                130,
            )
            seen += [plant["plantCode"] for plant in data["list"]]
        assert seen == [plant.code for plant in desk.world.plants]
        assert desk.ask("stations", {"pageNo": count + 1, "pageSize": size or 100})["data"]["list"] == []


def test_an_account_without_plants_gets_an_empty_list_and_no_pages() -> None:
    data = logged_in(SmallWorld(plants=0, devices={})).ask("stations", {"pageNo": 1})["data"]
    assert (data["list"], data["pageCount"], data["total"]) == ([], 0, 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 30004),
        ({"pageNo": -1}, 30021),
        ({"pageNo": 1, "pageSize": 99}, 30006),
        ({"pageNo": 1, "pageSize": None}, 30005),
        ({"pageNo": "one"}, 30030),
        ({"pageNo": 1, "gridConnectedStartTime": -1}, 20605),
        ({"pageNo": 1, "gridConnectedStartTime": 5, "gridConnectedEndTime": 5}, 20604),
        ({"pageNo": 1, "gridConnectedStartTime": NOW_MS}, 20606),
        ({"pageNo": 1, "gridConnectedEndTime": NOW_MS}, 0),
    ],
)
def test_page_parameters(desk: Desk, body: dict[str, Any], expected: int) -> None:
    assert desk.code("stations", body) == expected


def test_plants_by_grid_connection(desk: Desk) -> None:
    second = ms(datetime(2024, 1, 2, tzinfo=UTC))

    def connected(**window: int) -> list[str]:
        return [p["plantCode"] for p in desk.ask("stations", {"pageNo": 1, **window})["data"]["list"]]

    assert connected(gridConnectedStartTime=second) == ["NE=1", "NE=2"]
    assert connected(gridConnectedEndTime=second) == ["NE=0", "NE=1"]
    assert connected(gridConnectedStartTime=second, gridConnectedEndTime=second + 1) == ["NE=1"]


# What is no proper request


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"text"'])
def test_a_body_that_is_no_object_is_a_wrong_parameter(desk: Desk, content: bytes) -> None:
    assert desk.ask("getDevList", content)["failCode"] == 30030


def test_lists_must_be_text(desk: Desk) -> None:
    assert desk.code("getDevList", {"stationCodes": ["NE=0"]}) == 30030
    assert desk.code("getDevRealKpi", {"devIds": -1000, "devTypeId": 1}) == 0


def test_other_paths_do_not_exist(desk: Desk) -> None:
    assert desk.service.handle("/thirdData/getNothing", {}, b"{}").status == 404
    assert desk.service.handle("/getDevList", {}, b"{}").status == 404


@pytest.mark.parametrize("old", ["getStationList", "getDevFiveMinutes"])
def test_retired_endpoints_answer_401_as_newer_servers_do(desk: Desk, old: str) -> None:
    assert desk.ask(old, {}) == {
        "data": None,
        "failCode": 401,
        "message": "Unauthorized",
        "params": {},
        "success": False,
    }
