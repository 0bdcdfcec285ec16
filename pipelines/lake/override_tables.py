"""Comments on the tables that the owner's files become in schema ops."""

from collections.abc import Sequence

from pipelines.lake.raw_views import quoted
from schemas.owner_tables import OWNER_TABLES


def override_comments_sql(name: str, columns: Sequence[str]) -> str:
    """Statements that describe an override table; a column that is not declared says whose it is."""
    table = OWNER_TABLES.get(name)
    described = {} if table is None else table.columns
    statements = [
        f'comment on table ops."{name}" is {quoted(table.description if table else "From the files of the owner.")}'
    ]
    statements += [
        f'comment on column ops."{name}"."{each}" is {quoted(described.get(each, "As the owner wrote it."))}'
        for each in columns
    ]
    return ";\n".join(statements)
