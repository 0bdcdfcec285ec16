"""Tables of the schema `ops`: what was set aside, asked, loaded and found unexpected."""

from typing import Final

from schemas.columns import DEVICE_ID, EXTRACTED_AT, PLANT_CODE, Column, Table, must

_DATASET: Final = must("dataset", "VARCHAR", "Dataset, as in `pvms load --dataset`.")

_ACCOUNT: Final = must("account", "VARCHAR", "Account, by its name in the settings.")


def _sightings(what: str) -> tuple[Column, ...]:
    return (
        must("server", "VARCHAR", "Host that the account belongs to; ids mean the same within one host."),
        must("first_seen_at", "TIMESTAMPTZ", "First listing of the account that held it."),
        must("last_seen_at", "TIMESTAMPTZ", "Latest listing of the account that held it."),
        must("checked_at", "TIMESTAMPTZ", f"Latest complete listing of the account's {what}."),
        Column("absent_since", "TIMESTAMPTZ", "First complete listing without it; null while it is listed."),
        Column("retired_at", "TIMESTAMPTZ", "A complete listing without it a day or more after the first."),
    )


OPS: Final = (
    Table(
        "account_plants",
        "ops",
        None,
        None,
        "Which account sees which plant, and under which code: codes differ between accounts and change over time "
        "(reference 8.8, 8.9). One row per account and code.",
        ("account", "account_plant_code"),
        (
            _ACCOUNT,
            must("account_plant_code", "VARCHAR", "Plant code in this account's answers."),
            must("plant_code", "VARCHAR", "Plant code under which its rows are filed: the first that was seen."),
            *_sightings("plants"),
        ),
    ),
    Table(
        "account_devices",
        "ops",
        None,
        None,
        "Which account sees which device, and under which id. One row per account and id.",
        ("account", "account_device_id"),
        (
            _ACCOUNT,
            must("account_device_id", "BIGINT", "Device id in this account's answers."),
            must("device_id", DEVICE_ID.type, "Device id under which its rows are filed: the first that was seen."),
            *_sightings("devices"),
        ),
    ),
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
            Column("words", "VARCHAR", "What was wrong, with the server's own words where it sent some; null if well."),
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
    Table(
        "clear_sky_day",
        "ops",
        None,
        None,
        "What a cloudless sky gives the modules of a plant, by pvlib, where the plants file tells tilt and azimuth and "
        "the coordinates are known. Worked out by the build, once for each day, and again when place or modules "
        "change. One row per plant and local day, from its first to its newest.",
        ("plant_code", "local_date"),
        (
            PLANT_CODE,
            must("local_date", "DATE", "The day in the plant's time zone."),
            Column(
                "irradiation_kwh_m2",
                "DOUBLE",
                "Irradiation of the day in the plane of the modules in kWh/m2, an upper bound; 0 in the polar night.",
                unit="kWh/m2",
                nullable=False,
            ),
            must("latitude", "DOUBLE", "Latitude that it was worked out for, in degrees, north positive."),
            must("longitude", "DOUBLE", "Longitude that it was worked out for, in degrees, east positive."),
            must("time_zone", "VARCHAR", "IANA time zone that bounds the day."),
            must("tilt_deg", "DOUBLE", "Tilt of the modules in degrees, 0 is horizontal."),
            must("azimuth_deg", "DOUBLE", "Azimuth of the modules in degrees, clockwise from north."),
            must("method", "VARCHAR", "Models and steps that it was worked out by."),
        ),
    ),
)
