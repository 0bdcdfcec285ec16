"""Rows of inverters: string inverters (type 1) and residential ones (type 38)."""

from typing import Any, Final

import numpy as np

from pipelines.simulator.energy import (
    AC,
    CONVERSION,
    DERATES_ABOVE,
    INVERTERS,
    PV,
    stopped_by_limit,
    string_weights,
)
from pipelines.simulator.fleet import InverterSpec
from pipelines.simulator.rounding import ENERGY_DIGITS, POWER_DIGITS, Floats, rounded
from pipelines.simulator.span import Columns, Span

CONNECTED: Final = 512.0
LIMITED: Final = 513.0
DERATED: Final = 514.0
FAULT: Final = 768.0
STOPPED_BY_LIMIT: Final = 772.0
DETECTING: Final = 2.0
NO_IRRADIATION: Final = 40960.0
"""Inverter states of table 5-1."""

_ROOT3: Final = 3**0.5


def inverter_columns(span: Span) -> Columns:
    """The columns of an inverter over a span.

    The yield counters stand for AC output, the MPPT counters for DC input, so the latter run ahead by the
    conversion losses. `day_cap` keeps yesterday's yield until the inverter wakes, as real ones do.
    """
    spec = span.device.inverter
    if spec is None:
        raise ValueError(f"device {span.device.id} is no inverter")
    row = INVERTERS + span.device.position
    solar = span.power(PV if spec.hybrid else row)
    output = span.power(AC) if spec.hybrid else solar
    dc = solar / CONVERSION
    state = _state(span, spec, solar, output)
    awake = (state != NO_IRRADIATION).astype(np.float64)
    running = output != 0
    yield_kwh = span.counter(row)
    dc_kwh = (span.counter(PV) if spec.hybrid else yield_kwh) / CONVERSION
    load = np.abs(output) / spec.ac_kw
    air = span.month.sky.air[span.inside].astype(np.float64)
    woke, slept = _wake_times(span, row)
    return {
        "inverter_state": state.tolist(),
        **_grid_side(span, spec, np.abs(output), awake),
        "efficiency": rounded(np.where(solar > 0, 100 * CONVERSION - 0.6 * load, 0.0), 2),
        "temperature": rounded((air + 8.0 + 22.0 * load) * awake, 1),
        "power_factor": rounded(running.astype(np.float64), 3),
        "elec_freq": rounded(span.frequency * awake, 2),
        "active_power": rounded(output, POWER_DIGITS),
        "reactive_power": rounded(output * 0.012, POWER_DIGITS),
        "day_cap": rounded(_day_yield(span, row), ENERGY_DIGITS),
        "mppt_power": rounded(dc, POWER_DIGITS),
        **_strings(span, spec, dc, dc_kwh),
        "total_cap": rounded(yield_kwh, ENERGY_DIGITS),
        "open_time": woke,
        "close_time": slept,
        "mppt_total_cap": rounded(dc_kwh, ENERGY_DIGITS),
    }


def _state(span: Span, spec: InverterSpec, solar: Floats, output: Floats) -> Floats:
    sun = span.month.sky.sun_up[span.inside]
    state = np.where((output != 0) | (solar > 0), CONNECTED, np.where(sun, DETECTING, NO_IRRADIATION))
    if spec.limited:
        state = np.where(output >= spec.ac_kw * 0.7 - 1e-9, LIMITED, state)
    if spec.derates:
        state = np.where(output > spec.ac_kw * DERATES_ABOVE, DERATED, state)
    if spec.limit_stops:
        state = np.where(sun & stopped_by_limit(span.grid.hour[span.inside]), STOPPED_BY_LIMIT, state)
    if span.device.position < len(span.month.down):
        state = np.where(span.month.down[span.device.position][span.inside] & sun, FAULT, state)
    return np.asarray(state, dtype=np.float64)


