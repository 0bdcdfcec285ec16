"""The warehouse: exact types, every comment, consistent publishing, a moved home, and dbt on the private build."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.lake import publish as publishing
from pipelines.lake import transform
from pipelines.lake.errors import DiskFull, NoWarehouse, TransformFailed, UnreadableWarehouse, WarehouseBusy
from pipelines.lake.store import Lake
from pipelines.lake.transform import dbt_environment, project_folder, run_dbt
from pipelines.lake.warehouse import build_lock, open_published, prepare_build, publish
from schemas.columns import Table
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

HOURLY = TABLES["plant_hourly"]
DAY = date(2026, 3, 28)
AT = datetime(2026, 3, 30, 6, tzinfo=UTC)
FEW = {name: TABLES[name] for name in ("plant_hourly", "plants", "quarantine", "schema_drift", "api_calls", "coverage")}
"""A catalog of few tables, where the number of them doesn't matter: each costs time."""


def hours(*plants: str, day: date = DAY, table: Table = HOURLY, **rest: Any) -> pl.DataFrame:
    schema = polars_schema(table)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    common = {"collect_time": noon, "local_date": day, "pv_yield": 1.5, "extracted_at": AT, "account": "a", **rest}
    rows = [{"plant_code": plant, **common} for plant in plants]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def calls(number: int) -> pl.DataFrame:
    schema = polars_schema(TABLES["api_calls"])
    row = {"called_at": AT, "account": "a", "endpoint": "stations", "outcome": "ok", "rows": 3}
    return pl.DataFrame([{name: row.get(name) for name in schema}] * number, schema=schema, orient="row")


def build(home: Path, tables: dict[str, Table] = FEW, number: int = 0, **rest: Any) -> Path:
    coverage = pl.DataFrame(schema=polars_schema(TABLES["coverage"]))
    return prepare_build(home, api_calls=calls(number), coverage=coverage, tables=tables, **rest)


def build_and_publish(home: Path, tables: dict[str, Table] = FEW, number: int = 0, **rest: Any) -> None:
    with build_lock(home):
        build(home, tables, number, **rest)
        publish(home)


def ask(home: Path, query: str) -> list[tuple[Any, ...]]:
    connection = open_published(home)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home of Süd"


