"""Weather: environmental monitoring instrument 10 (reference 5.1.2.2 and 5.1.2.3).

`radiant_total` grows over the local day and is sent in MJ/m2, while the reports send kWh/m2. The plane of the
sensor is not told by the interface.
"""

from typing import Final

from schemas.catalog.declare import code, table, value
from schemas.catalog.quantities import DAY_IRRADIATION, IRRADIANCE, TEMPERATURE, WIND_DIRECTION, WIND_SPEED
from schemas.items import DataItem

_EMI: Final = (
    value("temperature", "Temperature", TEMPERATURE),
    value("pv_temperature", "PV temperature", TEMPERATURE),
    value("wind_speed", "Wind speed", WIND_SPEED),
    value("wind_direction", "Wind direction", WIND_DIRECTION),
    value("radiant_total", "Daily irradiation", DAY_IRRADIATION, "daily_irradiation"),
    value("radiant_line", "Irradiance", IRRADIANCE, "irradiance"),
    value("horiz_radiant_line", "Horizontal irradiance", IRRADIANCE, "horizontal_irradiance", invalid=True),
    value("horiz_radiant_total", "Horizontal irradiation", DAY_IRRADIATION, "horizontal_irradiation", invalid=True),
)

HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {10: table("5.1.2.3", 10, _EMI)}

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    10: table("5.1.2.2", 10, _EMI, code("run_state", "State", "RUN_STATES")),
}
