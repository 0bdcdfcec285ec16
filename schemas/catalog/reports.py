"""Plant and device reports and the plant's real-time figures (reference 5.1.2.1 and 5.1.4).

Energies are those of the row's hour, local day, month or year. PVYield and inverterYield are two energies that
differ on plants with batteries; inverter_power is the vendor's own inaccurate figure (5.1.4).
"""

from typing import Final

from schemas.catalog.declare import code, table, value
from schemas.catalog.quantities import (
    CAPACITY,
    COUNTER,
    DIFFERENCE_ENERGY,
    MASS,
    PERFORMANCE_RATIO,
    REVENUE,
    TREES,
    duration,
    irradiation,
    specific_yield,
)
from schemas.items import DataItem

HOURS_OF: Final = {"day": 25.0, "month": 745.0, "year": 8784.0}
"""Most hours of a period: the autumn day has 25, October 745, a leap year 8,784."""

IRRADIATION_OF: Final = {"hour": 2.0, "day": 15.0, "month": 450.0, "year": 4_500.0}
"""kWh/m2 that no site on earth exceeds in the period (the sunniest deserts see about 2,900 a year)."""

_FEED_IN: Final = value("ongrid_power", "Feed-in energy", COUNTER, "feed_in_energy")
_THEORETICAL: Final = value("theory_power", "Theoretical yield", COUNTER, "theoretical_yield")
_INACCURATE: Final = value("inverter_power", "Inverter yield", COUNTER, "inverter_yield_inaccurate")
_REVENUE: Final = value("power_profit", "Revenue", REVENUE, "revenue")
_CHARGED: Final = value("chargeCap", "Charged energy", COUNTER, "charged_energy")
_DISCHARGED: Final = value("dischargeCap", "Discharged energy", COUNTER, "discharged_energy")
_SELF_PROVIDE: Final = value("selfProvide", "Energy consumed from PV", DIFFERENCE_ENERGY, "self_provided_energy")
_PV_YIELD: Final = value("PVYield", "PV yield", COUNTER)
# Negative where a battery charges from the grid: it is what the inverter takes from the AC side (docs/figures.md 1).
_INVERTER_YIELD: Final = value("inverterYield", "Inverter yield", DIFFERENCE_ENERGY)


def _radiation(period: str) -> DataItem:
    return value("radiation_intensity", "Global irradiation", irradiation(IRRADIATION_OF[period]), "global_irradiation")


def _specific(period: str) -> DataItem:
    return value("perpower_ratio", "Specific energy (kWh/kWp)", specific_yield(HOURS_OF[period]), "specific_yield")


_HOURLY: Final = (
    _radiation("hour"),
    _THEORETICAL,
    _INACCURATE,
    _FEED_IN,
    _REVENUE,
    _CHARGED,
    _DISCHARGED,
    _SELF_PROVIDE,
    _PV_YIELD,
    _INVERTER_YIELD,
)


def _plant_report(section: str, period: str) -> tuple[DataItem, ...]:
    """The nineteen items that the daily, monthly and yearly report have in common."""
    return table(
        section,
        None,
        value("installed_capacity", "Installed capacity", CAPACITY),
        _radiation(period),
        _THEORETICAL,
        value("performance_ratio", "Performance ratio", PERFORMANCE_RATIO),
        _INACCURATE,
        _FEED_IN,
        value("use_power", "Consumption", DIFFERENCE_ENERGY, "consumption"),
        _REVENUE,
        _specific(period),
        value("reduction_total_co2", "CO₂ emission reduction", MASS, "co2_reduction"),
        value("reduction_total_coal", "Standard coal saved", MASS, "coal_saved"),
        value("reduction_total_tree", "Equivalent trees planted", TREES, "equivalent_trees"),
        value("buyPower", "Energy from grid", COUNTER, "purchased_energy"),
        _CHARGED,
        _DISCHARGED,
        value("selfUsePower", "Consumed PV energy", DIFFERENCE_ENERGY, "self_used_pv_energy"),
        _SELF_PROVIDE,
        _PV_YIELD,
        _INVERTER_YIELD,
    )


_REALTIME: Final = (
    value("day_power", "Yield today", COUNTER, "yield_today"),
    value("month_power", "Yield this month", COUNTER, "yield_this_month"),
    value("total_power", "Total yield", COUNTER, "total_yield"),
    value("day_income", "Revenue today", REVENUE, "revenue_today"),
    value("total_income", "Total revenue", REVENUE, "total_revenue"),
    code("real_health_state", "Plant health status", "HEALTH_STATES", "health_state"),
)

PLANT_ITEMS: Final[dict[str, tuple[DataItem, ...]]] = {
    "plant_realtime": table("5.1.2.1", None, _REALTIME),
    "plant_hourly": table("5.1.4.1", None, _HOURLY),
    "plant_daily": _plant_report("5.1.4.2", "day"),
    "plant_monthly": _plant_report("5.1.4.3", "month"),
    "plant_yearly": _plant_report("5.1.4.4", "year"),
}
"""Items of the plant datasets, in the reference's order."""


def _device_report(section: str, period: str, yield_name: str) -> dict[int, tuple[DataItem, ...]]:
    """Items of one device report by type: battery first, as the reference lists them."""
    energies = (
        value("charge_cap", "Charged energy", COUNTER, "charged_energy"),
        value("discharge_cap", "Discharged energy", COUNTER, "discharged_energy"),
    )
    hours = duration(HOURS_OF[period])
    inverter = (
        value("installed_capacity", "Installed capacity", CAPACITY),
        value("product_power", yield_name, COUNTER, "yield"),
        _specific(period),
    )
    return {
        39: table(
            section,
            39,
            energies,
            value("charge_time", "Charging duration", hours, "charging_duration"),
            value("discharge_time", "Discharging duration", hours, "discharging_duration"),
        ),
        1: table(section, 1, inverter),
        38: table(section, 38, inverter),
        41: table(section, 41, energies),
    }


DEVICE_REPORT_ITEMS: Final[dict[str, dict[int, tuple[DataItem, ...]]]] = {
    "device_daily": _device_report("5.1.4.5", "day", "Yield"),
    "device_monthly": _device_report("5.1.4.6", "month", "Yield"),
    "device_yearly": _device_report("5.1.4.7", "year", "Energy yield"),
}
"""Items of the device reports by device type. Types share keys: the table has one column per distinct key."""
