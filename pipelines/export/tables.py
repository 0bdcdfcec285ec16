"""Exports whole tables: Parquet in folders by year and month, or a CSV file each."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal

import duckdb

from pipelines.export.columns import Exported, csv_columns, parquet_columns, select_lines
from pipelines.export.months import DATE_COLUMN, Month, is_stored_by_month, months_of
from pipelines.export.placing import written_beside
from pipelines.export.relations import Relation
from pipelines.lake.durable import full_disk_as_sentence
from pipelines.lake.errors import LakeError
from pipelines.lake.raw_views import quoted
from pipelines.load.request import UsageError

FileFormat = Literal["parquet", "csv"]

ROW_GROUP_ROWS: Final = 30_000
"""As in the lake: a row group is what is held in memory while a file is written and read."""

ORDER: Final = (
    *("plant_code", "device_id", "pv_input"),
    *("local_date", "month_start", "year_start", "label_utc", "start_utc", "collect_time_utc"),
)
"""What rows of a table are sorted by, as far as it has the columns."""

Progress = Callable[[str, int, int], None]
"""Called with a stage, the steps done and the steps in all."""


@dataclass(frozen=True, slots=True)
class TableExport:
    """What was written of one table: `path` is a folder (Parquet) or a file (CSV)."""

    table: str
    path: Path
    rows: int
    files: int
    bytes: int

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path)}


def export_tables(
    connection: duckdb.DuckDBPyConnection,
    relations: Sequence[Relation],
    folder: Path,
    file_format: FileFormat,
    since: date | None = None,
    until: date | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Iterator[TableExport]:
    """Write each relation below `folder`, replacing what an earlier export wrote there; a result per table.

    Tables with a local date hold the dates from `since` to `until`, both included; the others are written whole.
    A kill leaves each table as it was before or as it is now, never mixed.

    Raises:
        UsageError: the folder holds something at a table's place that no export has written.
        LakeError: the lake's files that a view reads are not there.
        DiskFull: no space is left; the table that was being written is as it was.
    """
    write = _write_parquet if file_format == "parquet" else _write_csv
    for relation in relations:
        with full_disk_as_sentence(folder), _missing_files_as_sentence(relation):
            yield write(connection, relation, folder / relation.schema, (since, until), progress)


def _write_parquet(
    connection: duckdb.DuckDBPyConnection,
    relation: Relation,
    folder: Path,
    dates: tuple[date | None, date | None],
    progress: Progress,
) -> TableExport:
    target, columns = folder / relation.name, parquet_columns(relation)
    _refuse_foreign(target)
    options = f"format parquet, compression zstd, row_group_size {ROW_GROUP_ROWS}"
    rows = 0
    with written_beside(target) as temporary:
        temporary.mkdir()
        for number, month in enumerate(steps := _steps(connection, relation, dates), 1):
            file = temporary / (month.folder if month else "") / "data.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            written = _copy(connection, relation, columns, month, file, options)
            rows += written
            if not written and month:
                _drop_empty(file, temporary)
            progress(relation.full_name, number, len(steps))
        if not any(temporary.iterdir()):
            # Readers find the columns also where there are no rows.
            _copy(connection, relation, columns, None, temporary / "data.parquet", options, "false")
        found = [each.stat().st_size for each in temporary.rglob("*.parquet")]
    _describe(target, relation, columns)
    return TableExport(relation.full_name, target, rows, len(found), sum(found))


def _write_csv(
    connection: duckdb.DuckDBPyConnection,
    relation: Relation,
    folder: Path,
    dates: tuple[date | None, date | None],
    progress: Progress,
) -> TableExport:
    target, columns = folder / f"{relation.name}.csv", csv_columns(relation)
    steps = _steps(connection, relation, dates)
    rows = 0
    with written_beside(target) as temporary, temporary.open("wb") as whole:
        # Named like `written_beside` names it, so that the next export removes it if this process is killed.
        part = temporary.with_name(f"{temporary.name.removesuffix('.tmp')}p.tmp")
        try:
            for number, month in enumerate(steps or [None], 1):
                header = "true" if number == 1 else "false"
                only = "true" if steps else "false"
                options = f"format csv, header {header}"
                rows += _copy(connection, relation, columns, month, part, options, only)
                with part.open("rb") as more:
                    while block := more.read(1 << 20):
                        whole.write(block)
                progress(relation.full_name, number, len(steps))
        finally:
            part.unlink(missing_ok=True)
    _describe(target.with_suffix(""), relation, columns)
    return TableExport(relation.full_name, target, rows, 1, target.stat().st_size)


def _steps(
    connection: duckdb.DuckDBPyConnection, relation: Relation, dates: tuple[date | None, date | None]
) -> Sequence[Month | None]:
    """What is written at a time: a month, so that memory holds no more than its row groups; or all."""
    if is_stored_by_month(relation):
        return months_of(connection, relation, *dates)
    return [None]


def _copy(
    connection: duckdb.DuckDBPyConnection,
    relation: Relation,
    columns: Sequence[Exported],
    month: Month | None,
    file: Path,
    options: str,
    only: str = "true",
) -> int:
    zones = _zones(relation) if any("zones." in each.sql for each in columns) else ""
    where = only
    if month is not None:
        where += f" and source.{DATE_COLUMN} between date '{month.first}' and date '{month.last}'"
    query = f"select {select_lines(columns)} from {relation.sql} as source{zones} where {where}{_order(relation)}"  # noqa: S608
    result = connection.execute(f"copy ({query}) to {quoted(str(file))} ({options})").fetchone()
    assert result is not None
    return int(result[0])


def _order(relation: Relation) -> str:
    """Rows of a table as a reader expects them. Views of 5-minute rows keep the lake's order, which is nearly this."""
    keys = [name for name in ORDER if relation.has(name)]
    return "" if relation.is_view or not keys else " order by " + ", ".join(f"source.{name}" for name in keys)


