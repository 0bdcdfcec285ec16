"""The owner's optional CSV files: what the interface does not tell, or tells wrongly (docs/figures.md 2).

`PVMS_PLANTS_FILE` has one row a plant, `PVMS_DEVICES_FILE` one row a device (by `device_id` or `device_sn`).
Every column but the key is optional; an empty cell means "not known". The policy and the quotas file have modules of
their own.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

import polars as pl

from pipelines.policy_file import read_policy
from pipelines.quotas_file import read_quotas
from pipelines.settings import SettingsError

__all__ = ["read_devices_file", "read_plants_file", "read_policy", "read_quotas"]


def _number(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"'{text}' is no number")
    return value


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError(f"'{text}' is not an IANA time zone such as Europe/Berlin")
    return text


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"'{text}' is none of {', '.join(allowed)}")
        return text

    return read


def _sign(text: str) -> int:
    if text not in ("1", "-1", "+1"):
        raise ValueError(f"'{text}' must be 1 or -1")
    return int(text)


def _integer(text: str) -> int:
    return int(text)


@dataclass(frozen=True, slots=True)
class _Field:
    read: Callable[[str], Any]
    dtype: pl.DataType


_PLANT_FIELDS: Final[Mapping[str, _Field]] = {
    "plant_code": _Field(str, pl.String()),
    "time_zone": _Field(_zone, pl.String()),
    "dc_kwp": _Field(_number, pl.Float64()),
    "irradiance_plane": _Field(_one_of("poa", "ghi"), pl.String()),
    "tilt": _Field(_number, pl.Float64()),
    "azimuth": _Field(_number, pl.Float64()),
    "gamma": _Field(_number, pl.Float64()),
    "export_limit_kw": _Field(_number, pl.Float64()),
    "currency": _Field(str, pl.String()),
    "co2_kg_per_kwh": _Field(_number, pl.Float64()),
}

_DEVICE_FIELDS: Final[Mapping[str, _Field]] = {
    "device_id": _Field(_integer, pl.Int64()),
    "device_sn": _Field(str, pl.String()),
    "ac_kw": _Field(_number, pl.Float64()),
    "usable_kwh": _Field(_number, pl.Float64()),
    "meter_role": _Field(_one_of("grid", "generation", "load"), pl.String()),
    "power_sign": _Field(_sign, pl.Int64()),
    "unit": _Field(_one_of("W", "kW"), pl.String()),
    "replaces_device": _Field(str, pl.String()),
}


def read_plants_file(path: Path | None) -> pl.DataFrame:
    """The owner's plants: plant_code, time_zone, dc_kwp [kWp], irradiance_plane, tilt and azimuth [degrees], ...

    Raises:
        SettingsError: the file is absent or a row is wrong; the message names the line and the column.
    """
    return _read(path, _PLANT_FIELDS, "PVMS_PLANTS_FILE", ("plant_code",))


def read_devices_file(path: Path | None) -> pl.DataFrame:
    """The owner's devices: device_id or device_sn, ac_kw [kW], usable_kwh [kWh], meter_role, power_sign, unit, ...

    Raises:
        SettingsError: as `read_plants_file`.
    """
    return _read(path, _DEVICE_FIELDS, "PVMS_DEVICES_FILE", ("device_id", "device_sn"))


def _read(path: Path | None, fields: Mapping[str, _Field], setting: str, keys: tuple[str, ...]) -> pl.DataFrame:
    schema = {name: f.dtype for name, f in fields.items()}
    if path is None:
        return pl.DataFrame(schema=schema)
    if not path.is_file():
        raise SettingsError(f"{setting} names {path}, which is not there.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = _rows(csv.DictReader(handle), fields, path, keys)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} is no CSV file in UTF-8: {error}.") from error
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rows(
    reader: "csv.DictReader[str]", fields: Mapping[str, _Field], path: Path, keys: tuple[str, ...]
) -> list[list[Any]]:
    header = tuple(reader.fieldnames or ())
    unknown = [name for name in header if name not in fields]
    if unknown or not any(key in header for key in keys):
        raise SettingsError(
            f"{path}: the first line must name columns out of {', '.join(fields)}, with {' or '.join(keys)}; "
            f"not known: {', '.join(unknown) or 'none'}."
        )
    rows: list[list[Any]] = []
    seen: dict[tuple[str, str], int] = {}
    for record in reader:
        rows.append(_row(record, fields, path, reader.line_num, keys))
        for key in keys:
            # Two rows for one plant or device would double its figures.
            text = (record.get(key) or "").strip()
            first = seen.setdefault((key, text), reader.line_num) if text else reader.line_num
            if first != reader.line_num:
                raise SettingsError(f"{path}, line {reader.line_num}, column {key}: {text} stands in line {first} too.")
    return rows


def _row(
    record: Mapping[str | None, Any],
    fields: Mapping[str, _Field],
    path: Path,
    line: int,
    keys: tuple[str, ...],
) -> list[Any]:
    values: list[Any] = []
    if None in record:
        raise SettingsError(
            f"{path}, line {line}: more cells than the first line has columns. Decimals take a point, not a comma."
        )
    for name, spec in fields.items():
        text = (record.get(name) or "").strip()
        try:
            values.append(spec.read(text) if text else None)
        except ValueError as error:
            raise SettingsError(f"{path}, line {line}, column {name}: {error}.") from error
    if not any((record.get(key) or "").strip() for key in keys):
        raise SettingsError(f"{path}, line {line}: {' or '.join(keys)} is empty.")
    return values