def _grid_side(span: Span, spec: InverterSpec, power: Floats, awake: Floats) -> dict[str, Any]:
    voltage = span.voltage * awake
    if spec.phases == 1:
        idle = dict.fromkeys(("bc_u", "ca_u", "b_u", "c_u", "b_i", "c_i"), 0.0)
        current = np.divide(power * 1000, voltage, out=np.zeros_like(power), where=voltage > 0)
        return {"ab_u": rounded(voltage, 1), "a_u": rounded(voltage / 2, 1), "a_i": rounded(current, 3), **idle}
    columns: dict[str, Any] = {}
    for number, (phase, line) in enumerate((("a", "ab"), ("b", "bc"), ("c", "ca"))):
        own = voltage * (1 + 0.002 * (number - 1))
        current = np.divide(power * 1000 / 3, own, out=np.zeros_like(power), where=own > 0)
        columns[f"{line}_u"] = rounded(voltage * _ROOT3, 1)
        columns[f"{phase}_u"] = rounded(own, 1)
        columns[f"{phase}_i"] = rounded(current, 3)
    return columns


def _strings(span: Span, spec: InverterSpec, dc: Floats, dc_kwh: Floats) -> dict[str, Any]:
    """Voltages, currents and tracker counters: currents times voltages sum to the DC power. Unused inputs read 0."""
    inputs, trackers = (8, 4) if spec.hybrid else (28, 10)
    columns: dict[str, Any] = {f"pv{number}_{unit}": 0.0 for number in range(1, inputs + 1) for unit in "ui"}
    columns |= {f"mppt_{number}_cap": 0.0 for number in range(1, trackers + 1)}
    weights = string_weights(spec)
    shares = weights / weights.sum()
    open_volts, volts = (410.0, 360.0) if spec.hybrid else (690.0, 600.0)
    sky = span.month.sky
    warm = (sky.air[span.inside] + sky.poa[span.inside] * 0.028 - 25.0).astype(np.float64)
    sun = sky.sun_up[span.inside]
    per_tracker = max(1, spec.strings // spec.mppts)
    for tracker in range(spec.mppts):
        level = np.where(dc > 0, volts + 2.0 * span.noise(31 + tracker), open_volts * 0.7)
        voltage = np.where(sun, level * (1 - 0.0028 * warm), 0.0)
        mine = range(tracker * per_tracker, min((tracker + 1) * per_tracker, spec.strings))
        for string in mine:
            current = np.divide(dc * 1000 * shares[string], voltage, out=np.zeros_like(dc), where=voltage > 0)
            columns[f"pv{string + 1}_u"] = rounded(voltage, 1)
            columns[f"pv{string + 1}_i"] = rounded(current, 2)
        share = float(sum(shares[string] for string in mine))
        columns[f"mppt_{tracker + 1}_cap"] = rounded(dc_kwh * share, ENERGY_DIGITS)
    return columns


def _first_slots(span: Span, row: int) -> tuple[Floats, Floats]:
    """For each day of the month: the first slot with output after midnight and the last one; NaN without any."""
    starts = span.grid.starts
    active = np.flatnonzero(span.month.power(row, slice(0, span.grid.size)) > 0)
    day = span.grid.day_of_slot[active]
    at_midnight = active == starts[day]
    active, day = active[~at_midnight], day[~at_midnight]
    first = np.full(len(span.grid.days), np.nan)
    last = first.copy()
    first[day[::-1]] = active[::-1]
    last[day] = active
    return first, last


def _day_yield(span: Span, row: int) -> Floats:
    days = span.grid.day_of_slot[span.inside]
    first, _ = _first_slots(span, row)
    position = np.arange(span.inside.start, span.inside.stop)
    asleep = ~(position >= np.nan_to_num(first, nan=np.inf)[days])
    return np.where(asleep, span.yesterday(row), span.today(row))


def _wake_times(span: Span, row: int) -> tuple[list[Any], list[Any]]:
    """Startup time of today once it is past, and shutdown time once it is past; null before."""
    days = span.grid.day_of_slot[span.inside]
    first, last = (edge[days] for edge in _first_slots(span, row))
    position = np.arange(span.inside.start, span.inside.stop)
    base, step = int(span.grid.times[0]), 300_000
    woke = [base + int(f) * step if p >= f else None for p, f in zip(position.tolist(), first.tolist(), strict=True)]
    slept = [base + int(f + 1) * step if p > f else None for p, f in zip(position.tolist(), last.tolist(), strict=True)]
    return woke, slept
