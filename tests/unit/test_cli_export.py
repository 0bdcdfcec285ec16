"""`pvms export`: whole tables as Parquet and CSV, alike to every reader, harmless in a spreadsheet, all or nothing."""

import csv
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.app import app

EVIL = '=HYPERLINK("x")\n<script>alert(\'Süd, "Dach"\')</script>'
TABLES = """
create schema raw; create schema marts; create schema ops;
create table raw.plants (plant_code varchar, plant_name varchar, time_zone varchar);
insert into raw.plants values ('NE=1', $evil, 'Europe/Berlin'), ('NE=2', '-5', 'Asia/Tokyo');
comment on table raw.plants is 'Plants.';
create table marts.fct_plant_day as
    select code as plant_code, day::date as local_date, (day::date)::timestamptz as day_start_utc,
        1.5 as pv_energy_kwh, 3::hugeint as slots, interval 90 minutes as lasted, true as is_provisional
    from (values ('NE=1'), ('NE=2')) as plants (code),
        range(date '2026-02-27', date '2026-03-03', interval 1 day) as days (day);
comment on table marts.fct_plant_day is 'A row per plant and day.';
comment on column marts.fct_plant_day.pv_energy_kwh is 'Energy in kWh.';
create table marts.fct_5min as
    select 'NE=1' as plant_code, date '2025-10-26' as local_date, stamp as collect_time_utc,
        timezone('Europe/Berlin', stamp) as local_time, 1::double as energy_kwh
    from range(timestamptz '2025-10-26 00:00:00+00', timestamptz '2025-10-26 02:00:00+00', interval 30 minutes)
        as stamps (stamp);
create table marts.empty_day (plant_code varchar, local_date date, kwh double);
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with duckdb.connect(home / "warehouse.duckdb") as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        for statement in TABLES.split(";\n"):
            warehouse.execute(statement, {"evil": EVIL} if "$evil" in statement else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVMS_HOME", str(home))
        patch.chdir(home)
        yield home


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["export", *arguments])
    assert "Traceback" not in result.output
    return result


def test_without_tables_all_marts_by_year_and_month(home: Path, tmp_path: Path) -> None:
    result = invoke("--to", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    written = {each["table"]: each for each in json.loads(result.stdout)}
    assert written.keys() == {"marts.fct_plant_day", "marts.fct_5min", "marts.empty_day"}
    assert written["marts.fct_plant_day"]["rows"] == 8
    files = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.parquet"))
    assert files == [
        "marts/empty_day/data.parquet",
        "marts/fct_5min/year=2025/month=10/data.parquet",
        "marts/fct_plant_day/year=2026/month=02/data.parquet",
        "marts/fct_plant_day/year=2026/month=03/data.parquet",
    ]
    words = json.loads((tmp_path / "marts/fct_plant_day.columns.json").read_text())
    assert words["description"] == "A row per plant and day."
    assert {"name": "pv_energy_kwh", "type": "DOUBLE", "description": "Energy in kWh."} in words["columns"]
    assert not [each for each in tmp_path.rglob("*") if each.name.endswith(".tmp")]


def test_types_are_those_that_all_readers_share(home: Path, tmp_path: Path) -> None:
    assert invoke("--to", str(tmp_path)).exit_code == 0
    schema = ds.dataset(tmp_path / "marts/fct_plant_day", partitioning="hive").schema
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        "plant_code": "string",
        "local_date": "date32[day]",
        "day_start_utc": "timestamp[us, tz=UTC]",
        "pv_energy_kwh": "double",
        "slots": "int64",
        "lasted_s": "double",
        "is_provisional": "bool",
        "year": "int32",
        "month": "int32",
    }
    assert str(ds.dataset(tmp_path / "marts/fct_5min").schema.field("local_time").type) == "timestamp[us]"
    frame = pl.read_parquet(tmp_path / "marts/fct_plant_day", hive_partitioning=True)
    assert frame.filter(month=3)["lasted_s"].to_list() == [5400.0] * 4
    assert pl.read_parquet(tmp_path / "marts/empty_day").schema == {
        "plant_code": pl.String,
        "local_date": pl.Date,
        "kwh": pl.Float64,
    }


def test_a_later_export_replaces_the_table_and_nothing_else(home: Path, tmp_path: Path) -> None:
    assert invoke("--to", str(tmp_path)).exit_code == 0
    dates = ("--since", "2026-03-01", "--until", "2026-03-01")
    assert invoke("--to", str(tmp_path), "--table", "fct_plant_day", *dates).exit_code == 0
    frame = pl.read_parquet(tmp_path / "marts/fct_plant_day")
    assert frame["local_date"].unique().to_list() == [date(2026, 3, 1)]
    assert (tmp_path / "marts/fct_5min").is_dir()


def test_dates_without_rows_are_said(home: Path, tmp_path: Path) -> None:
    result = invoke("--to", str(tmp_path), "--since", "2030-01-01")
    assert result.exit_code == 0
    assert "No row of these dates in marts.empty_day, marts.fct_5min, marts.fct_plant_day" in result.stderr
    assert "No row of these dates" not in invoke("--to", str(tmp_path), "--table", "fct_plant_day").stderr


def test_csv_is_utc_with_the_plants_clock_beside_it(home: Path, tmp_path: Path) -> None:
    assert invoke("--to", str(tmp_path), "--format", "csv").exit_code == 0
    with (tmp_path / "marts/fct_5min.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    berlin = ZoneInfo("Europe/Berlin")
    for row in rows:
        instant = datetime.fromisoformat(row["collect_time_utc"])
        assert instant.tzinfo == UTC
        assert row["collect_time_local"] == f"{instant.astimezone(berlin):%Y-%m-%d %H:%M:%S}" == row["local_time"]
    assert [row["collect_time_local"][11:16] for row in rows] == ["02:00", "02:30", "02:00", "02:30"]
    lines = (tmp_path / "marts/fct_plant_day.csv").read_text().splitlines()
    assert len(lines) == 1 + 8
    assert lines[0].startswith("plant_code,local_date,day_start_utc,day_start_local,pv_energy_kwh")
    assert (tmp_path / "marts/empty_day.csv").read_text() == "plant_code,local_date,kwh\n"


def test_names_are_text_and_nothing_else_in_a_spreadsheet(home: Path, tmp_path: Path) -> None:
    assert invoke("--to", str(tmp_path), "--format", "csv", "--table", "raw.plants").exit_code == 0
    with (tmp_path / "raw/plants.csv").open(newline="") as file:
        names = [row["plant_name"] for row in csv.DictReader(file)]
    assert names == [f"'{EVIL}", "'-5"]
    assert invoke("--to", str(tmp_path), "--table", "raw.plants").exit_code == 0
    assert pl.read_parquet(tmp_path / "raw/plants")["plant_name"].to_list() == [EVIL, "-5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "fct_plant_dya"], "Did you mean fct_plant_day"),
        (["--table", "staging.*"], "no table staging.*"),
        (["--since", "2026-03-02", "--until", "2026-03-01"], "is after"),
    ],
)
def test_wrong_usage_says_what_would_be_right(home: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    result = invoke("--to", str(tmp_path), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_only_an_earlier_export_is_replaced(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "marts/fct_plant_day/thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    result = invoke("--to", str(tmp_path), "--table", "fct_plant_day")
    assert result.exit_code == 2
    assert mine.read_text() == "years of work"
    for ours in (home, home / "lake", home / "state" / "x"):
        assert invoke("--to", str(ours)).exit_code == 2
    assert invoke().exit_code == 2


def test_a_failure_leaves_the_earlier_export_and_no_litter(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("--to", str(tmp_path)).exit_code == 0
    before = {each: each.read_bytes() for each in tmp_path.rglob("*.parquet")}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.export.placing.sync", full)
        result = invoke("--to", str(tmp_path))
    assert result.exit_code == 1
    assert "No space is left" in result.stderr
    assert {each: each.read_bytes() for each in tmp_path.rglob("*.parquet")} == before
    dead = tmp_path / "marts" / f".fct_plant_day.{_ended()}-0.tmp"
    dead.mkdir()
    assert invoke("--to", str(tmp_path)).exit_code == 0
    assert not [each for each in tmp_path.rglob("*") if each.name.endswith(".tmp")]


def _ended() -> int:
    """The number of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_the_list_names_what_there_is(home: Path) -> None:
    rows = json.loads(invoke("--list", "--json").stdout)
    assert {each["table"] for each in rows} >= {"raw.plants", "marts.fct_plant_day"}
    assert next(each for each in rows if each["table"] == "marts.fct_plant_day")["by_month"] is True
