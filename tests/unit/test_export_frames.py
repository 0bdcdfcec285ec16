"""Frames for open tools: names, units and labels, on a small warehouse made by hand."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from pipelines.export.frames import FrameRequest, export_frames, file_name, left_over
from pipelines.load.request import UsageError

PLANT = "NE=1"
TABLES = """
create schema staging; create schema marts; create schema ops;
create table staging.stg_plants as select 'NE=1' as plant_code, '=Hof' as plant_name, 'Europe/Berlin' as time_zone,
    52.5::double as latitude, 13.4::double as longitude, 10.0::double as capacity_kwp;
create table ops.plant_overrides as
    select 'NE=1' as plant_code, 9.5 as dc_kwp, 'poa' as irradiance_plane, 30.0 as tilt;
create table marts.fct_inverter_5min as
    select 'NE=1' as plant_code, device_id, date '2025-10-26' as local_date, stamp as collect_time_utc,
        2.0 + device_id as active_power_kw, 5.0 as dc_power_kw,
        case when stamp > timestamptz '2025-10-26 00:00:00+00' then 0.25 end as energy_kwh,
        100 + 0.25 * epoch(stamp - timestamptz '2025-10-26 00:00:00+00') / 300 as total_yield_kwh,
        1.0 as power_factor, 50.0 as grid_frequency_hz, 30.0 as temperature_degc,
        case when device_id = 1 then 512 else 768 end as inverter_state_code
    from range(timestamptz '2025-10-26 00:00:00+00', timestamptz '2025-10-26 02:00:00+00', interval 5 minutes)
        as stamps (stamp), (values (1), (2)) as devices (device_id)
    -- A row of the second is lost in the middle, and it sleeps in the last quarter of an hour.
    where not (device_id = 2 and stamp in (timestamptz '2025-10-26 01:00:00+00'))
        and not (device_id = 2 and stamp >= timestamptz '2025-10-26 01:45:00+00');
create table marts.fct_meter_5min as
    select 'NE=1' as plant_code, 5 as device_id, date '2025-10-26' as local_date, stamp as collect_time_utc,
        'grid' as meter_role, 1.0 as grid_import_kw, 0.0 as grid_export_kw, 'reverse' as import_counter,
        'lifetime' as counter_kind, 7.0 as forward_active_energy_kwh,
        500 + epoch(stamp - timestamptz '2025-10-26 00:00:00+00') / 3600 as reverse_active_energy_kwh
    from range(timestamptz '2025-10-26 00:00:00+00', timestamptz '2025-10-26 02:00:00+00', interval 5 minutes)
        as stamps (stamp);
create table marts.fct_battery_5min as
    select 'NE=1' as plant_code, 6 as device_id, 39 as device_type_id, date '2025-10-26' as local_date,
        timestamptz '2025-10-26 00:00:00+00' as collect_time_utc, 1.0 as battery_power_kw, 'daily' as counter_kind,
        1.0 as charge_counter_kwh, 0.0 as discharge_counter_kwh;
create table marts.fct_data_quality_day as
    select 'NE=1' as plant_code, date '2025-10-26' as local_date, false as hybrid_charged_from_grid;
create table staging.stg_device_5min_emi as
    select 'NE=1' as plant_code, 7 as device_id, date '2025-10-26' as local_date,
        stamp + interval 3 seconds as collect_time_utc, 500.0 as irradiance_w_m2, 11.04 as temperature_degc,
        21.0 as pv_temperature_degc, 3.0 as wind_speed_m_s
    from range(timestamptz '2025-10-26 00:00:00+00', timestamptz '2025-10-26 02:00:00+00', interval 5 minutes)
        as stamps (stamp)
