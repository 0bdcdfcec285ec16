"""What every decoder shares: the frames it hands on, and the way from an answer's bytes to its records."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import polars as pl

TIMESTAMP: Final = pl.Datetime("us", "UTC")
"""Every instant in the lake: microseconds, UTC."""

QUARANTINE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "reason": pl.String(),
    "record": pl.String(),
    "extracted_at": TIMESTAMP,
}
"""One row per record that can't be filed: why, and the record's own JSON text."""

DRIFT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "kind": pl.String(),
    "key": pl.String(),
    "cells": pl.Int64(),
    "sample": pl.String(),
}
"""One row per kind of deviation and vendor's key within one answer: how many cells, and one of them.

Kinds: `unknown_key` (the catalog doesn't know the key), `unreadable_cell` (a value that is no number, or
not of the column's type), `implausible_value` (a number outside the item's plausible range; it lands all
the same).
"""

SAMPLE_LENGTH: Final = 200
"""Characters of a sample: enough to recognise the case, short enough to count in thousands."""

NOT_AN_OBJECT: Final = "the record is no JSON object"


@dataclass(frozen=True)
class Decoded:
    """One answer in columns. Every record of the answer is a row, superseded, or in quarantine."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame
    drift: pl.DataFrame
    superseded: int = 0
    """Records that a later record of the same key in the same answer replaced."""


class AnswerShapeError(ValueError):
    """The text is no JSON list: the caller handed over something that is no answer's list of records."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One row of DRIFT_SCHEMA without its dataset."""

    kind: str
    key: str
    cells: int
    sample: str


class Extras:
    """What doesn't fit the table, per record, on its way into the column `extra`."""

    def __init__(self) -> None:
        """Start with nothing to keep."""
        self._by_record: dict[int, dict[str, Any]] = {}
        self._drift: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, kind: str, key: str, record: int, value: Any) -> None:
        """Keep `value` under the vendor's key for the record at this position, and count it."""
        self._by_record.setdefault(record, {})[key] = value
        cells, sample = self._drift.get((kind, key), (0, ""))
        if sample in ("", "null"):
            sample = as_sample(value)
        self._drift[kind, key] = (cells + 1, sample)

    def column(self, length: int) -> pl.Series:
        """The JSON texts for `length` records; null where there is nothing to keep."""
        texts = [None] * length if not self._by_record else self._texts(length)
        return pl.Series("extra", texts, dtype=pl.String())

    def _texts(self, length: int) -> list[str | None]:
        return [to_json(self._by_record[record]) if record in self._by_record else None for record in range(length)]

    def drift(self) -> list[DriftRow]:
        """The counts, in the order in which the kinds of deviation were met."""
        return [DriftRow(kind, key, *counted) for (kind, key), counted in self._drift.items()]


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Compact JSON text. Integers of any size keep their digits."""
    return _encode(value)


def as_sample(value: Any) -> str:
    """A value as it is shown to people: texts bare, the rest as JSON, cut to SAMPLE_LENGTH."""
    return (value if isinstance(value, str) else to_json(value))[:SAMPLE_LENGTH]


_MENDABLE: Final = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<token>-?(?:Infinity|NaN)\b|-?[0-9.]+[eE]\+?[0-9]{3,}|-?[0-9]{300,}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
)
_CONTROL: Final = re.compile("[\x00-\x1f]")
_LONE_SURROGATE: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)"
    r"(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def mend(data: bytes) -> bytes:
    """Make JSON of what only looks like it, without losing a text.

    Tokens that JSON doesn't know (NaN, Infinity) and numbers beyond a double's range become texts, so that
    they are reported as unreadable cells. Raw control characters become spaces; bytes that are no UTF-8
    and lone surrogates become U+FFFD.
    """
    text = _CONTROL.sub(" ", data.decode("utf-8", "replace"))
    return _MENDABLE.sub(_mended, text).encode("utf-8")


def _mended(match: re.Match[str]) -> str:
    token = match["token"]
    if token is not None:
        return f'"{token}"'
    text = match["text"]
    if "\\u" not in text:
        return text
    return _LONE_SURROGATE.sub(lambda found: found[1] + (found[2] or "\ufffd"), text)


def parse_records(data: bytes) -> tuple[list[Any], bytes]:
    """All records of an answer as Python values, and the bytes they were read from (mended if need be).

    This is the tolerant way in, for answers that the fast way refuses. AnswerShapeError if even mended
    bytes are no JSON list.
    """
    try:
        records = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        data = mend(data)
        try:
            records = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AnswerShapeError(f"the answer's data is not readable as JSON: {error}") from error
    if not isinstance(records, list):
        raise AnswerShapeError(f"the answer's data is no list of records but {as_sample(records)!r}")
    return records, data


def quarantine_frame(dataset: str, data: bytes, reasons: dict[int, str], extracted_at: datetime) -> pl.DataFrame:
    """The records at the given positions of `data`, each with its reason and its own JSON text."""
    if not reasons:
        return pl.DataFrame(schema=QUARANTINE_SCHEMA)
    texts = msgspec.json.decode(data, type=list[msgspec.Raw])
    positions = sorted(reasons)
    return pl.DataFrame(
        {
            "dataset": [dataset] * len(positions),
            "reason": [reasons[position] for position in positions],
            "record": [bytes(texts[position]).decode("utf-8").strip() for position in positions],
            "extracted_at": [extracted_at] * len(positions),
        },
        schema=QUARANTINE_SCHEMA,
    )


def drift_frame(dataset: str, drift: Sequence[DriftRow]) -> pl.DataFrame:
    """The counted deviations as a frame of DRIFT_SCHEMA."""
    return pl.DataFrame(
        [(dataset, row.kind, row.key, row.cells, row.sample) for row in drift],
        schema=DRIFT_SCHEMA,
        orient="row",
    )


def last_of_each_key(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Drop every row that a later row of the same key supersedes; the order stays."""
    if not frame.select(key).is_duplicated().any():
        return frame
    return frame.unique(subset=key, keep="last", maintain_order=True)
