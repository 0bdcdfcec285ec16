"""What every decoder hands on: the three frames of an answer and their fixed schemas."""

from dataclasses import dataclass
from typing import Final

import polars as pl

TIMESTAMP: Final = pl.Datetime("us", "UTC")
"""Every instant in the lake: microseconds, UTC."""

QUARANTINE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "reason": pl.String(),
    "record": pl.String(),
    "extracted_at": TIMESTAMP,
}
"""One row per record that can't be filed: why, and the record's own JSON text."""

DRIFT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "kind": pl.String(),
    "key": pl.String(),
    "cells": pl.Int64(),
    "sample": pl.String(),
}
"""One row per kind of deviation and vendor's key within one answer: how many cells, and one of them.

Kinds: `unknown_key` (the catalog doesn't know the key), `unreadable_cell` (a text that is no number),
`implausible_value` (a number outside the item's plausible range; it lands all the same).
"""


@dataclass(frozen=True)
class Decoded:
    """One answer in columns. Every record of the answer is a row, superseded, or in quarantine."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame
    drift: pl.DataFrame
    superseded: int = 0
    """Records that a later record of the same key in the same answer replaced."""


class AnswerShapeError(ValueError):
    """The text is no JSON list of records: the caller handed over something that is no answer's data."""
