"""What is measured: printed unit, true unit and the widest range that physics allows, for all items alike.

The bounds are meant for nonsense (a counter that overflowed, a sensor that came loose), not for faults: a value
that a real plant could show stays inside.
"""

from dataclasses import dataclass
from typing import Final

Bounds = tuple[float, float]
"""Inclusive lower and upper bound, in the unit as sent."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A kind of value: its printed and true unit, its unit in staging with suffix and factor, and its bounds."""

    vendor_unit: str | None
    unit: str | None
    plausible: Bounds | None
    suffix: str = ""
    staging_unit: str | None = None
    factor: float = 1.0
    unit_reason: str | None = None


CURRENCY_TEXT: Final = "The currency specified in the management system"
"""What the reference prints as the unit of money."""

ENERGY_MAX: Final = 1e10
"""kWh that no counter reaches: a plant of 1 GW at 2,000 full hours needs five years for it."""

_KVAR_FOR_ENERGY: Final = "printed kVar, but the name says reactive energy: a counter, so kvarh"
_KWH_FOR_REACTIVE: Final = "printed kWh, but the name says reactive energy, which is counted in kvarh"
_KW_FOR_CAPACITY: Final = "printed kW, but it is the capacity of the PV strings, which is stated in kWp"
_TON: Final = "a ton is read as the metric ton; pint's ton is the US short ton"

# Electrical, AC. 800 V inverters behind a medium-voltage meter: up to 500 kV between lines.
LINE_VOLTAGE: Final = Quantity("V", "V", (0, 500_000), "_v", "V")
INVERTER_VOLTAGE: Final = Quantity("V", "V", (0, 2_000), "_v", "V")
METER_CURRENT: Final = Quantity("A", "A", (-100_000, 100_000), "_a", "A")
"""Signed on some meters; a 100 kA busbar is beyond any plant's meter."""
INVERTER_CURRENT: Final = Quantity("A", "A", (-1_000, 1_000), "_a", "A")
"""A 350 kW inverter at 800 V carries about 255 A a phase."""
FREQUENCY: Final = Quantity("Hz", "Hz", (0, 70), "_hz", "Hz")
"""0 while the grid is away; no grid runs above 60 Hz by more than a few."""
FREQUENCY_PRINTED_KW: Final = Quantity(
    "kW", "Hz", (0, 70), "_hz", "Hz", unit_reason="printed kW, but the name says frequency"
)
POWER_FACTOR: Final = Quantity(None, None, (-1, 1))

# Power. Meters see whole plants, batteries containers, inverters themselves.
INVERTER_POWER: Final = Quantity("kW", "kW", (-1_000, 1_000), "_kw", "kW")
"""String inverters end near 350 kW; some draw a little at night."""
PLANT_POWER: Final = Quantity("kW", "kW", (-1e6, 1e6), "_kw", "kW")
"""1 GW in either direction."""
SENSOR_POWER: Final = Quantity("W", "W", (-1e7, 1e7), "_kw", "kW", 0.001)
"""10 MW: a power sensor sits at a home or a small business."""
SENSOR_REACTIVE_POWER: Final = Quantity("Var", "var", (-1e7, 1e7), "_kvar", "kvar", 0.001)
BATTERY_POWER: Final = Quantity("W", "W", (-1e6, 1e6), "_kw", "kW", 0.001)
"""1 MW: a residential battery has some 15 kW."""
ESS_POWER: Final = Quantity("W", "W", (-1e9, 1e9), "_kw", "kW", 0.001)
"""1 GW: the ESS of a utility plant."""
INVERTER_REACTIVE_POWER: Final = Quantity("kVar", "kvar", (-1_000, 1_000), "_kvar", "kvar")
REACTIVE_POWER: Final = Quantity("kVar", "kvar", (-1e6, 1e6), "_kvar", "kvar")
APPARENT_POWER: Final = Quantity("kVA", "kVA", (-1e6, 1e6), "_kva", "kVA")
PERCENT: Final = Quantity("%", "%", (0, 100), "_pct", "%")
EFFICIENCY: Final = Quantity("%", "%", (0, 110), "_pct", "%")
"""Above 100 by measuring error at low load."""
LOAD_RATE: Final = Quantity("%", "%", (0, 200), "_pct", "%")
"""A genset can be overloaded for a while."""
STATE_OF_HEALTH: Final = Quantity(
    None, "%", (0, 100), "_pct", "%", unit_reason="printed without unit; a state of health is a percentage"
)

