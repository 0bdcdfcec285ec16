"""The bodies of the thirteen read endpoints, held to the vendor's limits before a call is spent.

Every builder raises RequestInvalid (a ValueError too) for a request that the server would refuse. Instants are
aware datetimes; the interface takes milliseconds since 1970.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipelines.northbound.errors import RequestInvalid
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

LANGUAGES: Final = ("zh_CN", "en_US", "ja_JP", "it_IT", "nl_NL", "pt_BR", "de_DE", "fr_FR", "es_ES", "pl_PL")
"""The languages of alarm texts (5.1.3.1)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEVICE_ID: Final = re.compile(r"-?\d{1,19}")
_TYPES: Final = {each.endpoint: each.device_types for each in DATASETS.values() if each.device_types}

Body = dict[str, Any]


def stations_body(
    page_no: int, *, connected_from: datetime | None = None, connected_until: datetime | None = None
) -> Body:
    """A page of the plant list (5.1.1.1), page 1 the first; by grid connection time if given.

    pageSize is left to the server (100): its request table doesn't list the parameter.
    """
    if page_no < 1:
        raise _refused("stations", "pages are numbered from 1")
    body: Body = {"pageNo": page_no}
    if connected_from is not None:
        body["gridConnectedStartTime"] = _positive("stations", connected_from)
    if connected_until is not None:
        body["gridConnectedEndTime"] = _positive("stations", connected_until)
    if connected_from is not None and connected_until is not None and connected_from >= connected_until:
        raise _refused("stations", "the range ends before it begins")
    return body


def devices_body(plant_codes: Sequence[str]) -> Body:
    """The devices of at most 100 plants (5.1.1.2)."""
    return {"stationCodes": _plants("getDevList", plant_codes)}


def plant_realtime_body(plant_codes: Sequence[str]) -> Body:
    """The present figures of at most 100 plants (5.1.2.1)."""
    return {"stationCodes": _plants("getStationRealKpi", plant_codes)}


def device_realtime_body(device_ids: Sequence[str | int], device_type_id: int) -> Body:
    """The present figures of at most 100 devices of one type (5.1.2.2).

    devTypeId goes as text, as in the vendor's example: a server of the field answers a number with nothing. Types
    beyond the vendor's list are let through: 23070 isn't on it and is answered all the same.
    """
    ids = _devices("getDevRealKpi", device_ids)
    return {"devIds": ids, "devTypeId": str(_type("getDevRealKpi", device_type_id, listed=False))}


def history_body(device_ids: Sequence[str | int], device_type_id: int, start: datetime, end: datetime) -> Body:
    """The 5-minute rows of at most 10 devices of one type in [start, end), at most 72 hours (5.1.2.3).

    Whether the vendor's endTime is inclusive isn't documented, so the last millisecond is left out: no row can
    come in two calls.
    """
    name = "getDevHistoryKpi"
    _check_span(name, start, end)
    return {
        "devIds": _devices(name, device_ids),
        # A number, as in the vendor's table and example of this endpoint.
        "devTypeId": _type(name, device_type_id),
        "startTime": _positive(name, start),
        "endTime": _positive(name, end) - 1,
    }


def report_body(
    endpoint: str, subjects: Sequence[str | int], instant: datetime, device_type_id: int | None = None
) -> Body:
    """An hourly, daily, monthly or yearly report (5.1.4): of plants, or of devices of ``device_type_id``.

    ``instant`` selects the local day, month or year of each subject.
    """
    known = ENDPOINTS.get(endpoint)
    if known is None or not known.section.startswith("5.1.4."):
        raise _refused(endpoint, "no report of that name")
    if known.max_devices is None:
        if device_type_id is not None:
            raise _refused(endpoint, "a plant report takes no device type")
        codes = [str(subject) for subject in subjects]
        return {"stationCodes": _plants(endpoint, codes), "collectTime": _positive(endpoint, instant)}
    if device_type_id is None:
        raise _refused(endpoint, "a device report needs the devices' type")
    return {
        "devIds": _devices(endpoint, subjects),
        "devTypeId": _type(endpoint, device_type_id),
        "collectTime": _positive(endpoint, instant),
    }


def alarms_body(
    plant_codes: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    language: str = "en_US",
    severities: Sequence[int] = (),
    device_types: Sequence[int] = (),
) -> Body:
    """The active alarms of at most 100 plants that were raised in [start, end), at most 31 days (5.1.3.1)."""
    name = "getAlarmList"
    _check_span(name, start, end)
    if language not in LANGUAGES:
        raise _refused(name, f"the language is one of {', '.join(LANGUAGES)}, not {language!r}")
    body: Body = {
        "stationCodes": _plants(name, plant_codes),
        "beginTime": _positive(name, start),
        "endTime": _positive(name, end) - 1,
        "language": language,
    }
    if severities:
        if not set(severities) <= {1, 2, 3, 4}:
            raise _refused(name, "severities are 1 to 4")
        body["levels"] = ",".join(str(each) for each in severities)
    if device_types:
        body["devTypes"] = ",".join(str(each) for each in device_types)
    return body


def is_plant_code(code: str) -> bool:
    """Can a call name this plant? Codes are sent in one text with commas between them."""
    return bool(code.strip()) and "," not in code


def _plants(endpoint: str, codes: Sequence[str]) -> str:
    for code in codes:
        if not is_plant_code(code):
            raise _refused(endpoint, f"{code!r} is no plant code")
    return _joined(endpoint, list(codes), ENDPOINTS[endpoint].max_plants, "plants")


def _devices(endpoint: str, ids: Sequence[str | int]) -> str:
    texts = [str(each) for each in ids]
    for text in texts:
        if not _DEVICE_ID.fullmatch(text):
            raise _refused(endpoint, f"{text!r} is no device id")
    return _joined(endpoint, texts, ENDPOINTS[endpoint].max_devices, "devices")


def _joined(endpoint: str, values: list[str], most: int | None, what: str) -> str:
    if not values:
        raise _refused(endpoint, f"no {what} are named")
    if most is not None and len(values) > most:
        raise _refused(endpoint, f"{len(values)} {what} are named, at most {most} may be")
    if len(set(values)) != len(values):
        raise _refused(endpoint, f"some {what} are named twice")
    return ",".join(values)


def _type(endpoint: str, device_type_id: int, *, listed: bool = True) -> int:
    types = _TYPES.get(endpoint, ())
    if isinstance(device_type_id, bool) or device_type_id <= 0:
        raise _refused(endpoint, f"{device_type_id} is no device type")
    if listed and device_type_id not in types:
        raise _refused(endpoint, f"it isn't served for device type {device_type_id}, only for {sorted(types)}")
    return device_type_id


def _check_span(endpoint: str, start: datetime, end: datetime) -> None:
    hours = ENDPOINTS[endpoint].max_span_hours
    # Compared as instants: two datetimes of one zone would be compared by their wall clocks, wrong over a DST change.
    length = _positive(endpoint, end) - _positive(endpoint, start)
    if length <= 0:
        raise _refused(endpoint, "the range ends before it begins")
    if hours is not None and length > hours * 3_600_000:
        raise _refused(endpoint, f"the range is longer than {hours} hours")


def _positive(endpoint: str, instant: datetime) -> int:
    if instant.tzinfo is None:
        raise _refused(endpoint, "an instant needs its time zone")
    millis = (instant.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    if millis < 0:
        raise _refused(endpoint, "instants before 1970 are refused by the server")
    return millis


def _refused(endpoint: str, why: str) -> RequestInvalid:
    return RequestInvalid(why, endpoint=endpoint, advice="No call was made.")
