"""The simulator's own lists of data item keys, transcribed from the vendor's reference (5.1.2.1-5.1.4.7).

They are kept apart from the catalog on purpose: a slip in one of the two shows up as a difference.
A row of the simulator carries every key of its list; an item without a value is null, as the reference
says of its "invalid fields".
"""

from typing import Final

_PHASES: Final = ("ab_u", "bc_u", "ca_u", "a_u", "b_u", "c_u", "a_i", "b_i", "c_i")


def _numbered(prefix: str, count: int, suffix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}{suffix}" for number in range(1, count + 1))


_INVERTER_HEAD: Final = (
    "inverter_state",
    *_PHASES,
    "efficiency",
    "temperature",
    "power_factor",
    "elec_freq",
    "active_power",
    "reactive_power",
    "day_cap",
    "mppt_power",
)
_INVERTER_TIMES: Final = ("total_cap", "open_time", "close_time")

STRING_INVERTER: Final = (
    *_INVERTER_HEAD,
    *_numbered("pv", 28, "_u"),
    *_numbered("pv", 28, "_i"),
    *_INVERTER_TIMES,
    "mppt_total_cap",
    *_numbered("mppt_", 10, "_cap"),
)
"""Type 1 in history, 88 keys (5.1.2.3)."""

RESIDENTIAL_INVERTER: Final = (
    *_INVERTER_HEAD,
    *_numbered("pv", 8, "_u"),
    *_numbered("pv", 8, "_i"),
    *_INVERTER_TIMES,
    *_numbered("mppt_", 4, "_cap"),
)
"""Type 38 in history, 41 keys (5.1.2.3)."""

EMI: Final = (
    "temperature",
    "pv_temperature",
    "wind_speed",
    "wind_direction",
    "radiant_total",
    "radiant_line",
    "horiz_radiant_line",
    "horiz_radiant_total",
)

_PHASE_POWERS: Final = (
    "active_power_a",
    "active_power_b",
    "active_power_c",
    "reactive_power_a",
    "reactive_power_b",
    "reactive_power_c",
    "total_apparent_power",
)
_TARIFF_ENERGIES: Final = tuple(
    f"{direction}_{kind}_{period}"
    for kind in ("active", "reactive")
    for direction in ("reverse", "positive")
    for period in ("peak", "power", "valley", "top")
)

GRID_METER: Final = (
    *_PHASES,
    "active_power",
    "power_factor",
    "active_cap",
    "reactive_power",
    "reverse_active_cap",
    "forward_reactive_cap",
    "reverse_reactive_cap",
    *_PHASE_POWERS,
    "grid_frequency",
    *_TARIFF_ENERGIES,
)
"""Type 17, 40 keys, the same in history and in real time: the reference gives it no run_state."""

_SENSOR_HEAD: Final = (
    "meter_status",
    "meter_u",
    "meter_i",
    "active_power",
    "reactive_power",
    "power_factor",
    "grid_frequency",
    "active_cap",
    "reverse_active_cap",
)
_SENSOR_TAIL: Final = (
    "ab_u",
    "bc_u",
    "ca_u",
    "b_u",
    "c_u",
    "b_i",
    "c_i",
    "forward_reactive_cap",
    "reverse_reactive_cap",
    *_PHASE_POWERS,
    *_TARIFF_ENERGIES,
)
POWER_SENSOR: Final = (*_SENSOR_HEAD, *_SENSOR_TAIL)

RESIDENTIAL_BATTERY: Final = (
    "battery_status",
    "max_charge_power",
    "max_discharge_power",
    "ch_discharge_power",
    "busbar_u",
    "battery_soc",
    "battery_soh",
    "ch_discharge_model",
    "charge_cap",
    "discharge_cap",
)

ESS: Final = ("ch_discharge_power", "battery_soc", "charge_cap", "discharge_cap")

