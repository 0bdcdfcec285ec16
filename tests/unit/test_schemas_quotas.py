"""Quotas against the worked examples of the reference (4.2), transcribed by hand, and the flat ones (6.2, 4.1)."""

import pytest

from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS, READ_ENDPOINTS

PLANT_EXAMPLES = [
    ("stations", 20, 34), ("stations", 120, 44),
    ("getDevList", 20, 25), ("getDevList", 120, 26),
    ("getStationRealKpi", 20, 1), ("getStationRealKpi", 120, 2),
    ("getKpiStationHour", 20, 25), ("getKpiStationHour", 120, 26),
    ("getKpiStationDay", 20, 25), ("getKpiStationDay", 120, 26),
    ("getKpiStationMonth", 20, 25), ("getKpiStationMonth", 120, 26),
    ("getKpiStationYear", 20, 25), ("getKpiStationYear", 120, 26),
]  # fmt: skip

# The reference says inverters and meters. Reports serve no meters, so their second type is the battery.
DEVICE_EXAMPLES = [
    ("getDevRealKpi", 17, 20, 2), ("getDevRealKpi", 17, 120, 4),
    ("getDevHistoryKpi", 17, 20, 28), ("getDevHistoryKpi", 17, 120, 48),
    ("getDevKpiDay", 39, 20, 26), ("getDevKpiDay", 39, 120, 28),
    ("getDevKpiMonth", 39, 20, 26), ("getDevKpiMonth", 39, 120, 28),
    ("getDevKpiYear", 39, 20, 26), ("getDevKpiYear", 39, 120, 28),
]  # fmt: skip

DAY = 86_400
WINDOWS = {"getStationRealKpi": 300, "getDevRealKpi": 300, "getAlarmList": 1_800}
PER_MINUTE = {"getStationRealKpi": 30, "getDevHistoryKpi": 1}


@pytest.mark.parametrize(("endpoint", "plants", "calls"), PLANT_EXAMPLES)
def test_examples_by_plants(endpoint: str, plants: int, calls: int) -> None:
    assert ENDPOINTS[endpoint].quotas["dynamic"].limit(plants, {}) == calls


@pytest.mark.parametrize(("endpoint", "other_type", "devices", "calls"), DEVICE_EXAMPLES)
def test_examples_by_devices(endpoint: str, other_type: int, devices: int, calls: int) -> None:
    quota = ENDPOINTS[endpoint].quotas["dynamic"]
    assert quota.limit(9_999, {1: devices, other_type: devices}) == calls


@pytest.mark.parametrize(("count", "calls"), [(20, 2), (120, 4)])
def test_examples_of_alarms(count: int, calls: int) -> None:
    assert ENDPOINTS["getAlarmList"].quotas["dynamic"].limit(count, {1: count, 17: count}) == calls


def test_alarms_take_the_larger_of_plants_and_devices() -> None:
    assert ENDPOINTS["getAlarmList"].quotas["dynamic"].limit(301, {1: 5}) == 4


def test_types_that_an_interface_does_not_serve_earn_no_calls() -> None:
    assert ENDPOINTS["getDevKpiDay"].quotas["dynamic"].limit(0, {1: 20, 17: 20, 62: 500}) == 25
    assert ENDPOINTS["getDevHistoryKpi"].quotas["dynamic"].limit(0, {60044: 100, 46: 100}) == 24


def test_a_type_of_one_device_earns_a_whole_call() -> None:
    assert ENDPOINTS["getDevHistoryKpi"].quotas["dynamic"].limit(0, {1: 10, 38: 11, 39: 1}) == 24 + 1 + 2 + 1


def test_windows_of_the_dynamic_policy() -> None:
    for name in READ_ENDPOINTS:
        assert ENDPOINTS[name].quotas["dynamic"].window_seconds == WINDOWS.get(name, DAY), name


def test_the_static_policy_counts_by_the_minute_whatever_the_fleet() -> None:
    for name in READ_ENDPOINTS:
        quota = ENDPOINTS[name].quotas["static"]
        assert quota.window_seconds == 60
        assert quota.limit(0, {}) == quota.limit(5_000, {1: 5_000}) == PER_MINUTE.get(name, 10), name


def test_with_oauth_all_read_interfaces_share_one_counter() -> None:
    quotas = [ENDPOINTS[name].quotas["oauth"] for name in READ_ENDPOINTS]
    assert {each.shared for each in quotas} == {"oauth_basic"}
    assert {each.limit(5_000, {1: 5_000}) for each in quotas} == {1_000}
    assert {each.window_seconds for each in quotas} == {DAY}


@pytest.mark.parametrize("name", ["login", "logout"])
@pytest.mark.parametrize("policy", ["dynamic", "static", "oauth"])
def test_five_logins_and_logouts_in_ten_minutes(name: str, policy: str) -> None:
    quota = ENDPOINTS[name].quotas[policy]
    assert (quota.limit(100, {}), quota.window_seconds) == (5, 600)


def test_limits_of_one_call() -> None:
    assert len(READ_ENDPOINTS) == 13
    history = ENDPOINTS["getDevHistoryKpi"]
    assert (history.max_devices, history.max_span_hours, history.max_plants) == (10, 72, None)
    assert (ENDPOINTS["getAlarmList"].max_plants, ENDPOINTS["getAlarmList"].max_span_hours) == (100, 744)
    assert [name for name in ENDPOINTS if ENDPOINTS[name].paged] == ["stations"]
    assert ENDPOINTS["stations"].replaces == "getStationList"
    assert history.replaces == "getDevFiveMinutes"
    for dataset in DATASETS.values():
        endpoint = ENDPOINTS[dataset.endpoint]
        if dataset.subject == "device":
            assert endpoint.max_devices, dataset
        if dataset.subject == "plant":
            assert endpoint.max_plants == 100, dataset


def test_every_read_endpoint_fills_exactly_one_dataset() -> None:
    assert sorted(each.endpoint for each in DATASETS.values()) == sorted(READ_ENDPOINTS)
