"""Data items that the catalog learned later: their values wait in `extra` of older rows, so they need no call.

`raw_views` reads them out of files that lack the column; a fold writes them into it. What is no number stays null.
"""

import polars as pl

from schemas.columns import Column, Table


def promoted(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a column more for each data item that it lacks and its `extra` may know (as sent, DOUBLE)."""
    absent = [each for each in table.columns if each.item is not None and each.name not in frame.columns]
    if not absent or "extra" not in frame.columns or frame["extra"].null_count() == frame.height:
        return frame
    values = [
        pl.col("extra").str.json_path_match(f"$.{each.item.vendor_key}").cast(pl.Float64, strict=False).alias(each.name)
        for each in absent
        if each.item is not None
    ]
    frame = frame.with_columns(values)
    return frame.with_columns(
        pl.when(pl.col(each.name).is_finite()).then(pl.col(each.name)).alias(each.name) for each in absent
    )


def promotion_sql(column: Column) -> str | None:
    """SQL that reads a data item out of `extra`; None for columns that are none."""
    if column.item is None:
        return None
    found = f"""try_cast("extra"->>'$."{column.item.vendor_key}"' as DOUBLE)"""
    return f"case when isfinite({found}) then {found} end"