@pytest.fixture
def loaded(home) -> Path:
    lake = Lake(home)
    lake.land(HOURLY, hours("NE=1", "NE=2"))
    lake.land(HOURLY, hours("NE=1", day=DAY + timedelta(days=1)))
    lake.fold()
    build_and_publish(home)
    return home


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse of the whole catalog before anything was loaded."""
    home = tmp_path_factory.mktemp("home")
    overrides = {
        "plant_overrides": pl.DataFrame({"plant_code": ["NE=1"], "tilt": [30.0], "azimuth": [180.0], "mine": [1]})
    }
    build_and_publish(home, dict(TABLES), overrides=overrides)
    connection = open_published(home)
    yield connection
    connection.close()


def test_every_table_has_the_catalogs_columns_in_its_order_and_types(empty):
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    query = """select schema_name, table_name, column_name, data_type from duckdb_columns()
               where schema_name in ('raw', 'ops') order by column_index"""
    for schema, table, column, kind in empty.execute(query).fetchall():
        found.setdefault((schema, table), []).append((column, kind))
    found.pop(("ops", "plant_overrides"))
    spelt = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert found == {
        (table.schema, table.name): [(each.name, spelt.get(each.type, each.type)) for each in table.columns]
        for table in TABLES.values()
    }


def test_every_table_view_and_column_has_a_comment_and_raw_is_views_and_ops_tables(empty):
    query = "select schema_name, table_name, column_name from duckdb_columns() where not internal and comment is null"
    assert empty.execute(query).fetchall() == []
    views = empty.execute("select view_name, comment from duckdb_views() where schema_name = 'raw'").fetchall()
    assert dict(views) == {name: table.description for name, table in TABLES.items() if table.schema == "raw"}
    tables = empty.execute("select table_name, comment from duckdb_tables() where schema_name = 'ops'").fetchall()
    expected = {name: table.description for name, table in TABLES.items() if table.schema == "ops"}
    assert {name: comment for name, comment in tables if name != "plant_overrides"} == expected
    assert all(comment for _, comment in tables)


def test_the_owners_files_are_tables_with_descriptions(empty):
    assert empty.execute("select plant_code, tilt from ops.plant_overrides").fetchall() == [("NE=1", 30.0)]
    query = "select column_name, comment from duckdb_columns() where table_name = 'plant_overrides'"
    comments = dict(empty.execute(query).fetchall())
    assert "degrees" in comments["tilt"]
    assert comments["mine"]


def test_tables_without_files_are_empty_and_can_be_queried(empty):
    query = "select sum(active_power) from raw.device_history_string_inverter where local_date = '2026-01-01'"
    assert empty.execute(query).fetchall() == [(None,)]


def test_the_published_warehouse_shows_what_is_folded(loaded):
    query = "select plant_code, local_date, pv_yield, collect_time::varchar from raw.plant_hourly order by all"
    assert ask(loaded, query) == [
        ("NE=1", DAY, 1.5, "2026-03-28 12:00:00+00"),
        ("NE=1", DAY + timedelta(days=1), 1.5, "2026-03-29 12:00:00+00"),
        ("NE=2", DAY, 1.5, "2026-03-28 12:00:00+00"),
    ]


def test_a_query_of_one_day_opens_that_days_file_alone(loaded):
    plan = ask(loaded, "explain analyze select plant_code from raw.plant_hourly where local_date = '2026-03-29'")
    assert "Scanning Files: 1/2" in plan[0][1] or "Total Files Read: 1" in plan[0][1], plan[0][1]


def test_extra_is_json_that_can_be_asked_into(home):
    lake = Lake(home)
    lake.land(HOURLY, hours("NE=1", extra='{"new_key": [1, {"a": "x"}]}'))
    lake.fold()
    build_and_publish(home)
    assert ask(home, "select extra->'new_key'->1->>'a' from raw.plant_hourly") == [("x",)]


def test_quarantine_drift_and_calls_are_native_rows(home):
    lake = Lake(home)
    schema = polars_schema(TABLES["quarantine"])
    row = {"dataset": "alarms", "reason": "no raiseTime", "record": '{"a": 1}', "extracted_at": AT}
    lake.quarantine(pl.DataFrame([row], schema=schema))
    drift = {"dataset": ["alarms"], "kind": ["unknown_key"], "key": ["k"], "cells": [2], "sample": ["s"]}
    lake.note_drift(pl.DataFrame(drift), AT)
    lake.fold()
    build_and_publish(home, number=2)
    shutil.rmtree(home / "lake")
    assert ask(home, "select record->>'a', reason from ops.quarantine") == [("1", "no raiseTime")]
    assert ask(home, "select key, cells from ops.schema_drift") == [("k", 2)]
    assert ask(home, "select endpoint, rows from ops.api_calls") == [("stations", 3)] * 2


def test_files_of_several_catalog_versions_are_one_view(home):
    older = Table(
        *(HOURLY.name, HOURLY.schema, HOURLY.dataset, None, HOURLY.description, HOURLY.key),
        tuple(column for column in HOURLY.columns if column.name != "pv_yield"),
        HOURLY.partition_by,
    )
    lake = Lake(home, {"plant_hourly": older})
    lake.land(older, hours("NE=1", table=older))
    lake.fold()
    lake = Lake(home)
    lake.land(HOURLY, hours("NE=2", day=DAY + timedelta(days=1)))
    lake.fold()
    build_and_publish(home)
    query = "select plant_code, pv_yield from raw.plant_hourly order by all"
    assert ask(home, query) == [("NE=1", None), ("NE=2", 1.5)]
    build_and_publish(home)
    assert ask(home, query) == [("NE=1", None), ("NE=2", 1.5)]


def test_what_the_catalog_learned_later_is_read_out_of_extra(home):
    older = Table(
        *(HOURLY.name, HOURLY.schema, HOURLY.dataset, None, HOURLY.description, HOURLY.key),
        tuple(column for column in HOURLY.columns if column.name != "pv_yield"),
        HOURLY.partition_by,
    )
    lake = Lake(home, {"plant_hourly": older})
    for plant, extra in (("NE=1", '{"PVYield": "7.25"}'), ("NE=2", '{"PVYield": "N/A"}'), ("NE=3", None)):
        lake.land(older, hours(plant, table=older, extra=extra))
    lake.fold()
    query = "select plant_code, pv_yield from raw.plant_hourly order by all"
    build_and_publish(home)
    assert ask(home, query) == [("NE=1", 7.25), ("NE=2", None), ("NE=3", None)]
    # The same when the day's file is written anew, with the column.
    lake = Lake(home)
    lake.land(HOURLY, hours("NE=4"))
    lake.fold()
    build_and_publish(home)
    assert ask(home, query) == [("NE=1", 7.25), ("NE=2", None), ("NE=3", None), ("NE=4", 1.5)]


def test_an_open_reader_keeps_its_rows_and_another_process_sees_the_new_ones(loaded):
    count = "select count(*) from raw.plant_hourly"
    reader = open_published(loaded)
    try:
        assert reader.execute(count).fetchall() == [(3,)]
        lake = Lake(loaded)
        lake.land(HOURLY, hours("NE=3"))
        lake.fold()
        build_and_publish(loaded)
        assert reader.execute(count).fetchall() == [(3,)]
        script = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall())"
        command = [sys.executable, "-c", script, str(loaded / "warehouse.duckdb"), count]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[(4,)]"
    finally:
        reader.close()
    assert ask(loaded, count) == [(4,)]


def test_nothing_stays_beside_the_published_file(loaded):
    assert sorted(path.name for path in loaded.iterdir()) == ["lake", "state", "warehouse.duckdb"]
    assert [path.name for path in (loaded / "state" / "build").iterdir()] == ["warehouse.duckdb"]


def test_the_published_file_cannot_be_written_through_us(loaded):
    connection = open_published(loaded)
    try:
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("create table ops.mine (a integer)")
    finally:
        connection.close()


def test_limits_are_those_that_were_asked_for(loaded):
    connection = open_published(loaded, threads=1, memory_limit="200MiB")
    try:
        query = "select current_setting('threads')::integer, current_setting('memory_limit')"
        assert connection.execute(query).fetchall() == [(1, "200.0 MiB")]
    finally:
        connection.close()


def test_a_moved_home_is_readable_where_it_is_now(loaded, tmp_path):
    moved = tmp_path / "elsewhere" / "home"
    moved.parent.mkdir()
    shutil.move(loaded, moved)
    assert ask(moved, "select count(*) from raw.plant_hourly") == [(3,)]
    query = "select count(*) from duckdb_columns() where schema_name in ('raw', 'ops') and comment is null"
    assert ask(moved, query) == [(0,)]
    assert ask(moved, "select lake_path from pvms.lake") == [(str(moved / "lake"),)]
    assert sorted(path.name for path in moved.iterdir()) == ["lake", "state", "warehouse.duckdb"]
    build_and_publish(moved)
    assert ask(moved, "select count(*) from raw.plant_hourly") == [(3,)]


def test_a_lone_copy_still_holds_what_is_native(loaded, tmp_path):
    build_and_publish(loaded, number=1)
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(loaded / "warehouse.duckdb", lone)
    shutil.rmtree(loaded)
    assert ask(lone, "select endpoint from ops.api_calls") == [("stations",)]


def test_views_of_tables_that_the_catalog_dropped_go(loaded):
    build_and_publish(loaded, {name: table for name, table in FEW.items() if name != "plants"})
    assert ask(loaded, "select view_name from duckdb_views() where schema_name = 'raw'") == [("plant_hourly",)]


def test_without_a_warehouse_the_error_says_how_to_make_one(home):
    for attempt in (lambda: open_published(home), lambda: publish(home), lambda: run_dbt(home)):
        with pytest.raises(NoWarehouse, match="pvms load"):
            attempt()
    assert not (home / "warehouse.duckdb").exists()


def test_a_damaged_published_file_is_a_sentence(loaded):
    (loaded / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(UnreadableWarehouse, match="Delete it"):
        open_published(loaded)


def test_a_damaged_private_database_is_made_anew(loaded):
    (loaded / "state" / "build" / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    build_and_publish(loaded)
    assert ask(loaded, "select count(*) from raw.plant_hourly") == [(3,)]


def test_another_program_on_the_private_database_is_a_sentence_and_the_published_one_stays(loaded):
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read(); c.close()"
    )
    command = [sys.executable, "-c", script, str(loaded / "state" / "build" / "warehouse.duckdb")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(WarehouseBusy, match="open"):
            build(loaded)
        with pytest.raises(WarehouseBusy):
            publish(loaded)
        assert ask(loaded, "select count(*) from raw.plant_hourly") == [(3,)]
    finally:
        other.communicate(timeout=600)


@pytest.mark.parametrize("where", ["copyfile", "sync"])
def test_a_full_disk_while_publishing_leaves_the_old_warehouse_and_no_copy(loaded, monkeypatch, where):
    def full(*rest):
        if where == "copyfile":
            Path(rest[1]).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    build(loaded, number=5)
    monkeypatch.setattr(publishing.shutil if where == "copyfile" else publishing, where, full)
    with pytest.raises(DiskFull, match="published warehouse is as it was"):
        publish(loaded)
    monkeypatch.undo()
    assert ask(loaded, "select count(*) from ops.api_calls") == [(0,)]
    assert sorted(path.name for path in loaded.iterdir()) == ["lake", "state", "warehouse.duckdb"]


# dbt ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path) -> Path:
    """A project of two models, as the real one is set up: profile by environment, schemas staging and marts."""
    folder = tmp_path / "project"
    files = {
        "dbt_project.yml": """
            name: small
            version: "1.0.0"
            config-version: 2
            profile: small
            model-paths: [models]
            macro-paths: [macros]
            models:
              small:
                staging: {+schema: staging, +materialized: view}
                marts: {+schema: marts, +materialized: table}
        """,
        "profiles.yml": """
            small:
              target: build
              outputs:
                build:
                  type: duckdb
                  path: "{{ env_var('PVMS_BUILD_DB') }}"
                  threads: "{{ env_var('PVMS_DBT_THREADS') | as_number }}"
        """,
        "macros/schema.sql": """
            {% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}
        """,
        "models/staging/stg_hours.sql": "select plant_code, pv_yield as pv_energy_kwh from raw.plant_hourly",
        "models/marts/fct_plant.sql": (
            "select plant_code, sum(pv_energy_kwh) as pv_energy_kwh from {{ ref('stg_hours') }} group by all"
        ),
        "models/marts/schema.yml": """
            models:
              - name: fct_plant
                columns:
                  - name: plant_code
                    data_tests: [unique, not_null]
        """,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        path.write_text("\n".join(line[indent:] for line in lines) + "\n")
    return folder


@pytest.mark.slow
def test_dbt_builds_quietly_on_the_private_database_and_publish_shows_it(loaded, project, capfd):
    before = dict(os.environ)
    build(loaded)
    report = run_dbt(loaded, project=project)
    assert set(report.nodes.values()) == {"success", "pass"}
    assert len(report.nodes) == 4
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before
    with pytest.raises(duckdb.CatalogException):
        ask(loaded, "from marts.fct_plant")
    publish(loaded)
    assert ask(loaded, "from marts.fct_plant order by all") == [("NE=1", 3.0), ("NE=2", 1.5)]
    assert ask(loaded, "select count(*) from staging.stg_hours") == [(3,)]
    assert "stg_hours" in (loaded / "state" / "dbt" / "dbt.log").read_text()
    assert sorted(path.name for path in project.iterdir()) == ["dbt_project.yml", "macros", "models", "profiles.yml"]

    (project / "models" / "marts" / "fct_plant.sql").write_text("select no_such_column from {{ ref('stg_hours') }}")
    with pytest.raises(TransformFailed, match="fct_plant") as failed:
        run_dbt(loaded, project=project)
    assert "model.small.fct_plant" in failed.value.nodes
    assert str(failed.value.log) in str(failed.value)
    assert ask(loaded, "from marts.fct_plant order by all") == [("NE=1", 3.0), ("NE=2", 1.5)]

    (project / "models" / "marts" / "fct_plant.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(TransformFailed, match=r"can't be parsed.*no_such_model"):
        run_dbt(loaded, project=project)
    build_and_publish(loaded)


def test_a_full_disk_that_lets_dbt_run_no_model_is_told_as_one(loaded, project, monkeypatch):
    nothing = SimpleNamespace(success=False, result=None, exception=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    monkeypatch.setattr(transform, "_invoke", lambda *_: nothing)
    with pytest.raises(DiskFull, match="published warehouse is as it was"):
        run_dbt(loaded, project=project)


def test_the_project_is_found_and_its_environment_names_the_private_database(home):
    assert (project_folder() / "dbt_project.yml").is_file()
    environment = dbt_environment(home, threads=3, memory_limit="1GB")
    assert environment["PVMS_BUILD_DB"] == str(home / "state" / "build" / "warehouse.duckdb")
    assert (environment["PVMS_DBT_THREADS"], environment["PVMS_DUCKDB_MEMORY"]) == ("3", "1GB")
    assert environment["DO_NOT_TRACK"] == "1"
