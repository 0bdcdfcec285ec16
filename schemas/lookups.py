"""Words for the vendor's codes. A code that isn't here is unknown, not wrong: staging leaves its word empty."""

from typing import Final

from schemas.device_types import DEVICE_TYPES as _DEVICE_TYPES

INVERTER_STATES: Final[dict[int, str]] = {
    0: "Standby: initializing",
    1: "Standby: insulation resistance detecting",
    2: "Standby: irradiation detecting",
    3: "Standby: grid detecting",
    256: "Start",
    512: "Grid-connected",
    513: "Grid-connected: power limited",
    514: "Grid-connected: self-derating",
    768: "Shutdown: on fault",
    769: "Shutdown: on command",
    770: "Shutdown: OVGR",
    771: "Shutdown: communication interrupted",
    772: "Shutdown: power limited",
    773: "Shutdown: manual startup required",
    774: "Shutdown: DC switch disconnected",
    1025: "Grid scheduling: cosφ-P curve",
    1026: "Grid scheduling: Q-U curve",
    1280: "Ready for terminal test",
    1281: "Terminal testing",
    1536: "Inspection in progress",
    1792: "AFCI self-check",
    2048: "I-V scanning",
    2304: "DC input detection",
    40960: "Standby: no irradiation",
    45056: "Communication interrupted (written by SmartLogger)",
    49152: "Loading (written by SmartLogger)",
}
"""Tables 5-1 and 5-2: inverter_state of types 1 and 38."""

HEALTH_STATES: Final[dict[int, str]] = {1: "disconnected", 2: "faulty", 3: "healthy"}
"""5.1.2.1: real_health_state of a plant."""

ALARM_SEVERITIES: Final[dict[int, str]] = {1: "critical", 2: "major", 3: "minor", 4: "warning"}
"""5.1.3.1: lev."""

ALARM_TYPES: Final[dict[int, str]] = {
    0: "other alarm",
    1: "transposition signal",
    2: "exception alarm",
    3: "protection event",
    4: "notification status",
    5: "alarm information",
}
"""5.1.3.1: alarmType."""

ALARM_STATUSES: Final[dict[int, str]] = {1: "not processed (active)"}
"""5.1.3.1: status. The interface knows active alarms only."""

RUN_STATES: Final[dict[int, str]] = {0: "disconnected", 1: "connected"}
"""5.1.2.2: run_state of a device."""

METER_STATUSES: Final[dict[int, str]] = {0: "offline", 1: "normal"}
"""5.1.2.2 and 5.1.2.3: meter_status of type 47."""

BATTERY_STATUSES: Final[dict[int, str]] = {
    0: "offline",
    1: "standby",
    2: "running",
    3: "faulty",
    4: "hibernating",
}
"""5.1.2.2 and 5.1.2.3: battery_status of type 39."""

CHARGE_DISCHARGE_MODES: Final[dict[int, str]] = {
    0: "none",
    1: "forced charge/discharge",
    2: "time-of-use price",
    3: "fixed charge/discharge",
    4: "automatic charge/discharge",
    5: "fully fed to grid",
    6: "TOU",
    7: "remote scheduling: maximum self-consumption",
    8: "remote scheduling: fully fed to grid",
    9: "remote scheduling: TOU",
    10: "EMMA",
}
"""5.1.2.2: ch_discharge_model of type 39 (5.1.2.3 prints the first five only)."""

MAINS_STATES: Final[dict[int, str]] = {0: "mains unavailable", 1: "mains available"}
"""5.1.2.2 and 5.1.2.3: mains_state of type 60001."""

GRID_QUALITY_GRADES: Final[dict[int, str]] = {0: "unknown", 1: "class 1", 2: "class 2", 3: "class 3", 4: "class 4"}
"""5.1.2.2: grid_quality_grade of type 60001."""

GENSET_STATES: Final[dict[int, str]] = {0: "unknown", 1: "stopped", 2: "running"}
"""5.1.2.2 and 5.1.2.3: running_state of type 60003."""

ON_OFF_STATES: Final[dict[int, str]] = {0: "on", 1: "off"}
"""5.1.2.2: on_off_state of type 60044. Zero means on."""

RACK_BATTERY_STATES: Final[dict[int, str]] = {
    0: "initial power-on",
    1: "power-off",
    2: "float charging",
    3: "boost charging",
    4: "discharging",
    5: "charging",
    6: "testing",
    7: "hibernation",
    8: "standby",
}
"""5.1.2.2: battery_state of type 60014."""

DEVICE_TYPES: Final[dict[int, str]] = {each.id: each.label for each in _DEVICE_TYPES.values()}
"""5.1.1.2: devTypeId."""

LOOKUPS: Final[dict[str, dict[int, str]]] = {
    "INVERTER_STATES": INVERTER_STATES,
    "HEALTH_STATES": HEALTH_STATES,
    "ALARM_SEVERITIES": ALARM_SEVERITIES,
    "ALARM_TYPES": ALARM_TYPES,
    "ALARM_STATUSES": ALARM_STATUSES,
    "RUN_STATES": RUN_STATES,
    "METER_STATUSES": METER_STATUSES,
    "BATTERY_STATUSES": BATTERY_STATUSES,
    "CHARGE_DISCHARGE_MODES": CHARGE_DISCHARGE_MODES,
    "MAINS_STATES": MAINS_STATES,
    "GRID_QUALITY_GRADES": GRID_QUALITY_GRADES,
    "GENSET_STATES": GENSET_STATES,
    "ON_OFF_STATES": ON_OFF_STATES,
    "RACK_BATTERY_STATES": RACK_BATTERY_STATES,
    "DEVICE_TYPES": DEVICE_TYPES,
}
"""Every lookup by the name that `DataItem.lookup` uses."""