HISTORY_KEYS: Final[dict[int, tuple[str, ...]]] = {
    1: STRING_INVERTER,
    10: EMI,
    17: GRID_METER,
    38: RESIDENTIAL_INVERTER,
    39: RESIDENTIAL_BATTERY,
    41: ESS,
    47: POWER_SENSOR,
    60001: ("mains_state", "ac_voltage", "ac_current", "active_power", "ac_frequency"),
    60003: ("load_rate", "running_state"),
    60043: ("total_output_current", "total_output_energy"),
    60014: ("soc", "voltage", "average_temperature"),
    60010: ("ac_frequency", "total_load_active_power"),
}
"""Keys of one historical row, by device type (5.1.2.3): 246 items over twelve types."""

REALTIME_KEYS: Final[dict[int, tuple[str, ...]]] = {
    1: (*STRING_INVERTER, "run_state"),
    10: (*EMI, "run_state"),
    17: GRID_METER,
    38: (*RESIDENTIAL_INVERTER, "run_state"),
    39: (*RESIDENTIAL_BATTERY, "run_state"),
    41: ("ch_discharge_power", "battery_soc", "battery_soh", "charge_cap", "discharge_cap", "run_state"),
    47: (*_SENSOR_HEAD, "run_state", *_SENSOR_TAIL),
    60001: (
        "mains_state",
        "ac_voltage",
        "ac_current",
        "active_power",
        "ac_frequency",
        "grid_quality_grade",
        "total_energy_consumption",
        "supply_duration_per_total",
    ),
    60003: ("running_state", "output_power", "load_rate"),
    60043: ("total_output_current", "total_output_power"),
    60044: ("input_voltage", "output_voltage", "output_current", "on_off_state"),
    60092: (
        "total_runtime",
        "pv_input_voltage",
        "pv_input_current",
        "pv_input_power",
        "inverter_voltage",
        "inverter_frequency",
        "ac_output_voltage",
        "ac_output_current",
        "ac_output_frequency",
        "ac_output_apparent_power",
    ),
    60014: (
        "battery_state",
        "soc",
        "charge_discharge_power",
        "total_discharge",
        "voltage",
        "current",
        "remaining_backup_time",
        "total_discharge_times",
        "total_capacity",
    ),
    60010: ("ac_voltage", "ac_current", "ac_frequency", "active_power"),
}
"""Keys of one real-time row, by device type (5.1.2.2): 279 items over fourteen types."""

PLANT_REALTIME_KEYS: Final = (
    "day_power",
    "month_power",
    "total_power",
    "day_income",
    "total_income",
    "real_health_state",
)

PLANT_HOUR_KEYS: Final = (
    "radiation_intensity",
    "theory_power",
    "inverter_power",
    "ongrid_power",
    "power_profit",
    "chargeCap",
    "dischargeCap",
    "selfProvide",
    "PVYield",
    "inverterYield",
)

PLANT_PERIOD_KEYS: Final = (
    "installed_capacity",
    "radiation_intensity",
    "theory_power",
    "performance_ratio",
    "inverter_power",
    "ongrid_power",
    "use_power",
    "power_profit",
    "perpower_ratio",
    "reduction_total_co2",
    "reduction_total_coal",
    "reduction_total_tree",
    "buyPower",
    "chargeCap",
    "dischargeCap",
    "selfUsePower",
    "selfProvide",
    "PVYield",
    "inverterYield",
)
"""Daily, monthly and yearly plant rows (5.1.4.2-5.1.4.4)."""

SENSOR_REPORT_KEYS: Final = ("radiation_intensity", "theory_power", "performance_ratio")
"""Left out of the rows of plants without an irradiation sensor, as servers do."""

DEVICE_REPORT_KEYS: Final[dict[int, tuple[str, ...]]] = {
    1: ("installed_capacity", "product_power", "perpower_ratio"),
    38: ("installed_capacity", "product_power", "perpower_ratio"),
    39: ("charge_cap", "discharge_cap", "charge_time", "discharge_time"),
    41: ("charge_cap", "discharge_cap"),
}
"""Device rows per day, month and year (5.1.4.5-5.1.4.7)."""

ALARM_KEYS: Final = (
    "alarmCause",
    "alarmId",
    "alarmName",
    "alarmType",
    "causeId",
    "devName",
    "devTypeId",
    "esnCode",
    "lev",
    "raiseTime",
    "repairSuggestion",
    "stationCode",
    "stationName",
    "status",
)
"""One active alarm (5.1.3.1)."""
