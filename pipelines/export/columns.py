"""How a column leaves the warehouse: a few types that every reader understands alike, and text that is only text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.export.relations import Relation, RelationColumn, identifier

PARQUET_TYPES: Final = {
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "DOUBLE": "DOUBLE",
    "FLOAT": "DOUBLE",
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "INTEGER": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "BIGINT": "BIGINT",
    "UINTEGER": "BIGINT",
    "UBIGINT": "BIGINT",
    "HUGEINT": "BIGINT",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP WITH TIME ZONE",
}
"""DuckDB's types and what they leave as. A sum of whole numbers is a HUGEINT, which Parquet has no type for; Spark
knows neither unsigned numbers nor nanoseconds. Whatever isn't listed leaves as text."""

LOCAL_SUFFIX: Final = "_local"

_FORMULA: Final = r"^[=+\-@＝＋－＠\t\r\n]"
"""What a spreadsheet takes for a formula, by the first character of a cell (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A column of the export: the SQL that makes it, its name and type there, and what it means."""

    sql: str
    name: str
    type: str
    comment: str

    @property
    def line(self) -> str:
        """The select line."""
        return f"{self.sql} as {identifier(self.name)}"


def parquet_columns(relation: Relation) -> list[Exported]:
    """The columns of a Parquet export: instants in UTC, local clocks without a zone, numbers, text."""
    return [_parquet(each) for each in relation.columns]


def _parquet(column: RelationColumn) -> Exported:
    source = f"source.{identifier(column.name)}"
    if column.type == "INTERVAL":
        return Exported(f"epoch({source})", f"{column.name}_s", "DOUBLE", f"{column.comment} In seconds.".strip())
    kind = PARQUET_TYPES.get(column.type) or ("DOUBLE" if column.type.startswith("DECIMAL") else "VARCHAR")
    sql = source if kind == column.type else f"cast({source} as {kind})"
    return Exported(sql, column.name, kind, column.comment)


def csv_columns(relation: Relation) -> list[Exported]:
    """The columns of a CSV export: every instant in UTC, and beside it the clock of the plant where it is known.

    The query has to offer the plant's zone as `zones.time_zone`.
    """
    taken = {each.name for each in relation.columns}
    found: list[Exported] = []
    for each in parquet_columns(relation):
        found.append(_csv(each))
        name = re.sub("_utc$", "", each.name) + LOCAL_SUFFIX
        if each.type == "TIMESTAMP WITH TIME ZONE" and knows_zone(relation) and name not in taken:
            local = f"strftime(timezone(zones.time_zone, {each.sql}), '%Y-%m-%d %H:%M:%S')"
            found.append(Exported(local, name, "VARCHAR", f"{each.name} as a clock at the plant shows it."))
    return found


def knows_zone(relation: Relation) -> bool:
    """Whether each row belongs to a plant, and so to a zone."""
    return relation.has("time_zone") or relation.has("plant_code")


def _csv(column: Exported) -> Exported:
    sql = column.sql
    if column.type == "TIMESTAMP WITH TIME ZONE":
        sql = f"strftime(timezone('UTC', {sql}), '%Y-%m-%dT%H:%M:%SZ')"
    elif column.type == "TIMESTAMP":
        sql = f"strftime({sql}, '%Y-%m-%d %H:%M:%S')"
    elif column.type == "VARCHAR":
        sql = harmless(sql)
    return Exported(sql, column.name, column.type, column.comment)


def harmless(sql: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what would begin one."""
    return f"case when regexp_matches({sql}, '{_FORMULA}') then '''' || {sql} else {sql} end"


def select_lines(columns: Sequence[Exported]) -> str:
    """The select list."""
    return ", ".join(each.line for each in columns)


def formula_proof(value: object) -> object:
    """The same for a value that is at hand."""
    return f"'{value}" if isinstance(value, str) and re.match(_FORMULA, value) else value
