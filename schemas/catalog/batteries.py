"""Batteries: residential battery 39 and ESS 41 (reference 5.1.2.2 and 5.1.2.3).

The sign of ch_discharge_power is not in these tables; staging keeps it as sent. Whether charge_cap and
discharge_cap count the day or the life is not documented either.
"""

from typing import Final

from schemas.catalog.declare import code, table, value
from schemas.catalog.quantities import (
    BATTERY_POWER,
    COUNTER,
    DC_VOLTAGE,
    ESS_POWER,
    PERCENT,
    STATE_OF_HEALTH,
    Quantity,
)
from schemas.items import DataItem

_RUN_STATE: Final = code("run_state", "State", "RUN_STATES")
_SOC: Final = value("battery_soc", "Battery SOC", PERCENT)
_CHARGED: Final = value("charge_cap", "Charged energy", COUNTER, "charged_energy")
_DISCHARGED: Final = value("discharge_cap", "Discharged energy", COUNTER, "discharged_energy")


def _power(quantity: Quantity) -> DataItem:
    return value("ch_discharge_power", "Charge/Discharge power", quantity, "charge_discharge_power")


def _residential(state_of_health: str) -> list[DataItem]:
    """Items of type 39; the real-time table adds a remark to the state of health."""
    return [
        code("battery_status", "Battery running state", "BATTERY_STATUSES"),
        value("max_charge_power", "Maximum charge power", BATTERY_POWER),
        value("max_discharge_power", "Maximum discharge power", BATTERY_POWER),
        _power(BATTERY_POWER),
        value("busbar_u", "Battery voltage", DC_VOLTAGE, "battery_voltage"),
        _SOC,
        value("battery_soh", state_of_health, STATE_OF_HEALTH),
        code("ch_discharge_model", "Charge/Discharge mode", "CHARGE_DISCHARGE_MODES", "charge_discharge_mode"),
        _CHARGED,
        _DISCHARGED,
    ]


HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {
    # A page break puts the label of type 41 beside the last five items of type 39; the ESS begins at its own
    # ch_discharge_power.
    39: table("5.1.2.3", 39, _residential("Battery SOH")),
    41: table("5.1.2.3", 41, _power(ESS_POWER), _SOC, _CHARGED, _DISCHARGED),
}

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    39: table("5.1.2.2", 39, _residential("Battery SOH (supported only by LG batteries)"), _RUN_STATE),
    41: table(
        "5.1.2.2",
        41,
        _power(ESS_POWER),
        _SOC,
        value("battery_soh", "Battery SOH", STATE_OF_HEALTH),
        _CHARGED,
        _DISCHARGED,
        _RUN_STATE,
    ),
}
