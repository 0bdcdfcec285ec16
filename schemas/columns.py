"""What a column and a table are, and the columns that tables share.

Identity columns are named alike everywhere; data items become columns here.
"""

from dataclasses import dataclass
from typing import Final, Literal

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


def must(name: str, type_: str, description: str) -> Column:
    """Make a column that is never null."""
    return Column(name, type_, description, nullable=False)


PLANT_CODE: Final = must(
    "plant_code",
    "VARCHAR",
    "The vendor's id of the plant; of several, which accounts or changes bring, the first seen.",
)
DEVICE_ID: Final = must(
    "device_id", "BIGINT", "The vendor's id of the device, of several the first seen; may be negative."
)
DEVICE_SN: Final = Column("device_sn", "VARCHAR", "Serial number; null where the server knows none.")
DEVICE_TYPE_ID: Final = must("device_type_id", "INTEGER", "The vendor's device type (reference 5.1.1.2).")
COLLECT_TIME: Final = must(
    "collect_time", "TIMESTAMPTZ", "Time of the values: the instant of measurement, as the server sends it."
)
PERIOD_LABEL: Final = must(
    "collect_time",
    "TIMESTAMPTZ",
    "The server's label of the period, as sent: usually its start in the plant's zone, on some servers at "
    "standard time in summer too. Use local_date for the period.",
)
POLLED_AT: Final = must("polled_at", "TIMESTAMPTZ", "Time of the poll, by the server's own clock.")
LOCAL_DATE: Final = must("local_date", "DATE", "The local date of the row in the plant's time zone.")
PERIOD_DATE: Final = must("local_date", "DATE", "First local date of the period, in the plant's time zone.")
EXTRA: Final = Column(
    "extra", "JSON", "Keys that the catalog doesn't know and texts that were no number, as they were sent."
)
EXTRACTED_AT: Final = must("extracted_at", "TIMESTAMPTZ", "When the answer was received.")
ACCOUNT: Final = must("account", "VARCHAR", "The account whose call brought the row.")
FIRST_SEEN: Final = must("first_seen_at", "TIMESTAMPTZ", "When a listing first held it.")
LAST_SEEN: Final = must("last_seen_at", "TIMESTAMPTZ", "When a listing last held it.")
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


def item_columns(items: tuple[DataItem, ...]) -> tuple[Column, ...]:
    """Make the raw columns of data items, in the same order, described from the catalog."""
    return tuple(_item_column(each) for each in items)
