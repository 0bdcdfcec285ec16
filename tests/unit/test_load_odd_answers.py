"""Loads over answers that are legal but odd: what must not be lost, invented, settled or blocked by them."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.load.build import build_and_publish
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.transport import Reply
from pipelines.settings import Account, Settings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 5, 31, 22, tzinfo=UTC)
"""When 1 June begins in Berlin, where the plants stand."""

Handler = Callable[[Mapping[str, Any]], list[Any] | int]


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def nothing(_: Mapping[str, Any]) -> list[Any]:
    return []


def plant(code: str = "P1", **other: Any) -> dict[str, Any]:
    place = {"longitude": 12.37, "latitude": 51.34, "gridConnectionDate": "2020-01-01T00:00:00+01:00"}
    return {"plantCode": code, "plantName": code, "capacity": 10.0, **place, **other}


def device(number: int = 1, code: str = "P1", **other: Any) -> dict[str, Any]:
    return {"id": number, "devDn": f"NE={number}", "devName": "x", "stationCode": code, "devTypeId": 38, **other}


class Desk:
    """Stands where HTTP would be: answers by endpoint (rows, or a failCode), its clock `ahead` of ours."""

    def __init__(self, clock: ManualClock, **handlers: Handler) -> None:
        self.handlers: dict[str, Handler] = {"stations": lambda _: [plant()], "getDevList": lambda _: [device()]}
        self.handlers.update(handlers)
        self.clock = clock
        self.ahead = timedelta(0)
        self.calls: Counter[str] = Counter()

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
        endpoint = path.rpartition("/")[2]
        self.calls[endpoint] += 1
        answer = self.handlers.get(endpoint, nothing)(body)
        data: Any = answer
        if endpoint == "stations":
            data = {"list": answer, "total": len(answer), "pageCount": 1, "pageNo": 1}  # type: ignore[arg-type]
        envelope: dict[str, Any] = {"success": True, "failCode": 0, "data": data}
        if isinstance(answer, int):
            envelope = {"success": False, "failCode": answer, "data": None}
        envelope["params"] = {"currentTime": ms(self.clock.now() + self.ahead)}
        return Reply(200, (("xsrf-token", "token"),), json.dumps(envelope).encode())

    def close(self) -> None:
        pass


class House:
    """A home, a clock and a desk."""

    def __init__(self, home: Path, **handlers: Handler) -> None:
        self.clock = ManualClock(NOW)
        self.desk = Desk(self.clock, **handlers)
        self.home = home
        self.plants_file: Path | None = None

    def services(self) -> Services:
        account = Account("main", "http://127.0.0.1:1", "user", SecretStr("secret"))
        settings = Settings(home=self.home, env_file=None, accounts=(account,), plants_file=self.plants_file)
        services = Services.open(settings, self.clock)
        services.client._transport = services.client._session._transport = self.desk  # type: ignore[assignment]
        return services

    def load(self, first: int, last: int, *datasets: str, **other: Any) -> LoadReport:
        with self.services() as services:
            request = LoadRequest(date(2026, 6, first), date(2026, 6, last), datasets, **other)
            return run_load(request, services, build=False)

    def states(self, dataset: str) -> dict[int, tuple[str, int]]:
        """State and rows by day of June."""
        with self.services() as services:
            known = services.coverage.states(dataset, None, date(2026, 6, 1), date(2026, 6, 30))
        return {period.day: (entry.state, entry.rows) for (_, period), entry in known.items()}


def hours(first: int, last: int, value: float = 1.0) -> Handler:
    """Hourly rows of the day that was asked for, from the `first` hour after its midnight to the `last`."""

    def answer(body: Mapping[str, Any]) -> list[Any]:
        asked = datetime.fromtimestamp(body["collectTime"] / 1000, UTC)
        start = MIDNIGHT + (asked - MIDNIGHT) // timedelta(days=1) * timedelta(days=1)
        times = [start + timedelta(hours=hour) for hour in range(first, last + 1)]
        return [
            {"stationCode": "P1", "collectTime": ms(time), "dataItemMap": {"ongrid_power": value}} for time in times
        ]

    return answer


def test_an_hour_on_the_next_midnight_lands_and_does_not_cover_the_next_day(tmp_path: Path) -> None:
    """Servers that reckon days at standard time, or label hours by their ends, answer it in summer."""
    house = House(tmp_path, getKpiStationHour=hours(1, 24))
    house.load(1, 1, "plant_hourly")
    assert house.states("plant_hourly") == {1: ("final", 23)}
    house.load(2, 2, "plant_hourly")
    assert house.desk.calls["getKpiStationHour"] == 2, "the next day was asked for"
    with house.services() as services:
        assert services.lake.read("plant_hourly").height == 48, "nothing that came was dropped"


def test_nothing_where_rows_had_settled_leaves_their_state_and_count(tmp_path: Path) -> None:
    house = House(tmp_path, getKpiStationHour=hours(0, 23))
    house.load(1, 1, "plant_hourly")
    house.desk.handlers["getKpiStationHour"] = lambda _: []
    house.load(1, 1, "plant_hourly", force=True)
    assert house.states("plant_hourly") == {1: ("final", 24)}


@pytest.mark.parametrize("second", ["none again", "all"])
def test_nothing_where_provisional_rows_were_is_suspect_and_read_again_later(tmp_path: Path, second: str) -> None:
    house = House(tmp_path, getKpiStationHour=hours(0, 12))
    house.load(10, 10, "plant_hourly")
    house.clock.advance(2 * 86_400)
    house.desk.handlers["getKpiStationHour"] = nothing
    assert house.load(10, 10, "plant_hourly").suspect == 1
    assert house.states("plant_hourly") == {10: ("suspect", 13)}
    answers = {"none again": (nothing, 13), "all": (hours(0, 23), 24)}
    house.desk.handlers["getKpiStationHour"], rows = answers[second]
    assert house.load(10, 10, "plant_hourly").suspect == 1
    assert house.desk.calls["getKpiStationHour"] == 2, "not at once"
    house.clock.advance(86_400)
    house.load(10, 10, "plant_hourly")
    assert house.states("plant_hourly") == {10: ("final", rows)}
    house.load(10, 10, "plant_hourly")
    assert house.desk.calls["getKpiStationHour"] == 3


def test_nothing_for_a_plant_that_has_had_data_is_empty_once_a_later_reading_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, getKpiStationHour=hours(0, 23))
    house.load(8, 8, "plant_hourly")
    house.desk.handlers["getKpiStationHour"] = nothing
    seen = []
    for wait_hours in (0, 5, 1, 12, 6, 0):
        house.clock.advance(wait_hours * 3600)
        house.load(9, 9, "plant_hourly")
        seen.append((house.desk.calls["getKpiStationHour"] - 1, house.states("plant_hourly")[9][0]))
    assert seen == [(1, "suspect"), (1, "suspect"), (2, "suspect"), (3, "suspect"), (4, "empty"), (4, "empty")]


def test_nothing_for_a_plant_that_never_had_data_is_doubted_the_first_time_alone(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.load(7, 7, "plant_hourly").suspect == 1
    house.clock.advance(86_400)
    assert house.load(7, 7, "plant_hourly").empty == 1
    assert house.load(8, 8, "plant_hourly").empty == 1
    assert house.states("plant_hourly") == {7: ("empty", 0), 8: ("empty", 0)}


def test_one_silent_plant_beside_others_is_empty_at_once(tmp_path: Path) -> None:
    both = [plant("P1"), plant("P2")]
    house = House(tmp_path, stations=lambda _: both, getKpiStationHour=hours(0, 23))
    house.desk.handlers["getKpiStationHour"] = lambda body: [
        {**row, "stationCode": code}
        for code in ("P1", "P2")
        for row in hours(0, 23)(body)  # type: ignore[union-attr]
    ]
    house.load(8, 8, "plant_hourly")
    house.desk.handlers["getKpiStationHour"] = hours(0, 23)
    house.load(9, 9, "plant_hourly")
    with house.services() as services:
        known = services.coverage.states("plant_hourly", None, date(2026, 6, 9), date(2026, 6, 9))
    assert {subject: entry.state for (subject, _), entry in known.items()} == {"P1": "final", "P2": "empty"}


def test_a_server_whose_clock_is_ahead_settles_nothing_that_runs_on(tmp_path: Path) -> None:
    house = House(tmp_path, getKpiStationHour=hours(0, 12))
    house.desk.ahead = timedelta(hours=23)
    house.load(10, 10, "plant_hourly")
    assert house.states("plant_hourly")[10] == ("provisional", 13)


def test_one_answer_from_the_far_future_does_not_outrank_what_is_read_later(tmp_path: Path) -> None:
    house = House(tmp_path, getKpiStationHour=hours(0, 23, value=1.0))
    house.desk.ahead = timedelta(days=4000)
    house.load(1, 1, "plant_hourly")
    house.desk.ahead = timedelta(0)
    house.clock.advance(86_400)
    house.desk.handlers["getKpiStationHour"] = hours(0, 23, value=2.0)
    house.load(1, 1, "plant_hourly", force=True)
    with house.services() as services:
        assert services.lake.read("plant_hourly")["ongrid_power"].unique().to_list() == [2.0]


def test_plants_without_devices_are_loaded_and_listed_once_a_day(tmp_path: Path) -> None:
    house = House(tmp_path, getDevList=lambda _: [], getKpiStationHour=hours(0, 23))
    reports = [house.load(1, 1, "plant_hourly") for _ in range(2)]
    assert house.states("plant_hourly") == {1: ("final", 24)}
    assert house.desk.calls["stations"] == 1
    assert [[one.what for one in report.refusals] for report in reports] == [["devices"]] * 2, "each load says so"


def test_a_device_list_that_is_not_permitted_leaves_the_plants(tmp_path: Path) -> None:
    house = House(tmp_path, getDevList=lambda _: 401, getKpiStationHour=hours(0, 23))
    report = house.load(1, 1, "plant_hourly", "device_history")
    assert report.exit_code == 4 and "401" in report.refusals[0].why
    assert house.states("plant_hourly") == {1: ("final", 24)}
    assert house.load(1, 1).exit_code == 4
    assert house.desk.calls["getDevList"] == 1, "asked again when the inventory is"


def test_a_device_list_withdrawn_later_leaves_the_devices_that_are_known(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.load(1, 1, "device_history")
    house.desk.handlers["getDevList"] = lambda _: 401
    house.clock.advance(2 * 86_400)
    house.load(2, 2, "device_history")
    assert sorted(house.states("device_history")) == [1, 2]


def test_an_account_that_sees_no_plant_is_told_so(tmp_path: Path) -> None:
    report = House(tmp_path, stations=lambda _: []).load(1, 1)
    assert report.exit_code == 4 and "no plant" in report.refusals[0].why


def test_a_zone_that_the_owner_names_counts_at_once_and_costs_no_call(tmp_path: Path) -> None:
    nowhere = plant(longitude="", latitude="", gridConnectionDate="")
    house = House(tmp_path, stations=lambda _: [nowhere], getKpiStationHour=hours(0, 23))
    assert "PVMS_PLANTS_FILE" in house.load(1, 1, "plant_hourly").refusals[0].why
    house.plants_file = tmp_path / "plants.csv"
    house.plants_file.write_text("plant_code,time_zone\nP1,Europe/Berlin\n", encoding="utf-8")
    assert house.load(1, 1, "plant_hourly", plants=("P1",)).exit_code == 0
    assert house.states("plant_hourly") == {1: ("final", 24)}
    assert house.desk.calls["stations"] == 1


@pytest.mark.slow
def test_a_negative_yield_is_told_and_does_not_stop_the_warehouse(tmp_path: Path) -> None:
    """A meter's night consumption shows up in inverterYield as a little less than nothing."""
    row = {"stationCode": "P1", "collectTime": ms(MIDNIGHT), "dataItemMap": {"inverterYield": -0.03}}
    house = House(tmp_path, getKpiStationDay=lambda _: [row])
    house.load(1, 1, "plant_daily")
    with house.services() as services:
        nodes = build_and_publish(services).nodes
    odd = [name for name, status in nodes.items() if status == "warn"]
    assert any("pv_energy_kwh" in name for name in odd)
    assert (tmp_path / "warehouse.duckdb").exists()


