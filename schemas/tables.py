"""Every table of the schemas `raw` and `ops`: columns, keys and how the lake stores them.

Made from the catalog: the data items of `schemas.catalog` between the identity columns of `schemas.columns`.
"""

from typing import Final

from schemas import catalog
from schemas.columns import (
    COLLECT_TIME,
    DEVICE_ID,
    DEVICE_SN,
    DEVICE_TYPE_ID,
    LOCAL_DATE,
    PERIOD_DATE,
    PERIOD_LABEL,
    PLANT_CODE,
    POLLED_AT,
    TAIL,
    item_columns,
)
from schemas.columns import Column as Column
from schemas.columns import PartitionBy as PartitionBy
from schemas.columns import SchemaName as SchemaName
from schemas.columns import Table as Table
from schemas.device_types import DEVICE_TYPES
from schemas.flat_tables import ALARMS, DEVICES, PLANTS
from schemas.items import DataItem
from schemas.ops_tables import OPS


def _distinct(items_by_type: dict[int, tuple[DataItem, ...]]) -> tuple[DataItem, ...]:
    """One item per key, from the first type that has it: types that share a key share its meaning and unit."""
    seen: dict[str, DataItem] = {}
    for items in items_by_type.values():
        for each in items:
            seen.setdefault(each.column, each)
    return tuple(seen.values())


def _history_table(type_id: int, items: tuple[DataItem, ...]) -> Table:
    kind = DEVICE_TYPES[type_id]
    return Table(
        f"device_history_{kind.name}",
        "raw",
        "device_history",
        type_id,
        f"5-minute history of devices of type {type_id}, {kind.label} (reference 5.1.2.3). "
        "One row per device and collect_time.",
        ("device_id", "collect_time"),
        (PLANT_CODE, DEVICE_ID, DEVICE_SN, COLLECT_TIME, LOCAL_DATE, *item_columns(items), *TAIL),
        "local_date",
    )


def _realtime_table(type_id: int, items: tuple[DataItem, ...]) -> Table:
    kind = DEVICE_TYPES[type_id]
    return Table(
        f"device_realtime_{kind.name}",
        "raw",
        "device_realtime",
        type_id,
        f"Polled values of devices of type {type_id}, {kind.label} (reference 5.1.2.2). One row per device and poll.",
        ("device_id", "polled_at"),
        (PLANT_CODE, DEVICE_ID, DEVICE_SN, POLLED_AT, LOCAL_DATE, *item_columns(items), *TAIL),
        "local_date",
    )


def _plant_table(dataset: str, what: str, row: str, partition_by: PartitionBy) -> Table:
    items = catalog.PLANT_ITEMS[dataset]
    time = POLLED_AT if dataset == "plant_realtime" else PERIOD_LABEL
    date = PERIOD_DATE if partition_by == "local_year" else LOCAL_DATE
    return Table(
        dataset,
        "raw",
        dataset,
        None,
        f"{what} (reference {items[0].section}). One row per plant and {row}.",
        ("plant_code", time.name),
        (PLANT_CODE, time, date, *item_columns(items), *TAIL),
        partition_by,
    )


_PLANT_TABLES: Final = (
    _plant_table("plant_realtime", "Polled figures of plants", "poll", "local_date"),
    _plant_table("plant_hourly", "The vendor's hourly plant report", "hour", "local_date"),
    _plant_table("plant_daily", "The vendor's daily plant report", "local day", "local_year"),
    _plant_table("plant_monthly", "The vendor's monthly plant report", "local month", "local_year"),
    _plant_table("plant_yearly", "The vendor's yearly plant report", "local year", "local_year"),
)


def _device_report_table(dataset: str, word: str, row: str) -> Table:
    items = _distinct(catalog.DEVICE_REPORT_ITEMS[dataset])
    return Table(
        dataset,
        "raw",
        dataset,
        None,
        f"The vendor's {word} device report of inverters (1, 38) and batteries (39, 41); items of other "
        f"types are null (reference {items[0].section}). One row per device and {row}.",
        ("device_id", "collect_time"),
        (
            PLANT_CODE,
            DEVICE_ID,
            DEVICE_SN,
            DEVICE_TYPE_ID,
            PERIOD_LABEL,
            PERIOD_DATE,
            *item_columns(items),
            *TAIL,
        ),
        "local_year",
    )


TABLES: Final[dict[str, Table]] = {
    each.name: each
    for each in (
        *PLANTS,
        *DEVICES,
        *(_history_table(type_id, items) for type_id, items in catalog.HISTORY.items()),
        *(_realtime_table(type_id, items) for type_id, items in catalog.REALTIME.items()),
        *_PLANT_TABLES,
        _device_report_table("device_daily", "daily", "local day"),
        _device_report_table("device_monthly", "monthly", "local month"),
        _device_report_table("device_yearly", "yearly", "local year"),
        ALARMS,
        *OPS,
    )
}
"""Every table of `raw` and `ops` by name."""

_BY_DATASET: Final = {
    (each.dataset, each.device_type_id): each.name
    for each in TABLES.values()
    if each.dataset is not None and not each.name.endswith("_versions")
}


def table_for(dataset: str, device_type_id: int | None = None) -> Table:
    """Find the raw table of a dataset; the device type matters for history and real time only.

    Raises KeyError for an unknown dataset, and for a device type that the interface doesn't serve.
    """
    name = _BY_DATASET.get((dataset, device_type_id)) or _BY_DATASET.get((dataset, None))
    if name is None:
        raise KeyError(f"no table for dataset {dataset} and device type {device_type_id}")
    return TABLES[name]