# Energy.
COUNTER: Final = Quantity("kWh", "kWh", (0, ENERGY_MAX), "_kwh", "kWh")
DEVICE_DAY_ENERGY: Final = Quantity("kWh", "kWh", (0, 1e6), "_kwh", "kWh")
"""A day of a device: a 350 kW inverter makes at most some 8,400 kWh, a large ESS 1 GWh."""
DIFFERENCE_ENERGY: Final = Quantity("kWh", "kWh", (-ENERGY_MAX, ENERGY_MAX), "_kwh", "kWh")
"""What the vendor computes as a difference may fall below zero where a meter lags; that is kept and flagged."""
REACTIVE_COUNTER: Final = Quantity("kWh", "kvarh", (0, ENERGY_MAX), "_kvarh", "kvarh", unit_reason=_KWH_FOR_REACTIVE)
REACTIVE_TARIFF_COUNTER: Final = Quantity(
    "kVar", "kvarh", (0, ENERGY_MAX), "_kvarh", "kvarh", unit_reason=_KVAR_FOR_ENERGY
)

# Direct current.
PV_VOLTAGE: Final = Quantity("V", "V", (-10, 2_000), "_v", "V")
"""PV systems end at 1,500 V; an open input reads a little below zero."""
PV_CURRENT: Final = Quantity("A", "A", (-100, 200), "_a", "A")
"""Two to four strings on an input stay below 60 A; a reversed string reads negative."""
DC_VOLTAGE: Final = Quantity("V", "V", (0, 2_000), "_v", "V")
DC_CURRENT: Final = Quantity("A", "A", (-10_000, 10_000), "_a", "A")

# Environment. Bounds lie beyond the records of weather and of a module in the sun.
TEMPERATURE: Final = Quantity("°C", "degC", (-60, 150), "_degc", "degC")
WIND_SPEED: Final = Quantity("m/s", "m/s", (0, 120), "_m_s", "m/s")
WIND_DIRECTION: Final = Quantity("Degree", "degree", (0, 360), "_deg", "degree")
IRRADIANCE: Final = Quantity("W/m²", "W/m**2", (-20, 2_000), "_w_m2", "W/m**2")
"""Sensors read a little below zero at night; cloud edges reach about 1,600."""
DAY_IRRADIATION: Final = Quantity("MJ/m²", "MJ/m**2", (0, 60), "_kwh_m2", "kWh/m**2", 1 / 3.6)
"""1,367 W/m2 outside the atmosphere, at most 24 h of it at a slant: about 48 MJ."""


def irradiation(most: float) -> Quantity:
    """Irradiation of a report period, at most `most` kWh/m2."""
    return Quantity("kWh/m²", "kWh/m**2", (0, most), "_kwh_m2", "kWh/m**2")


def specific_yield(most_hours: float) -> Quantity:
    """Energy per capacity: kWh/kWp, printed as hours; at most the hours of the period."""
    return Quantity(
        "h",
        "kWh/kWp",
        (0, most_hours),
        "_kwh_kwp",
        "kWh/kWp",
        unit_reason="printed h, which is the same number; the name says kWh/kWp",
    )


def duration(most_hours: float) -> Quantity:
    """Hours, at most `most_hours`."""
    return Quantity("h", "h", (0, most_hours), "_h", "h")


LIFE_HOURS: Final = 1e6
"""A hundred years."""

# Reports.
CAPACITY: Final = Quantity("kW", "kWp", (0, 1e7), "_kwp", "kWp", unit_reason=_KW_FOR_CAPACITY)
"""10 GW: more than the largest plant there is."""
PERFORMANCE_RATIO: Final = Quantity("%", "%", (0, 200), "_pct", "%")
"""Above 100 on cold, bright days or with a dirty sensor."""
MASS: Final = Quantity("Ton", "metric_ton", (0, ENERGY_MAX), "_t", "metric_ton", unit_reason=_TON)
TREES: Final = Quantity("N/A", None, (0, ENERGY_MAX), unit_reason="a count")
TIMES: Final = Quantity("times", None, (0, 1e7), unit_reason="a count")
REVENUE: Final = Quantity(
    CURRENCY_TEXT,
    None,
    (-1e12, 1e12),
    unit_reason="the currency is a setting of the management system; the interface doesn't tell which",
)
"""Negative where buying costs more than feeding in earns."""

# Not measured.
CODE: Final = Quantity(None, None, (0, 65_535))
"""Codes come from 16-bit registers."""
EPOCH_MS: Final = Quantity("ms", "ms", (946_684_800_000, 4_102_444_800_000))
"""Years 2000 to 2100: a 0 stands for "never", not for 1970."""
