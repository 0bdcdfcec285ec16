"""The vendor's interfaces: paths, limits of one call and quotas, as data (reference 3.2, 4.1, 4.2, 5.1, 6.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.device_types import ALARM_TYPES, HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES

QUOTAS_VERSION: Final = "24.5"
"""The vendor's reference that the quotas below were read from. What a ledger has learnt of a quota holds for this
version of it."""

POLICY_SECTIONS: Final[Mapping[str, str]] = {"dynamic": "4.2", "static": "6.2", "oauth": "4.1"}
"""The policies of flow control and where the reference states them."""

MINUTE: Final = 60
FIVE_MINUTES: Final = 5 * MINUTE
TEN_MINUTES: Final = 10 * MINUTE
HALF_HOUR: Final = 30 * MINUTE
DAY: Final = 24 * 60 * MINUTE


def _blocks(count: int, size: int) -> int:
    """Roundup(count / size) of the reference."""
    return -(-count // size)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls one account may make within any `window_seconds`.

    The granted number is `base` plus the larger of
    `per_plant_block` x Roundup(plants / `plant_block`) and the sum over `device_types` of
    Roundup(devices of the type / `device_block`). All but the alarm quota use one of the two terms.
    """

    window_seconds: int
    base: int = 0
    per_plant_block: int = 0
    plant_block: int = 100
    device_types: tuple[int, ...] = ()
    """Only these types count. Whether the vendor also counts types that the interface can't answer for is not
    documented; leaving them out never promises a call that the server would refuse."""
    device_block: int = 100
    shared: str | None = None
    """Name of the counter that several endpoints draw from; None if the endpoint has its own."""

    def limit(self, plants: int, devices_by_type: Mapping[int, int]) -> int:
        """Count the calls granted to an account with so many plants and devices of each type."""
        by_plants = self.per_plant_block * _blocks(plants, self.plant_block)
        by_devices = sum(_blocks(devices_by_type.get(each, 0), self.device_block) for each in self.device_types)
        return self.base + max(by_plants, by_devices)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One interface. `quotas` is keyed by policy: "dynamic" (4.2), "static" (6.2), "oauth" (4.1)."""

    name: str
    path: str
    section: str
    title: str
    quotas: Mapping[str, Quota]
    max_plants: int | None = None
    """Most plants of one call."""
    max_devices: int | None = None
    """Most devices of one call; all of one type."""
    max_span_hours: int | None = None
    """Longest time range of one call."""
    paged: bool = False
    replaces: str | None = None
    """The old endpoint that this one stands in for."""


OAUTH_BASIC: Final = Quota(DAY, base=1000, shared="oauth_basic")
"""4.1: 1,000 calls a day and owner over all basic interfaces together."""

SESSION_QUOTA: Final = Quota(TEN_MINUTES, base=5)
"""3.2.2.1 and 3.2.2.2: five logins and five logouts every 10 minutes, whatever the policy."""

_SESSION_QUOTAS: Final = dict.fromkeys(("dynamic", "static", "oauth"), SESSION_QUOTA)

BATCH: Final = 100
"""Plants or devices of one call, everywhere but in history (5.1)."""

HISTORY_DEVICES: Final = 10
"""Devices of one history call (5.1.2.3)."""

HISTORY_SPAN_HOURS: Final = 72
"""5.1.2.3 says three days; read as hours: a local autumn day of 25 hours doesn't stretch it."""

ALARM_SPAN_HOURS: Final = 31 * 24
"""Codes 20026 and 20027 (6.1) name 365 and 31 days without naming an interface; alarms keep to the shorter."""


def _per_minute(calls: int) -> Quota:
    return Quota(MINUTE, base=calls)


def _quotas(dynamic: Quota, static_per_minute: int = 10) -> dict[str, Quota]:
    return {"dynamic": dynamic, "static": _per_minute(static_per_minute), "oauth": OAUTH_BASIC}


def _plant_report(name: str, section: str, title: str) -> Endpoint:
    quota = Quota(DAY, base=24, per_plant_block=1)
    return Endpoint(name, f"/thirdData/{name}", section, title, _quotas(quota), max_plants=BATCH)


