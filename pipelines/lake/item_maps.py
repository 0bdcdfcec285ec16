"""The maps of data items: from an answer's records to numbers in columns.

Two ways lead there. The fast way knows the keys beforehand: the JSON reader builds a fixed structure per record
and refuses the answer at the first thing it doesn't expect, so what it lets through needs little further
look. It is tried strictly (the catalog's keys; numbers and null), then leniently (texts too, and unknown keys
that this process has met before). The tolerant way takes everything as dicts and costs about three times as
much; it is for what is rare, and for learning new keys.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Final, cast

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.lake.cells import Bad, numbers_of_texts, read_numbers
from pipelines.lake.records import NOT_AN_OBJECT, DriftRow, Extras, parse_records
from schemas.tables import Table

MAP_KEYS: Final = ("dataItemMap", "dataItems")
"""Where the items stand; servers after 24.5 say `dataItems`."""

_MOST_LEARNED: Final = 200
"""Unknown keys remembered per table: more than any server adds, few enough for one that invents keys."""

_LEARNABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""Keys that look like a data item's; the structures of the JSON reader don't take every name."""

Objects = npt.NDArray[np.object_]
Doubles = npt.NDArray[np.float64]
_Decoder = msgspec.json.Decoder[list[Any]]


@dataclass(frozen=True)
class RecordShape:
    """What a record of one table may hold."""

    head_keys: tuple[str, ...]
    """Keys of the record itself, beside the map: devId and sn, or stationCode; collectTime unless real time."""
    columns: dict[str, str]
    """Vendor's key -> column, in the table's order."""
    learned: list[str] = field(default_factory=list)
    """Keys that the catalog doesn't know and this process has met. They only choose the way, never the result."""

    def strict(self) -> _Decoder:
        """A reader of numbers and nulls under the catalog's keys."""
        return _decoder(self.head_keys, tuple(self.columns), (), lenient=False)

    def lenient(self) -> _Decoder:
        """A reader that takes texts too, and anything under the learned keys."""
        return _decoder(self.head_keys, tuple(self.columns), tuple(self.learned), lenient=True)


