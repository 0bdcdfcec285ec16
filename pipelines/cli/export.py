"""`pvms export`: the published warehouse as Parquet or CSV files, for BI and for analysts."""

import json
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipelines.cli.common import guarded, say, settings_for_command, stdout
from pipelines.cli.dates import Day, read_day, settled
from pipelines.cli.sql import as_table
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import EXIT_USAGE, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from pipelines.export.tables import TableExport

MEGABYTE: Final = 1_000_000

MOST_NAMED: Final = 5
"""Files that a message names."""

HELP = """Write tables of the published warehouse to files: Parquet for BI and analysts, or CSV.

Parquet: a folder per table, DIR/marts/fct_plant_day/year=2026/month=03/data.parquet (tables without a local date:
one data.parquet). Instants are UTC, with their zone; columns that end in local_time are clocks of the plant.
CSV: a file per table, DIR/marts/fct_plant_day.csv; instants in UTC to the second, and beside each a column ..._local
with the plant's clock. Text that a spreadsheet would run as a formula gets an apostrophe in front.
Beside each table a .columns.json says what its columns mean.

With --frame a file per plant in the words of an open tool, DIR/rdtools/NE%3D1.parquet and a .json beside it:
pvlib (also for pvanalytics), rdtools (energy labelled by the end of its interval), rdtools-availability (the plant
beside its inverters), odse (ODS-E records per inverter), pvoutput (CSV for addbatchstatus).

Each table replaces the one of an earlier export, whole or not at all. Without --table all of marts.

Exit codes: 0 written; 1 an error; 2 wrong usage, an unknown table; 130 interrupted. Tables that were written stay.

Examples:

  pvms export --to exports

  pvms export --to exports --table fct_plant_day --table 'raw.plant_*'

  pvms export --to exports --format csv --since 2026-01-01 --until yesterday

  pvms export --to exports --frame rdtools --plant NE=33554785 --since 2025-01-01

  pvms export --list
"""


class FileFormat(StrEnum):
    """How tables are written."""

    PARQUET = "parquet"
    CSV = "csv"


class Frame(StrEnum):
    """The open tools whose words a frame is in."""

    PVLIB = "pvlib"
    RDTOOLS = "rdtools"
    RDTOOLS_AVAILABILITY = "rdtools-availability"
    ODSE = "odse"
    PVOUTPUT = "pvoutput"


