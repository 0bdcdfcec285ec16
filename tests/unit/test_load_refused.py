"""What is refused for a while: a plant is asked for alone now and then, an endpoint once a day, by one call each."""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_load_odd_answers import Handler, House, hours, plant

from pipelines.load.refused import SharedRefusals, due_for_a_probe, read_refused, write_refused
from pipelines.northbound.denials import TURN, Denials
from pipelines.northbound.errors import PermissionDenied, PlantNotAuthorized, QuotaExhausted

NOW = datetime(2026, 6, 10, tzinfo=UTC)
DAY = 86_400
CODES = ("P1", "P2", "P3", "P4")


def test_what_loads_learn_of_refused_plants_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "state" / "refused.json"
    error = PlantNotAuthorized("not authorized", code=20056, endpoint="getKpiStationDay")
    write_refused(path, {"NE=1": error}, NOW)
    assert read_refused(path)["NE=1"].describe() == error.describe()
    write_refused(path, {"NE=2": error}, NOW + timedelta(hours=20))
    write_refused(path, read_refused(path), NOW + timedelta(hours=22))
    assert due_for_a_probe(path, NOW + timedelta(hours=23)) == []
    assert due_for_a_probe(path, NOW + timedelta(hours=24)) == ["NE=1"], "the time of the refusal stays"
    write_refused(path, {}, NOW, open_again=["NE=1"])
    assert list(read_refused(path)) == ["NE=2"]


