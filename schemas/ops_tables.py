"""Tables of the schema `ops`: what was set aside, asked, loaded and found unexpected."""

from typing import Final

from schemas.columns import EXTRACTED_AT, PLANT_CODE, Column, Table, must

_DATASET: Final = must("dataset", "VARCHAR", "Dataset, as in `pvms load --dataset`.")

OPS: Final = (
    Table(
        "quarantine",
        "ops",
        None,
        None,
        "Records that could not be filed: without device or plant, time or shape. One row per record set aside.",
        (),
        (
            _DATASET,
            must("reason", "VARCHAR", "Why the record was set aside."),
            must("record", "JSON", "The record as it was sent."),
            EXTRACTED_AT,
        ),
    ),
    Table(
        "api_calls",
        "ops",
        None,
        None,
        "The ledger of calls to the vendor, written before each call. One row per call.",
        (),
        (
            must("called_at", "TIMESTAMPTZ", "When the call was made."),
            must("account", "VARCHAR", "Account that the call was charged to."),
            must("endpoint", "VARCHAR", "Interface: last segment of its path."),
            Column("asked", "VARCHAR", "What was asked: subjects and window."),
            Column("why", "VARCHAR", "Why it was asked."),
            must("lane", "VARCHAR", "Its place in the queue for the quota: asked, fresh or backlog."),
            Column("outcome", "VARCHAR", "How it ended; null while the call is under way or was cut off."),
            Column("fail_code", "INTEGER", "The vendor's code of a refusal (reference 6.1)."),
            Column("rows", "BIGINT", "Records in the answer."),
            Column("bytes", "BIGINT", "Size of the answer.", unit="byte"),
            Column("ms", "DOUBLE", "Time until the answer was there.", unit="ms"),
        ),
    ),
    Table(
        "coverage",
        "ops",
        None,
        None,
        "What is loaded, rolled up from what is kept per device. One row per dataset, plant and period.",
        ("dataset", "plant_code", "period"),
        (
            _DATASET,
            PLANT_CODE,
            must("period", "DATE", "First local date of the period (day, month or year, by dataset)."),
            must("wanted", "BIGINT", "Subjects (plant or devices) whose data are wanted."),
            must("covered", "BIGINT", "Subjects whose data were read, also if empty."),
            must("rows", "BIGINT", "Rows that were read."),
            must("state", "VARCHAR", "missing, provisional, final, empty, suspect or denied."),
            Column("extracted_at", "TIMESTAMPTZ", "Newest extraction; null if none."),
        ),
    ),
    Table(
        "schema_drift",
        "ops",
        None,
        None,
        "What the answers held that the catalog doesn't expect. One row per dataset, kind and key.",
        ("dataset", "kind", "key"),
        (
            _DATASET,
            must("kind", "VARCHAR", "unknown_key, unreadable_cell or implausible_value."),
            must("key", "VARCHAR", "The vendor's key."),
            must("cells", "BIGINT", "Cells seen so far."),
            Column("sample", "VARCHAR", "One value that was seen."),
            must("first_seen_at", "TIMESTAMPTZ", "First answer that held it."),
            must("last_seen_at", "TIMESTAMPTZ", "Last answer that held it."),
        ),
    ),
)
