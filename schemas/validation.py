"""The strict door inside: pandera schemas made from the tables, for collected Polars frames only.

Types, column names, nulls in columns that must not have any, and one check over the whole frame (the key is
unique). Value ranges are not checked here: an implausible value of a plant is the plant's matter, and a check per
column costs hundreds of milliseconds a call.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from schemas.columns import Table
from schemas.polars_types import POLARS_TYPES

if TYPE_CHECKING:
    # It brings pandas along: a sixth of what a process takes to start, and only who lands rows needs it.
    import pandera.polars as pandera


@cache
def validator(table: Table) -> pandera.DataFrameSchema:
    """Build (once) the pandera schema of a table.

    Call it through `validate_frame`: on a LazyFrame pandera compares names and types only, and a null or a
    doubled key would pass.
    """
    import pandera.polars as pandera

    columns: dict[str, Any] = {
        each.name: pandera.Column(POLARS_TYPES[each.type], nullable=each.nullable) for each in table.columns
    }
    return pandera.DataFrameSchema(
        columns,
        strict=True,
        ordered=True,
        unique=list(table.key) or None,
        name=f"{table.schema}.{table.name}",
    )


def validate_frame(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Check a collected frame against its table and give it back unchanged.

    Raises pandera's SchemaError for the first thing that is wrong, and TypeError for a LazyFrame, which pandera
    would let through nearly unchecked. An empty frame passes if its columns are right.
    """
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{table.schema}.{table.name}: only a collected DataFrame can be validated, collect it first")
    validator(table).validate(frame)
    return frame
