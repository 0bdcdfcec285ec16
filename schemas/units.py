"""Units beyond those of pint's own registry, and the registry that reads every unit of the catalog.

pint is used by tests and tools only; nothing of the data path needs it.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pint

DEFINITIONS: Final[tuple[str, ...]] = (
    # Reactive power has the dimension of power; its own name keeps it apart for people.
    "volt_ampere_reactive = volt * ampere = var",
    "volt_ampere_reactive_hour = volt_ampere_reactive * hour = varh",
    # Watt peak: rated power of modules under standard test conditions.
    "watt_peak = watt = Wp",
    # Irradiation is written kWh/m2, as in the names of columns.
    "square_meter = meter ** 2 = m2",
)
"""What pint lacks, in its own notation; kvar, kvarh and kWp follow by prefix."""


@cache
def registry() -> "pint.UnitRegistry[Any]":
    """Build the unit registry that reads every `unit` and `staging_unit` of the catalog."""
    import pint

    units: pint.UnitRegistry[Any] = pint.UnitRegistry()
    for each in DEFINITIONS:
        units.define(each)
    return units
