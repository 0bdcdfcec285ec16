"""`pvms sql`: reads the published warehouse and prints what a query returns."""

import csv
import json
import math
import sys
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.load.request import EXIT_USAGE

_ORDERS: Final = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""Control characters, with which a text could move the cursor or rename the window."""

HELP = """Run one SQL query on the published warehouse (DuckDB), which it can't change.

A `copy ... to` writes the file that it names.

Prints a table on a terminal and CSV into a pipe; --format decides otherwise.

Examples:

  pvms sql "select * from marts.fct_plant_day order by local_date desc limit 10"

  pvms sql "select plant_code, sum(pv_energy_kwh) from marts.fct_plant_day group by all" --format csv > yield.csv

  pvms sql "select table_schema, table_name from information_schema.tables order by all"
"""


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    query: Annotated[str, typer.Argument(help="The query, in quotes.")],
    format_: Annotated[Format | None, typer.Option("--format", help="table, csv or json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Run one SQL query on the published warehouse."""

    def command() -> int:
        import duckdb

        from pipelines.lake.publish import open_published

        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        chosen = Format.JSON if as_json else format_ or (Format.TABLE if sys.stdout.isatty() else Format.CSV)
        connection = open_published(settings.home)
        try:
            if len(connection.extract_statements(query)) != 1:
                say("Give exactly one statement.")
                return EXIT_USAGE
            result = connection.execute(query)
            names = [column[0] for column in result.description or []]
            rows = result.fetchall()
        except duckdb.Error as error:
            say(f"{error}")
            return EXIT_USAGE
        finally:
            connection.close()
        write_rows(names, rows, chosen)
        return 0

    raise typer.Exit(guarded(command))


def write_rows(names: list[str], rows: list[tuple[Any, ...]], chosen: Format) -> None:
    """Write rows to stdout as a table, as CSV (RFC 4180, null as nothing) or as a JSON list of objects."""
    if chosen is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    elif chosen is Format.JSON:
        keys = _keys(names)
        records = [{key: _plain(value) for key, value in zip(keys, row, strict=True)} for row in rows]
        json.dump(records, sys.stdout, default=str, indent=1, allow_nan=False)
        sys.stdout.write("\n")
    else:
        stdout.print(as_table(names, rows))


def _keys(names: list[str]) -> list[str]:
    """The names, each once: of a join's two `plant_code` the second is `plant_code_1`, as DuckDB names such columns."""
    keys: list[str] = []
    for name in names:
        number, key = 0, name
        while key in keys or (number and key in names):
            number += 1
            key = f"{name}_{number}"
        keys.append(key)
    return keys


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity, and has one kind of number."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def as_table(names: list[str], rows: list[tuple[Any, ...]], title: str | None = None) -> Table:
    """Rows as a table for a terminal: numbers to the right, three decimals, null as a dot."""
    table = Table(title=title, title_justify="left")
    for index, name in enumerate(names):
        numeric = all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        table.add_column(_text(name), justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: Any) -> Text:
    if value is None:
        return Text("·")
    return _text(f"{value:,.3f}" if isinstance(value, float) else str(value))


def _text(words: str) -> Text:
    """A text from outside as it is: its brackets are no markup, and it gives the terminal no orders."""
    return Text(words.translate(_ORDERS))