"""


@pytest.fixture(scope="module")
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(TABLES)
        yield connection


def written(warehouse: duckdb.DuckDBPyConnection, folder: Path, frame: str, file_format: str = "parquet") -> Path:
    (result,) = export_frames(warehouse, FrameRequest(frame), folder, file_format)  # type: ignore[arg-type]
    assert json.loads(result.path.with_suffix(".json").read_text())["plant_code"] == PLANT
    return result.path


def test_pvlib_names_an_unbroken_grid_and_no_sum_that_lacks_an_inverter(warehouse, tmp_path: Path) -> None:
    path = written(warehouse, tmp_path, "pvlib")
    assert path.name == "NE%3D1.parquet" == f"{file_name(PLANT)}.parquet"
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["pac", "pdc", "poa_global", "temp_air", "temp_module", "wind_speed"]
    assert str(frame.index.tz) == "Europe/Berlin"
    assert (frame.index.to_series().diff().dropna() == pd.Timedelta("5min")).all()
    assert len(frame) == 24
    utc = frame.tz_convert("UTC")["pac"]
    assert utc["2025-10-26 00:00"] == 7.0
    assert pd.isna(utc["2025-10-26 01:00"])
    assert utc["2025-10-26 01:50"] == 3.0
    facts = json.loads(path.with_suffix(".json").read_text())
    assert (facts["pdc0"], facts["surface_tilt"], facts["tz"]) == (9.5, 30.0, "Europe/Berlin")


def test_rdtools_energy_is_labelled_by_its_end_in_wh(warehouse, tmp_path: Path) -> None:
    frame = pd.read_parquet(written(warehouse, tmp_path, "rdtools"))
    expected = {"pv", "poa_global", "temperature_ambient", "temperature_module", "windspeed"}
    assert set(frame.columns) == expected
    pv = frame["pv"].tz_convert("UTC")
    assert pd.isna(pv["2025-10-26 00:00"])
    assert pv["2025-10-26 00:05"] == 500.0
    assert pv["2025-10-26 01:45"] == 250.0
    assert pv.sum() == 500.0 * 19 + 250.0 * 3


def test_availability_stands_the_plant_beside_its_inverters(warehouse, tmp_path: Path) -> None:
    path = written(warehouse, tmp_path, "rdtools-availability")
    frame = pd.read_parquet(path)
    columns = ["power_system", "power_expected", "energy_cumulative", "inverter_1", "inverter_2"]
    assert list(frame.columns) == columns
    assert json.loads(path.with_suffix(".json").read_text())["subsystems"] == columns[3:]
    assert (frame.index.to_series().diff().dropna() == pd.Timedelta("5min")).all()
    utc = frame.tz_convert("UTC")
    assert utc.loc["2025-10-26 00:55", "power_system"] == 7.0
    silent = utc.loc["2025-10-26 01:00"]
    assert pd.isna(silent["inverter_2"])
    assert (silent["power_system"], silent["power_expected"]) == (3.0, 9.5 * 500 / 1000)
    # 100 + 12 x 0.25 of the first, and of the second what it says five minutes later.
    assert silent["energy_cumulative"] == 103 + 103.25
    assert utc["energy_cumulative"].iloc[-1] == 100 + 23 * 0.25 + 100 + 20 * 0.25


def test_odse_records_have_an_offset_and_a_word_for_the_state(warehouse, tmp_path: Path) -> None:
    frame = pd.read_csv(written(warehouse, tmp_path, "odse", "csv"), dtype={"asset_id": str, "oem_error_code": str})
    assert frame.loc[0, "timestamp"] == "2025-10-26T02:05:00+02:00"
    assert frame["timestamp"].iloc[-1].endswith("+01:00")
    assert set(zip(frame["asset_id"], frame["error_type"], frame["oem_error_code"], strict=True)) == {
        ("1", "normal", "512"),
        ("2", "fault", "768"),
    }
    assert frame["kWh"].sum() == 0.25 * len(frame)


def test_pvoutput_counts_the_day_in_wh_by_the_plants_clock(warehouse, tmp_path: Path) -> None:
    lines = written(warehouse, tmp_path, "pvoutput").read_text().splitlines()
    assert lines[0] == "d,t,v1,v2,v3,v4,v5,v6"
    # The hour that came twice is there once, as it was the second time.
    assert [line[9:14] for line in lines[1:]] == [f"02:{minute:02d}" for minute in range(0, 60, 5)]
    # What was generated, and the kilowatt that the grid sent; a hybrid's battery works before its inverter.
    assert lines[1] == "20251026,02:00,5750,3000,6750,4000,11.0,"
    assert lines[-1] == "20251026,02:55,10750,3000,12667,4000,11.0,"


def test_pvoutput_leaves_out_the_midnight_that_closes_the_day_before(warehouse, tmp_path: Path) -> None:
    warehouse.execute("begin")
    try:
        warehouse.execute(
            "update marts.fct_inverter_5min set collect_time_utc = timestamptz '2025-10-26 23:00:00+00' "
            "where collect_time_utc = (select max(collect_time_utc) from marts.fct_inverter_5min)"
        )
        lines = written(warehouse, tmp_path, "pvoutput").read_text().splitlines()
    finally:
        warehouse.execute("rollback")
    assert {line[:8] for line in lines[1:]} == {"20251026"}


@pytest.mark.parametrize(
    ("change", "wh", "w"),
    [
        # Storage on the AC side took a kWh, by a counter that restarts at midnight; its power isn't there by then.
        ("update marts.fct_battery_5min set device_type_id = 41", "5750", ""),
        # All that is generated is fed in.
        ("update marts.fct_meter_5min set grid_import_kw = 0, grid_export_kw = 3", "6750", "0"),
        # Nobody knows which counter is which.
        ("update marts.fct_meter_5min set import_counter = null, grid_import_kw = null", "", ""),
        # The meter measures what is generated.
        ("update marts.fct_meter_5min set meter_role = 'generation'", "", ""),
        (
            "update marts.fct_meter_5min set meter_role = 'load';update marts.fct_battery_5min set device_type_id = 41",
            "",
            "",
        ),
        # What a hybrid took from the grid passes no counter of its inverter.
        ("update marts.fct_data_quality_day set hybrid_charged_from_grid = true", "", ""),
        (
            "update marts.fct_data_quality_day set hybrid_charged_from_grid = true, local_date = local_date - 1;"
            "update marts.fct_battery_5min set device_type_id = 41",
            "5750",
            "",
        ),
    ],
)
def test_pvoutput_says_what_was_consumed_only_where_it_is_known(
    warehouse, tmp_path: Path, change: str, wh: str, w: str
) -> None:
    warehouse.execute("begin")
    try:
        warehouse.execute(change)
        line = written(warehouse, tmp_path, "pvoutput").read_text().splitlines()[1].split(",")
    finally:
        warehouse.execute("rollback")
    assert (line[4], line[5]) == (wh, w)


def test_what_an_earlier_export_left_is_named(warehouse, tmp_path: Path) -> None:
    written = list(export_frames(warehouse, FrameRequest("pvlib"), tmp_path, "parquet"))
    assert left_over(tmp_path, "pvlib", written) == []
    (tmp_path / "pvlib" / "NE%3D9.parquet").write_bytes(b"")
    (tmp_path / "pvlib" / "NE%3D9.json").write_bytes(b"")
    assert left_over(tmp_path, "pvlib", written) == ["NE%3D9.parquet"]


def test_a_plant_that_is_not_there_is_named(warehouse, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NE=9"):
        list(export_frames(warehouse, FrameRequest("pvlib", ("NE=9",)), tmp_path, "parquet"))
    early = FrameRequest("pvlib", (), date(2020, 1, 1), date(2020, 1, 2))
    assert list(export_frames(warehouse, early, tmp_path, "parquet")) == []


@pytest.mark.parametrize("code", ["../../etc", "..", "a/b", "a\nb", "=1+1", "Süd"])
def test_no_plant_code_leaves_the_folder(code: str) -> None:
    assert Path("x", file_name(code)).parent == Path("x")
    assert not {"/", "\\", "\n", "."} & set(file_name(code))
