"""Polars types of our tables."""

from typing import Final

import polars as pl

from schemas.tables import Table

POLARS_TYPES: Final[dict[str, pl.DataType]] = {
    "DOUBLE": pl.Float64(),
    "BIGINT": pl.Int64(),
    "INTEGER": pl.Int32(),
    "VARCHAR": pl.String(),
    "JSON": pl.String(),
    "DATE": pl.Date(),
    "BOOLEAN": pl.Boolean(),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
}
"""DuckDB type to Polars type. Instants are microseconds in UTC; JSON is its text."""


def polars_schema(table: Table) -> dict[str, pl.DataType]:
    """Give the exact columns and types of a frame of this table, in order."""
    return {each.name: POLARS_TYPES[each.type] for each in table.columns}
