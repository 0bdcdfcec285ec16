"""Every table of the schemas `raw` and `ops`: columns, keys and how the lake stores them.

Made from the catalog: data items come from `schemas.catalog`, identity columns are named alike everywhere.
"""

from dataclasses import dataclass
from typing import Final, Literal

from schemas import catalog
from schemas.device_types import DEVICE_TYPES
from schemas.items import DataItem

SchemaName = Literal["raw", "ops"]
PartitionBy = Literal["local_date", "local_year"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type` is DuckDB's; `unit` the true unit of the stored value; `item` set for data items."""

    name: str
    type: str
    description: str
    unit: str | None = None
    nullable: bool = True
    item: DataItem | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `key` is unique; an empty key means that rows are events and may repeat."""

    name: str
    schema: SchemaName
    dataset: str | None
    device_type_id: int | None
    description: str
    """What the table holds; ends with "One row per ..."."""
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: PartitionBy | None = None
    """How the lake stores it. `local_year` is the lake's own column and not one of `columns`."""

    @property
    def items(self) -> tuple[DataItem, ...]:
        """The data items of the table, in order."""
        return tuple(each.item for each in self.columns if each.item is not None)

    def column(self, name: str) -> Column:
        """Find a column by name; KeyError names the table too."""
        for each in self.columns:
            if each.name == name:
                return each
        raise KeyError(f"{self.schema}.{self.name} has no column {name}")


def _must(name: str, type_: str, description: str) -> Column:
    return Column(name, type_, description, nullable=False)


PLANT_CODE: Final = _must("plant_code", "VARCHAR", "The vendor's id of the plant, as this account knows it.")
DEVICE_ID: Final = _must("device_id", "BIGINT", "The vendor's id of the device; may be negative.")
DEVICE_SN: Final = Column("device_sn", "VARCHAR", "Serial number; null where the server knows none.")
DEVICE_TYPE_ID: Final = _must("device_type_id", "INTEGER", "The vendor's device type (reference 5.1.1.2).")
COLLECT_TIME: Final = _must(
    "collect_time", "TIMESTAMPTZ", "Time of the values: the instant of measurement, as the server sends it."
)
PERIOD_LABEL: Final = _must(
    "collect_time",
    "TIMESTAMPTZ",
    "The server's label of the period, as sent: usually its start in the plant's zone, on some servers at "
    "standard time in summer too. Use local_date for the period.",
)
POLLED_AT: Final = _must("polled_at", "TIMESTAMPTZ", "Time of the poll, by the server's own clock.")
LOCAL_DATE: Final = _must("local_date", "DATE", "The local date of the row in the plant's time zone.")
PERIOD_DATE: Final = _must("local_date", "DATE", "First local date of the period, in the plant's time zone.")
EXTRA: Final = Column(
    "extra", "JSON", "Keys that the catalog doesn't know and texts that were no number, as they were sent."
)
EXTRACTED_AT: Final = _must("extracted_at", "TIMESTAMPTZ", "When the answer was received.")
ACCOUNT: Final = _must("account", "VARCHAR", "The account whose call brought the row.")
FIRST_SEEN: Final = _must("first_seen_at", "TIMESTAMPTZ", "When a listing first held it.")
LAST_SEEN: Final = _must("last_seen_at", "TIMESTAMPTZ", "When a listing last held it.")
TAIL: Final = (EXTRA, EXTRACTED_AT, ACCOUNT)
"""What every raw table ends with."""


def _item_description(item: DataItem) -> str:
    parts = [item.name]
    if item.unit:
        parts.append(f"in {item.unit}")
    text = " ".join(parts) + f" ({item.vendor_key}, reference {item.section})."
    if item.unit_reason:
        text += f" Unit: {item.unit_reason}."
    if item.invalid:
        text += " The reference calls it an invalid field: null by default."
    return text


def _item_column(item: DataItem) -> Column:
    return Column(item.column, item.type, _item_description(item), unit=item.unit, item=item)


def _item_columns(items: tuple[DataItem, ...]) -> tuple[Column, ...]:
    return tuple(_item_column(each) for each in items)


def _distinct(items_by_type: dict[int, tuple[DataItem, ...]]) -> tuple[DataItem, ...]:
    """One item per key, from the first type that has it: types that share a key share its meaning and unit."""
    seen: dict[str, DataItem] = {}
    for items in items_by_type.values():
        for each in items:
            seen.setdefault(each.column, each)
    return tuple(seen.values())


def _inventory(name: str, what: str, key: str, columns: tuple[Column, ...]) -> tuple[Table, Table]:
    """Build the table of an inventory and the table of its observed versions."""
    versions = (
        _must("valid_from", "TIMESTAMPTZ", "When this state was first observed."),
        Column("valid_to", "TIMESTAMPTZ", "When another state was first observed; null while it lasts."),
    )
    current = Table(
        name,
        "raw",
        name,
        None,
        f"{what}, as last listed; what the vendor no longer lists keeps its row. One row per {name[:-1]}.",
        (key,),
        columns,
    )
    history = Table(
        f"{name[:-1]}_versions",
        "raw",
        name,
        None,
        f"{what}, as they were over time, from the first load on. One row per {name[:-1]} and observed change.",
        (key, "valid_from"),
        columns + versions,
    )
    return current, history


_PLANTS: Final = _inventory(
    "plants",
    "Plants",
    "plant_code",
    (
        _must("plant_key", "VARCHAR", "Our own id of the plant, stable across accounts and changes of its code."),
        PLANT_CODE,
        Column("plant_name", "VARCHAR", "Name of the plant."),
        Column("plant_address", "VARCHAR", "Detailed address of the plant."),
        Column("longitude", "DOUBLE", "Longitude, east positive.", unit="degree"),
        Column("latitude", "DOUBLE", "Latitude, north positive.", unit="degree"),
        Column("capacity", "DOUBLE", "Total string capacity (DC).", unit="kWp"),
        Column("contact_person", "VARCHAR", "Contact of the plant."),
        Column("contact_method", "VARCHAR", "Phone number or mail address of the contact."),
        Column("grid_connection_date", "VARCHAR", "Grid connection as sent, with the offset of that moment."),
        Column("time_zone", "VARCHAR", "IANA time zone of the plant."),
        Column(
            "time_zone_source",
            "VARCHAR",
            "Where the zone comes from: plants_file, coordinates, grid_connection_date or default.",
        ),
        FIRST_SEEN,
        LAST_SEEN,
        *TAIL,
    ),
)

_DEVICES: Final = _inventory(
    "devices",
    "Devices",
    "device_id",
    (
        DEVICE_ID,
        Column("device_dn", "VARCHAR", "Unique id of the device in the management system (devDn)."),
        Column("device_name", "VARCHAR", "Name of the device."),
        PLANT_CODE,
        DEVICE_SN,
        DEVICE_TYPE_ID,
        Column("software_version", "VARCHAR", "Software version."),
        Column("optimizer_number", "INTEGER", "Number of optimizers."),
        Column("inverter_model", "VARCHAR", "Model; inverters only."),
        Column("longitude", "DOUBLE", "Longitude, east positive.", unit="degree"),
        Column("latitude", "DOUBLE", "Latitude, north positive.", unit="degree"),
        FIRST_SEEN,
        LAST_SEEN,
        *TAIL,
    ),
)

_ALARMS: Final = Table(
    "alarms",
    "raw",
    "alarms",
    None,
    "Alarms that were active when polled; clearing is inferred from absence in a later poll that covered plant and "
    "time. One row per alarm.",
    ("plant_code", "device_sn", "device_name", "alarm_id", "cause_id", "raise_time"),
    (
        PLANT_CODE,
        DEVICE_SN,
        Column("device_name", "VARCHAR", "Name of the device."),
        Column("device_type_id", "INTEGER", DEVICE_TYPE_ID.description),
        _must("alarm_id", "BIGINT", "The vendor's id of the kind of alarm."),
        Column("cause_id", "BIGINT", "The vendor's id of the cause."),
        Column("alarm_name", "VARCHAR", "Name of the alarm, in the language asked for."),
        Column("alarm_cause", "VARCHAR", "Cause, in the language asked for."),
        Column("alarm_type", "INTEGER", "Kind of alarm (reference 5.1.3.1)."),
        Column("severity", "INTEGER", "Severity: 1 critical, 2 major, 3 minor, 4 warning."),
        Column("status", "INTEGER", "Status; 1 is active, the only one that the interface knows."),
        _must("raise_time", "TIMESTAMPTZ", "When the alarm was raised."),
        Column("repair_suggestion", "VARCHAR", "The vendor's advice, in the language asked for."),
        _must("first_seen_at", "TIMESTAMPTZ", "Poll that first held the alarm."),
        _must("last_seen_at", "TIMESTAMPTZ", "Poll that last held the alarm."),
        Column("cleared_after", "TIMESTAMPTZ", "The alarm was still active then; null while it is."),
        Column("cleared_before", "TIMESTAMPTZ", "The first covering poll without it; null while it is active."),
        *TAIL,
    ),
)


def _device_tables() -> list[Table]:
    tables = []
    for type_id, items in catalog.HISTORY.items():
        kind = DEVICE_TYPES[type_id]
        tables.append(
            Table(
                f"device_history_{kind.name}",
                "raw",
                "device_history",
                type_id,
                f"5-minute history of devices of type {type_id}, {kind.label} (reference 5.1.2.3). "
                "One row per device and collect_time.",
                ("device_id", "collect_time"),
                (PLANT_CODE, DEVICE_ID, DEVICE_SN, COLLECT_TIME, LOCAL_DATE, *_item_columns(items), *TAIL),
                "local_date",
            )
        )
    for type_id, items in catalog.REALTIME.items():
        kind = DEVICE_TYPES[type_id]
        tables.append(
            Table(
                f"device_realtime_{kind.name}",
                "raw",
                "device_realtime",
                type_id,
                f"Polled values of devices of type {type_id}, {kind.label} (reference 5.1.2.2). "
                "One row per device and poll.",
                ("device_id", "polled_at"),
                (PLANT_CODE, DEVICE_ID, DEVICE_SN, POLLED_AT, LOCAL_DATE, *_item_columns(items), *TAIL),
                "local_date",
            )
        )
    return tables


_PERIOD_OF: Final = {"hourly": "hour", "daily": "local day", "monthly": "local month", "yearly": "local year"}


def _plant_tables() -> list[Table]:
    tables = []
    for dataset, items in catalog.PLANT_ITEMS.items():
        section = items[0].section
        if dataset == "plant_realtime":
            description = f"Polled figures of plants (reference {section}). One row per plant and poll."
            time, date, storage = POLLED_AT, LOCAL_DATE, "local_date"
        elif dataset == "plant_hourly":
            description = f"The vendor's hourly plant report (reference {section}). One row per plant and hour."
            time, date, storage = PERIOD_LABEL, LOCAL_DATE, "local_date"
        else:
            word = dataset.removeprefix("plant_")
            description = (
                f"The vendor's {word} plant report (reference {section}). One row per plant and {_PERIOD_OF[word]}."
            )
            time, date, storage = PERIOD_LABEL, PERIOD_DATE, "local_year"
        columns = (PLANT_CODE, time, date, *_item_columns(items), *TAIL)
        partition: PartitionBy = "local_date" if storage == "local_date" else "local_year"
        tables.append(Table(dataset, "raw", dataset, None, description, ("plant_code", time.name), columns, partition))
    return tables


def _device_report_tables() -> list[Table]:
    tables = []
    for dataset, by_type in catalog.DEVICE_REPORT_ITEMS.items():
        word = dataset.removeprefix("device_")
        items = _distinct(by_type)
        tables.append(
            Table(
                dataset,
                "raw",
                dataset,
                None,
                f"The vendor's {word} device report of inverters (1, 38) and batteries (39, 41); items of other "
                f"types are null (reference {items[0].section}). One row per device and {_PERIOD_OF[word]}.",
                ("device_id", "collect_time"),
                (
                    PLANT_CODE,
                    DEVICE_ID,
                    DEVICE_SN,
                    DEVICE_TYPE_ID,
                    PERIOD_LABEL,
                    PERIOD_DATE,
                    *_item_columns(items),
                    *TAIL,
                ),
                "local_year",
            )
        )
    return tables


_DATASET: Final = _must("dataset", "VARCHAR", "Dataset, as in `pvms load --dataset`.")

_OPS: Final = (
    Table(
        "quarantine",
        "ops",
        None,
        None,
        "Records that could not be filed: without device or plant, time or shape. One row per record set aside.",
        (),
        (
            _DATASET,
            _must("reason", "VARCHAR", "Why the record was set aside."),
            _must("record", "JSON", "The record as it was sent."),
            EXTRACTED_AT,
        ),
    ),
    Table(
        "api_calls",
        "ops",
        None,
        None,
        "The ledger of calls to the vendor, written before each call. One row per call.",
        (),
        (
            _must("called_at", "TIMESTAMPTZ", "When the call was made."),
            _must("account", "VARCHAR", "Account that the call was charged to."),
            _must("endpoint", "VARCHAR", "Interface: last segment of its path."),
            Column("asked", "VARCHAR", "What was asked: subjects and window."),
            Column("why", "VARCHAR", "Why it was asked."),
            Column("outcome", "VARCHAR", "How it ended; null while the call is under way or was cut off."),
            Column("fail_code", "INTEGER", "The vendor's code of a refusal (reference 6.1)."),
            Column("rows", "BIGINT", "Records in the answer."),
            Column("bytes", "BIGINT", "Size of the answer.", unit="byte"),
            Column("ms", "DOUBLE", "Time until the answer was there.", unit="ms"),
        ),
    ),
    Table(
        "coverage",
        "ops",
        None,
        None,
        "What is loaded, rolled up from what is kept per device. One row per dataset, plant and period.",
        ("dataset", "plant_code", "period"),
        (
            _DATASET,
            PLANT_CODE,
            _must("period", "DATE", "First local date of the period (day, month or year, by dataset)."),
            _must("wanted", "BIGINT", "Subjects (plant or devices) whose data are wanted."),
            _must("covered", "BIGINT", "Subjects whose data were read, also if empty."),
            _must("rows", "BIGINT", "Rows that were read."),
            _must("state", "VARCHAR", "missing, provisional, final, empty, suspect or denied."),
            Column("extracted_at", "TIMESTAMPTZ", "Newest extraction; null if none."),
        ),
    ),
    Table(
        "schema_drift",
        "ops",
        None,
        None,
        "What the answers held that the catalog doesn't expect. One row per dataset, kind and key.",
        ("dataset", "kind", "key"),
        (
            _DATASET,
            _must("kind", "VARCHAR", "unknown_key, unreadable_cell or implausible_value."),
            _must("key", "VARCHAR", "The vendor's key."),
            _must("cells", "BIGINT", "Cells seen so far."),
            Column("sample", "VARCHAR", "One value that was seen."),
            _must("first_seen_at", "TIMESTAMPTZ", "First answer that held it."),
            _must("last_seen_at", "TIMESTAMPTZ", "Last answer that held it."),
        ),
    ),
)

TABLES: Final[dict[str, Table]] = {
    each.name: each
    for each in (
        *_PLANTS,
        *_DEVICES,
        *_device_tables(),
        *_plant_tables(),
        *_device_report_tables(),
        _ALARMS,
        *_OPS,
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
