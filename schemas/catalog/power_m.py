"""Power-M devices: 60001, 60003, 60043, 60044, 60092, 60014, 60010 (reference 5.1.2.2 and 5.1.2.3).

The history tables list less than the real-time ones, and sometimes other items.
"""

from typing import Final

from schemas.catalog.declare import code, table, value
from schemas.catalog.quantities import (
    APPARENT_POWER,
    COUNTER,
    DC_CURRENT,
    DC_VOLTAGE,
    FREQUENCY,
    FREQUENCY_PRINTED_KW,
    LIFE_HOURS,
    LINE_VOLTAGE,
    LOAD_RATE,
    METER_CURRENT,
    PERCENT,
    PLANT_POWER,
    TEMPERATURE,
    TIMES,
    duration,
)
from schemas.items import DataItem

_AC_VOLTAGE: Final = value("ac_voltage", "AC voltage", LINE_VOLTAGE)
_AC_CURRENT: Final = value("ac_current", "AC current", METER_CURRENT)
_AC_FREQUENCY: Final = value("ac_frequency", "AC frequency", FREQUENCY)
_ACTIVE_POWER: Final = value("active_power", "Active power", PLANT_POWER)
_RUNNING_STATE: Final = code("running_state", "Running status", "GENSET_STATES")
_LOAD_RATE: Final = value("load_rate", "Load rate", LOAD_RATE)
_SOC: Final = value("soc", "SOC", PERCENT, "battery_soc")
_VOLTAGE: Final = value("voltage", "Voltage", DC_VOLTAGE, "battery_voltage")
_GROUP_CURRENT: Final = value("total_output_current", "Total output current", DC_CURRENT)

_MAINS: Final = (
    code("mains_state", "Mains status", "MAINS_STATES"),
    _AC_VOLTAGE,
    _AC_CURRENT,
    _ACTIVE_POWER,
    _AC_FREQUENCY,
)

HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {
    60001: table("5.1.2.3", 60001, _MAINS),
    60003: table("5.1.2.3", 60003, _LOAD_RATE, _RUNNING_STATE),
    60043: table(
        "5.1.2.3",
        60043,
        _GROUP_CURRENT,
        value("total_output_energy", "Total output energy", COUNTER),
    ),
    60014: table(
        "5.1.2.3",
        60014,
        _SOC,
        _VOLTAGE,
        value("average_temperature", "Average temperature", TEMPERATURE),
    ),
    60010: table(
        "5.1.2.3",
        60010,
        _AC_FREQUENCY,
        value("total_load_active_power", "Total load active power", PLANT_POWER),
    ),
}

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    60001: table(
        "5.1.2.2",
        60001,
        _MAINS,
        code("grid_quality_grade", "Power grid quality level", "GRID_QUALITY_GRADES"),
        value("total_energy_consumption", "Total energy consumption", COUNTER),
        value(
            "supply_duration_per_total",
            "Total power supply duration",
            duration(LIFE_HOURS),
            "total_supply_duration",
        ),
    ),
    60003: table("5.1.2.2", 60003, _RUNNING_STATE, value("output_power", "Output power", PLANT_POWER), _LOAD_RATE),
    60043: table(
        "5.1.2.2",
        60043,
        _GROUP_CURRENT,
        value("total_output_power", "Total output power", PLANT_POWER),
    ),
    60044: table(
        "5.1.2.2",
        60044,
        value("input_voltage", "Input voltage", LINE_VOLTAGE),
        value("output_voltage", "Output voltage", DC_VOLTAGE),
        value("output_current", "Output current", DC_CURRENT),
        code("on_off_state", "Power-on/off status", "ON_OFF_STATES"),
    ),
    60092: table(
        "5.1.2.2",
        60092,
        value("total_runtime", "Total runtime", duration(LIFE_HOURS)),
        value("pv_input_voltage", "PV input voltage", DC_VOLTAGE),
        value("pv_input_current", "PV input current", DC_CURRENT),
        value("pv_input_power", "PV input power", PLANT_POWER),
        value("inverter_voltage", "Inverter voltage", LINE_VOLTAGE),
        value("inverter_frequency", "Inverter frequency", FREQUENCY),
        value("ac_output_voltage", "AC output voltage", LINE_VOLTAGE),
        value("ac_output_current", "AC output current", METER_CURRENT),
        value("ac_output_frequency", "AC output frequency", FREQUENCY_PRINTED_KW),
        value("ac_output_apparent_power", "AC output apparent power", APPARENT_POWER),
    ),
    60014: table(
        "5.1.2.2",
        60014,
        code("battery_state", "Battery status", "RACK_BATTERY_STATES"),
        _SOC,
        value("charge_discharge_power", "Charge/Discharge power", PLANT_POWER),
        value("total_discharge", "Total energy discharged", COUNTER, "total_discharged_energy"),
        _VOLTAGE,
        value("current", "Current", DC_CURRENT, "battery_current"),
        value("remaining_backup_time", "Remaining power reserve duration", duration(LIFE_HOURS)),
        value("total_discharge_times", "Total discharge times", TIMES, "total_discharge_count"),
        value("total_capacity", "Total capacity", COUNTER),
    ),
    60010: table("5.1.2.2", 60010, _AC_VOLTAGE, _AC_CURRENT, _AC_FREQUENCY, _ACTIVE_POWER),
}
