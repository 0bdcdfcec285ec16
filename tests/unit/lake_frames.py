"""Frames of raw tables for the store's tests: what isn't given is null, or a constant where null isn't allowed."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from schemas.columns import Table
from schemas.polars_types import polars_schema

DAY = date(2026, 3, 28)
READ_AT = datetime(2026, 3, 30, 6, tzinfo=UTC)


def frame_of(table: Table, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    schema = polars_schema(table)
    given = [{"account": "test", "extracted_at": READ_AT, **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema, orient="row")


def hour(
    plant: str, day: date = DAY, number: int = 12, pv: float | None = 1.0, read_at: datetime = READ_AT
) -> dict[str, Any]:
    """A row of plant_hourly."""
    return {
        "plant_code": plant,
        "collect_time": datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=number),
        "local_date": day,
        "pv_yield": pv,
        "extracted_at": read_at,
    }
