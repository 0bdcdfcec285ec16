"""Small helpers that keep the declarations short: one line per item, one call per table."""

from collections.abc import Iterable
from dataclasses import replace

from schemas.catalog.quantities import CODE, EPOCH_MS, Quantity
from schemas.items import DataItem, ItemKind, snake_case

NO_SECTION = ""
"""Section of an item that isn't part of a table yet."""


def _item(
    key: str,
    name: str,
    quantity: Quantity,
    kind: ItemKind,
    staging_column: str,
    *,
    invalid: bool = False,
    lookup: str | None = None,
) -> DataItem:
    return DataItem(
        vendor_key=key,
        column=snake_case(key),
        name=name,
        type="DOUBLE",
        vendor_unit=quantity.vendor_unit,
        unit=quantity.unit,
        unit_reason=quantity.unit_reason,
        section=NO_SECTION,
        device_type_id=None,
        invalid=invalid,
        plausible=quantity.plausible,
        kind=kind,
        staging_column=staging_column,
        staging_unit=quantity.staging_unit,
        staging_factor=quantity.factor,
        lookup=lookup,
    )


def value(key: str, name: str, quantity: Quantity, staging: str | None = None, *, invalid: bool = False) -> DataItem:
    """Declare a measured value. `staging` is the field's word for it, without the unit suffix."""
    staging_column = (staging or snake_case(key)) + quantity.suffix
    return _item(key, name, quantity, "value", staging_column, invalid=invalid)


def code(key: str, name: str, lookup: str, staging: str | None = None) -> DataItem:
    """Declare a code whose words are in `schemas.lookups`; staging keeps code and word side by side."""
    return _item(key, name, CODE, "code", f"{staging or snake_case(key)}_code", lookup=lookup)


def instant(key: str, name: str, staging: str) -> DataItem:
    """Declare an instant in epoch milliseconds; staging makes it a timestamp named `..._at_utc`."""
    return _item(key, name, EPOCH_MS, "instant", f"{staging}_at_utc")


def table(section: str, device_type_id: int | None, *items: DataItem | Iterable[DataItem]) -> tuple[DataItem, ...]:
    """Place items, in the reference's order, in the table of one section and device type."""
    flat: list[DataItem] = []
    for each in items:
        flat.extend([each] if isinstance(each, DataItem) else each)
    return tuple(replace(each, section=section, device_type_id=device_type_id) for each in flat)
