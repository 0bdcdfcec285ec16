"""Rows of meters: grid meters (type 17, kW) and power sensors (type 47, W)."""

from typing import Any, Final

import numpy as np

from pipelines.simulator.energy import EXPORT, IMPORT
from pipelines.simulator.habits import DeviceHabit
from pipelines.simulator.rounding import ENERGY_DIGITS, POWER_DIGITS, Floats, rounded
from pipelines.simulator.span import Columns, Span

_ROOT3: Final = 3**0.5
_PHASE_SHARES: Final = (0.34, 0.33, 0.33)
_REACTIVE: Final = 0.12
"""Reactive power over active power."""


def grid_meter_columns(span: Span, habit: DeviceHabit) -> Columns:
    """A grid meter at the plant's connection. Which direction is positive hangs on its wiring.

    `active_cap` counts the positive direction, `reverse_active_cap` the other, unless the habit says otherwise. With
    W as its unit, active_power comes in W although the reference says kW, as on many real plants; the phases stay in
    kW.
    """
    power, forward, reverse = _directed(span, habit)
    apparent = np.hypot(power, power * _REACTIVE)
    counted = forward + reverse
    columns: dict[str, Any] = {
        "active_power": _told(power, habit),
        "power_factor": rounded(np.where(power != 0, 1 / np.hypot(1.0, _REACTIVE), 0.0), 3),
        "active_cap": rounded(forward, ENERGY_DIGITS),
        "reactive_power": rounded(power * _REACTIVE, POWER_DIGITS),
        "reverse_active_cap": rounded(reverse, ENERGY_DIGITS),
        "forward_reactive_cap": rounded(counted * _REACTIVE * 0.8, ENERGY_DIGITS),
        "reverse_reactive_cap": rounded(counted * _REACTIVE * 0.2, ENERGY_DIGITS),
        "total_apparent_power": rounded(apparent, POWER_DIGITS),
    }
    voltage = span.voltage
    for share, phase, line in zip(_PHASE_SHARES, "abc", ("ab", "bc", "ca"), strict=True):
        columns[f"{line}_u"] = rounded(voltage * _ROOT3, 1)
        columns[f"{phase}_u"] = rounded(voltage, 1)
        columns[f"{phase}_i"] = rounded(apparent * 1000 * share / voltage, 2)
        columns[f"active_power_{phase}"] = rounded(power * share, POWER_DIGITS)
    return columns


def power_sensor_columns(span: Span, habit: DeviceHabit, *, live: bool) -> Columns:
    """A residential power sensor: as a rule positive is export, active_power in W and the phases in kW (5.1.2.3).

    On one phase the others have no values: "N/A" in real time (`live`), null in history.
    """
    power, forward, reverse = _directed(span, habit)
    voltage = span.voltage
    three = span.plant.capacity_kwp > 0 and span.life.inverters[0].phases == 3
    shares = _PHASE_SHARES if three else (1.0, 0.0, 0.0)
    current = np.abs(power) * 1000 / voltage
    columns: dict[str, Any] = {
        "meter_status": 1.0,
        "meter_u": rounded(voltage, 1),
        "meter_i": rounded(current * shares[0], 2),
        "active_power": _told(power, habit),
        "reactive_power": rounded(power * 1000 * _REACTIVE, 0),
        "power_factor": rounded(np.where(power != 0, 1 / np.hypot(1.0, _REACTIVE), 0.0), 3),
        "grid_frequency": rounded(span.frequency, 2),
        "active_cap": rounded(forward, ENERGY_DIGITS),
        "reverse_active_cap": rounded(reverse, ENERGY_DIGITS),
    }
    if three:
        for share, phase, line in zip(shares, "abc", ("ab", "bc", "ca"), strict=True):
            columns[f"{line}_u"] = rounded(voltage * _ROOT3, 1)
            columns[f"active_power_{phase}"] = rounded(power * share, POWER_DIGITS)
            if phase != "a":
                columns[f"{phase}_u"] = rounded(voltage, 1)
                columns[f"{phase}_i"] = rounded(current * share, 2)
        return columns
    missing = ("ab_u", "bc_u", "ca_u", "b_u", "c_u", "b_i", "c_i", "active_power_a", "active_power_b", "active_power_c")
    return columns | dict.fromkeys(missing, "N/A" if live else None)


def _told(power: Floats, habit: DeviceHabit) -> list[Any]:
    """Power to the watt, in the habit's unit."""
    return rounded(power * 1000, 0) if habit.unit == "W" else rounded(power, POWER_DIGITS)


def _directed(span: Span, habit: DeviceHabit) -> tuple[Floats, Floats, Floats]:
    """Power in the device's own sign, and the counters forward and reverse."""
    power = span.power(EXPORT) - span.power(IMPORT)
    daily = habit.counters == "daily"
    exported, imported = span.counted(EXPORT, daily=daily), span.counted(IMPORT, daily=daily)
    forward = habit.forward or f"forward_{habit.positive}"
    counters = (exported, imported) if forward == "forward_export" else (imported, exported)
    return (power if habit.positive == "export" else -power), *counters
