"""One row per key: which one counts, and in which order a partition is stored. Pure."""

from typing import Final

import polars as pl

from schemas.tables import Table

_ORDER: Final = ("plant_code", "device_id", "collect_time", "polled_at", "extracted_at")
"""Rows of one plant and device lie together, in time: that is how they are read."""


def newest_of_each_key(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per key, sorted by plant, device and time, as far as the table has them.

    The newest extraction counts, among equals the last row; frames come oldest first. A table without a key
    holds events: rows that are equal in every column are one.
    """
    if not table.key:
        return in_stored_order(frame.unique(maintain_order=True))
    by = [name for name in _ORDER if name in frame.columns]
    # Chosen and ordered on the few columns that decide; the wide frame is copied once.
    narrow = frame.select(list(dict.fromkeys([*table.key, *by]))).with_row_index("_row")
    if "extracted_at" in frame.columns:
        narrow = narrow.sort("extracted_at", maintain_order=True)
    kept = narrow.unique(subset=list(table.key), keep="last", maintain_order=True)
    return frame[(kept.sort(by, maintain_order=True) if by else kept)["_row"]]


def in_stored_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort by plant, device and time: rows of one device lie together, as they are read."""
    by = [name for name in _ORDER if name in frame.columns]
    return frame.sort(by, maintain_order=True) if by else frame


def summed_drift(frame: pl.DataFrame) -> pl.DataFrame:
    """Add up rows of schema_drift per dataset, kind and key; the first sample stays."""
    return (
        frame.group_by("dataset", "kind", "key", maintain_order=True)
        .agg(
            pl.col("cells").sum(),
            pl.col("sample").drop_nulls().first(),
            pl.col("first_seen_at").min(),
            pl.col("last_seen_at").max(),
        )
        .sort("dataset", "kind", "key")
        .select(frame.columns)
    )
