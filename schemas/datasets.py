"""What can be loaded: the datasets, which endpoint answers them and what one call covers."""

from dataclasses import dataclass
from typing import Final, Literal

from schemas.device_types import HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES

Subject = Literal["plant", "device", "account"]
"""Whose data a dataset holds, and so what a call names."""

Period = Literal["day", "month", "year", "instant", "none"]
"""The span that is wanted, covered and counted as one."""

CallWindow = Literal["range", "day", "month", "year", "life", "none"]
"""What one call answers: any range, the local day, month or year around an instant, or everything."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset. Its table has the same name, with the device type appended for history and real time."""

    name: str
    endpoint: str
    subject: Subject
    period: Period
    window: CallWindow
    description: str
    device_types: tuple[int, ...] = ()
    """Device types that can be asked for; empty for plant datasets."""


_ALL: Final = (
    Dataset("plants", "stations", "account", "none", "none", "The plants that the account may see."),
    Dataset("devices", "getDevList", "plant", "none", "none", "The devices of the plants."),
    Dataset(
        "device_history",
        "getDevHistoryKpi",
        "device",
        "day",
        "range",
        "What a device measured every 5 minutes.",
        HISTORY_TYPES,
    ),
    Dataset(
        "device_realtime",
        "getDevRealKpi",
        "device",
        "instant",
        "none",
        "What a device measured last, as of the poll.",
        REALTIME_TYPES,
    ),
    Dataset(
        "plant_realtime",
        "getStationRealKpi",
        "plant",
        "instant",
        "none",
        "Counters, revenue and health of a plant, as of the poll.",
    ),
    Dataset("plant_hourly", "getKpiStationHour", "plant", "day", "day", "The vendor's report by hour."),
    Dataset("plant_daily", "getKpiStationDay", "plant", "day", "month", "The vendor's report by local day."),
    Dataset("plant_monthly", "getKpiStationMonth", "plant", "month", "year", "The vendor's report by month."),
    Dataset("plant_yearly", "getKpiStationYear", "plant", "year", "life", "The vendor's report by year."),
    Dataset(
        "device_daily",
        "getDevKpiDay",
        "device",
        "day",
        "month",
        "The vendor's report of a device by local day.",
        REPORT_TYPES,
    ),
    Dataset(
        "device_monthly",
        "getDevKpiMonth",
        "device",
        "month",
        "year",
        "The vendor's report of a device by month.",
        REPORT_TYPES,
    ),
    Dataset(
        "device_yearly",
        "getDevKpiYear",
        "device",
        "year",
        "life",
        "The vendor's report of a device by year.",
        REPORT_TYPES,
    ),
    Dataset("alarms", "getAlarmList", "plant", "instant", "none", "Alarms that were active when polled."),
)

DATASETS: Final[dict[str, Dataset]] = {each.name: each for each in _ALL}
"""Every dataset by name, inventory first."""