@lru_cache(maxsize=128)
def _decoder(head: tuple[str, ...], keys: tuple[str, ...], learned: tuple[str, ...], *, lenient: bool) -> _Decoder:
    cell: Any = float | str | None if lenient else float | None
    names = {f"item_{number}": key for number, key in enumerate((*keys, *learned))}
    fields: list[Any] = [(name, cell, None) for name in list(names)[: len(keys)]]
    fields += [(name, Any, msgspec.UNSET) for name in list(names)[len(keys) :]]
    items = msgspec.defstruct("Items", fields, rename=names, forbid_unknown_fields=True, gc=False)
    record_fields: list[Any] = [(key, Any, None) for key in head]
    record_fields += [(key, items | None, None) for key in MAP_KEYS]
    record = msgspec.defstruct("Record", record_fields, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(cast("type[list[Any]]", list[record]))  # type: ignore[valid-type]


@lru_cache(maxsize=64)
def record_shape(table: Table) -> RecordShape:
    """The shape of a table's records; made once per table."""
    names = {column.name for column in table.columns}
    head = ["devId", "sn"] if "device_id" in names else ["stationCode"]
    if "collect_time" in names:
        head.append("collectTime")
    columns = {column.item.vendor_key: column.name for column in table.columns if column.item is not None}
    return RecordShape(tuple(head), columns)


@dataclass(frozen=True)
class Answer:
    """The records of one answer, heads apart from maps; all ways lead here."""

    shape: RecordShape
    data: bytes
    """The bytes that were read: as sent, or mended."""
    heads: dict[str, list[Any]]
    """Per head key, the value of each record (None where it lacks one)."""
    maps: list[Any]
    """Per record its structure (fast) or its dict (tolerant); None where there is none."""
    structures: bool
    learned: tuple[str, ...] = ()
    """Unknown keys that the structures hold, after the catalog's."""
    lenient: bool = False
    """Whether the structures may hold texts."""
    refused: dict[int, str] = field(default_factory=dict)
    """Position -> reason, of records without the shape of one."""
    strangers: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Position -> keys of the record itself that no reader expects."""


def read_answer(shape: RecordShape, data: bytes) -> Answer:
    """Split an answer into heads and maps. AnswerShapeError if it is no list."""
    for lenient in (False, True):
        answer = _read_structures(shape, data, lenient=lenient)
        if answer is not None:
            return answer
    return _read_tolerantly(shape, data)


def _read_structures(shape: RecordShape, data: bytes, *, lenient: bool) -> Answer | None:
    learned = tuple(shape.learned) if lenient else ()
    try:
        records = (shape.lenient() if lenient else shape.strict()).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    maps = list(map(attrgetter(MAP_KEYS[0]), records))
    late = list(map(attrgetter(MAP_KEYS[1]), records))
    if any(late):
        if any(maps):
            return None
        maps = late
    heads = {key: list(map(attrgetter(key), records)) for key in shape.head_keys}
    refused = {position: "dataItemMap is missing" for position, one in enumerate(maps) if one is None}
    return Answer(shape, data, heads, maps, True, learned, lenient, refused)


def _read_tolerantly(shape: RecordShape, data: bytes) -> Answer:
    records, data = parse_records(data)
    objects = [record if isinstance(record, dict) else {} for record in records]
    answer = Answer(
        shape,
        data,
        heads={key: [record.get(key) for record in objects] for key in shape.head_keys},
        maps=[_item_map(record) for record in objects],
        structures=False,
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
    if not answer.structures:
        frame = _from_dicts(answer.shape, maps, extras)
        _add_strangers(answer, positions, extras)
    elif answer.lenient:
        frame = _from_lenient(answer, maps, extras)
    else:
        frame = _from_strict(answer, maps)
    return Values(frame, extras.column(len(maps)), extras.drift())


def _flat(maps: Sequence[Any], width: int) -> Objects:
    """All values, record by record: everything below goes through memory in this order."""
    values = chain.from_iterable(map(msgspec.structs.astuple, maps))
    return np.fromiter(values, dtype=object, count=len(maps) * width)


def _frame(shape: RecordShape, numbers: Doubles) -> pl.DataFrame:
    """JSON has no NaN, so NaN has stood for null on the way."""
    columns = list(shape.columns.values())
    return pl.DataFrame(np.asfortranarray(numbers), schema=columns, orient="row", nan_to_null=True)


def _from_strict(answer: Answer, maps: Sequence[Any]) -> pl.DataFrame:
    width = len(answer.shape.columns)
    return _frame(answer.shape, _flat(maps, width).astype(np.float64).reshape(-1, width))


def _from_lenient(answer: Answer, maps: Sequence[Any], extras: Extras) -> pl.DataFrame:
    """Numbers all at once, texts by the few columns that hold any."""
    shape, width = answer.shape, len(answer.shape.columns)
    table = _flat(maps, width + len(answer.learned)).reshape(len(maps), -1)
    _take_learned(answer.learned, table[:, width:], extras)
    flat = np.ascontiguousarray(table[:, :width]).ravel()
    is_text = np.fromiter(map(isinstance, flat, repeat(str)), dtype=bool, count=flat.size)
    texts = flat[is_text].tolist()
    flat[is_text] = None
    numbers = flat.astype(np.float64)
    read, unread = numbers_of_texts(texts)
    numbers[is_text] = read.to_numpy()
    where = np.flatnonzero(is_text)
    keys = list(shape.columns)
    for at, text in unread.items():
        record, key = divmod(int(where[at]), width)
        extras.add("unreadable_cell", keys[key], record, text)
    return _frame(shape, numbers.reshape(-1, width))


def _take_learned(learned: Sequence[str], cells: Objects, extras: Extras) -> None:
    for key, values in zip(learned, cells.T, strict=True):
        for record, value in enumerate(values.tolist()):
            if value is not msgspec.UNSET:
                extras.add("unknown_key", key, record, value)


def _from_dicts(shape: RecordShape, maps: Sequence[dict[str, Any]], extras: Extras) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for key, column in shape.columns.items():
        columns[column], bad = read_numbers([one.get(key) for one in maps])
        _add_bad(extras, key, bad)
    unknown = sorted(set().union(*maps) - shape.columns.keys())
    _learn(shape, unknown)
    for key in unknown:
        for record, one in enumerate(maps):
            if key in one:
                extras.add("unknown_key", key, record, one[key])
    return pl.DataFrame(columns)


def _learn(shape: RecordShape, unknown: Sequence[str]) -> None:
    new = [key for key in unknown if key not in shape.learned and _LEARNABLE.fullmatch(key)]
    shape.learned.extend(new[: _MOST_LEARNED - len(shape.learned)])


def _add_bad(extras: Extras, key: str, bad: Bad) -> None:
    for record, value in bad.items():
        extras.add("unreadable_cell", key, record, value)


def _add_strangers(answer: Answer, positions: Sequence[int], extras: Extras) -> None:
    """Keys beside the map go to `extra` too, under another name where the map has the same key."""
    for record, position in enumerate(positions):
        for key, value in answer.strangers.get(position, {}).items():
            taken = key in answer.maps[position]
            extras.add("unknown_key", f"record.{key}" if taken else key, record, value)
