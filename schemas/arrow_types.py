"""Arrow types of our tables, with each column's description and unit as field metadata."""

from typing import Final

import pyarrow as pa

from schemas.columns import Column, Table

ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "DATE": pa.date32(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
}
"""DuckDB type to Arrow type; the same instants and texts as in `schemas.polars_types`."""


def _field(column: Column) -> pa.Field:
    metadata = {"description": column.description}
    if column.unit is not None:
        metadata["unit"] = column.unit
    return pa.field(column.name, ARROW_TYPES[column.type], column.nullable, metadata)


def arrow_schema(table: Table) -> pa.Schema:
    """Give the Arrow schema of a table: exact columns in order, nullability and metadata."""
    return pa.schema([_field(each) for each in table.columns], {"description": table.description})
