"""One data item of the vendor's reference: what a key of `dataItemMap` means, and what staging makes of it.

Belongs here: the shape of a declaration. The declarations themselves live in `schemas/catalog/`.
"""

import re
from dataclasses import dataclass
from typing import Literal

ItemKind = Literal["value", "code", "instant"]
"""How staging reads a number: a measured value, a code with a lookup, or epoch milliseconds."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(vendor_key: str) -> str:
    """Name the raw column of a vendor key: `PVYield` becomes `pv_yield`, `active_power` stays as it is."""
    return _WORD_START.sub("_", vendor_key).lower()


@dataclass(frozen=True, slots=True)
class DataItem:
    """One documented data item of one table of the reference.

    `unit` is the true unit of the value as the server sends it and as `raw` stores it. Staging multiplies by
    `staging_factor` and names the result `staging_column`, whose unit is `staging_unit`.
    """

    vendor_key: str
    """The key as the server spells it."""
    column: str
    """The column of the raw table."""
    name: str
    """The meaning, from the reference's Name column."""
    type: str
    """DuckDB type of the raw column."""
    vendor_unit: str | None
    """The unit as printed in the reference; None where it prints None."""
    unit: str | None
    """True unit, readable by pint (`schemas.units.registry`); None for codes, ratios and currency."""
    unit_reason: str | None
    """Why `unit` says something else than `vendor_unit`."""
    section: str
    """Section of the reference whose table lists the item."""
    device_type_id: int | None
    """Device type of the item; None for plant items."""
    invalid: bool
    """The reference's remark: "Invalid field. The default value is null"."""
    plausible: tuple[float, float] | None
    """Inclusive bounds in `unit`; a value outside can't be true, whatever the plant."""
    kind: ItemKind
    """What staging does: scale a value, put a word beside a code, turn epoch milliseconds into a timestamp."""
    staging_column: str
    """The column of staging: the field's word with its unit as suffix."""
    staging_unit: str | None
    """Unit of `staging_column`, readable by pint."""
    staging_factor: float
    """`staging_column` = `column` x this factor (1.0 for codes and instants)."""
    lookup: str | None
    """For a code: name of its dictionary in `schemas.lookups`."""

    @property
    def staging_type(self) -> str:
        """DuckDB type of `staging_column`."""
        return {"value": "DOUBLE", "code": "INTEGER", "instant": "TIMESTAMPTZ"}[self.kind]

    @property
    def staging_label_column(self) -> str | None:
        """For a code: the column that holds its word (`inverter_state` beside `inverter_state_code`)."""
        return self.staging_column.removesuffix("_code") if self.kind == "code" else None
