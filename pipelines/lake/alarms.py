"""Merges polls of active alarms into raw.alarms: the interface tells no clearing, so absence does (reference 8.6)."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipelines.lake.inventory import conformed
from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES


@dataclass(frozen=True, slots=True)
class AlarmPoll:
    """One successful poll: its alarms, the plants it covered, and the window of raise times it asked for.

    `rows` has the columns of raw.alarms that a poll tells. `begin` and `end` are both included; `polled_at` is
    the server's time of the answer.
    """

    rows: pl.DataFrame
    plants: frozenset[str]
    begin: datetime
    end: datetime
    polled_at: datetime


def merged_alarms(current: pl.DataFrame, poll: AlarmPoll) -> pl.DataFrame:
    """raw.alarms after a poll: one row per alarm.

    An alarm of a covered plant, raised within the window, that the poll lacks was cleared between its last sight
    and this poll. One that shows up again is active again. A poll older than an alarm's last sight clears nothing.
    """
    table = TABLES["alarms"]
    schema, key = polars_schema(table), list(table.key)
    polled = conformed(
        poll.rows.unique(subset=key, keep="last", maintain_order=True).with_columns(
            pl.lit(poll.polled_at).alias("first_seen_at"), pl.lit(poll.polled_at).alias("last_seen_at")
        ),
        schema,
    )
    absent = current.join(polled, on=key, how="anti", nulls_equal=True)
    gone = (
        pl.col("cleared_before").is_null()
        & pl.col("plant_code").is_in(list(poll.plants))
        & pl.col("raise_time").is_between(pl.lit(poll.begin), pl.lit(poll.end))
        & (pl.col("last_seen_at") < pl.lit(poll.polled_at))
    )
    absent = absent.with_columns(
        pl.when(gone).then("last_seen_at").otherwise("cleared_after").alias("cleared_after"),
        pl.when(gone)
        .then(pl.lit(poll.polled_at))
        .otherwise("cleared_before")
        .cast(schema["cleared_before"])
        .alias("cleared_before"),
    )
    again = current.join(polled, on=key, how="semi", nulls_equal=True)
    present = (
        pl.concat([again, polled])
        .sort("last_seen_at", maintain_order=True)
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("first_seen_at").min(),
            *(pl.col(name).last() for name in schema if name not in {*key, "first_seen_at"}),
        )
        .select(list(schema))
    )
    return pl.concat([absent, present]).sort("plant_code", "raise_time", *key[1:-1])


def merge_alarms(lake: Lake, poll: AlarmPoll) -> None:
    """Merge a poll into raw.alarms; only a successful, well-shaped answer may come here.

    Raises:
        DiskFull: no space is left; the table is as it was.
    """
    lake.update("alarms", lambda current: merged_alarms(current, poll))