class Refusing:
    """Answers like another handler, but 20056 to a batch that holds a closed plant; keeps what was asked."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.closed = {"P3"}
        self.batches: list[list[str]] = []

    def __call__(self, body: Mapping[str, Any]) -> list[Any] | int:
        codes = body["stationCodes"].split(",")
        self.batches.append(codes)
        return 20056 if self.closed & {*codes} else self.answer(body)


def house_of_four(home: Path) -> tuple[House, Refusing, Refusing]:
    def rows(body: Mapping[str, Any]) -> list[Any]:
        found = hours(0, 23)(body)
        assert isinstance(found, list)
        return [{**row, "stationCode": code} for code in body["stationCodes"].split(",") for row in found]

    hourly, daily = Refusing(rows), Refusing(lambda _: [])
    house = House(home, stations=lambda _: [plant(code) for code in CODES], getKpiStationHour=hourly)
    house.desk.handlers["getKpiStationDay"] = daily
    return house, hourly, daily


def test_a_refused_plant_is_asked_for_alone_ever_more_rarely_until_it_is_open(tmp_path: Path) -> None:
    house, hourly, daily = house_of_four(tmp_path)
    assert house.load(1, 1, "plant_hourly").exit_code == 4
    assert hourly.batches == [[*CODES], ["P1", "P2"], ["P3", "P4"], ["P3"], ["P4"]]
    probed = []
    passed = 0
    for day, wanted in ((1, 2), (2, 3), (3, 3), (6, 4), (7, 4), (13, 5), (14, 5)):
        house.clock.advance((day - passed) * DAY)
        passed = day
        before = len(daily.batches)
        report = house.load(wanted, wanted, "plant_hourly")
        assert report.exit_code == 4 and {"plant P3"} <= {refusal.what for refusal in report.refusals}
        if len(daily.batches) > before:
            probed.append(day)
    assert probed == [1, 3, 7, 14]
    assert daily.batches == [["P3"]] * 4, "alone"
    assert all(batch == ["P1", "P2", "P4"] for batch in hourly.batches[5:]), "and no batch was spoilt by it"
    daily.closed, hourly.closed = set(), set()
    house.clock.advance(7 * DAY)
    assert house.load(6, 6, "plant_hourly").exit_code == 0
    assert hourly.batches[-1] == [*CODES], "back in the batches"
    assert house.load(1, 5, "plant_hourly").exit_code == 0
    with house.services() as services:
        known = services.coverage.states("plant_hourly", ["P3"], date(2026, 6, 1), date(2026, 6, 6))
    assert {entry.state for entry in known.values()} == {"final"}, "what it had missed is there"


@pytest.mark.parametrize(
    ("finds", "further"),
    [(True, [["P1", "P2", "P4"]]), (False, [["P1", "P2"], ["P3", "P4"], ["P3"], ["P4"]])],
)
def test_what_another_process_searches_for_is_waited_for_a_minute(
    tmp_path: Path, finds: bool, further: list[list[str]]
) -> None:
    house, hourly, _ = house_of_four(tmp_path)
    error = PlantNotAuthorized("not authorized", code=20056, endpoint="getKpiStationDay")
    with house.services() as services, ExitStack() as searching:
        other = SharedRefusals(services.refused_file, services.coverage, house.clock)
        searching.enter_context(other.search())
        sleep = house.clock.sleep

        def pass_time(seconds: float) -> None:
            sleep(seconds)
            if finds and house.clock.slept.count(1.0) == 3:
                other.plants["P3"] = error
                other.share()
                searching.close()

        house.clock.sleep = pass_time  # type: ignore[method-assign]
        report = house.load(1, 1, "plant_hourly")
    assert hourly.batches == [[*CODES], *further]
    assert {refusal.what for refusal in report.refusals} == {"plant P3"}
    assert house.clock.slept.count(1.0) == (3 if finds else 60)


def test_a_plant_that_stays_refused_by_one_endpoint_that_is_denied_is_asked_for_at_another(tmp_path: Path) -> None:
    house, _, _ = house_of_four(tmp_path)
    house.load(1, 1, "plant_hourly")
    house.desk.handlers["getKpiStationDay"] = lambda _: 401
    listed = Refusing(lambda _: [])
    listed.closed = set()
    house.clock.advance(DAY / 2)
    house.load(1, 1, "plant_daily", refresh_inventory=True)  # learns that the reports are denied, lists anew
    house.desk.handlers["getDevList"] = listed
    house.clock.advance(DAY / 2)
    house.load(2, 2, "plant_hourly")
    assert listed.batches[0] == ["P3"]


def test_force_asks_for_refused_plants_and_denied_endpoints_at_once(tmp_path: Path) -> None:
    house, hourly, daily = house_of_four(tmp_path)
    house.load(1, 1, "plant_hourly")
    hourly.closed = set()
    assert house.load(1, 1, "plant_hourly", force=True).exit_code == 0
    assert hourly.batches[-1] == [*CODES]
    assert house.load(2, 2, "plant_hourly").exit_code == 0 and hourly.batches[-1] == [*CODES]
    assert daily.batches == []


def test_force_forgets_no_refusal_of_a_plant_that_it_did_not_ask_about(tmp_path: Path) -> None:
    house, hourly, _ = house_of_four(tmp_path)
    house.load(1, 1, "plant_hourly")
    house.desk.handlers["getDevHistoryKpi"] = lambda _: []
    house.load(2, 2, "device_history", force=True)
    before = len(hourly.batches)
    house.load(2, 2, "plant_hourly")
    assert hourly.batches[before:] == [["P1", "P2", "P4"]], "it isn't searched for again"


def test_a_plant_that_another_process_has_just_asked_for_is_not_asked_for_again(tmp_path: Path) -> None:
    house, _, daily = house_of_four(tmp_path)
    house.load(1, 1, "plant_hourly")
    house.clock.advance(DAY)
    others: list[int] = []

    def meanwhile(body: Mapping[str, Any]) -> int:
        # While this one's answer is under way, another load finds the plant due, too.
        if not others:
            others.append(1)
            house.load(2, 2, "plant_hourly")
        return daily(body)  # type: ignore[return-value]

    house.desk.handlers["getKpiStationDay"] = meanwhile
    house.load(2, 2, "plant_hourly")
    assert daily.batches == [["P3"]]


@pytest.mark.parametrize("code", [20604, 10001])
def test_a_probe_that_is_answered_otherwise_waits_for_its_next_turn(tmp_path: Path, code: int) -> None:
    house, _, daily = house_of_four(tmp_path)
    house.load(1, 1, "plant_hourly")
    house.desk.handlers["getKpiStationDay"] = lambda body: (daily.batches.append([str(body["stationCodes"])]), code)[1]
    for _ in range(5):
        house.clock.advance(DAY / 4)
        house.load(2, 2, "plant_hourly")
    assert daily.batches == [["P3"]]


def test_a_denied_endpoint_is_asked_once_a_day_by_one_call(tmp_path: Path) -> None:
    house = House(tmp_path, getKpiStationHour=lambda _: 401)
    seen = []
    for day in (1, 2, 3, 4, 5):
        report = house.load(day, day, "plant_hourly")
        assert report.exit_code == 4 and "401" in report.refusals[0].why
        seen.append(house.desk.calls["getKpiStationHour"])
        house.clock.advance(DAY / 2)
    assert seen == [1, 1, 2, 2, 3]
    house.desk.handlers["getKpiStationHour"] = hours(0, 23)
    house.clock.advance(DAY)
    assert house.load(1, 8, "plant_hourly").exit_code == 0
    assert set(house.states("plant_hourly").values()) == {("final", 24)}


def test_a_denied_endpoint_is_told_with_the_time_of_the_next_look(tmp_path: Path) -> None:
    denials = Denials(tmp_path / "denied.json")
    error = PermissionDenied("this account may not call it", code=401, endpoint="getDevKpiDay")
    denials.note("main", "getDevKpiDay", error, NOW)
    denials.note("main", "getDevKpiDay", error, NOW + timedelta(days=1))
    denials.note("other", "getAlarmList", error, NOW)
    (known,) = denials.known("main").values()
    assert (known.since, known.at, known.next_at) == (NOW, NOW + timedelta(days=1), NOW + timedelta(days=2))
    told = denials.current("main", "getDevKpiDay", NOW + timedelta(days=1, hours=23))
    assert (
        told is not None and "since 2026-06-10 00:00 UTC" in told.describe() and "2026-06-12 00:00" in told.describe()
    )
    assert denials.current("main", "getDevKpiDay", NOW + timedelta(days=2)) is None, "due"
    assert denials.current("main", "getDevKpiDay", NOW) is None, "a clock that was ahead doesn't block"
    denials.lift("main", "getDevKpiDay")
    denials.forget("other")
    assert denials.known("main") == denials.known("other") == {}


def test_of_all_that_would_ask_a_denied_endpoint_again_one_does(tmp_path: Path) -> None:
    first, second = Denials(tmp_path / "denied.json"), Denials(tmp_path / "denied.json")
    error = PermissionDenied("this account may not call it", code=401, endpoint="getDevKpiDay")
    first.note("main", "getDevKpiDay", error, NOW)
    asked = ("main", "getDevKpiDay")
    assert isinstance(first.stands(*asked, NOW + timedelta(hours=23)), PermissionDenied)
    due = NOW + timedelta(days=1)
    assert first.stands(*asked, due) is None
    assert first.stands(*asked, due + timedelta(seconds=5)) is None, "its second try"
    waits = second.stands(*asked, due + timedelta(seconds=1))
    assert isinstance(waits, QuotaExhausted) and waits.next_at == due + timedelta(seconds=5) + TURN
    assert second.stands(*asked, due + timedelta(minutes=3)) is None, "the first has died"
    first.note("main", "getDevKpiDay", error, due)
    assert isinstance(second.stands(*asked, due + timedelta(minutes=1)), PermissionDenied), "refused once more"
    first.lift(*asked)
    assert second.stands(*asked, due + timedelta(minutes=1)) is None