def test_a_plant_whose_code_holds_a_comma_is_left_out_and_named(tmp_path: Path) -> None:
    """Codes are sent in one text with commas between them."""
    asked: list[str] = []

    def listed(body: Mapping[str, Any]) -> list[Any]:
        asked.append(body["stationCodes"])
        return [device()]

    house = House(
        tmp_path, stations=lambda _: [plant(), plant("P,2")], getDevList=listed, getKpiStationHour=hours(0, 23)
    )
    report = house.load(1, 1, "plant_hourly")
    assert asked == ["P1"]
    assert report.rows == {"plant_hourly": 24}
    assert [(each.what, "comma" in each.why) for each in report.refusals] == [("plant P,2", True)]


def test_malformed_answers_of_one_endpoint_leave_the_others(tmp_path: Path) -> None:
    """Three of them in a row speak against their endpoint, not against the server."""
    house = House(tmp_path, getKpiStationHour=lambda _: [1], getKpiStationDay=lambda _: [])
    broken = {"list": []}
    house.desk.handlers["getKpiStationHour"] = lambda _: broken  # type: ignore[assignment,return-value]
    report = house.load(1, 9, "plant_hourly", "plant_daily")
    assert report.exit_code == 1
    assert house.desk.calls["getKpiStationHour"] == 3, "then nothing more is asked of it"
    assert house.desk.calls["getKpiStationDay"] == 1
    house.desk.handlers["getKpiStationHour"] = hours(0, 23)
    assert house.load(1, 9, "plant_hourly").exit_code == 0


