"""Inverters: string inverter 1 and residential inverter 38 (reference 5.1.2.2 and 5.1.2.3).

Power is instantaneous at collect_time. `day_cap` restarts at local midnight or when the inverter wakes, and
on hybrid inverters counts what the battery discharges. Inverters without sun send rows rarely or not at all.
"""

from typing import Final

from schemas.catalog.declare import code, instant, table, value
from schemas.catalog.quantities import (
    COUNTER,
    DEVICE_DAY_ENERGY,
    EFFICIENCY,
    FREQUENCY,
    INVERTER_CURRENT,
    INVERTER_POWER,
    INVERTER_REACTIVE_POWER,
    INVERTER_VOLTAGE,
    POWER_FACTOR,
    PV_CURRENT,
    PV_VOLTAGE,
    TEMPERATURE,
)
from schemas.items import DataItem

RUN_STATE: Final = code("run_state", "State", "RUN_STATES")

GRID_SIDE: Final = (
    code("inverter_state", "Inverter state", "INVERTER_STATES"),
    value("ab_u", "A-B line voltage of grid", INVERTER_VOLTAGE, "line_voltage_ab"),
    value("bc_u", "B-C line voltage of grid", INVERTER_VOLTAGE, "line_voltage_bc"),
    value("ca_u", "C-A line voltage of grid", INVERTER_VOLTAGE, "line_voltage_ca"),
    value("a_u", "Phase A voltage", INVERTER_VOLTAGE, "phase_a_voltage"),
    value("b_u", "Phase B voltage", INVERTER_VOLTAGE, "phase_b_voltage"),
    value("c_u", "Phase C voltage", INVERTER_VOLTAGE, "phase_c_voltage"),
    value("a_i", "Phase A current of grid", INVERTER_CURRENT, "phase_a_current"),
    value("b_i", "Phase B current of grid", INVERTER_CURRENT, "phase_b_current"),
    value("c_i", "Phase C current of grid", INVERTER_CURRENT, "phase_c_current"),
    value("efficiency", "Inverter conversion efficiency (manufacturer)", EFFICIENCY),
    value("temperature", "Internal temperature", TEMPERATURE),
    value("power_factor", "Power factor", POWER_FACTOR),
    value("elec_freq", "Grid frequency", FREQUENCY, "grid_frequency"),
    value("active_power", "Active power", INVERTER_POWER),
    value("reactive_power", "Output reactive power", INVERTER_REACTIVE_POWER),
    value("day_cap", "Yield today", DEVICE_DAY_ENERGY, "yield_today"),
    value("mppt_power", "MPPT total input power", INVERTER_POWER),
)

UP_TIME: Final = (
    value("total_cap", "Total yield", COUNTER, "total_yield"),
    instant("open_time", "Inverter startup time", "startup"),
    instant("close_time", "Inverter shutdown time", "shutdown"),
)

MPPT_TOTAL: Final = value("mppt_total_cap", "Total DC input energy", COUNTER, "mppt_total_yield")


def _pv_inputs(count: int) -> list[DataItem]:
    """PV inputs 1 to `count`: all voltages, then all currents, as the reference lists them."""
    numbers = range(1, count + 1)
    voltages = [value(f"pv{n}_u", f"PV{n} input voltage", PV_VOLTAGE, f"pv{n}_voltage") for n in numbers]
    currents = [value(f"pv{n}_i", f"PV{n} input current", PV_CURRENT, f"pv{n}_current") for n in numbers]
    return voltages + currents


def _mppt_yields(count: int) -> list[DataItem]:
    """DC energy counters of MPPT 1 to `count`."""
    return [value(f"mppt_{n}_cap", f"MPPT {n} DC total yield", COUNTER, f"mppt_{n}_yield") for n in range(1, count + 1)]


_STRING: Final = (*GRID_SIDE, *_pv_inputs(28), *UP_TIME, MPPT_TOTAL, *_mppt_yields(10))
_RESIDENTIAL: Final = (*GRID_SIDE, *_pv_inputs(8), *UP_TIME, *_mppt_yields(4))

HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {
    # In the reference's table a page break makes mppt_2_cap to mppt_10_cap look like items of type 38.
    1: table("5.1.2.3", 1, _STRING),
    38: table("5.1.2.3", 38, _RESIDENTIAL),
}

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    # The same for mppt_10_cap and the run_state after it.
    1: table("5.1.2.2", 1, _STRING, RUN_STATE),
    38: table("5.1.2.2", 38, _RESIDENTIAL, RUN_STATE),
}
