"""Answers whose records hold a map of data items, from bytes to the columns of their table."""

from datetime import datetime

import polars as pl

from pipelines.lake.records import DRIFT_SCHEMA, QUARANTINE_SCHEMA, AnswerShapeError, Decoded
from schemas.tables import Table

__all__ = ["DRIFT_SCHEMA", "QUARANTINE_SCHEMA", "AnswerShapeError", "Decoded", "decode"]


def decode(
    table: Table,
    data: bytes,
    *,
    subjects: pl.DataFrame,
    extracted_at: datetime,
    account: str,
    polled_at: datetime | None = None,
) -> Decoded:
    """Turn the `data` of one answer into rows of `table`."""
    raise NotImplementedError
