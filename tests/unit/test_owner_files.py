"""The owner's CSV files: what is read, and that an error names the file, the line and the column."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.owner_files import read_devices_file, read_plants_file
from pipelines.settings import SettingsError


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
