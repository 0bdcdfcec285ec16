"""The smallest harmless request of each read endpoint: one plant, one device, five minutes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from pipelines.northbound.requests import (
    alarms_body,
    device_realtime_body,
    devices_body,
    history_body,
    plant_realtime_body,
    report_body,
    stations_body,
)
from schemas.datasets import DATASETS
from schemas.device_types import DEVICE_TYPES

SPAN: Final = timedelta(minutes=5)

_TYPES: Final = {each.endpoint: each.device_types for each in DATASETS.values() if each.device_types}


@dataclass(frozen=True, slots=True)
class Subjects:
    """What may be asked about: codes of plants, and devices by type."""

    plants: tuple[str, ...] = ()
    devices: Mapping[int, str] | None = None
    """One device's id for each type."""


def subjects_of(plants: pl.DataFrame, devices: pl.DataFrame) -> Subjects:
    """The first plant, and the first device of each type (columns of raw.plants and raw.devices)."""
    if plants.is_empty():
        return Subjects()
    by_type: dict[int, str] = {}
    if devices.height:
        for kind, number in devices.select("device_type_id", "device_id").iter_rows():
            by_type.setdefault(kind, str(number))
    return Subjects(tuple(plants["plant_code"]), by_type)


def probe_body(endpoint: str, subjects: Subjects, now: datetime, language: str) -> Mapping[str, Any] | str:
    """The body, or why there is nothing to ask about. `now` is aware; the day before it is asked for."""
    if endpoint == "stations":
        return stations_body(1)
    if not subjects.plants:
        return "no plant is listed yet"
    plant, day = list(subjects.plants[:1]), now - timedelta(days=1)
    if endpoint == "getDevList":
        return devices_body(plant)
    if endpoint == "getStationRealKpi":
        return plant_realtime_body(plant)
    if endpoint == "getAlarmList":
        return alarms_body(plant, now - SPAN, now, language=language)
    if endpoint not in _TYPES:
        return report_body(endpoint, plant, day)
    found = next(
        ((kind, (subjects.devices or {})[kind]) for kind in _TYPES[endpoint] if kind in (subjects.devices or {})), None
    )
    if found is None:
        names = ", ".join(DEVICE_TYPES[kind].label for kind in _TYPES[endpoint][:3])
        return f"no device of a type that it serves is listed ({names}, ...)"
    kind, device = found
    if endpoint == "getDevRealKpi":
        return device_realtime_body([device], kind)
    if endpoint == "getDevHistoryKpi":
        return history_body([device], kind, day, day + SPAN)
    return report_body(endpoint, [device], day, device_type_id=kind)