def _device_report(name: str, section: str, title: str) -> Endpoint:
    quota = Quota(DAY, base=24, device_types=REPORT_TYPES)
    return Endpoint(name, f"/thirdData/{name}", section, title, _quotas(quota), max_devices=BATCH)


_ALL: Final = (
    Endpoint(
        "login",
        "/thirdData/login",
        "3.2.2.1",
        "Login",
        _SESSION_QUOTAS,
    ),
    Endpoint(
        "logout",
        "/thirdData/logout",
        "3.2.2.2",
        "Logout",
        _SESSION_QUOTAS,
    ),
    Endpoint(
        # On the OAuth service's host. The reference sets it no limit, so the login's is kept to: one an hour is usual.
        "oauth_token",
        "/rest/dp/uidm/oauth2/v1/token",
        "3.1.2.3",
        "Access token by OAuth",
        _SESSION_QUOTAS,
    ),
    Endpoint(
        "stations",
        "/thirdData/stations",
        "5.1.1.1",
        "Plant list",
        _quotas(Quota(DAY, base=24, per_plant_block=10)),
        paged=True,
        replaces="getStationList",
    ),
    Endpoint(
        "getDevList",
        "/thirdData/getDevList",
        "5.1.1.2",
        "Device list",
        _quotas(Quota(DAY, base=24, per_plant_block=1)),
        max_plants=BATCH,
    ),
    Endpoint(
        "getStationRealKpi",
        "/thirdData/getStationRealKpi",
        "5.1.2.1",
        "Real-time plant data",
        _quotas(Quota(FIVE_MINUTES, per_plant_block=1), static_per_minute=30),
        max_plants=BATCH,
    ),
    Endpoint(
        "getDevRealKpi",
        "/thirdData/getDevRealKpi",
        "5.1.2.2",
        "Real-time device data",
        _quotas(Quota(FIVE_MINUTES, device_types=REALTIME_TYPES)),
        max_devices=BATCH,
    ),
    Endpoint(
        "getDevHistoryKpi",
        "/thirdData/getDevHistoryKpi",
        "5.1.2.3",
        "Historical device data",
        _quotas(Quota(DAY, base=24, device_types=HISTORY_TYPES, device_block=HISTORY_DEVICES), static_per_minute=1),
        max_devices=HISTORY_DEVICES,
        max_span_hours=HISTORY_SPAN_HOURS,
        replaces="getDevFiveMinutes",
    ),
    Endpoint(
        "getAlarmList",
        "/thirdData/getAlarmList",
        "5.1.3.1",
        "Active alarms",
        _quotas(Quota(HALF_HOUR, per_plant_block=1, device_types=ALARM_TYPES)),
        max_plants=BATCH,
        max_devices=BATCH,
        max_span_hours=ALARM_SPAN_HOURS,
    ),
    _plant_report("getKpiStationHour", "5.1.4.1", "Hourly plant data"),
    _plant_report("getKpiStationDay", "5.1.4.2", "Daily plant data"),
    _plant_report("getKpiStationMonth", "5.1.4.3", "Monthly plant data"),
    _plant_report("getKpiStationYear", "5.1.4.4", "Yearly plant data"),
    _device_report("getDevKpiDay", "5.1.4.5", "Daily device data"),
    _device_report("getDevKpiMonth", "5.1.4.6", "Monthly device data"),
    _device_report("getDevKpiYear", "5.1.4.7", "Yearly device data"),
)

ENDPOINTS: Final[dict[str, Endpoint]] = {each.name: each for each in _ALL}
"""The thirteen read interfaces of 5.1, login and logout, by the last segment of their path, and OAuth's token API."""

SESSION_ENDPOINTS: Final = ("login", "logout", "oauth_token")
"""What opens and ends a session."""

READ_ENDPOINTS: Final[tuple[str, ...]] = tuple(name for name in ENDPOINTS if name not in SESSION_ENDPOINTS)
"""The thirteen interfaces that answer with data."""
