"""What the published warehouse holds, as its own catalog says: relations, columns, types, comments."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

import duckdb

from pipelines.load.request import UsageError

SCHEMAS: Final = ("marts", "staging", "raw", "ops")
"""Where a name without a schema is looked for, in this order; `marts` is what an export holds by default."""


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column: name, DuckDB's type, and the comment that says what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view of the warehouse with its columns in order."""

    schema: str
    name: str
    comment: str
    is_view: bool
    columns: tuple[RelationColumn, ...]

    @property
    def full_name(self) -> str:
        """`marts.fct_plant_day`."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The name as SQL wants it."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    def has(self, *names: str) -> bool:
        """Whether all of these columns are there."""
        return set(names) <= {each.name for each in self.columns}


def identifier(name: str) -> str:
    """A name in SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def relations_of(connection: duckdb.DuckDBPyConnection) -> list[Relation]:
    """All tables and views of the four schemas, in the order of SCHEMAS and then by name."""
    comments = {
        (schema, name): (comment or "", is_view)
        for schema, name, comment, is_view in connection.execute(
            "select schema_name, table_name, comment, false from duckdb_tables() union all "
            "select schema_name, view_name, comment, true from duckdb_views() where not internal"
        ).fetchall()
    }
    columns: dict[tuple[str, str], list[RelationColumn]] = {}
    query = (
        "select schema_name, table_name, column_name, data_type, coalesce(comment, '') from duckdb_columns() "
        "where not internal order by schema_name, table_name, column_index"
    )
    for schema, table, column, kind, comment in connection.execute(query).fetchall():
        columns.setdefault((schema, table), []).append(RelationColumn(column, kind, comment))
    found = [
        Relation(schema, name, *comments[schema, name], tuple(some))
        for (schema, name), some in columns.items()
        if schema in SCHEMAS and (schema, name) in comments
    ]
    return sorted(found, key=lambda each: (SCHEMAS.index(each.schema), each.name))


def chosen(relations: Sequence[Relation], wanted: Sequence[str]) -> list[Relation]:
    """The relations that the names mean, each once; without names all of `marts`.

    A name is a table (`fct_plant_day`), a table with its schema, or a pattern (`raw.plant_*`, `staging.*`).

    Raises:
        UsageError: a name means nothing; the message offers what is like it.
    """
    found: dict[str, Relation] = {}
    for name in wanted or ("marts.*",):
        some = _meant(relations, name)
        if not some:
            raise UsageError(_unknown(relations, name))
        found |= {each.full_name: each for each in some}
    return list(found.values())


def _meant(relations: Sequence[Relation], name: str) -> list[Relation]:
    pattern = name.lower()
    if "." in pattern:
        return [each for each in relations if fnmatchcase(each.full_name.lower(), pattern)]
    some = [each for each in relations if fnmatchcase(each.name.lower(), pattern)]
    # A plain name means one table: the first schema that has it.
    return some if any(sign in pattern for sign in "*?[") else some[:1]


def _unknown(relations: Sequence[Relation], name: str) -> str:
    if not relations:
        return "The warehouse holds no tables yet: run `pvms load` first."
    if not name.strip():
        return "An empty name means no table. `pvms export --list` names all; without --table marts is written."
    names = [each.full_name if "." in name else each.name for each in relations]
    like = list(dict.fromkeys(get_close_matches(name, names, n=3, cutoff=0.5)))
    offer = f" Did you mean {', '.join(like)}?" if like else ""
    return f"There is no table {name} in the warehouse.{offer} `pvms export --list` names all."
