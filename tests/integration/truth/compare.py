"""Compares rows of a table, found and expected, cell by cell, and says what differs. Knows nothing of the product."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

import duckdb

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be; `column` is None where a whole row is missing or too many."""

    table: str
    key: tuple[Any, ...]
    column: str | None
    expected: Any
    found: Any

    def __str__(self) -> str:
        """One line for a failure's message."""
        if self.column is None:
            return f"{self.table} {self.key}: {'row missing' if self.expected else 'row that should not be'}"
        return f"{self.table} {self.key} {self.column}: expected {self.expected!r}, found {self.found!r}"


@dataclass(frozen=True, slots=True)
class Expected:
    """The rows that a table must hold, no more and no less. Every column that they name is compared.

    `relative` and `absolute` are tolerances for floats: 0 where the value must have come through unchanged.
    """

    table: str
    key: tuple[str, ...]
    rows: Sequence[Row]
    relative: float = 0.0
    absolute: float = 0.0
    only_where: str | None = None

    def differences(self, connection: duckdb.DuckDBPyConnection) -> list[Difference]:
        """Compare with the table of this name behind `connection`."""
        return compare(self, rows_of(connection, self.table, self.only_where))


def rows_of(connection: duckdb.DuckDBPyConnection, relation: str, where: str | None = None) -> list[dict[str, Any]]:
    """All rows of a relation, times as aware datetimes."""
    return connection.sql(f"select * from {relation} where {where or 'true'}").pl().to_dicts()


def compare(expected: Expected, found: Iterable[Row]) -> list[Difference]:
    """All differences; a key that comes twice on either side is one too."""
    table, key = expected.table, expected.key
    wanted, doubled = _by_key(expected.rows, key)
    assert not doubled, f"the truth of {table} names rows twice: {doubled[:3]}"
    there, doubled = _by_key(found, key)
    differences = [Difference(table, each, None, None, "twice") for each in doubled]
    differences += [Difference(table, each, None, "a row", None) for each in wanted.keys() - there.keys()]
    differences += [Difference(table, each, None, None, "a row") for each in there.keys() - wanted.keys()]
    for each, row in wanted.items():
        if each in there:
            differences += _differing_cells(expected, each, row, there[each])
    return differences


def _by_key(rows: Iterable[Row], key: Sequence[str]) -> tuple[dict[tuple[Any, ...], Row], list[tuple[Any, ...]]]:
    by_key: dict[tuple[Any, ...], Row] = {}
    doubled = []
    for row in rows:
        name = tuple(row[column] for column in key)
        if name in by_key:
            doubled.append(name)
        by_key[name] = row
    return by_key, doubled


def _differing_cells(expected: Expected, key: tuple[Any, ...], wanted: Row, found: Row) -> list[Difference]:
    differences = []
    for column, value in wanted.items():
        there = found.get(column, "no such column")
        # The usual case first: a million cells are compared.
        if value is there or value == there or _close(value, there, expected):
            continue
        differences.append(Difference(expected.table, key, column, value, there))
    return differences


def _close(one: Any, other: Any, expected: Expected) -> bool:
    if not isinstance(one, float) or not isinstance(other, int | float):
        return False
    return isclose(one, other, rel_tol=expected.relative, abs_tol=expected.absolute)


def summary(differences: Sequence[Difference], most: int = 20) -> str:
    """A readable message: how many differ where, and the first of them."""
    counts: dict[tuple[str, str | None], int] = {}
    for each in differences:
        counts[each.table, each.column] = counts.get((each.table, each.column), 0) + 1
    lines = [f"{len(differences)} differences"]
    lines += [f"  {count} x {table}.{column or '(rows)'}" for (table, column), count in sorted(counts.items(), key=str)]
    return "\n".join([*lines, *(f"  {each}" for each in differences[:most])])