def test_a_quota_that_ends_in_the_middle_of_a_search_leaves_what_is_left_and_no_more(tmp_path: Path) -> None:
    """Of four plants one is refused: what was answered before the quota ended isn't counted as left."""
    codes = ["P1", "P2", "P3", "P4"]
    asked: list[list[str]] = []

    def hourly(body: Mapping[str, Any]) -> list[Any] | int:
        some = body["stationCodes"].split(",")
        asked.append(some)
        if len(asked) > 2:
            return 407
        if "P4" in some:
            return 20056
        return [{**row, "stationCode": code} for code in some for row in hours(0, 23)(body)]  # type: ignore[union-attr]

    house = House(tmp_path, stations=lambda _: [plant(code) for code in codes], getKpiStationHour=hourly)
    report = house.load(1, 1, "plant_hourly")
    assert asked == [codes, ["P1", "P2"], ["P3", "P4"]]
    assert [(left.dataset, left.calls, left.cells) for left in report.waiting] == [("plant_hourly", 1, 2)]
    with house.services() as services:
        known = services.coverage.states("plant_hourly", None, date(2026, 6, 1), date(2026, 6, 1))
    assert {subject: entry.state for (subject, _), entry in known.items()} == {
        "P1": "final", "P2": "final", "P3": "missing", "P4": "missing"
    }  # fmt: skip
