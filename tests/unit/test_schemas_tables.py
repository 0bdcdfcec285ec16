"""The tables of the contract, and that Polars, Arrow and DuckDB read their types alike."""

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from schemas.arrow_types import ARROW_TYPES, arrow_schema
from schemas.catalog import HISTORY, REALTIME
from schemas.datasets import DATASETS
from schemas.device_types import DEVICE_TYPES
from schemas.polars_types import POLARS_TYPES, polars_schema
from schemas.tables import TABLES, Table, table_for

CONTRACT = {
    "plants", "devices", "plant_versions", "device_versions", "alarms", "plant_realtime", "plant_hourly",
    "plant_daily", "plant_monthly", "plant_yearly", "device_daily", "device_monthly", "device_yearly",
    *(f"device_history_{each}" for each in (
        "string_inverter", "emi", "grid_meter", "residential_inverter", "residential_battery", "ess", "power_sensor",
        "mains", "genset", "ssu_group", "lithium_battery_rack", "ac_output_distribution",
    )),
    *(f"device_realtime_{each}" for each in (
        "string_inverter", "emi", "grid_meter", "residential_inverter", "residential_battery", "ess", "power_sensor",
        "mains", "genset", "ssu_group", "lithium_battery_rack", "ac_output_distribution", "ssu", "power_converter",
    )),
    "quarantine", "api_calls", "coverage", "schema_drift",
}  # fmt: skip

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


def names(table: Table) -> list[str]:
    return [each.name for each in table.columns]


def test_every_table_of_the_contract_is_there() -> None:
    assert set(TABLES) >= CONTRACT
    assert all(name == table.name for name, table in TABLES.items())


@EVERY_TABLE
def test_keys_are_columns_and_descriptions_tell_the_grain(table: Table) -> None:
    assert set(table.key) <= set(names(table))
    assert "One row per" in table.description.split(". ")[-1]
    assert all(each.description.endswith(".") for each in table.columns)
    for each in table.key:
        # An alarm may come without serial number, device name or cause; every other key is always known.
        assert not table.column(each).nullable or table.name == "alarms", each


@EVERY_TABLE
def test_raw_tables_end_alike_and_are_stored_by_the_date_they_have(table: Table) -> None:
    if table.schema == "raw":
        tail = names(table)[:-2] if table.name.endswith("_versions") else names(table)
        assert tail[-3:] == ["extra", "extracted_at", "account"]
    if table.partition_by:
        assert "local_date" in names(table)
    assert "local_year" not in names(table)


def test_how_the_lake_stores_the_tables() -> None:
    stored = {name: table.partition_by for name, table in TABLES.items()}
    assert {name for name, by in stored.items() if by == "local_year"} == {
        f"{subject}_{period}" for subject in ("plant", "device") for period in ("daily", "monthly", "yearly")
    }
    assert {name for name, by in stored.items() if by == "local_date"} == {
        name for name in stored if name.startswith(("device_history_", "device_realtime_"))
    } | {"plant_realtime", "plant_hourly"}


def test_identity_columns_come_first() -> None:
    history = names(TABLES["device_history_ess"])
    assert history[:5] == ["plant_code", "device_id", "device_sn", "collect_time", "local_date"]
    assert names(TABLES["device_realtime_ess"])[3] == "polled_at"
    assert names(TABLES["device_daily"])[:6] == [
        "plant_code",
        "device_id",
        "device_sn",
        "device_type_id",
        "collect_time",
        "local_date",
    ]
    assert names(TABLES["plant_daily"])[:3] == ["plant_code", "collect_time", "local_date"]


def test_a_device_report_has_one_column_for_each_distinct_key() -> None:
    assert {each.vendor_key for each in TABLES["device_monthly"].items} == {
        "charge_cap",
        "discharge_cap",
        "charge_time",
        "discharge_time",
        "installed_capacity",
        "product_power",
        "perpower_ratio",
    }


def test_a_table_has_one_column_for_each_item_of_its_type() -> None:
    for prefix, by_type in (("device_history", HISTORY), ("device_realtime", REALTIME)):
        for type_id, items in by_type.items():
            table = table_for(prefix, type_id)
            assert table.name == f"{prefix}_{DEVICE_TYPES[type_id].name}"
            assert table.items == items


def test_every_dataset_finds_its_tables() -> None:
    for dataset in DATASETS.values():
        for type_id in dataset.device_types or (None,):
            assert table_for(dataset.name, type_id).dataset == dataset.name
    assert table_for("plants").name == "plants"
    assert table_for("device_daily", 39) is table_for("device_daily", 1)


@pytest.mark.parametrize(("dataset", "type_id"), [("device_history", 60044), ("device_history", None), ("x", None)])
def test_a_table_that_does_not_exist_is_named(dataset: str, type_id: int | None) -> None:
    with pytest.raises(KeyError, match=dataset):
        table_for(dataset, type_id)


def test_a_column_that_does_not_exist_is_named() -> None:
    with pytest.raises(KeyError, match=r"raw\.plants has no column power"):
        TABLES["plants"].column("power")


def test_the_three_type_maps_know_the_same_types() -> None:
    assert set(POLARS_TYPES) == set(ARROW_TYPES)
    assert {each.type for table in TABLES.values() for each in table.columns} <= set(POLARS_TYPES)


@EVERY_TABLE
def test_polars_writes_what_arrow_and_duckdb_read(table: Table) -> None:
    frame = pl.DataFrame(schema=polars_schema(table))
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    expected = arrow_schema(table)
    assert arrow.schema.names == expected.names
    cast = arrow.cast(pa.schema([pa.field(each.name, each.type) for each in expected]))
    with duckdb.connect() as connection:
        connection.register("incoming", cast)
        described = connection.execute("select column_name, column_type from (describe incoming)").fetchall()
    spoken = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "JSON": "VARCHAR"}
    assert described == [(each.name, spoken.get(each.type, each.type)) for each in table.columns]


def test_arrow_carries_nullability_unit_and_description() -> None:
    schema = arrow_schema(TABLES["device_history_power_sensor"])
    power = schema.field("active_power")
    assert power.metadata is not None
    assert power.metadata[b"unit"] == b"W"
    assert b"Active power" in power.metadata[b"description"]
    assert power.nullable
    assert not schema.field("device_id").nullable