def _zones(relation: Relation) -> str:
    """A join that offers the zone of each row's plant as `zones.time_zone`."""
    if relation.has("time_zone"):
        return " cross join (select source.time_zone) as zones"
    plants = "select plant_code, any_value(time_zone) as time_zone from raw.plants group by plant_code"
    return f" left join ({plants}) as zones on zones.plant_code = source.plant_code"


def _drop_empty(file: Path, root: Path) -> None:
    file.unlink()
    for each in (file.parent, file.parent.parent):
        if each != root and not any(each.iterdir()):
            each.rmdir()


def _describe(target: Path, relation: Relation, columns: Sequence[Exported]) -> None:
    """A file beside the table that says what it and its columns mean."""
    words = {
        "table": relation.full_name,
        "description": relation.comment,
        "columns": [{"name": each.name, "type": each.type, "description": each.comment} for each in columns],
    }
    with written_beside(target.with_name(f"{target.name}.columns.json")) as temporary:
        temporary.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _refuse_foreign(target: Path) -> None:
    """Only a folder that an export wrote is ever replaced."""
    if not target.exists():
        return
    ours = target.is_dir() and all(
        each.name == "data.parquet" or each.name.startswith(("year=", ".", "_")) for each in target.iterdir()
    )
    if not ours:
        raise UsageError(f"{target} is not of an earlier export and is left alone; choose another folder with --to.")


@contextmanager
def _missing_files_as_sentence(relation: Relation) -> Iterator[None]:
    """Turn DuckDB's complaint about a file that a view reads into what to do about it."""
    try:
        yield
    except duckdb.IOException as error:
        if "No files found" not in str(error) and "No such file" not in str(error):
            raise
        raise LakeError(
            f"{relation.full_name} reads files of the lake that are not there any more. Run `pvms load`, "
            "which publishes anew; a lone copy of warehouse.duckdb holds marts and ops only."
        ) from error
