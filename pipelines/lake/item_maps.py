"""The maps of data items: two ways from an answer's records to numbers in columns.

The fast way knows the table's keys and takes numbers and null alone: the JSON reader builds a fixed
structure per record and refuses the answer at the first thing it doesn't know, so what it lets through needs
no further look. The tolerant way takes everything, column by column, and costs two to three times as much.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, Final, cast

import msgspec
import numpy as np
import polars as pl

from pipelines.lake.cells import Bad, read_numbers
from pipelines.lake.records import NOT_AN_OBJECT, DriftRow, Extras, parse_records
from schemas.tables import Table

MAP_KEYS: Final = ("dataItemMap", "dataItems")
"""Where the items stand; servers after 24.5 say `dataItems`."""

HAS_LABEL: Final = "collect_time"
"""The column that says that the records of a table carry their instant."""


@dataclass(frozen=True)
class RecordShape:
    """What a record of one table may hold, and the reader that accepts nothing else."""

    head_keys: tuple[str, ...]
    """Keys of the record itself, beside the map: devId and sn, or stationCode; collectTime unless real time."""
    columns: dict[str, str]
    """Vendor's key -> column, in the table's order."""
    decoder: msgspec.json.Decoder[list[Any]]


@lru_cache(maxsize=64)
def record_shape(table: Table) -> RecordShape:
    """The shape of a table's records; made once per table."""
    names = {column.name for column in table.columns}
    head = ["devId", "sn"] if "device_id" in names else ["stationCode"]
    if HAS_LABEL in names:
        head.append("collectTime")
    columns = {column.item.vendor_key: column.name for column in table.columns if column.item is not None}
    items = msgspec.defstruct(
        "Items",
        [(f"item_{number}", float | None, None) for number in range(len(columns))],
        rename={f"item_{number}": key for number, key in enumerate(columns)},
        forbid_unknown_fields=True,
        gc=False,
    )
    fields: list[Any] = [(key, Any, None) for key in head]
    fields += [(key, items | None, None) for key in MAP_KEYS]
    record = msgspec.defstruct("Record", fields, forbid_unknown_fields=True)
    decoder = msgspec.json.Decoder(cast("type[list[Any]]", list[record]))  # type: ignore[valid-type]
    return RecordShape(tuple(head), columns, decoder)


@dataclass(frozen=True)
class Answer:
    """The records of one answer, heads apart from maps; both ways lead here."""

    shape: RecordShape
    data: bytes
    """The bytes that were read: as sent, or mended."""
    heads: dict[str, list[Any]]
    """Per head key, the value of each record (None where it lacks one)."""
    maps: list[Any]
    """Per record its structure (fast) or its dict (tolerant); None where there is none."""
    fast: bool
    refused: dict[int, str] = field(default_factory=dict)
    """Position -> reason, of records without the shape of one."""
    strangers: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Position -> keys of the record itself that no reader expects."""


def read_answer(shape: RecordShape, data: bytes) -> Answer:
    """Split an answer into heads and maps, fast if it is clean. AnswerShapeError if it is no list."""
    try:
        records = shape.decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _read_tolerantly(shape, data)
    maps = [record.dataItemMap for record in records]
    late = [record.dataItems for record in records]
    if any(late):
        if any(maps):
            return _read_tolerantly(shape, data)
        maps = late
    heads = {key: [getattr(record, key) for record in records] for key in shape.head_keys}
    refused = {position: "dataItemMap is missing" for position, one in enumerate(maps) if one is None}
    return Answer(shape, data, heads, maps, True, refused)


def _read_tolerantly(shape: RecordShape, data: bytes) -> Answer:
    records, data = parse_records(data)
    objects = [record if isinstance(record, dict) else {} for record in records]
    answer = Answer(
        shape,
        data,
        heads={key: [record.get(key) for record in objects] for key in shape.head_keys},
        maps=[_item_map(record) for record in objects],
        fast=False,
    )
    expected = {*shape.head_keys, MAP_KEYS[0]}
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            answer.refused[position] = NOT_AN_OBJECT
        elif answer.maps[position] is None:
            answer.refused[position] = _why_no_map(record)
        elif not record.keys() <= expected:
            _keep_strangers(answer, position, record, expected)
    return answer


def _item_map(record: dict[str, Any]) -> dict[str, Any] | None:
    for key in MAP_KEYS:
        if isinstance(record.get(key), dict):
            return cast("dict[str, Any]", record[key])
    return None


def _why_no_map(record: dict[str, Any]) -> str:
    sent = any(record.get(key) is not None for key in MAP_KEYS)
    return "dataItemMap is no JSON object" if sent else "dataItemMap is missing"


def _keep_strangers(answer: Answer, position: int, record: dict[str, Any], expected: set[str]) -> None:
    items = answer.maps[position]
    strangers = {key: value for key, value in record.items() if key not in expected and value is not items}
    if strangers:
        answer.strangers[position] = strangers


@dataclass(frozen=True)
class Values:
    """The data items of the filed records: one Float64 column per item, and what didn't fit."""

    frame: pl.DataFrame
    extra: pl.Series
    drift: list[DriftRow]


def read_values(answer: Answer, positions: Sequence[int]) -> Values:
    """The items of the records at `positions`, in that order."""
    whole = len(positions) == len(answer.maps)
    maps = answer.maps if whole else [answer.maps[position] for position in positions]
    extras = Extras()
    if answer.fast:
        frame = _from_structures(answer.shape, maps)
    else:
        frame = _from_dicts(answer.shape, maps, extras)
        _add_strangers(answer, positions, extras)
    return Values(frame, extras.column(len(maps)), extras.drift())


def _from_structures(shape: RecordShape, maps: Sequence[Any]) -> pl.DataFrame:
    """All values as one matrix; JSON has no NaN, so NaN stands for null on the way."""
    count, width = len(maps), len(shape.columns)
    values: Iterable[Any] = chain.from_iterable(map(msgspec.structs.astuple, maps))
    flat = np.fromiter(values, dtype=object, count=count * width).astype(np.float64)
    matrix = np.asfortranarray(flat.reshape(count, width))
    return pl.DataFrame(matrix, schema=list(shape.columns.values()), orient="row", nan_to_null=True)


def _from_dicts(shape: RecordShape, maps: Sequence[dict[str, Any]], extras: Extras) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for key, column in shape.columns.items():
        columns[column], bad = read_numbers([one.get(key) for one in maps])
        _add_bad(extras, key, bad)
    unknown = set().union(*maps) - shape.columns.keys()
    for key in sorted(unknown):
        for record, one in enumerate(maps):
            if key in one:
                extras.add("unknown_key", key, record, one[key])
    return pl.DataFrame(columns)


def _add_bad(extras: Extras, key: str, bad: Bad) -> None:
    for record, value in bad.items():
        extras.add("unreadable_cell", key, record, value)


def _add_strangers(answer: Answer, positions: Sequence[int], extras: Extras) -> None:
    """Keys beside the map go to `extra` too, under another name where the map has the same key."""
    for record, position in enumerate(positions):
        for key, value in answer.strangers.get(position, {}).items():
            taken = key in answer.maps[position]
            extras.add("unknown_key", f"record.{key}" if taken else key, record, value)
