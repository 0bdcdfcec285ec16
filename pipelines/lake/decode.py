"""Answers whose records hold a map of data items, from bytes to the columns of their table.

That is device history (5.1.2.3), real time of plants and devices (5.1.2.1, 5.1.2.2) and all reports (5.1.4).
Bad records are set aside with the reason, everything else in the answer lands.
"""

from datetime import datetime
from typing import Final

import polars as pl

from pipelines.lake.identity import Filer, Filing, read_serial_numbers
from pipelines.lake.item_maps import Answer, read_answer, read_values, record_shape
from pipelines.lake.local_dates import LabelPeriod, local_dates
from pipelines.lake.records import (
    DRIFT_SCHEMA,
    QUARANTINE_SCHEMA,
    AnswerShapeError,
    Decoded,
    DriftRow,
    as_sample,
    drift_frame,
    last_of_each_key,
    quarantine_frame,
)
from schemas.datasets import DATASETS
from schemas.polars_types import polars_schema
from schemas.tables import Table

__all__ = ["DRIFT_SCHEMA", "QUARANTINE_SCHEMA", "AnswerShapeError", "Decoded", "decode"]

_LABEL_OF: Final[dict[str, LabelPeriod]] = {"month": "day", "year": "month", "life": "year"}
"""What one call answers -> the period that one row labels. Other rows are instants or hours."""


def decode(
    table: Table,
    data: bytes,
    *,
    subjects: pl.DataFrame,
    extracted_at: datetime,
    account: str,
    polled_at: datetime | None = None,
) -> Decoded:
    """Turn the `data` of one answer into rows of `table`, one per record that can be filed.

    `subjects`: the plants or devices that were asked for; columns id (text: plant code or device id),
    plant_code, time_zone, device_sn (nullable), device_type_id (nullable), and, where this answer has other ids,
    asked_as. A record of anything else goes to quarantine, as does one without id, map or (unless real time) a
    readable collectTime between the year 2000 and two days after `extracted_at`.

    The rows have exactly the columns of polars_schema(table). Values and units are as sent. Real-time rows
    bear `polled_at`, the server's own time. Of two records with one key the later wins.

    Raises AnswerShapeError if the data is no JSON list, ValueError if a real-time answer has no polled_at.
    """
    dataset = _dataset(table)
    shape = record_shape(table)
    realtime = "collectTime" not in shape.head_keys
    if realtime and polled_at is None:
        raise ValueError(f"an answer for {table.name} needs polled_at: its records bear no time of their own")
    answer = read_answer(shape, data)
    filer = Filer(subjects, devices="devId" in shape.head_keys)
    ids = answer.heads["devId" if "devId" in shape.head_keys else "stationCode"]
    times = None if realtime else answer.heads["collectTime"]
    filing = filer.file(ids, times, answer.refused, extracted_at)
    values = read_values(answer, filing.positions)
    identity = _identity(table, answer, filing, subjects, polled_at)
    landed = identity.hstack(values.frame).with_columns(
        values.extra,
        pl.lit(extracted_at).alias("extracted_at"),
        pl.lit(account).alias("account"),
    )
    schema = polars_schema(table)
    landed = landed.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    rows = last_of_each_key(landed, table.key)
    drift = values.drift + _implausible(table, rows)
    return Decoded(
        rows=rows,
        quarantine=quarantine_frame(dataset, answer.data, answer.refused, extracted_at),
        drift=drift_frame(dataset, drift),
        superseded=landed.height - rows.height,
    )


def _dataset(table: Table) -> str:
    if table.dataset is None:
        raise ValueError(f"{table.name} is not filled from answers")
    return table.dataset


def _identity(
    table: Table, answer: Answer, filing: Filing, subjects: pl.DataFrame, polled_at: datetime | None
) -> pl.DataFrame:
    """The columns that say whose row it is and when, from the record and its subject."""
    subject: pl.DataFrame = subjects[filing.subjects.tolist()]
    frame = subject.select("plant_code", "time_zone")
    if "devId" in answer.shape.head_keys:
        sent = answer.heads["sn"]
        own = pl.Series(
            "own_sn",
            read_serial_numbers([sent[position] for position in filing.positions]),
            dtype=pl.String(),
        )
        frame = frame.with_columns(
            subject["id"].cast(pl.Int64()).alias("device_id"),
            pl.coalesce(own, subject["device_sn"]).alias("device_sn"),
            subject["device_type_id"].alias("device_type_id"),
        )
    instants = filing.instants
    if instants is None:
        instants = pl.Series([polled_at] * frame.height, dtype=pl.Datetime("us", "UTC"))
        frame = frame.with_columns(instants.alias("polled_at"))
    else:
        frame = frame.with_columns(instants.alias("collect_time"))
    return frame.with_columns(local_dates(instants, frame["time_zone"], label_period_of(table)))


def label_period_of(table: Table) -> LabelPeriod | None:
    """The period that a row's time is the label of; None where it is an instant."""
    return _LABEL_OF.get(DATASETS[_dataset(table)].window)


def _implausible(table: Table, rows: pl.DataFrame) -> list[DriftRow]:
    """Count the values outside their item's plausible range; they stay in the rows."""
    items = {column.name: column.item for column in table.columns if column.item is not None}
    # Most devices send a few of their type's items: what is null throughout costs nothing.
    outside = {
        name: ~pl.col(name).is_between(*item.plausible)
        for name, item in items.items()
        if item.plausible is not None and rows[name].null_count() < rows.height
    }
    if not outside:
        return []
    counts = rows.select(test.sum().alias(name) for name, test in outside.items()).row(0, named=True)
    found = [name for name, count in counts.items() if count]
    samples = rows.select(pl.col(name).filter(outside[name]).first() for name in found)
    return [
        DriftRow("implausible_value", items[name].vendor_key, counts[name], as_sample(samples[name][0]))
        for name in found
    ]
