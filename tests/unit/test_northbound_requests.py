"""Request bodies: as the reference prints them, and never beyond what it allows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.northbound import requests
from pipelines.northbound.errors import NorthboundError, RequestInvalid
from schemas.endpoints import ENDPOINTS

REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLANTS = [f"NE={number}" for number in range(101)]
DEVICES = list(range(-50, 51))


def from_reference(name: str) -> dict[str, Any]:
    return json.loads((REFERENCE / f"{name}.json").read_text())["request"]


def at(millis: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)


def test_the_plant_list() -> None:
    asked = from_reference("stations")
    start, end = at(asked["gridConnectedStartTime"]), at(asked["gridConnectedEndTime"])
    assert requests.stations_body(1, connected_from=start, connected_until=end) == asked
    assert requests.stations_body(3) == {"pageNo": 3}


@pytest.mark.parametrize(
    ("name", "build"), [("getDevList", requests.devices_body), ("getStationRealKpi", requests.plant_realtime_body)]
)
def test_bodies_that_name_plants(name: str, build: Callable[[list[str]], dict[str, Any]]) -> None:
    asked = from_reference(name)
    assert build(asked["stationCodes"].split(",")) == asked


def test_device_realtime() -> None:
    asked = from_reference("getDevRealKpi")
    assert requests.device_realtime_body(asked["devIds"].split(","), 1) == asked


def test_history() -> None:
    asked = from_reference("getDevHistoryKpi")
    start, end = at(asked["startTime"]), at(asked["endTime"]) + timedelta(milliseconds=1)
    assert requests.history_body(asked["devIds"].split(","), int(asked["devTypeId"]), start, end) == asked


@pytest.mark.parametrize(
    "name",
    [name for name, known in ENDPOINTS.items() if known.section.startswith("5.1.4.")],
)
def test_reports(name: str) -> None:
    asked = from_reference(name)
    kind = asked.get("devTypeId")
    subjects = (asked.get("stationCodes") or asked.get("devIds")).split(",")
    assert requests.report_body(name, subjects, at(asked["collectTime"]), kind and int(kind)) == asked


def test_alarms() -> None:
    asked = from_reference("getAlarmList")
    start, end = NOON - 31 * 24 * HOUR, NOON
    body = requests.alarms_body(["NE=1"], start, end, language="de_DE", severities=(1, 2), device_types=(1, 38))
    assert set(asked) - {"sns"} <= set(body)
    assert body["stationCodes"] == "NE=1"
    assert (at(body["beginTime"]), at(body["endTime"])) == (start, end - timedelta(milliseconds=1))
    assert (body["language"], body["levels"], body["devTypes"]) == ("de_DE", "1,2", "1,38")


def test_a_history_call_carries_three_days_of_ten_devices_and_ends_before_the_next() -> None:
    ids = DEVICES[:10]
    body = requests.history_body(ids, 1, NOON, NOON + 72 * HOUR)
    following = requests.history_body(ids, 1, NOON + 72 * HOUR, NOON + 144 * HOUR)
    assert body["devIds"] == ",".join(map(str, ids))
    assert body["endTime"] + 1 == following["startTime"]


def test_an_autumn_day_of_25_hours_makes_three_local_days_too_long() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, end = datetime(2026, 10, 24, tzinfo=berlin), datetime(2026, 10, 27, tzinfo=berlin)
    with pytest.raises(RequestInvalid, match="72 hours"):
        requests.history_body([1], 1, start, end)
    spring = datetime(2026, 3, 28, tzinfo=berlin), datetime(2026, 3, 31, tzinfo=berlin)
    body = requests.history_body([1], 1, *spring)
    assert body["endTime"] + 1 - body["startTime"] == 71 * 3_600_000


BROKEN: list[tuple[str, Callable[[], Any]]] = [
    ("at most 100", lambda: requests.devices_body(PLANTS)),
    ("at most 100", lambda: requests.plant_realtime_body(PLANTS)),
    ("at most 100", lambda: requests.device_realtime_body(DEVICES, 1)),
    ("at most 10 ", lambda: requests.history_body(DEVICES[:11], 1, NOON, NOON + HOUR)),
    ("at most 100", lambda: requests.report_body("getKpiStationDay", PLANTS, NOON)),
    ("at most 100", lambda: requests.report_body("getDevKpiDay", DEVICES, NOON, 1)),
    ("at most 100", lambda: requests.alarms_body(PLANTS, NOON, NOON + HOUR)),
    ("no plants", lambda: requests.devices_body([])),
    ("no devices", lambda: requests.history_body([], 1, NOON, NOON + HOUR)),
    ("named twice", lambda: requests.devices_body(["a", "a"])),
    ("no plant code", lambda: requests.devices_body(["a,b"])),
    ("no plant code", lambda: requests.devices_body([" "])),
    ("no device id", lambda: requests.history_body(["NE=1"], 1, NOON, NOON + HOUR)),
    ("no device id", lambda: requests.history_body(["1,2"], 1, NOON, NOON + HOUR)),
    ("72 hours", lambda: requests.history_body([1], 1, NOON, NOON + 72 * HOUR + timedelta(milliseconds=1))),
    ("744 hours", lambda: requests.alarms_body(["a"], NOON, NOON + 745 * HOUR)),
    ("before it begins", lambda: requests.history_body([1], 1, NOON, NOON)),
    ("before it begins", lambda: requests.stations_body(1, connected_from=NOON, connected_until=NOON)),
    ("time zone", lambda: requests.history_body([1], 1, NOON.replace(tzinfo=None), NOON)),
    ("before 1970", lambda: requests.report_body("getKpiStationDay", ["a"], datetime(1969, 1, 1, tzinfo=UTC))),
    ("device type 62", lambda: requests.history_body([1], 62, NOON, NOON + HOUR)),
    ("device type 47", lambda: requests.report_body("getDevKpiDay", [1], NOON, 47)),
    ("needs the devices' type", lambda: requests.report_body("getDevKpiDay", [1], NOON)),
    ("takes no device type", lambda: requests.report_body("getKpiStationDay", ["a"], NOON, 1)),
    ("no report", lambda: requests.report_body("getDevList", ["a"], NOON)),
    ("no device type", lambda: requests.device_realtime_body([1], 0)),
    ("language", lambda: requests.alarms_body(["a"], NOON, NOON + HOUR, language="xx_XX")),
    ("severities", lambda: requests.alarms_body(["a"], NOON, NOON + HOUR, severities=(5,))),
    ("numbered from 1", lambda: requests.stations_body(0)),
]


@pytest.mark.parametrize(("why", "build"), BROKEN)
def test_what_the_server_would_refuse_is_refused_here(why: str, build: Callable[[], Any]) -> None:
    with pytest.raises(RequestInvalid, match=why) as stopped:
        build()
    assert isinstance(stopped.value, ValueError)
    assert isinstance(stopped.value, NorthboundError)
    assert "No call was made" in stopped.value.describe()


def test_a_type_beyond_the_list_may_be_asked_for_in_real_time() -> None:
    assert requests.device_realtime_body([1], 23070)["devTypeId"] == "23070"