def export(
    to: Annotated[Path | None, typer.Option("--to", help="The folder to write to.", metavar="DIR")] = None,
    format_: Annotated[FileFormat, typer.Option("--format", help="parquet or csv.")] = FileFormat.PARQUET,
    table: Annotated[
        list[str] | None, typer.Option(help="A table, schema.table or a pattern; may be repeated.")
    ] = None,
    frame: Annotated[Frame | None, typer.Option(help="A frame for an open tool in place of tables.")] = None,
    plant: Annotated[list[str] | None, typer.Option(help="Only this plant's frame; may be repeated.")] = None,
    since: Annotated[Day | None, typer.Option(parser=read_day, help="First local date.", metavar="DATE")] = None,
    until: Annotated[
        Day | None, typer.Option(parser=read_day, help="Last local date, included.", metavar="DATE")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list what can be exported.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as JSON on stdout.")] = False,
) -> None:
    """Write tables of the published warehouse to files."""

    def command() -> int:
        from pipelines.lake.publish import as_this_version_reads, open_published

        if to is None and not list_:
            say("Say where to write: pvms export --to DIR.")
            return EXIT_USAGE
        if (frame and table) or (plant and not frame):
            say("--table chooses tables; --frame and --plant choose frames.")
            return EXIT_USAGE
        settings = settings_for_command()
        say(f"PVMS_HOME is {settings.home}")
        first, last = settled(settings, since, until)
        if first and last and first > last:
            say(f"--since {first} is after --until {last}.")
            return EXIT_USAGE
        folder = _checked(to, settings.home) if to is not None else None
        connection = open_published(settings.home, threads=settings.duckdb_threads, memory_limit=settings.duckdb_memory)
        try:
            if folder is None or list_:
                _list(connection, table or ["*.*"], as_json)
            elif frame:
                with as_this_version_reads():
                    _write_frames(connection, folder, format_, (frame.value, plant or []), (first, last), as_json)
            else:
                _write(connection, folder, format_, table or [], (first, last), as_json)
        finally:
            connection.close()
        return 0

    raise typer.Exit(guarded(command))


def _checked(to: Path, home: Path) -> Path:
    """The folder, made absolute; never one that the warehouse itself lives in."""
    folder = to.expanduser().resolve()
    for ours in (home / "lake", home / "state"):
        if folder == home.resolve() or folder.is_relative_to(ours.resolve()):
            raise UsageError(f"{folder} holds the warehouse itself; choose another folder, such as {home / 'exports'}.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --to wants a folder.")
    return folder


def _list(connection: "duckdb.DuckDBPyConnection", names: list[str], as_json: bool) -> None:
    from pipelines.export.months import is_stored_by_month
    from pipelines.export.relations import chosen, relations_of

    rows: list[dict[str, Any]] = [
        {
            "table": each.full_name,
            "columns": len(each.columns),
            "by_month": is_stored_by_month(each),
            "holds": each.comment,
        }
        for each in chosen(relations_of(connection), names)
    ]
    if as_json:
        stdout.print_json(json.dumps(rows))
    else:
        stdout.print(as_table(list(rows[0]), [tuple(row.values()) for row in rows]), markup=False)


def _write(
    connection: "duckdb.DuckDBPyConnection",
    folder: Path,
    chosen_format: FileFormat,
    names: list[str],
    dates: tuple[date | None, date | None],
    as_json: bool,
) -> None:
    from pipelines.export.months import is_stored_by_month
    from pipelines.export.relations import chosen, relations_of
    from pipelines.export.tables import export_tables

    relations = chosen(relations_of(connection), names)
    say(f"Writing {len(relations)} table{'s' if len(relations) > 1 else ''} to {folder}")
    with ConsoleListener() as listener:
        results = list(
            export_tables(connection, relations, folder, chosen_format.value, *dates, progress=listener.progress)
        )
    _tell(results, as_json)
    dated = {each.full_name for each in relations if is_stored_by_month(each)}
    empty = [each.table for each in results if not each.rows and each.table in dated]
    if empty and any(dates):
        say(f"No row of these dates in {', '.join(empty)}: what is written there now has the columns alone.")


def _write_frames(
    connection: "duckdb.DuckDBPyConnection",
    folder: Path,
    chosen_format: FileFormat,
    what: tuple[str, list[str]],
    dates: tuple[date | None, date | None],
    as_json: bool,
) -> None:
    from pipelines.export.frames import FrameRequest, export_frames, left_over

    request = FrameRequest(*what, *dates)
    say(f"Writing {request.frame} frames to {folder / request.frame}")
    with ConsoleListener() as listener:
        results = list(export_frames(connection, request, folder, chosen_format.value, listener.progress))
    if not results:
        say("No plant has 5-minute rows of these dates; `pvms load` reads them.")
    _tell(results, as_json)
    # Who names plants knows that the others' files stay.
    if not request.plants and (left := left_over(folder, request.frame, results)):
        shown = ", ".join(left[:MOST_NAMED]) + (" and more" if len(left) > MOST_NAMED else "")
        say(f"{len(left)} files of earlier exports are left beside them: {shown}. Delete those that you don't want.")


def _tell(results: "Sequence[TableExport]", as_json: bool) -> None:
    if as_json:
        stdout.print_json(json.dumps([each.as_dict() for each in results]))
        return
    rows = [(each.table, each.rows, each.files, round(each.bytes / MEGABYTE, 3)) for each in results]
    stdout.print(as_table(["table", "rows", "files", "MB"], rows), markup=False)
