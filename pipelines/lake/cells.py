"""One column's cells, as the vendor sent them, to one typed column.

Servers send numbers as numbers or as texts, and "N/A", "", "null" or null for nothing. What can be read is
read exactly (the double nearest to the decimal text, integers without passing through a double); what
can't becomes null and is named by its position, so that the caller can keep the text.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from pipelines.lake.records import TIMESTAMP

NULL_TEXTS: Final = frozenset({"", "null", "n/a"})
"""Texts that mean "nothing", compared in lower case and without surrounding blanks."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_EXACT: Final = 2**53
"""Above this, neighbouring integers share a double: such a float is not trusted as an integer."""
_INT64: Final = range(-(2**63), 2**63)
_INT32: Final = range(-(2**31), 2**31)

type_of_none: Final = type(None)
_PLAIN: Final = frozenset({float, int, type_of_none})

Bad = dict[int, Any]
"""Position -> value, of cells that hold something unreadable."""


def means_nothing(value: Any) -> bool:
    """Whether a cell says that there is no value."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NULL_TEXTS)


def read_numbers(cells: Sequence[Any]) -> tuple[pl.Series, Bad]:
    """Float64 column of cells that are numbers, texts of numbers, or nothing."""
    if set(map(type, cells)) <= _PLAIN:
        try:
            return pl.Series(np.array(cells, dtype=np.float64), nan_to_null=True), {}
        except OverflowError:
            pass  # an integer beyond a double's range: find it cell by cell
    numbers: list[float | None] = [None] * len(cells)
    texts: dict[int, str] = {}
    bad: Bad = {}
    for position, cell in enumerate(cells):
        if isinstance(cell, str):
            texts[position] = cell
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            try:
                numbers[position] = float(cell)
            except OverflowError:
                bad[position] = cell
        elif cell is not None:
            bad[position] = cell
    read, unread = numbers_of_texts(list(texts.values()))
    positions = list(texts)
    for position, number in zip(positions, read, strict=True):
        numbers[position] = number
    bad |= {positions[at]: text for at, text in unread.items()}
    return pl.Series(numbers, dtype=pl.Float64()), dict(sorted(bad.items()))


def numbers_of_texts(texts: Sequence[str]) -> tuple[pl.Series, Bad]:
    """Float64 column of texts; null for what says nothing and for what can't be read."""
    text = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String())})
    bare = pl.col("text").str.strip_chars()
    number = bare.cast(pl.Float64(), strict=False)
    read = text.select(
        number=pl.when(number.is_finite()).then(number),
        nothing=bare.str.to_lowercase().is_in(list(NULL_TEXTS)),
    )
    unread = read.select(pl.col("number").is_null() & ~pl.col("nothing")).to_series().arg_true()
    return read["number"], {at: texts[at] for at in unread}


def read_integer(value: Any) -> int | None:
    """An id or a count that fits 64 bits, given as number or text; None if it is no such thing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value in _INT64 else None
    if isinstance(value, float):
        return int(value) if abs(value) < _EXACT and value.is_integer() else None
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        number = int(value)
        return number if number in _INT64 else None
    return None


def read_integers(cells: Sequence[Any]) -> tuple[pl.Series, Bad]:
    """Int64 column of cells that are integers, texts of integers, or nothing."""
    numbers = [read_integer(cell) for cell in cells]
    return pl.Series(numbers, dtype=pl.Int64()), _unread(cells, numbers)


def read_small_integers(cells: Sequence[Any]) -> tuple[pl.Series, Bad]:
    """Int32 column likewise; what needs more than 32 bits is unreadable."""
    read = (read_integer(cell) for cell in cells)
    numbers = [number if number is not None and number in _INT32 else None for number in read]
    return pl.Series(numbers, dtype=pl.Int32()), _unread(cells, numbers)


def read_text(value: Any) -> str | None:
    """A text as sent; a number as its text; None for nothing and for what is neither."""
    if means_nothing(value) or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return None


def read_texts(cells: Sequence[Any]) -> tuple[pl.Series, Bad]:
    """String column; "null", "N/A" and "" are null."""
    texts = [read_text(cell) for cell in cells]
    return pl.Series(texts, dtype=pl.String()), _unread(cells, texts)


def read_instants(cells: Sequence[Any]) -> tuple[pl.Series, Bad]:
    """UTC column of cells that are milliseconds since 1970, as number or text, or nothing.

    Milliseconds that microseconds in 64 bits can't hold are unreadable.
    """
    numbers = [read_integer(cell) for cell in cells]
    micros = [None if number is None or number * 1000 not in _INT64 else number * 1000 for number in numbers]
    return pl.Series(micros, dtype=pl.Int64()).cast(TIMESTAMP), _unread(cells, micros)


def _unread(cells: Sequence[Any], read: Sequence[Any]) -> Bad:
    return {
        position: cell
        for position, (cell, value) in enumerate(zip(cells, read, strict=True))
        if value is None and not means_nothing(cell)
    }
