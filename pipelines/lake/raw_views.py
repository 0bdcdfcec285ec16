"""SQL of the warehouse's raw views: explicit lists of the lake's current files, the catalog's columns and types.

Files of one table may be of several catalog versions. Files with the same columns are read together, and what
they lack is read out of their `extra`, or null; reading them with `union_by_name` instead would open every file of the
list for each query.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.lake.delta import PartitionColumn, partition_column
from pipelines.lake.promotion import promotion_sql
from schemas.tables import Column, Table


@dataclass(frozen=True, slots=True)
class RawFile:
    """A current file of a table: its path below the table's folder, and its columns, separated by commas."""

    path: str
    columns: str


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name_of(table: Table) -> str:
    """Schema and name, quoted."""
    return f'"{table.schema}"."{table.name}"'


def select_sql(table: Table, lake: Path, files: Sequence[RawFile]) -> str:
    """A query of all rows of a table: exactly its columns, in order, with the catalog's types.

    `lake` is the folder of the Delta tables. Without files the query is typed and empty.
    """
    if not files:
        return f"{_columns(table, frozenset())} where false"
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for each in files:
        alike[each.columns].append(str(lake / table.name / each.path))
    column = partition_column(table)
    return "\nunion all\n".join(
        f"{_columns(table, _readable(columns, column))}\nfrom read_parquet({_list(paths)}, {_hive(column)})"
        for columns, paths in sorted(alike.items())
    )


def _columns(table: Table, present: frozenset[str]) -> str:
    chosen = ", ".join(f'cast({_source(each, present)} as {each.type}) as "{each.name}"' for each in table.columns)
    return f"select {chosen}"


def _source(column: Column, present: frozenset[str]) -> str:
    if column.name in present:
        return f'"{column.name}"'
    return (promotion_sql(column) if "extra" in present else None) or "null"


def _readable(columns: str, column: PartitionColumn | None) -> frozenset[str]:
    inside = frozenset(columns.split(","))
    return inside if column is None else inside | {column.name}


def _list(paths: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(each) for each in sorted(paths)) + "]"


def _hive(column: PartitionColumn | None) -> str:
    if column is None:
        return "hive_partitioning = false"
    kind = "INTEGER" if column.dtype.is_integer() else "DATE"
    return f"hive_partitioning = true, hive_types = {{'{column.name}': {kind}}}"


def comments_sql(table: Table, kind: str) -> str:
    """Statements that describe a table or view (`kind`) and every column, with units."""
    statements = [f"comment on {kind} {name_of(table)} is {quoted(table.description)}"]
    statements += [
        f'comment on column {name_of(table)}."{each.name}" is {quoted(each.description)}' for each in table.columns
    ]
    return ";\n".join(statements)
