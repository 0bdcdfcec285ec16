"""Every data item of the reference's tables (section 5.1), by dataset and device type.

`HISTORY` and `REALTIME` are keyed by device type; `PLANT_ITEMS` and `DEVICE_REPORT_ITEMS` by dataset.
"""

from typing import Final

from schemas.catalog import batteries, environment, inverters, meters, power_m, reports
from schemas.items import DataItem

HISTORY: Final[dict[int, tuple[DataItem, ...]]] = {
    **inverters.HISTORY,
    **environment.HISTORY,
    **meters.HISTORY,
    **batteries.HISTORY,
    **power_m.HISTORY,
}
"""5.1.2.3: items of the historical device data, by device type."""

REALTIME: Final[dict[int, tuple[DataItem, ...]]] = {
    **inverters.REALTIME,
    **environment.REALTIME,
    **meters.REALTIME,
    **batteries.REALTIME,
    **power_m.REALTIME,
}
"""5.1.2.2: items of the real-time device data, by device type."""

PLANT_ITEMS: Final[dict[str, tuple[DataItem, ...]]] = reports.PLANT_ITEMS
"""5.1.2.1 and 5.1.4.1 to 5.1.4.4: items of the plant datasets, by dataset."""

DEVICE_REPORT_ITEMS: Final[dict[str, dict[int, tuple[DataItem, ...]]]] = reports.DEVICE_REPORT_ITEMS
"""5.1.4.5 to 5.1.4.7: items of the device reports, by dataset, then by device type."""
