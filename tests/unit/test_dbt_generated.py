"""The generated half of the dbt project says what the catalog says, and drift is seen."""

from pathlib import Path

import pytest
import yaml

from schemas.device_types import DEVICE_TYPES
from schemas.generate_dbt import (
    DBT_DIR,
    generate,
    is_overridable,
    main,
    staging_columns,
    stale_files,
    write_files,
)
from schemas.lookups import LOOKUPS
from schemas.merged_5min import OFFLINE, merged_types
from schemas.tables import TABLES

FILES = generate()
RAW = [each for each in TABLES.values() if each.schema == "raw"]


def test_the_committed_files_are_up_to_date() -> None:
    assert stale_files() == [], "run python -m schemas.generate_dbt"


def test_drift_is_seen_and_mended(tmp_path: Path) -> None:
    write_files(tmp_path)
    assert stale_files(tmp_path) == []
    edited, gone = tmp_path / "models/staging/stg_plants.sql", tmp_path / "macros/codes.sql"
    stray = tmp_path / "models/staging/stg_of_no_table.sql"
    edited.write_text("select 1", encoding="utf-8")
    gone.unlink()
    stray.write_text("select 1", encoding="utf-8")
    assert {tmp_path / each for each in stale_files(tmp_path)} == {edited, gone, stray}
    write_files(tmp_path)
    assert stale_files(tmp_path) == []
    assert not stray.exists()


def test_check_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = {each: each.stat().st_mtime_ns for each in DBT_DIR.rglob("stg_*")}
    assert main(["--check"]) == 0
    assert before == {each: each.stat().st_mtime_ns for each in DBT_DIR.rglob("stg_*")}
    assert capsys.readouterr().out == ""


def test_generating_twice_gives_the_same_bytes() -> None:
    assert generate() == FILES


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_every_raw_column_reaches_staging_once_and_described(table) -> None:
    columns = staging_columns(table)
    names = [each.name for each in columns]
    assert len(names) == len(set(names))
    assert all(each.description.strip() for each in columns)
    for column in table.columns:
        if column.item is None:
            assert any(f"source.{column.name}" in each.sql for each in columns), column.name
        else:
            made = columns[names.index(column.item.staging_column)]
            assert f"'{column.name}'" in made.sql or f"source.{column.name}" in made.sql
    model = yaml.safe_load(FILES[Path(f"models/staging/stg_{table.name}.yml")])["models"][0]
    assert [each["name"] for each in model["columns"]] == names
    assert "One row per" in model["description"]


def test_each_select_line_is_one_column() -> None:
    sql = FILES[Path("models/staging/stg_device_history_emi.sql")]
    assert "    {{ plausible('temperature', -60, 150) }} as temperature_degc,\n" in sql
    assert all(len(line) <= 160 for line in sql.splitlines())


def test_power_of_meters_and_batteries_goes_through_the_owners_file() -> None:
    overridable = {each.name for each in RAW if is_overridable(each)}
    assert {"device_history_grid_meter", "device_realtime_power_sensor", "device_history_ess"} <= overridable
    assert "device_history_string_inverter" not in overridable
    sql = FILES[Path("models/staging/stg_device_history_grid_meter.sql")]
    assert "source.active_power * {{ owner_factor('kW', true) }} as active_power" in sql
    assert "source.active_power_a * {{ owner_factor(none, true) }} as active_power_a" in sql
    assert "as reactive_power," not in sql


def test_merged_models_have_the_columns_of_history_and_the_source() -> None:
    served = [each for each in DEVICE_TYPES.values() if each.history and each.realtime]
    assert list(merged_types()) == served
    for kind in served:
        docs = yaml.safe_load(FILES[Path(f"models/staging/stg_device_5min_{kind.name}.yml")])["models"][0]
        history = staging_columns(TABLES[f"device_history_{kind.name}"])
        assert [each["name"] for each in docs["columns"]] == [*(each.name for each in history), "source"]
        assert all(each["description"] for each in docs["columns"])


def test_every_state_that_means_offline_is_a_column_that_is_polled() -> None:
    polled = {item.column for table in RAW if table.dataset == "device_realtime" for item in table.items}
    assert OFFLINE.keys() <= polled
    rules = FILES[Path("macros/poll_rules.sql")]
    assert "coalesce(run_state_code not in (0), true)" in rules
    assert "coalesce(inverter_state_code not in (45056, 49152), true)" in rules
    assert [f"'table': '{kind.name}'" in rules for kind in merged_types()] == [True] * len(merged_types())


def test_sources_name_the_dagster_asset_that_writes_them() -> None:
    sources = yaml.safe_load(FILES[Path("models/sources.yml")])["sources"]
    keys = {
        (source["name"], table["name"]): table["config"]["meta"]["dagster"]["asset_key"]
        for source in sources
        for table in source["tables"]
    }
    assert {name for (schema, name) in keys if schema == "raw"} == {each.name for each in RAW}
    history = [each for each in RAW if each.dataset == "device_history"]
    assert len(history) == 12
    assert all(keys["raw", each.name] == ["raw", "device_history"] for each in history)
    assert keys["raw", "device_realtime_ssu"] == ["raw", "device_realtime"]
    assert keys["raw", "plant_daily"] == ["raw", "plant_daily"]
    assert all(column["description"] for source in sources for table in source["tables"] for column in table["columns"])


def test_every_code_has_its_words() -> None:
    sql = FILES[Path("macros/codes.sql")]
    for lookup, words in LOOKUPS.items():
        body = sql.split(f"macro word_of_{lookup.lower()}(code)")[1].split("endmacro")[0]
        assert body.count(" when ") == len(words)
