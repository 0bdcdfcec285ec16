"""The strict inside door: what reaches it has been decoded by us, so a fault here is our bug.

Checks are few and look at the whole frame, because a check per column costs more than the data does: call it
once per large batch, on a collected frame.
"""

from collections.abc import Iterator, Set
from typing import Final

import polars as pl

from schemas.polars_types import polars_schema
from schemas.tables import Table
from schemas.validation import validator

_FARTHEST_DAYS: Final = 2
"""An instant's local date is at most 14 hours off its UTC date, a label's 12 hours more."""

_SENTENCE: Final = 300
"""Characters of another library's message that we pass on."""

_DAYS_IN_PERIOD: Final = {"month": 31, "year": 366}


class LandingBug(Exception):
    """A frame that isn't what its table promises. Nothing of it may land."""


def validate(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` unchanged, or raise LandingBug with a sentence that says what is wrong.

    Beside names, types, nulls and keys (the table's own schema) it refuses NaN and infinite values, which
    are neither a number nor null, and a local date that is far from the row's own instant.
    """
    for fault in _faults(table, frame):
        raise LandingBug(f"rows for {table.schema}.{table.name} {fault}")
    return frame


def _faults(table: Table, frame: pl.DataFrame) -> Iterator[str]:
    """What is wrong with the frame, cheapest check first; later checks rely on the earlier ones."""
    checks = (_wrong_columns, _against_schema, _not_finite, _misfiled)
    yield from (fault for check in checks if (fault := check(table, frame)) is not None)


def _wrong_columns(table: Table, frame: pl.DataFrame | pl.LazyFrame) -> str | None:
    """Pandera finds these too, but prints the whole schema with them; and it lets a LazyFrame through."""
    if not isinstance(frame, pl.DataFrame):
        return "are a frame that isn't collected: its values would go unchecked"
    wanted, found = polars_schema(table), dict(frame.schema)
    if missing := wanted.keys() - found.keys():
        return f"lack {_names(missing)}"
    if surplus := found.keys() - wanted.keys():
        return f"hold columns that the table doesn't know: {_names(surplus)}"
    return None


def _names(columns: Set[str]) -> str:
    shown = sorted(columns)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _against_schema(table: Table, frame: pl.DataFrame) -> str | None:
    """Types, order, nulls where there must be none, keys that occur twice."""
    from pandera.errors import SchemaErrors

    try:
        validator(table).validate(frame, lazy=True)
    except SchemaErrors as error:
        found = error.schema_errors
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        first = str(found[0]).splitlines()[0][:_SENTENCE]
        return f"break their own schema: {first}{more}"
    return None


def _not_finite(table: Table, frame: pl.DataFrame) -> str | None:
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    if not numbers or frame.is_empty():
        return None
    counts = frame.select((~pl.col(name).is_finite()).sum() for name in numbers).row(0, named=True)
    bad = {name: count for name, count in counts.items() if count}
    if not bad:
        return None
    name, count = next(iter(bad.items()))
    return f"hold {count} values in {name} that are NaN or infinite ({len(bad)} columns in all)"


def _misfiled(table: Table, frame: pl.DataFrame) -> str | None:
    instant = next((name for name in ("collect_time", "polled_at") if name in frame.columns), None)
    if instant is None or "local_date" not in frame.columns or frame.is_empty():
        return None
    days = (pl.col(instant).dt.date() - pl.col("local_date")).dt.total_days()
    reach = _DAYS_IN_PERIOD.get(_period(table), 0) + _FARTHEST_DAYS
    far = frame.filter(~days.is_between(-_FARTHEST_DAYS, reach))
    if far.is_empty():
        return None
    sample = far.row(0, named=True)
    return f"are filed far from their time: {sample[instant]} under {sample['local_date']} ({far.height} rows)"


def _period(table: Table) -> str:
    for period in _DAYS_IN_PERIOD:
        if table.dataset is not None and table.dataset.endswith(f"_{period}ly"):
            return period
    return "day"
