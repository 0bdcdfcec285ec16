"""Meters: grid meter 17 and power sensor 47 (reference 5.1.2.2 and 5.1.2.3).

The reference tells no sign: which counter is import and which is export depends on the wiring, so staging says
forward (the vendor's positive) and reverse (negative). It also prints kW for the grid meter, of which many real
plants send W; an owner's unit override is the place for that. The power sensor sends active_power in W and the
power of each phase in kW.
"""

from typing import Final

from schemas.catalog.declare import code, table, value
from schemas.catalog.quantities import (
    APPARENT_POWER,
    COUNTER,
    FREQUENCY,
    LINE_VOLTAGE,
    METER_CURRENT,
    PLANT_POWER,
    POWER_FACTOR,
    REACTIVE_COUNTER,
    REACTIVE_POWER,
    REACTIVE_TARIFF_COUNTER,
    SENSOR_POWER,
    SENSOR_REACTIVE_POWER,
)
from schemas.items import DataItem

_RUN_STATE: Final = code("run_state", "State", "RUN_STATES")

_LINE_VOLTAGES: Final = (
    value("ab_u", "A-B line voltage of grid", LINE_VOLTAGE, "line_voltage_ab"),
    value("bc_u", "B-C line voltage of grid", LINE_VOLTAGE, "line_voltage_bc"),
    value("ca_u", "C-A line voltage of grid", LINE_VOLTAGE, "line_voltage_ca"),
)
_PHASE_A_VOLTAGE: Final = value("a_u", "Phase A voltage (AC output)", LINE_VOLTAGE, "phase_a_voltage")
_PHASE_BC_VOLTAGES: Final = (
    value("b_u", "Phase B voltage (AC output)", LINE_VOLTAGE, "phase_b_voltage"),
    value("c_u", "Phase C voltage (AC output)", LINE_VOLTAGE, "phase_c_voltage"),
)
_PHASE_A_CURRENT: Final = value("a_i", "Phase A current of grid (IA)", METER_CURRENT, "phase_a_current")
_PHASE_BC_CURRENTS: Final = (
    value("b_i", "Phase B current of grid (IB)", METER_CURRENT, "phase_b_current"),
    value("c_i", "Phase C current of grid (IC)", METER_CURRENT, "phase_c_current"),
)
_ACTIVE_CAP: Final = value("active_cap", "Active energy (positive active energy)", COUNTER, "forward_active_energy")
_REVERSE_ACTIVE_CAP: Final = value("reverse_active_cap", "Negative active energy", COUNTER, "reverse_active_energy")

_TARIFF_PERIODS: Final = (
    # The vendor calls the shoulder period "power": reverse_active_power is an energy.
    ("peak", "peak", "peak"),
    ("power", "shoulder", "shoulder"),
    ("valley", "off-peak", "off_peak"),
    ("top", "sharp", "sharp"),
)


def _reactive_counters(*, invalid: bool) -> list[DataItem]:
    return [
        value(
            "forward_reactive_cap",
            "Positive reactive energy",
            REACTIVE_COUNTER,
            "forward_reactive_energy",
            invalid=invalid,
        ),
        value(
            "reverse_reactive_cap",
            "Negative reactive energy",
            REACTIVE_COUNTER,
            "reverse_reactive_energy",
            invalid=invalid,
        ),
    ]


def _phase_powers() -> list[DataItem]:
    """Power of each phase; the reactive ones are never filled."""
    active = [
        value(f"active_power_{p}", f"Active power P{p.upper()}", PLANT_POWER, f"phase_{p}_active_power") for p in "abc"
    ]
    reactive = [
        value(
            f"reactive_power_{p}",
            f"Reactive power Q{p.upper()}",
            REACTIVE_POWER,
            f"phase_{p}_reactive_power",
            invalid=True,
        )
        for p in "abc"
    ]
    return active + reactive


def _tariff_counters() -> list[DataItem]:
    """Counters by tariff period, all declared invalid: active, then reactive, reverse before forward."""
    items = []
    for word, quantity in (("active", COUNTER), ("reactive", REACTIVE_TARIFF_COUNTER)):
        for sign, meaning, direction in (
            ("reverse", "Negative", "reverse"),
            ("positive", "Positive", "forward"),
        ):
            items += [
                value(
                    f"{sign}_{word}_{key}",
                    f"{meaning} {word} energy ({label})",
                    quantity,
                    f"{direction}_{word}_energy_{period}",
                    invalid=True,
                )
                for key, label, period in _TARIFF_PERIODS
            ]
    return items


_GRID_METER: Final = (
    *_LINE_VOLTAGES,
    _PHASE_A_VOLTAGE,
    *_PHASE_BC_VOLTAGES,
    _PHASE_A_CURRENT,
    *_PHASE_BC_CURRENTS,
    value("active_power", "Active power", PLANT_POWER),
    value("power_factor", "Power factor", POWER_FACTOR),
    _ACTIVE_CAP,
    value("reactive_power", "Reactive power", REACTIVE_POWER),
    _REVERSE_ACTIVE_CAP,
    *_reactive_counters(invalid=False),
    *_phase_powers(),
    value("total_apparent_power", "Total apparent power", APPARENT_POWER),
    value("grid_frequency", "Grid frequency", FREQUENCY, invalid=True),
    *_tariff_counters(),
)


def _power_sensor(voltage_name: str, current_name: str, *, run_state: bool) -> list[DataItem]:
    """Items of type 47. Its phase A is called meter_u and meter_i; the two sections name them differently."""
    return [
        code("meter_status", "Meter state", "METER_STATUSES"),
        value("meter_u", voltage_name, LINE_VOLTAGE, "phase_a_voltage"),
        value("meter_i", current_name, METER_CURRENT, "phase_a_current"),
        value("active_power", "Active power", SENSOR_POWER),
        value("reactive_power", "Reactive power", SENSOR_REACTIVE_POWER),
        value("power_factor", "Power factor", POWER_FACTOR),
        value("grid_frequency", "Grid frequency", FREQUENCY),
        _ACTIVE_CAP,
        _REVERSE_ACTIVE_CAP,
        *([_RUN_STATE] if run_state else []),
        *_LINE_VOLTAGES,
        *_PHASE_BC_VOLTAGES,
        *_PHASE_BC_CURRENTS,
        *_reactive_counters(invalid=True),
        *_phase_powers(),
        value("total_apparent_power", "Total apparent power", APPARENT_POWER, invalid=True),
        *_tariff_counters(),
    ]


HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {
    17: table("5.1.2.3", 17, _GRID_METER),
    47: table("5.1.2.3", 47, _power_sensor("Grid voltage", "Grid current", run_state=False)),
}

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    17: table("5.1.2.2", 17, _GRID_METER),
    47: table(
        "5.1.2.2",
        47,
        _power_sensor("Phase A voltage (AC output)", "Phase A current of grid (IA)", run_state=True),
    ),
}
