"""Keeps which account sees which plant and device under which id, and retires what none has listed for a day.

These tables stand in the lake, beside the rows that they explain: without them nobody could ask for a plant whose
rows bear another code, nor tell which account sees it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import polars as pl

from pipelines.lake.inventory import conformed
from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

RETIRED_AFTER: Final = timedelta(days=1)
"""Between the first complete listing without a plant or device and the one that retires it: a listing may lie once."""

ALIAS: Final = {"account_plants": "account_plant_code", "account_devices": "account_device_id"}
"""The column with the account's own id, by table."""

CANONICAL: Final = {"account_plants": "plant_code", "account_devices": "device_id"}
"""The column with the id under which rows are filed, by table."""


def merged_sightings(
    name: str,
    current: pl.DataFrame,
    account: str,
    server: str,
    ids: Mapping[str, str] | Mapping[int, int],
    at: datetime,
) -> pl.DataFrame:
    """The table `name` after a complete listing of one account at `at`; `ids`: the account's id -> the filed one.

    What the listing lacks is absent from its time on, and retired by a later listing once a day has passed.
    """
    schema = polars_schema(TABLES[name])
    alias, canonical = ALIAS[name], CANONICAL[name]
    others = current.filter(pl.col("account") != account)
    mine = current.filter(pl.col("account") == account)
    if not mine.is_empty() and mine["checked_at"].max() > at:  # type: ignore[operator]
        return current  # two processes listed at once; the newer one stands
    listed = pl.DataFrame(
        {alias: list(ids), canonical: list(ids.values())}, schema={c: schema[c] for c in (alias, canonical)}
    )
    seen = listed.join(mine.select(alias, "first_seen_at"), on=alias, how="left").with_columns(
        pl.lit(account).alias("account"),
        pl.lit(server).alias("server"),
        pl.coalesce("first_seen_at", pl.lit(at)).alias("first_seen_at"),
        pl.lit(at).alias("last_seen_at"),
        pl.lit(at).alias("checked_at"),
    )
    missing = mine.join(listed, on=alias, how="anti").with_columns(
        pl.lit(at).alias("checked_at"),
        pl.coalesce("absent_since", pl.lit(at)).alias("absent_since"),
    )
    missing = missing.with_columns(
        pl.when(pl.col("retired_at").is_null() & (pl.lit(at) - pl.col("absent_since") >= RETIRED_AFTER))
        .then(pl.lit(at))
        .otherwise("retired_at")
        .alias("retired_at")
    )
    return pl.concat([others, *(conformed(frame, schema) for frame in (seen, missing))]).sort("account", alias)


def merge_sightings(
    lake: Lake, name: str, account: str, server: str, ids: Mapping[str, str] | Mapping[int, int], at: datetime
) -> None:
    """Keep what a complete listing of one account held.

    Raises:
        DiskFull: no space is left; merging the same listing again completes it.
    """
    lake.update(name, lambda current: merged_sightings(name, current, account, server, ids, at))


def listed(lake: Lake, table: str) -> pl.DataFrame:
    """Rows of raw.plants or raw.devices that the latest listing of some account holds."""
    seen = lake.read(f"account_{table}").filter(pl.col("absent_since").is_null())
    return lake.read(table).join(seen, on=CANONICAL[f"account_{table}"], how="semi")


def retired(sightings: pl.DataFrame, name: str, accounts: Collection[str]) -> pl.DataFrame:
    """Filed id and retired_at of what none of these accounts lists any more."""
    return (
        sightings.filter(pl.col("account").is_in(list(accounts)))
        .group_by(CANONICAL[name])
        .agg(pl.col("retired_at").max(), pl.col("retired_at").is_null().any().alias("_lives"))
        .filter(~pl.col("_lives"))
        .drop("_lives")
    )


def flag_retired(lake: Lake, accounts: Collection[str]) -> dict[str, list[str]]:
    """Bring `retired_at` of raw.plants and raw.devices up to date; ids of what was retired just now, by table.

    Raises:
        DiskFull: no space is left; the next listing completes it.
    """
    fresh: dict[str, list[str]] = {}
    for name, table in (("account_plants", "plants"), ("account_devices", "devices")):
        key = CANONICAL[name]
        gone = retired(lake.read(name), name, accounts)
        known = lake.read(table, [key, "retired_at"]).drop_nulls("retired_at")[key].to_list()
        fresh[table] = sorted(str(each) for each in gone[key] if each not in known)
        if fresh[table] or gone.height != len(known):
            lake.update(table, partial(_flagged, key=key, gone=gone))
    return fresh


def retired_ids(lake: Lake) -> list[str]:
    """Plant codes and device ids, as texts, of all that is retired."""
    found = []
    for table, key in (("plants", "plant_code"), ("devices", "device_id")):
        found += lake.read(table, [key, "retired_at"]).drop_nulls("retired_at")[key].cast(pl.String).to_list()
    return found


def _flagged(rows: pl.DataFrame, key: str, gone: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("retired_at").join(gone, on=key, how="left").select(rows.columns)
