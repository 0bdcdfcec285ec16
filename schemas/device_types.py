"""Device types of the device list (reference 5.1.1.2) and which interfaces serve them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DeviceType:
    """One device type: the vendor's number, our table suffix and the interfaces that answer for it."""

    id: int
    name: str
    label: str
    history: bool = False
    realtime: bool = False
    report: bool = False


_ALL: Final = (
    DeviceType(1, "string_inverter", "String inverter", history=True, realtime=True, report=True),
    DeviceType(2, "smartlogger", "SmartLogger"),
    DeviceType(8, "sts", "STS"),
    DeviceType(10, "emi", "Environmental monitoring instrument (EMI)", history=True, realtime=True),
    DeviceType(13, "protocol_converter", "Protocol converter"),
    DeviceType(16, "general_device", "General device"),
    DeviceType(17, "grid_meter", "Grid meter", history=True, realtime=True),
    DeviceType(22, "pid", "PID"),
    DeviceType(37, "pinnet_data_logger", "Pinnet data logger"),
    DeviceType(38, "residential_inverter", "Residential inverter", history=True, realtime=True, report=True),
    DeviceType(39, "residential_battery", "Residential battery", history=True, realtime=True, report=True),
    DeviceType(40, "backup_box", "Backup box"),
    DeviceType(41, "ess", "C&I and utility ESS", history=True, realtime=True, report=True),
    DeviceType(45, "plc", "PLC"),
    DeviceType(46, "optimizer", "Optimizer"),
    DeviceType(47, "power_sensor", "Power sensor", history=True, realtime=True),
    DeviceType(62, "dongle", "Dongle"),
    DeviceType(63, "distributed_smartlogger", "Distributed SmartLogger"),
    DeviceType(70, "safety_box", "Safety box"),
    DeviceType(60001, "mains", "Mains", history=True, realtime=True),
    DeviceType(60003, "genset", "Genset", history=True, realtime=True),
    DeviceType(60043, "ssu_group", "SSU group", history=True, realtime=True),
    DeviceType(60044, "ssu", "SSU", realtime=True),
    DeviceType(60092, "power_converter", "Power converter", realtime=True),
    DeviceType(60014, "lithium_battery_rack", "Lithium battery rack", history=True, realtime=True),
    DeviceType(60010, "ac_output_distribution", "AC output power distribution", history=True, realtime=True),
    DeviceType(23070, "emma", "EMMA"),
)

DEVICE_TYPES: Final[dict[int, DeviceType]] = {each.id: each for each in _ALL}
"""Every device type of the device list, by the vendor's number. The order is the reference's."""

HISTORY_TYPES: Final[tuple[int, ...]] = tuple(each.id for each in _ALL if each.history)
"""Types that the historical device data interface serves (5.1.2.3)."""

REALTIME_TYPES: Final[tuple[int, ...]] = tuple(each.id for each in _ALL if each.realtime)
"""Types that the real-time device data interface serves (5.1.2.2)."""

REPORT_TYPES: Final[tuple[int, ...]] = tuple(each.id for each in _ALL if each.report)
"""Types that the daily, monthly and yearly device reports serve (5.1.4.5 to 5.1.4.7)."""

ALARM_TYPES: Final[tuple[int, ...]] = tuple(each.id for each in _ALL if each.id not in (41, 23070))
"""Types that the alarm interface lists (5.1.3.1): all of the device list but the ESS and EMMA."""
