"""Rows of storage: residential batteries (type 39) and ESS (type 41). As a rule positive power is charge, in W."""

from typing import Any, Final

import numpy as np

from pipelines.simulator.energy import CHARGE, DISCHARGE
from pipelines.simulator.fleet import BatterySpec
from pipelines.simulator.habits import DeviceHabit
from pipelines.simulator.rounding import ENERGY_DIGITS, POWER_DIGITS, Floats, rounded
from pipelines.simulator.span import Columns, Span

_LOWEST_SOC: Final = 5.0
"""Percent that stay in the cells when the usable energy is out."""

STANDBY: Final = 1.0
RUNNING: Final = 2.0
"""battery_status of 5.1.2.3."""

TIME_OF_USE: Final = 2.0
AUTOMATIC: Final = 4.0
"""ch_discharge_model of 5.1.2.3."""


def battery_columns(span: Span, habit: DeviceHabit) -> Columns:
    """A residential battery. As a rule it counts from local midnight: the row of midnight closes the day before."""
    spec, power = _battery(span), span.power(CHARGE) - span.power(DISCHARGE)
    soc = _soc(span, spec)
    return {
        "battery_status": np.where(power != 0, RUNNING, STANDBY).tolist(),
        "max_charge_power": rounded(np.where(soc >= 99.9, 0.0, spec.power_kw * 1000), 0),
        "max_discharge_power": rounded(np.where(soc <= _LOWEST_SOC, 0.0, spec.power_kw * 1000), 0),
        "ch_discharge_power": _told(power, habit),
        "busbar_u": rounded(390.0 + 0.4 * soc + span.noise(41), 1),
        "battery_soc": rounded(soc, 1),
        # Only LG batteries know their health; the others send 0.
        "battery_soh": 0.0,
        "ch_discharge_model": TIME_OF_USE if spec.charges_from_grid else AUTOMATIC,
        **_counters(span, habit),
    }


def ess_columns(span: Span, habit: DeviceHabit) -> Columns:
    """A C&I storage. As a rule its energies count from the connection on."""
    return {
        "ch_discharge_power": _told(span.power(CHARGE) - span.power(DISCHARGE), habit),
        "battery_soc": rounded(_soc(span, _battery(span)), 1),
        "battery_soh": 98.5,
        **_counters(span, habit),
    }


def _battery(span: Span) -> BatterySpec:
    if span.plant.battery is None:
        raise ValueError(f"plant {span.plant.code} has no storage")
    return span.plant.battery


def _told(power: Floats, habit: DeviceHabit) -> list[Any]:
    """Power to the watt, in the habit's sign and unit; `power` is positive for charge, kW."""
    signed = power if habit.positive == "charge" else -power
    return rounded(signed * 1000, 0) if habit.unit == "W" else rounded(signed, POWER_DIGITS)


def _counters(span: Span, habit: DeviceHabit) -> Columns:
    daily = habit.counters == "daily"
    rows = {"charge_cap": CHARGE, "discharge_cap": DISCHARGE}
    return {key: rounded(span.counted(row, daily=daily), ENERGY_DIGITS) for key, row in rows.items()}


def _soc(span: Span, spec: BatterySpec) -> Floats:
    stored = span.month.stored[span.inside]
    return _LOWEST_SOC + (100 - _LOWEST_SOC) * stored / spec.usable_kwh
