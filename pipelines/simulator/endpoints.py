"""The thirteen read endpoints of section 5.1: which parameters they take, what they refuse, what they answer.

Each handler gets a :class:`Call` and returns the vendor's ``data``; it raises Refusal where the vendor refuses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipelines.simulator.fleet import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES, Device, Plant
from pipelines.simulator.flow import ALARM_TYPES
from pipelines.simulator.protocol import Refusal, read_int, read_ints, read_list, read_time
from pipelines.simulator.view import View

MAX_PLANTS: Final = 100
MAX_DEVICES: Final = 100
MAX_HISTORY_DEVICES: Final = 10
MAX_HISTORY_MS: Final = 72 * 3_600_000
"""Three days (5.1.2.3, 30032), read as 72 hours whatever the plants' clocks do; exactly 72 hours pass."""
MAX_ALARM_MS: Final = 31 * 86_400_000
"""Code 20027 speaks of 31 days and names no endpoint; alarms are where a client should expect it."""
PAGE_SIZES: Final = (10, 20, 30, 50, 100)
LANGUAGES: Final = frozenset({"zh_CN", "en_US", "ja_JP", "it_IT", "nl_NL", "pt_BR", "de_DE", "fr_FR", "es_ES", "pl_PL"})
SEVERITIES: Final = frozenset({1, 2, 3, 4})


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request: what the account sees, what it asks, and the server's time in milliseconds.

    ``closed_plants`` are those whose owner withdrew the consent; ``lock`` guards the world, whose caches need not be
    safe to share; ``cut_short`` makes the plant list announce more than it serves; ``alarm_span_ms`` is the longest
    alarm window (None: any).
    """

    view: View
    body: Mapping[str, Any]
    now_ms: int
    lock: threading.Lock
    closed_plants: Collection[str] = ()
    cut_short: bool = False
    alarm_span_ms: int | None = MAX_ALARM_MS


Handler = Callable[[Call], Any]
Row = tuple[int, dict[str, Any]]
"""collectTime in milliseconds and the data items, as the world gives them."""


def stations(call: Call) -> dict[str, Any]:
    """Plant list (5.1.1.1), in pages."""
    page = read_int(call.body, "pageNo", missing=30004)
    if page < 0:
        raise Refusal(30021, "The value of pageNo is smaller than 0.")
    size = read_int({"pageSize": 100, **call.body}, "pageSize", missing=30005)
    if size not in PAGE_SIZES:
        raise Refusal(30006, "The value of pageSize is out of range.")
    first, last = _connection_window(call)
    listed = [p for p in call.view.plants if first <= _to_ms(p.grid_connection) <= last]
    page_count = -(-len(listed) // size)
    served = listed
    if call.cut_short:
        served, page_count = listed[: (len(listed) + 1) // 2], max(page_count, 2)
    start = max(page - 1, 0) * size  # page 0 isn't refused by 30021; it reads as the first
    return {
        "list": [call.view.plant_listing(plant) for plant in served[start : start + size]],
        "pageCount": page_count,
        "pageNo": page,
        "pageSize": size,
        "total": len(listed),
    }


def _connection_window(call: Call) -> tuple[int, int]:
    start, end = call.body.get("gridConnectedStartTime"), call.body.get("gridConnectedEndTime")
    first, last = 0, call.now_ms  # 1970-01-01 08:00 at UTC+8, and now, are the defaults of 5.1.1.1
    for given in ("gridConnectedStartTime", "gridConnectedEndTime"):
        if call.body.get(given) is not None and read_int(call.body, given, missing=20012) < 0:
            raise Refusal(20605, "The time cannot be a negative number.")
    if start is not None:
        first = read_time(call.body, "gridConnectedStartTime")
    if end is not None:
        last = read_time(call.body, "gridConnectedEndTime")
    if start is None and end is None:
        return first, 1 << 62
    if start is not None and first >= last:
        raise Refusal(20604 if end is not None else 20606)
    return first, last


def device_list(call: Call) -> list[dict[str, Any]]:
    """Device list (5.1.1.2)."""
    there = (device for device in call.view.devices_in(_plants(call)) if device.there(call.now_ms))
    return [call.view.device_listing(device) for device in there]


def plant_realtime(call: Call) -> list[dict[str, Any]]:
    """Real-time plant data (5.1.2.1); rows carry no time."""
    rows = []
    for plant in _plants(call):
        with call.lock:
            items = call.view.world.plant_realtime(plant, call.now_ms)
        rows.append({"dataItemMap": items, "stationCode": call.view.code_of(plant.code)})
    return rows


def device_realtime(call: Call) -> list[dict[str, Any]]:
    """Real-time device data (5.1.2.2); rows carry no time."""
    rows = []
    for device in _devices(call, REALTIME_TYPES, MAX_DEVICES, 20016):
        with call.lock:
            items = call.view.world.device_realtime(device, call.now_ms)
        rows.append({"dataItemMap": items, "devId": call.view.id_of(device), "sn": device.served_sn})
    return rows


def device_history(call: Call) -> list[dict[str, Any]]:
    """5-minute device data (5.1.2.3), at most 10 devices of a type and 72 hours; both ends are included."""
    devices = _devices(call, HISTORY_TYPES, MAX_HISTORY_DEVICES, 30031)
    start, end = read_time(call.body, "startTime"), read_time(call.body, "endTime")
    if start > end:
        raise Refusal(20023)
    if end - start > MAX_HISTORY_MS:
        raise Refusal(30032)
    rows: list[dict[str, Any]] = []
    for device in devices:
        with call.lock:  # per device, so that other requests get their turn in between
            found = call.view.world.history(device, start, end, call.now_ms)
        rows += _device_rows(call.view.id_of(device), device, found)
    return rows


def alarms(call: Call) -> list[dict[str, Any]]:
    """Active alarms (5.1.3.1) raised within the window, both ends included; plants outrank serial numbers."""
    codes, sns = read_list(call.body, "stationCodes"), read_list(call.body, "sns")
    if not codes and not sns:
        raise Refusal(20055)
    _check_alarm_language(call.body)
    begin, end = read_time(call.body, "beginTime"), read_time(call.body, "endTime")
    if begin > end:
        raise Refusal(20023)
    if call.alarm_span_ms is not None and end - begin > call.alarm_span_ms:
        raise Refusal(20027)
    levels = read_ints(call.body, "levels", SEVERITIES)
    types = read_ints(call.body, "devTypes", ALARM_TYPES)
    wanted = _alarm_filter(call, codes, sns)
    with call.lock:
        active = call.view.world.alarms(call.now_ms)
    return [
        {**alarm, "stationCode": call.view.code_of(alarm["stationCode"])}
        for alarm in active
        if wanted(alarm)
        and begin <= alarm["raiseTime"] <= end
        and (not levels or alarm["lev"] in levels)
        and (not types or alarm["devTypeId"] in types)
    ]


def _check_alarm_language(body: Mapping[str, Any]) -> None:
    language = body.get("language")
    if language is None or language == "":
        raise Refusal(20024)
    if language not in LANGUAGES:
        raise Refusal(20025)


def _alarm_filter(call: Call, codes: list[str], sns: list[str]) -> Callable[[Mapping[str, Any]], bool]:
    if codes:
        plants = {plant.code for plant in _plants(call)}
        return lambda alarm: alarm["stationCode"] in plants
    if len(sns) > MAX_DEVICES:
        raise Refusal(20016)
    devices = call.view.devices_by_sn(sns)
    _check_consent(call, (device.plant_code for device in devices))
    seen = {(device.plant_code, device.sn) for device in devices}
    return lambda alarm: (alarm["stationCode"], alarm["esnCode"]) in seen


def plant_hours(call: Call) -> list[dict[str, Any]]:
    """Hourly plant data (5.1.4.1) of the local day that holds collectTime at each plant."""
    plants, instant = _plants(call), _collect_time(call)
    world, now = call.view.world, call.now_ms
    return _plant_rows(call, plants, lambda p: world.plant_hours(p, _local(instant, p).date(), now))


def plant_days(call: Call) -> list[dict[str, Any]]:
    """Daily plant data (5.1.4.2) of the local month that holds collectTime at each plant."""
    plants, instant = _plants(call), _collect_time(call)
    world, now = call.view.world, call.now_ms

    def days(plant: Plant) -> list[Row]:
        local = _local(instant, plant)
        return world.plant_days(plant, local.year, local.month, now)

    return _plant_rows(call, plants, days)


def plant_months(call: Call) -> list[dict[str, Any]]:
    """Monthly plant data (5.1.4.3) of the local year that holds collectTime at each plant."""
    plants, instant = _plants(call), _collect_time(call)
    world, now = call.view.world, call.now_ms
    return _plant_rows(call, plants, lambda p: world.plant_months(p, _local(instant, p).year, now))


def plant_years(call: Call) -> list[dict[str, Any]]:
    """Yearly plant data (5.1.4.4) since each plant was built; collectTime is mandatory but selects nothing."""
    plants = _plants(call)
    _collect_time(call)
    return _plant_rows(call, plants, lambda p: call.view.world.plant_years(p, call.now_ms))


def device_days(call: Call) -> list[dict[str, Any]]:
    """Daily device data (5.1.4.5) of the local month that holds collectTime where each device stands."""
    devices, instant = _report_devices(call), _collect_time(call)
    world, now = call.view.world, call.now_ms

    def days(device: Device) -> list[Row]:
        local = _local(instant, call.view.plant_of(device))
        return world.device_days(device, local.year, local.month, now)

    return _reported(call, devices, days)


def device_months(call: Call) -> list[dict[str, Any]]:
    """Monthly device data (5.1.4.6) of the local year that holds collectTime where each device stands."""
    devices, instant = _report_devices(call), _collect_time(call)
    world, now = call.view.world, call.now_ms

    def months(device: Device) -> list[Row]:
        return world.device_months(device, _local(instant, call.view.plant_of(device)).year, now)

    return _reported(call, devices, months)


def device_years(call: Call) -> list[dict[str, Any]]:
    """Yearly device data (5.1.4.7) since each device was connected; collectTime selects nothing."""
    devices = _report_devices(call)
    _collect_time(call)
    return _reported(call, devices, lambda d: call.view.world.device_years(d, call.now_ms))


HANDLERS: Final[Mapping[str, Handler]] = {
    "stations": stations,
    "getDevList": device_list,
    "getStationRealKpi": plant_realtime,
    "getDevRealKpi": device_realtime,
    "getDevHistoryKpi": device_history,
    "getAlarmList": alarms,
    "getKpiStationHour": plant_hours,
    "getKpiStationDay": plant_days,
    "getKpiStationMonth": plant_months,
    "getKpiStationYear": plant_years,
    "getDevKpiDay": device_days,
    "getDevKpiMonth": device_months,
    "getDevKpiYear": device_years,
}


def _plants(call: Call) -> list[Plant]:
    codes = read_list(call.body, "stationCodes")
    if not codes:
        raise Refusal(20010)
    if len(codes) > MAX_PLANTS:
        raise Refusal(20014)
    plants = call.view.plants_of(codes)
    _check_consent(call, (plant.code for plant in plants))
    return plants


def _devices(call: Call, types: Collection[int], most: int, too_many: int) -> list[Device]:
    ids, sns = read_list(call.body, "devIds"), read_list(call.body, "sns")
    if not ids and not sns:
        raise Refusal(20011)
    if len(ids or sns) > most:
        raise Refusal(too_many)
    kind = read_int(call.body, "devTypeId", missing=20013)
    if kind not in types:
        raise Refusal(20013)
    devices = call.view.devices_of(ids) if ids else call.view.devices_by_sn(sns)
    if any(device.type_id != kind for device in devices):
        raise Refusal(20006)
    _check_consent(call, (device.plant_code for device in devices))
    return devices


def _report_devices(call: Call) -> list[Device]:
    return _devices(call, REPORT_TYPES, MAX_DEVICES, 20016)


def _check_consent(call: Call, codes: Iterable[str]) -> None:
    if any(code in call.closed_plants for code in codes):
        raise Refusal(20056)


def _collect_time(call: Call) -> int:
    # The examples of 5.1.4.2 and 5.1.4.3 answer a negative collectTime with 20012, not with 20605.
    return read_time(call.body, "collectTime", negative=20012)


def _local(instant_ms: int, plant: Plant) -> datetime:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).astimezone(ZoneInfo(plant.zone))


def _to_ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _plant_rows(call: Call, plants: Iterable[Plant], ask: Callable[[Plant], list[Row]]) -> list[dict[str, Any]]:
    rows = []
    for plant in plants:
        with call.lock:
            found = ask(plant)
        code = call.view.code_of(plant.code)
        rows += [{"dataItemMap": items, "stationCode": code, "collectTime": at} for at, items in found]
    return rows


def _reported(call: Call, devices: Iterable[Device], ask: Callable[[Device], list[Row]]) -> list[dict[str, Any]]:
    rows = []
    for device in devices:
        with call.lock:
            found = ask(device)
        rows += _device_rows(call.view.id_of(device), device, found)
    return rows


def _device_rows(device_id: int, device: Device, found: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        {"dataItemMap": items, "devId": device_id, "sn": device.served_sn, "collectTime": at} for at, items in found
    ]
