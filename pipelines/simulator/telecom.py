"""Rows of a telecom site (Power-M, types 60001 to 60092): mains that fail now and then, a genset, rectifiers."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.energy import LOAD, PV
from pipelines.simulator.rounding import POWER_DIGITS, Floats, rounded
from pipelines.simulator.span import Columns, Span

_BUS_VOLTS: Final = 53.5
_GENSET_KW: Final = 12.0
_RACK_KWH: Final = 14.4


def telecom_columns(span: Span) -> Columns:
    """The items of any of the site's devices, in history and in real time alike."""
    failed = _mains_failed(span)
    load, solar = span.power(LOAD), span.power(PV)
    makers = {
        60001: _mains,
        60003: _genset,
        60043: _rectifiers,
        60044: _rectifier,
        60014: _rack,
        60010: _distribution,
        60092: _converter,
    }
    return makers[span.device.type_id](span, failed, load, solar)


def _mains_failed(span: Span) -> NDArray[np.bool_]:
    return np.asarray(
        np.any(
            [
                (span.times >= episode.raised_ms) & (span.times < episode.cleared_ms)
                for episode in span.life.alarms.between(int(span.times[0]), int(span.times[-1]) + 1)
                if episode.device.type_id == 60001
            ]
            or [np.zeros(span.times.size, dtype=np.bool_)],
            axis=0,
        )
    )


def _mains(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    power = np.where(failed, 0.0, np.maximum(load - solar, 0.0))
    voltage = np.where(failed, 0.0, span.voltage)
    hours = (span.times - span.life.born_ms) / 3_600_000
    return {
        "mains_state": np.where(failed, 0.0, 1.0).tolist(),
        "ac_voltage": rounded(voltage, 1),
        "ac_current": rounded(power * 1000 / 3 / span.voltage, 2),
        "active_power": rounded(power, POWER_DIGITS),
        "ac_frequency": rounded(np.where(failed, 0.0, span.frequency), 2),
        "grid_quality_grade": 2.0,
        "total_energy_consumption": rounded(span.counter(LOAD), 2),
        "supply_duration_per_total": rounded(hours * 0.995, 1),
    }


def _genset(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    power = np.where(failed, np.maximum(load - solar, 0.6), 0.0)
    return {
        "running_state": np.where(failed, 2.0, 1.0).tolist(),
        "output_power": rounded(power, POWER_DIGITS),
        "load_rate": rounded(power / _GENSET_KW * 100, 1),
    }


def _rectifiers(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    return {
        "total_output_current": rounded(load * 1000 / _BUS_VOLTS, 1),
        "total_output_power": rounded(load, POWER_DIGITS),
        "total_output_energy": rounded(span.counter(LOAD), 2),
    }


def _rectifier(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    return {
        "input_voltage": rounded(np.where(failed, 0.0, span.voltage), 1),
        "output_voltage": rounded(_BUS_VOLTS + 0.1 * span.noise(61), 2),
        "output_current": rounded(load * 500 / _BUS_VOLTS, 1),
        "on_off_state": 0.0,
    }


def _rack(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    air = span.month.sky.air[span.inside].astype(np.float64)
    return {
        "battery_state": np.where(failed, 8.0, 2.0).tolist(),
        "soc": 100.0,
        "charge_discharge_power": 0.0,
        "total_discharge": 412.6,
        "voltage": rounded(_BUS_VOLTS + 0.1 * span.noise(62), 2),
        "current": 0.0,
        "remaining_backup_time": rounded(_RACK_KWH / load, 2),
        "total_discharge_times": 57.0,
        "total_capacity": _RACK_KWH,
        "average_temperature": rounded(air + 6.0, 1),
    }


def _distribution(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    return {
        "ac_voltage": rounded(span.voltage, 1),
        "ac_current": rounded(load * 1000 / 3 / span.voltage, 2),
        "ac_frequency": rounded(span.frequency, 2),
        "active_power": rounded(load, POWER_DIGITS),
        "total_load_active_power": rounded(load, POWER_DIGITS),
    }


def _converter(span: Span, failed: NDArray[np.bool_], load: Floats, solar: Floats) -> dict[str, Any]:
    sun = span.month.sky.sun_up[span.inside]
    volts = np.where(sun, 355.0 + 3 * span.noise(63), 0.0)
    apparent = load / 0.98
    return {
        "total_runtime": rounded((span.times - span.life.born_ms) / 3_600_000, 1),
        "pv_input_voltage": rounded(volts, 1),
        "pv_input_current": rounded(np.divide(solar * 1000, volts, out=np.zeros_like(volts), where=volts > 0), 2),
        "pv_input_power": rounded(solar, POWER_DIGITS),
        "inverter_voltage": rounded(span.voltage, 1),
        "inverter_frequency": rounded(span.frequency, 2),
        "ac_output_voltage": rounded(span.voltage, 1),
        "ac_output_current": rounded(apparent * 1000 / span.voltage, 2),
        "ac_output_frequency": rounded(span.frequency, 2),
        "ac_output_apparent_power": rounded(apparent, POWER_DIGITS),
    }
