"""The owner's CSV files: what is read, and that an error names the file, the line and the column."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.owner_files import read_devices_file, read_plants_file, read_targets_file, read_tariffs_file
from pipelines.settings import SettingsError
from schemas.time_zones import is_zone


@pytest.fixture
def plants(tmp_path: Path) -> Path:
    return tmp_path / "plants.csv"


def refusal(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        read_plants_file(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_no_file_is_an_empty_frame_of_the_same_columns(plants: Path) -> None:
    plants.write_text("plant_code\nNE=1\n", encoding="utf-8")
    empty, one = read_plants_file(None), read_plants_file(plants)
    assert empty.is_empty()
    assert empty.schema == one.schema
    assert read_devices_file(None).is_empty()


def test_columns_in_any_order_empty_cells_unknown(plants: Path) -> None:
    plants.write_text(
        "dc_kwp,plant_code,time_zone,irradiance_plane\n9.84, NE=1 ,Europe/Berlin,\n,NE=2,,poa\n", encoding="utf-8"
    )
    found = read_plants_file(plants).select("plant_code", "time_zone", "dc_kwp", "irradiance_plane", "tilt")
    assert found.rows() == [
        ("NE=1", "Europe/Berlin", 9.84, None, None),
        ("NE=2", None, None, "poa", None),
    ]


def test_a_spreadsheets_file_reads_alike(plants: Path) -> None:
    plants.write_bytes('\ufeffplant_code,currency\r\n"NE=1","EUR"\r\n'.encode())
    assert read_plants_file(plants).select("plant_code", "currency").rows() == [("NE=1", "EUR")]


def test_devices_by_id_or_serial_number(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(
        "device_id,device_sn,unit,power_sign,meter_role,ac_kw\n"
        "-214543629611879,,W,-1,grid,\n"
        ",SIM0133554788,kW,+1,,30\n",
        encoding="utf-8",
    )
    found = read_devices_file(path)
    assert found.select("device_id", "device_sn", "unit", "power_sign", "meter_role", "ac_kw").rows() == [
        (-214543629611879, None, "W", -1, "grid", None),
        (None, "SIM0133554788", "kW", 1, None, 30.0),
    ]
    assert found.schema["device_id"] == pl.Int64


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("NE=2,Europe/Leipzig,,", "time_zone"),
        ("NE=2,,ten,", "dc_kwp"),
        ("NE=2,,nan,", "dc_kwp"),
        ("NE=2,,inf,", "dc_kwp"),
        ('NE=2,,"9,84",', "dc_kwp"),
        ("NE=2,,,flat", "irradiance_plane"),
    ],
)
def test_an_error_names_line_and_column(plants: Path, cells: str, column: str) -> None:
    text = f"plant_code,time_zone,dc_kwp,irradiance_plane\nNE=1,Europe/Berlin,9.84,poa\n{cells}\n"
    assert f"line 3, column {column}:" in refusal(plants, text)


@pytest.mark.parametrize(
    ("column", "value"), [("device_id", "12a"), ("power_sign", "2"), ("unit", "MW"), ("meter_role", "solar")]
)
def test_an_error_in_the_devices_file_names_line_and_column(tmp_path: Path, column: str, value: str) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(f"device_sn,{column}\nSN1,{value}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=f"line 2, column {column}:"):
        read_devices_file(path)


def test_a_row_without_its_key_is_refused(plants: Path) -> None:
    assert "line 3: plant_code is empty" in refusal(plants, "plant_code,dc_kwp\nNE=1,1\n ,2\n")


def test_a_decimal_comma_does_not_cut_a_figure(plants: Path) -> None:
    assert "line 2: more cells" in refusal(plants, "plant_code,dc_kwp\nNE=1,9,84\n")


def test_a_plant_that_stands_twice_is_refused(plants: Path) -> None:
    message = refusal(plants, "plant_code,dc_kwp\nNE=1,1\nNE=2,2\nNE=1,3\n")
    assert "line 4, column plant_code: NE=1 stands in line 2 too" in message


def test_a_device_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text("device_id,device_sn\n7,SN1\n,SN2\n,SN3\n,SN2\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 5, column device_sn: SN2 stands in line 3 too"):
        read_devices_file(path)


@pytest.mark.parametrize("header", ["plant,dc_kwp", "plant_code;dc_kwp", "dc_kwp", "plant_code,dc_kw"])
def test_a_wrong_first_line_says_what_is_known(plants: Path, header: str) -> None:
    message = refusal(plants, f"{header}\nNE=1,1\n")
    assert "plant_code, time_zone, dc_kwp" in message


def test_an_empty_file_is_refused(plants: Path) -> None:
    assert "the first line must name columns" in refusal(plants, "")


def test_another_encoding_is_said(plants: Path) -> None:
    assert "UTF-8" in refusal(plants, "plant_code,currency\nJürgen,EUR\n".encode("latin-1"))


def test_an_absent_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PVMS_PLANTS_FILE names .*gone.csv"):
        read_plants_file(tmp_path / "gone.csv")
    with pytest.raises(SettingsError, match=r"PVMS_DEVICES_FILE names .*gone.csv"):
        read_devices_file(tmp_path / "gone.csv")


def _refused(read: Callable[[Path | None], pl.DataFrame], path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_tariffs_of_one_plant_and_of_every_plant(tmp_path: Path) -> None:
    path = tmp_path / "tariffs.csv"
    path.write_text(
        "plant_code,valid_from,valid_to,purchase_price_per_kwh,feed_in_price_per_kwh\n"
        ",,,0.30,0.08\nNE=1,2026-01-01,2026-03-31,0.25,-0.01\nNE=1,2026-04-01,,0.28,\n",
        encoding="utf-8",
    )
    found = read_tariffs_file(path).select("plant_code", "valid_from", "valid_to", "feed_in_price_per_kwh")
    assert found.rows() == [
        (None, None, None, 0.08),
        ("NE=1", date(2026, 1, 1), date(2026, 3, 31), -0.01),
        ("NE=1", date(2026, 4, 1), None, None),
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("NE=1,2026-01-01,2026-03-31\nNE=1,2026-03-31,", "line 3: its days overlap with those of line 2"),
        ("NE=1,2026-04-01,\nNE=1,2026-05-01,", "line 3: its days overlap with those of line 2"),
        (",2026-04-01,\n,,", "line 2: its days overlap with those of line 3"),
        ("NE=1,2026-04-01,2026-03-31", "line 2, column valid_to: it lies before valid_from"),
        ("NE=1,01.04.2026,", "line 2, column valid_from: '01.04.2026' is no date such as 2026-03-31"),
    ],
)
def test_tariffs_that_contradict_each_other_are_refused(tmp_path: Path, rows: str, said: str) -> None:
    text = f"plant_code,valid_from,valid_to\n{rows}\n"
    assert said in _refused(read_tariffs_file, tmp_path / "tariffs.csv", text)


def test_targets_by_month(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text("plant_code,month,pr_pct\nNE=1,2026-03,82\n,2026-03,80\n", encoding="utf-8")
    found = read_targets_file(path).select("plant_code", "month", "pr_pct", "availability_pct")
    assert found.rows() == [("NE=1", date(2026, 3, 1), 82.0, None), (None, date(2026, 3, 1), 80.0, None)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("NE=1,2026-03,82\nNE=1,2026-03,81", "line 3: NE=1 and 2026-03 stand in line 2 too"),
        (",2026-03,82\n,2026-03,81", "line 3: every plant and 2026-03 stand in line 2 too"),
        ("NE=1,March,82", "line 2, column month: 'March' is no month such as 2026-03"),
        ("NE=1,2026-03,820", "line 2, column pr_pct: 820 lies outside 0 to 150"),
        ("NE=1,,82", "line 2: month is empty"),
    ],
)
def test_targets_that_cannot_be_are_refused(tmp_path: Path, rows: str, said: str) -> None:
    assert said in _refused(read_targets_file, tmp_path / "targets.csv", f"plant_code,month,pr_pct\n{rows}\n")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("tilt", "120", "outside 0 to 90"), ("gamma", "0.4", "outside -0.02 to 0"), ("dc_kwp", "0", "more than 0")],
)
def test_figures_that_cannot_be_are_refused(plants: Path, column: str, value: str, said: str) -> None:
    message = refusal(plants, f"plant_code,{column}\nNE=1,{value}\n")
    assert f"line 2, column {column}: {value}" in message
    assert said in message


def test_a_device_cannot_replace_itself(tmp_path: Path) -> None:
    text = "device_id,device_sn,replaces_device\n7,,6\n8,SN8,SN8\n"
    assert "line 3, column replaces_device" in _refused(read_devices_file, tmp_path / "devices.csv", text)


def test_time_zone_codes_name_zones_that_there_are() -> None:
    rows = pl.read_csv(Path(__file__).parents[2] / "dbt" / "seeds" / "dim_time_zone_code.csv")
    assert rows["time_zone_code"].to_list() == list(range(1, 151))
    assert [zone for zone in rows["time_zone"] if not is_zone(zone)] == []
