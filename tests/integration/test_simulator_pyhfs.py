"""A third-party client, pyhfs 0.1.1 from PyPI, runs against the simulator unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyhfs
import pytest

from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

NOW = datetime(2026, 11, 15, 18, 0, tzinfo=UTC)
"""After every plant of the demo fleet was connected."""


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("demo", 1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def simulator(world: World) -> Iterator[Simulator]:
    with Simulator(world, clock=SimClock.fixed(NOW)) as running:
        yield running


@pytest.fixture
def session(simulator: Simulator) -> Iterator[pyhfs.Session]:
    opened = pyhfs.Session(simulator.username, simulator.password, base_url=simulator.base_url)
    yield opened
    opened.session.close()  # its logout only forgets the connection


@pytest.fixture
def client(session: pyhfs.Session) -> pyhfs.Client:
    return pyhfs.Client(session)


def refusal_of(error: pytest.ExceptionInfo[pyhfs.Exception]) -> int:
    return int(error.value.args[0])


def test_every_method_of_the_client(simulator: Simulator, client: pyhfs.Client, world: World) -> None:
    simulator.log.clear()
    plants = client.get_plant_list()
    assert [plant["plantCode"] for plant in plants] == [plant.code for plant in world.plants]
    codes = [plant["plantCode"] for plant in plants]

    realtime = client.get_plant_realtime_data(codes)
    assert [row["stationCode"] for row in realtime] == codes
    assert all("day_power" in row["dataItemMap"] for row in realtime)

    hourly = client.get_plant_hourly_data([*codes, "do_not_exist"], NOW)
    daily = client.get_plant_daily_data(codes, NOW)
    monthly = client.get_plant_monthly_data(codes, NOW)
    yearly = client.get_plant_yearly_data(codes, NOW)
    for rows in (hourly, daily, monthly, yearly):
        assert {row["stationCode"] for row in rows} == set(codes)
        assert all(isinstance(row["collectTime"], int) and "inverter_power" in row["dataItemMap"] for row in rows)
    in_berlin = [row for row in daily if row["stationCode"] == codes[0]]
    assert len(in_berlin) == 15, "one row per day of the month so far"

    alarms = client.get_alarms_list(codes, NOW - timedelta(days=30), NOW)
    assert alarms and all(alarm["stationCode"] in codes for alarm in alarms)

    assert [(record.endpoint, record.fail_code) for record in simulator.log] == [
        ("stations", 305),
        ("login", 0),
        ("stations", 0),
        ("getStationRealKpi", 0),
        ("getKpiStationHour", 0),
        ("getKpiStationDay", 0),
        ("getKpiStationMonth", 0),
        ("getKpiStationYear", 0),
        ("getAlarmList", 0),
    ]


def test_what_its_own_tests_send(world: World) -> None:
    """Unknown codes, more than a hundred of them, and alarms since the year 2000."""
    with Simulator(world, clock=SimClock.fixed(NOW), flow_control="none", alarm_span_ms=None) as simulator:
        session = pyhfs.Session(simulator.username, simulator.password, base_url=simulator.base_url)
        with session, pyhfs.Client(session) as client:
            codes = [plant["plantCode"] for plant in client.get_plant_list()]
            many = [*map(str, range(46)), *codes, *map(str, range(107))]
            assert {row["stationCode"] for row in client.get_plant_daily_data(many, NOW)} == set(codes)
            assert [len(r.body["stationCodes"].split(",")) for r in simulator.log.calls("getKpiStationDay")] == [
                100,
                13,
            ]
            client.get_alarms_list(codes, datetime(2000, 1, 1, tzinfo=UTC), NOW)
            session.session.close()


def test_long_lists_of_plants_come_in_pages() -> None:
    world = build_world("portfolio", 1)
    with Simulator(world, clock=SimClock.fixed(NOW)) as simulator:
        session = pyhfs.Session(simulator.username, simulator.password, base_url=simulator.base_url)
        plants = pyhfs.Client(session).get_plant_list()
        session.session.close()
        assert len(plants) == len(world.plants) > 100
        assert [record.body.get("pageNo") for record in simulator.log.calls("stations", ok=True)] == [1, 2]


def test_it_logs_in_again_when_its_session_was_ended(simulator: Simulator, client: pyhfs.Client) -> None:
    client.get_plant_list()
    simulator.service.sessions.kill(simulator.username)
    simulator.log.clear()
    assert client.get_plant_list()
    assert [record.endpoint for record in simulator.log] == ["stations", "login", "stations"]


def test_its_errors_are_the_ones_it_knows(world: World) -> None:
    plant = world.plants[0].code
    faults = Faults(deny="getKpiStationYear", unauthorized_plant=world.plants[1].code)
    with Simulator(world, clock=SimClock.fixed(NOW), faults=faults) as simulator:
        session = pyhfs.Session(simulator.username, simulator.password, base_url=simulator.base_url)
        client = pyhfs.Client(session)
        client.get_plant_realtime_data([plant])
        with pytest.raises(pyhfs.FrequencyLimit) as often:
            client.get_plant_realtime_data([plant])
        with pytest.raises(pyhfs.Permission) as denied:
            client.get_plant_yearly_data([plant], NOW)
        with pytest.raises(pyhfs.Exception) as closed:
            client.get_plant_daily_data([world.plants[1].code], NOW)
        with pytest.raises(pyhfs.Exception) as long:
            client.get_alarms_list([plant], NOW - timedelta(days=32), NOW)
        session.session.close()
    assert list(map(refusal_of, (often, denied, closed, long))) == [407, 401, 20056, 20027]


@pytest.mark.parametrize("faults", [Faults(), Faults(empty_login_refusal=True)], ids=["newer", "older"])
def test_a_wrong_password_is_a_failed_login_to_it(world: World, faults: Faults) -> None:
    with Simulator(world, clock=SimClock.fixed(NOW), faults=faults) as simulator:
        session = pyhfs.Session(simulator.username, "wrong", base_url=simulator.base_url)
        with pytest.raises(pyhfs.LoginFailed):
            session.login()
        session.session.close()
