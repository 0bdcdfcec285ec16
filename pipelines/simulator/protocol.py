"""The vendor's envelopes, and how parameters are read from a request (reference 3.2, 5.1, 6.1, 8.1, 8.2).

Success and refusal alike come with HTTP 200; the refusal is in ``success`` and ``failCode``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

READ_ENDPOINTS: Final = (
    "stations",
    "getDevList",
    "getStationRealKpi",
    "getDevRealKpi",
    "getDevHistoryKpi",
    "getAlarmList",
    "getKpiStationHour",
    "getKpiStationDay",
    "getKpiStationMonth",
    "getKpiStationYear",
    "getDevKpiDay",
    "getDevKpiMonth",
    "getDevKpiYear",
)
"""Section 5.1, by the last segment of the path."""

RETIRED_ENDPOINTS: Final = ("getStationList", "getDevFiveMinutes")
"""Replaced by ``stations`` and ``getDevHistoryKpi``; newer servers answer 401 (8.7)."""

_PLANTS: Final = ("stationCodes",)
_DEVICES: Final = ("devIds", "sns", "devTypeId")
ECHOED: Final[Mapping[str, tuple[str, ...]]] = {
    "login": (),
    "logout": ("xsrfToken", "xsrftoken"),
    "stations": (),
    "getDevList": _PLANTS,
    "getStationRealKpi": _PLANTS,
    "getDevRealKpi": _DEVICES,
    "getDevHistoryKpi": (*_DEVICES, "startTime", "endTime"),
    "getAlarmList": ("stationCodes", "sns", "beginTime", "endTime", "language", "levels", "devTypes"),
    "getKpiStationHour": (*_PLANTS, "collectTime"),
    "getKpiStationDay": (*_PLANTS, "collectTime"),
    "getKpiStationMonth": (*_PLANTS, "collectTime"),
    "getKpiStationYear": (*_PLANTS, "collectTime"),
    "getDevKpiDay": (*_DEVICES, "collectTime"),
    "getDevKpiMonth": (*_DEVICES, "collectTime"),
    "getDevKpiYear": (*_DEVICES, "collectTime"),
}
"""Which parameters of a request come back in ``params``, per endpoint."""

TIMES: Final = frozenset({"startTime", "endTime", "beginTime", "collectTime"})
MAX_MS: Final = 253_402_214_400_000
"""9999-12-31T00:00Z: later than that no calendar here can tell a date."""

TOO_FREQUENT: Final = "ACCESS_FREQUENCY_IS_TOO_HIGH"
MISLEADING: Final = (
    "The request failed because the user was not authenticated. This typically occurs when a resource has been "
    "restricted by a rule. The most common cause of this error is providing an incorrect password with the "
    "credentials parameter."
)
"""What 8.1.5 shows in the message of a 407."""
BAD_PARAMETER: Final = 30030


class Refusal(Exception):
    """A request that the vendor refuses: its number (6.1), and what its envelope says beside."""

    def __init__(self, code: int, message: str | None = None, *, data: str | None = None) -> None:
        """Keep the number, the optional ``message``, and the ``data`` that some refusals carry."""
        super().__init__(f"{code} {message or data or ''}".rstrip())
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def too_frequent(cls) -> Refusal:
        """Return the 407 of flow control, which gives its reason in ``data`` as servers do."""
        return cls(407, data=TOO_FREQUENT)


def relogin() -> dict[str, Any]:
    """Return the 305 as servers send it: neither ``success`` nor ``data``."""
    return {"failCode": 305, "immediately": True, "message": "USER_MUST_RELOGIN"}


def invalid_credential() -> dict[str, Any]:
    """Return the 305 for an access token that nobody issued (8.1.3)."""
    return {"failCode": 305, "success": False, "message": "INVALID_CREDENTIAL"}


def invalid_access() -> dict[str, Any]:
    """Return the 401 for an access token without permission for an endpoint (8.1.4)."""
    return {**unauthorized(), "message": "Invalid access to current interface!"}


def unauthorized() -> dict[str, Any]:
    """Return the 401 of an API account without permission for an endpoint (8.2.5)."""
    return {"data": None, "failCode": 401, "message": "Unauthorized", "params": {}, "success": False}


def success(endpoint: str, body: Mapping[str, Any], data: Any, now_ms: int) -> dict[str, Any]:
    """Return the envelope of a success; the plant list has no ``params`` but a message, a login neither (3.2.2.1)."""
    if endpoint == "stations":
        return {"success": True, "data": data, "failCode": 0, "message": "get plant list success"}
    params = None if endpoint == "login" else _params(endpoint, body, now_ms)
    return {"success": True, "data": data, "failCode": 0, "params": params, "message": None}


def refusal(endpoint: str, body: Mapping[str, Any], why: Refusal, now_ms: int) -> dict[str, Any]:
    """Return the envelope of a refusal, with the request echoed in ``params`` as in the reference's examples."""
    answer: dict[str, Any] = {"success": False, "data": why.data, "failCode": why.code, "message": why.message}
    if endpoint != "stations":
        echo = {} if endpoint == "logout" else body
        answer["params"] = _params(endpoint, echo, now_ms)
    return answer


def _params(endpoint: str, body: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    params = {key: body[key] for key in ECHOED[endpoint] if key in body}
    for key in TIMES & params.keys():  # times come back as numbers even if they were sent as text (5.1.3.1)
        params[key] = _number(params[key]) if _number(params[key]) is not None else params[key]
    params["currentTime"] = now_ms
    return params


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None


def read_int(body: Mapping[str, Any], key: str, *, missing: int) -> int:
    """Read a number, also one sent as text. Raises Refusal ``missing`` if it isn't there, 30030 if it is no number."""
    value = body.get(key)
    if value is None or value == "":
        raise Refusal(missing)
    number = _number(value)
    if number is None:
        raise Refusal(BAD_PARAMETER)
    return number


def read_time(body: Mapping[str, Any], key: str, *, negative: int = 20605, missing: int = 20012) -> int:
    """Read an instant in milliseconds since the epoch. Raises Refusal if it is missing, negative or no date."""
    instant = read_int(body, key, missing=missing)
    if instant < 0:
        raise Refusal(negative)
    if instant > MAX_MS:
        raise Refusal(BAD_PARAMETER)
    return instant


def read_list(body: Mapping[str, Any], key: str) -> list[str]:
    """Read a list sent as text with commas; missing, null and "" are the empty list. Raises Refusal 30030 otherwise."""
    value = body.get(key)
    if value is None:
        return []
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a single device id sent as a number
    if not isinstance(value, str):
        raise Refusal(BAD_PARAMETER)
    return [part for part in (piece.strip() for piece in value.split(",")) if part]


def read_ints(body: Mapping[str, Any], key: str, known: Collection[int]) -> list[int]:
    """Read numbers sent as text with commas. Raises Refusal 30030 for one that isn't known."""
    numbers = [_number(part) for part in read_list(body, key)]
    found = [number for number in numbers if number is not None and number in known]
    if len(found) != len(numbers):
        raise Refusal(BAD_PARAMETER)
    return found
