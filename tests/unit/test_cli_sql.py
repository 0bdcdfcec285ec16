"""`pvms sql`: rows on stdout as a table, CSV or JSON; nothing can be written; a wrong query is wrong usage."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.app import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PVMS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with duckdb.connect(tmp_path / "home" / "warehouse.duckdb") as warehouse:
        warehouse.execute("create table energies (plant_name varchar, kwh double, read_at timestamptz)")
        warehouse.execute(
            "insert into energies values ('Nord, \"Dach\"', 1234.5, '2025-03-30 00:30:00+00'), (null, null, null)"
        )
    return tmp_path / "home"


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["sql", *arguments])
    assert "Traceback" not in result.output
    return result


@pytest.mark.usefixtures("home")
def test_a_pipe_gets_csv_and_nothing_else() -> None:
    result = invoke("select plant_name, kwh from energies order by kwh nulls last")
    assert result.exit_code == 0
    assert list(csv.reader(io.StringIO(result.stdout))) == [
        ["plant_name", "kwh"],
        ['Nord, "Dach"', "1234.5"],
        ["", ""],
    ]


@pytest.mark.usefixtures("home")
def test_times_are_utc() -> None:
    result = invoke("select read_at::varchar as t from energies where kwh > 0")
    assert result.stdout.splitlines() == ["t", "2025-03-30 00:30:00+00"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_json_is_a_list_of_objects(option: list[str]) -> None:
    result = invoke("select plant_name, kwh from energies order by kwh nulls last", *option)
    assert json.loads(result.stdout) == [
        {"plant_name": 'Nord, "Dach"', "kwh": 1234.5},
        {"plant_name": None, "kwh": None},
    ]


@pytest.mark.usefixtures("home")
def test_json_keeps_every_column_and_is_json() -> None:
    query = "select 1 as a, 2 as a, 3 as a_1, 4 as a, 1.5 as d, ['nan'::double, 2.5] as l, {'x': 'inf'::double} as s"
    assert json.loads(invoke(query, "--json").stdout, parse_constant=pytest.fail) == [
        {"a": 1, "a_2": 2, "a_1": 3, "a_3": 4, "d": 1.5, "l": [None, 2.5], "s": {"x": None}}
    ]


@pytest.mark.usefixtures("home")
def test_a_table_for_people() -> None:
    result = invoke("select plant_name, kwh from energies", "--format", "table")
    assert "1,234.500" in result.stdout
    assert "·" in result.stdout


@pytest.mark.usefixtures("home")
def test_names_are_text_to_a_terminal_whatever_they_hold() -> None:
    name = "[/b][red]Dach[/red] \x1b]0;owned\x07 =1+1\nzwei"
    result = invoke(f"select '{name}' as \"[/i]name\"", "--format", "table")
    assert result.exit_code == 0
    assert "[/b][red]Dach[/red]" in result.stdout
    assert "[/i]name" in result.stdout
    assert "zwei" in result.stdout
    assert not {"\x1b", "\x07"} & set(result.stdout)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("query", ["select nope from energies", "selekt 1", "select * from marts.nope"])
def test_a_wrong_query_is_wrong_usage(query: str) -> None:
    result = invoke(query)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "nope" in result.stderr or "selekt" in result.stderr


@pytest.mark.parametrize("query", ["delete from energies", "create table x (a int)", "drop table energies"])
def test_nothing_can_be_written(home: Path, query: str) -> None:
    before = (home / "warehouse.duckdb").read_bytes()
    result = invoke(query)
    assert result.exit_code == 2
    assert "read-only" in result.stderr
    assert (home / "warehouse.duckdb").read_bytes() == before


def test_a_damaged_file_is_a_sentence(home: Path) -> None:
    (home / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    result = invoke("select 1")
    assert result.exit_code == 1
    assert str(home / "warehouse.duckdb") in result.stderr
