"""Flat records: plants (5.1.1.1), devices (5.1.1.2) and active alarms (5.1.3.1), from bytes to columns.

Each decoder returns the columns that come from the answer, plus `extra`, `extracted_at` and `account`: see
PLANT_LISTING, DEVICE_LISTING and ALARM_POLL. What a table knows beyond one answer (first_seen_at, time_zone,
plant_key, cleared_after, ...) is added where listings are merged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from pipelines.lake.cells import Bad, read_instants, read_integers, read_numbers, read_small_integers, read_texts
from pipelines.lake.identity import EARLIEST_MS, LATEST_AHEAD
from pipelines.lake.records import (
    NOT_AN_OBJECT,
    Decoded,
    Extras,
    drift_frame,
    last_of_each_key,
    parse_records,
    quarantine_frame,
)
from schemas.polars_types import polars_schema
from schemas.tables import TABLES, Table

Schema = dict[str, pl.DataType]


@dataclass(frozen=True)
class FlatShape:
    """How one kind of flat record maps to its table."""

    table: Table
    keys: Mapping[str, str]
    """Vendor's key -> column; several keys may name one column, the first that a record holds counts."""
    left_out: frozenset[str] = frozenset()
    """Documented keys that have no column on purpose."""

    def required(self) -> list[str]:
        """Vendor's keys without which a record can't be filed: those of columns that are never null."""
        never_null = {column.name for column in self.table.columns if not column.nullable}
        return [key for key, column in self.keys.items() if column in never_null]

    def schema(self) -> Schema:
        """Columns and types of the decoded rows, in the table's order."""
        wanted = {*self.keys.values(), "extra", "extracted_at", "account"}
        return {name: dtype for name, dtype in polars_schema(self.table).items() if name in wanted}


_PLANTS: Final = FlatShape(
    TABLES["plants"],
    {
        "plantCode": "plant_code",
        "plantName": "plant_name",
        "plantAddress": "plant_address",
        "longitude": "longitude",
        "latitude": "latitude",
        "capacity": "capacity",
        "contactPerson": "contact_person",
        "contactMethod": "contact_method",
        "gridConnectionDate": "grid_connection_date",
    },
)

_DEVICES: Final = FlatShape(
    TABLES["devices"],
    {
        "id": "device_id",
        "devDn": "device_dn",
        "devName": "device_name",
        "stationCode": "plant_code",
        "esnCode": "device_sn",
        "devTypeId": "device_type_id",
        "softwareVersion": "software_version",
        "optimizerNumber": "optimizer_number",
        "invType": "inverter_model",
        "longitude": "longitude",
        "latitude": "latitude",
    },
)

_ALARMS: Final = FlatShape(
    TABLES["alarms"],
    {
        "stationCode": "plant_code",
        "esnCode": "device_sn",
        "devName": "device_name",
        "devTypeId": "device_type_id",
        "devTypeid": "device_type_id",  # so spelt in the reference's table, not in its example
        "alarmId": "alarm_id",
        "causeId": "cause_id",
        "alarmName": "alarm_name",
        "alarmCause": "alarm_cause",
        "alarmType": "alarm_type",
        "lev": "severity",
        "status": "status",
        "raiseTime": "raise_time",
        "repairSuggestion": "repair_suggestion",
    },
    # A plant's name can be its owner's; raw.plants holds it once.
    left_out=frozenset({"stationName"}),
)

PLANT_LISTING: Final[Schema] = _PLANTS.schema()
"""What decode_plants returns: raw.plants without what a listing doesn't tell."""

DEVICE_LISTING: Final[Schema] = _DEVICES.schema()
"""What decode_devices returns: raw.devices without first_seen_at and last_seen_at."""

ALARM_POLL: Final[Schema] = _ALARMS.schema()
"""What decode_alarms returns: raw.alarms without what only a series of polls tells."""


def decode_plants(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn the plant list (the JSON list alone, of one page) into rows of PLANT_LISTING."""
    return _decode(_PLANTS, data, extracted_at, account)


def decode_devices(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn a device list into rows of DEVICE_LISTING. The serial number "null" is null."""
    return _decode(_DEVICES, data, extracted_at, account)


def decode_alarms(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn one poll of active alarms into rows of ALARM_POLL, one per alarm."""
    return _decode(_ALARMS, data, extracted_at, account)


Reader = Callable[[Sequence[Any]], tuple[pl.Series, Bad]]


def _reader(dtype: pl.DataType) -> Reader:
    if dtype.is_float():
        return read_numbers
    if dtype == pl.Int32():
        return read_small_integers
    if dtype.is_integer():
        return read_integers
    if dtype.is_temporal():
        return read_instants
    return read_texts


def _decode(shape: FlatShape, data: bytes, extracted_at: datetime, account: str) -> Decoded:
    """Read all records column by column; AnswerShapeError if the data is no JSON list."""
    records, data = parse_records(data)
    schema = shape.schema()
    refused = _refuse(shape, records, schema, extracted_at)
    kept = [record for position, record in enumerate(records) if position not in refused]
    extras = Extras()
    columns = _read_columns(shape, kept, schema, extras)
    _keep_unknown(shape, kept, extras)
    landed = pl.DataFrame(columns).with_columns(
        extras.column(len(kept)),
        pl.lit(extracted_at).alias("extracted_at"),
        pl.lit(account).alias("account"),
    )
    landed = landed.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    rows = last_of_each_key(landed, shape.table.key)
    dataset = shape.table.dataset or shape.table.name
    return Decoded(
        rows=rows,
        quarantine=quarantine_frame(dataset, data, refused, extracted_at),
        drift=drift_frame(dataset, extras.drift()),
        superseded=landed.height - rows.height,
    )


def _refuse(shape: FlatShape, records: Sequence[Any], schema: Schema, extracted_at: datetime) -> dict[int, str]:
    """The records that can't be filed, with the reason."""
    refused = {position: NOT_AN_OBJECT for position, record in enumerate(records) if not isinstance(record, dict)}
    objects = [record if isinstance(record, dict) else {} for record in records]
    for key in shape.required():
        dtype = schema[shape.keys[key]]
        column, unread = _reader(dtype)([record.get(key) for record in objects])
        for position in column.is_null().arg_true():
            what = "is unreadable" if position in unread else "is missing"
            refused.setdefault(position, f"{key} {what}")
        if dtype.is_temporal():
            early = column.dt.timestamp("ms") < EARLIEST_MS
            for position in early.fill_null(value=False).arg_true():
                refused.setdefault(position, f"{key} is before the year 2000")
            late = column > extracted_at + LATEST_AHEAD
            for position in late.fill_null(value=False).arg_true():
                refused.setdefault(position, f"{key} is more than 2 days after the answer")
    return refused


def _read_columns(
    shape: FlatShape, records: Sequence[dict[str, Any]], schema: Schema, extras: Extras
) -> dict[str, pl.Series]:
    columns: dict[str, pl.Series] = {}
    for key, column in shape.keys.items():
        read, unread = _reader(schema[column])([record.get(key) for record in records])
        for record, value in unread.items():
            extras.add("unreadable_cell", key, record, value)
        columns[column] = columns[column].fill_null(read) if column in columns else read
    return columns


def _keep_unknown(shape: FlatShape, records: Sequence[dict[str, Any]], extras: Extras) -> None:
    known = shape.keys.keys() | shape.left_out
    for position, record in enumerate(records):
        for key in record.keys() - known:
            extras.add("unknown_key", key, position, record[key])
