"""Merges a listing of plants or devices into raw.plants and raw.devices, and keeps their observed versions.

The first part is pure, frames in, frames out; the last part applies it to the lake. A listing has the columns
that a listing tells, plus `extra`, `extracted_at` and `account`.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import polars as pl

from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES, Table

NOT_DESCRIPTIVE: Final = frozenset({"extra", "extracted_at", "account"})
"""Listing columns whose change makes no new version: how the row came, not what the thing is."""

Zones = Mapping[str, tuple[str, str]]
"""Plant code -> IANA time zone and where it was taken from."""


def merged_inventory(table: Table, current: pl.DataFrame, listing: pl.DataFrame) -> pl.DataFrame:
    """One row per plant or device: the newest listing's values, first and last time seen.

    What the listing lacks keeps its row. A listing older than what is known only moves first_seen_at.
    `plant_key`, where the table has it, is the code at first sight.
    """
    schema = polars_schema(table)
    key = table.key[0]
    seen = listing.with_columns(
        pl.col("extracted_at").alias("first_seen_at"), pl.col("extracted_at").alias("last_seen_at")
    )
    if "plant_key" in schema:
        seen = seen.with_columns(pl.col(key).alias("plant_key"))
    both = pl.concat([current, conformed(seen, schema)]).sort("extracted_at", maintain_order=True)
    stable = {"plant_key"} & set(schema)
    return (
        both.group_by(key, maintain_order=True)
        .agg(
            pl.col("first_seen_at").min(),
            pl.col("last_seen_at").max(),
            # The oldest row comes first; `current` holds the key of the first sight, however often it was merged.
            *(pl.col(name).sort_by("first_seen_at").first() for name in stable),
            *(pl.col(name).last() for name in schema if name not in {key, "first_seen_at", "last_seen_at"} | stable),
        )
        .select(list(schema))
        .sort(key)
    )


def merged_versions(table: Table, versions: pl.DataFrame, listing: pl.DataFrame) -> pl.DataFrame:
    """A row per observed state: what changed closes the last row and opens one at the listing's time.

    Only plants or devices that the listing holds are looked at; merging a listing again changes nothing, and a
    listing older than the open version is passed over.
    """
    schema = polars_schema(table)
    key = table.key[0]
    described = [name for name in listing.columns if name in schema and name != key and name not in NOT_DESCRIPTIVE]
    latest = versions.filter(pl.col("valid_to").is_null())
    known = latest.select(key, "valid_from", *(pl.col(name).alias(f"_{name}") for name in described))
    compared = listing.join(known, on=key, how="left")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"_{name}")) for name in described)
    changed = compared.filter(
        pl.col("valid_from").is_null() | (differs & (pl.col("extracted_at") > pl.col("valid_from")))
    )
    opened = conformed(changed.select(listing.columns).with_columns(pl.col("extracted_at").alias("valid_from")), schema)
    ends = changed.filter(pl.col("valid_from").is_not_null()).select(key, pl.col("extracted_at").alias("_end"))
    closed = (
        versions.join(ends, on=key, how="left")
        .with_columns(pl.coalesce("valid_to", "_end").alias("valid_to"))
        .select(list(schema))
    )
    return pl.concat([closed, opened]).sort(key, "valid_from")


def with_zones(listing: pl.DataFrame, zones: Zones) -> pl.DataFrame:
    """Add time_zone and time_zone_source; null for plants whose zone is unknown."""
    codes = listing["plant_code"].to_list()
    return listing.with_columns(
        pl.Series("time_zone", [zones.get(code, (None, None))[0] for code in codes], dtype=pl.String()),
        pl.Series("time_zone_source", [zones.get(code, (None, None))[1] for code in codes], dtype=pl.String()),
    )


def conformed(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Exactly the schema's columns, in order and type; what the frame lacks is null."""
    return frame.select(
        (pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name))
        for name, dtype in schema.items()
    )


def merge_plants(lake: Lake, listing: pl.DataFrame, zones: Zones) -> None:
    """Merge a complete plant listing into raw.plants and raw.plant_versions.

    Raises:
        DiskFull: no space is left; merging the same listing again completes it.
    """
    _merge(lake, "plants", "plant_versions", with_zones(listing, zones))


def merge_devices(lake: Lake, listing: pl.DataFrame) -> None:
    """Merge a complete device listing into raw.devices and raw.device_versions; errors as `merge_plants`."""
    _merge(lake, "devices", "device_versions", listing)


def note_seen(lake: Lake, name: str, ids: Collection[str] | Collection[int], at: datetime) -> None:
    """Keep that a listing held these plants or devices, whose description another account's listing tells.

    Raises:
        DiskFull: no space is left.
    """
    if not ids:
        return
    key = TABLES[name].key[0]
    seen = pl.col(key).is_in(list(ids))

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(
            pl.when(seen)
            .then(pl.max_horizontal("last_seen_at", pl.lit(at)))
            .otherwise("last_seen_at")
            .alias("last_seen_at")
        )

    lake.update(name, change)


def _merge(lake: Lake, name: str, versions_name: str, listing: pl.DataFrame) -> None:
    if listing.is_empty():
        return
    table, versions = TABLES[name], TABLES[versions_name]
    once = listing.unique(subset=list(table.key), keep="last", maintain_order=True)
    # Versions first: killed in between, the next listing still sees what changed, since each side compares with itself.
    lake.update(versions, lambda known: merged_versions(versions, known, once))
    lake.update(table, lambda known: merged_inventory(table, known, once))
