"""The owner's optional CSV files: what the interface does not tell, or tells wrongly (docs/figures.md 2).

`PVMS_PLANTS_FILE` has one row a plant, `PVMS_DEVICES_FILE` one row a device (by `device_id` or `device_sn`),
`PVMS_TARIFFS_FILE` one row a plant and span of days, `PVMS_TARGETS_FILE` one row a plant and month; in the last two an
empty plant_code speaks of every plant that has no row of its own. Every column but the key is optional; an empty cell
means "not known". The policy and the quotas file have modules of their own.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

import polars as pl

from pipelines.policy_file import read_policy
from pipelines.quotas_file import read_quotas
from pipelines.settings import SettingsError

__all__ = [
    "OWNER_FILES",
    "read_devices_file",
    "read_plants_file",
    "read_policy",
    "read_quotas",
    "read_targets_file",
    "read_tariffs_file",
]


def _number(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"'{text}' is no number")
    return value


def _between(low: float, high: float) -> Callable[[str], float]:
    """A number in [low, high]: what lies outside is a slip of the unit or of the keyboard."""

    def read(text: str) -> float:
        value = _number(text)
        if not low <= value <= high:
            raise ValueError(f"{text} lies outside {low:g} to {high:g}")
        return value

    return read


def _above_zero(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise ValueError(f"{text} must be more than 0")
    return value


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no date such as 2026-03-31") from error


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise ValueError(f"'{text}' is no month such as 2026-03") from error


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
    "dc_kwp": _Field(_above_zero, pl.Float64()),
    "irradiance_plane": _Field(_one_of("poa", "ghi"), pl.String()),
    "tilt": _Field(_between(0, 90), pl.Float64()),
    "azimuth": _Field(_between(0, 360), pl.Float64()),
    "gamma": _Field(_between(-0.02, 0), pl.Float64()),
    "export_limit_kw": _Field(_between(0, inf), pl.Float64()),
    "currency": _Field(str, pl.String()),
    "co2_kg_per_kwh": _Field(_between(0, 5), pl.Float64()),
}

_DEVICE_FIELDS: Final[Mapping[str, _Field]] = {
    "device_id": _Field(_integer, pl.Int64()),
    "device_sn": _Field(str, pl.String()),
    "ac_kw": _Field(_above_zero, pl.Float64()),
    "usable_kwh": _Field(_above_zero, pl.Float64()),
    "meter_role": _Field(_one_of("grid", "generation", "load"), pl.String()),
    "power_sign": _Field(_sign, pl.Int64()),
    "unit": _Field(_one_of("W", "kW"), pl.String()),
    "replaces_device": _Field(str, pl.String()),
}

_TARIFF_FIELDS: Final[Mapping[str, _Field]] = {
    "plant_code": _Field(str, pl.String()),
    "valid_from": _Field(_day, pl.Date()),
    "valid_to": _Field(_day, pl.Date()),
    # Either price may be negative: some grids pay for taking energy, or charge for giving it.
    "purchase_price_per_kwh": _Field(_number, pl.Float64()),
    "feed_in_price_per_kwh": _Field(_number, pl.Float64()),
    "standing_charge_per_day": _Field(_number, pl.Float64()),
    "currency": _Field(str, pl.String()),
}

_TARGET_FIELDS: Final[Mapping[str, _Field]] = {
    "plant_code": _Field(str, pl.String()),
    "month": _Field(_month, pl.Date()),
    "pv_energy_kwh": _Field(_between(0, inf), pl.Float64()),
    "specific_yield_kwh_kwp": _Field(_between(0, 750), pl.Float64()),
    "pr_pct": _Field(_between(0, 150), pl.Float64()),
    "availability_pct": _Field(_between(0, 100), pl.Float64()),
}


def read_plants_file(path: Path | None) -> pl.DataFrame:
    """The owner's plants: plant_code, time_zone, dc_kwp [kWp], irradiance_plane, tilt and azimuth [degrees], ...

    Raises:
        SettingsError: the file is absent or a row is wrong; the message names the line and the column.
    """
    return _read(path, _PLANT_FIELDS, "PVMS_PLANTS_FILE", ("plant_code",)).drop("_line")


def read_devices_file(path: Path | None) -> pl.DataFrame:
    """The owner's devices: device_id or device_sn, ac_kw [kW], usable_kwh [kWh], meter_role, power_sign, unit, ...

    Raises:
        SettingsError: as `read_plants_file`.
    """
    devices = _read(path, _DEVICE_FIELDS, "PVMS_DEVICES_FILE", ("device_id", "device_sn"))
    for row in devices.filter(pl.col("replaces_device").is_not_null()).to_dicts():
        if row["replaces_device"] in (row["device_sn"], str(row["device_id"])):
            raise SettingsError(f"{path}, line {row['_line']}, column replaces_device: a device can't replace itself.")
    return devices.drop("_line")


def read_tariffs_file(path: Path | None) -> pl.DataFrame:
    """The owner's prices per kWh and day: plant_code (null: every plant), valid_from, valid_to (included, null: open).

    Raises:
        SettingsError: as `read_plants_file`, and two spans of one plant that overlap.
    """
    tariffs = _read(path, _TARIFF_FIELDS, "PVMS_TARIFFS_FILE", ())
    for row in tariffs.to_dicts():
        if row["valid_from"] and row["valid_to"] and row["valid_to"] < row["valid_from"]:
            raise SettingsError(f"{path}, line {row['_line']}, column valid_to: it lies before valid_from.")
    begun = pl.col("valid_from").fill_null(date.min)
    for _, spans in tariffs.with_columns(begun.alias("valid_from")).group_by("plant_code", maintain_order=True):
        for before, after in pairwise(spans.sort("valid_from", "_line").to_dicts()):
            if before["valid_to"] is None or before["valid_to"] >= after["valid_from"]:
                raise SettingsError(
                    f"{path}, line {after['_line']}: its days overlap with those of line {before['_line']}. "
                    "End the earlier one (valid_to) the day before the later one begins."
                )
    return tariffs.drop("_line")


def read_targets_file(path: Path | None) -> pl.DataFrame:
    """The owner's targets: plant_code (null: every plant), month (its first day), pv_energy_kwh, pr_pct, ...

    Raises:
        SettingsError: as `read_plants_file`, and a plant and month that stand twice.
    """
    targets = _read(path, _TARGET_FIELDS, "PVMS_TARGETS_FILE", ("month",), once=False)
    seen: dict[tuple[str | None, date], int] = {}
    for row in targets.to_dicts():
        first = seen.setdefault((row["plant_code"], row["month"]), row["_line"])
        if first != row["_line"]:
            raise SettingsError(
                f"{path}, line {row['_line']}: {row['plant_code'] or 'every plant'} and {row['month']:%Y-%m} stand in "
                f"line {first} too."
            )
    return targets.drop("_line")


def _read(
    path: Path | None, fields: Mapping[str, _Field], setting: str, keys: tuple[str, ...], *, once: bool = True
) -> pl.DataFrame:
    """The file's rows, and `_line`, where each stands. One of `keys` must be there; `once`: in a single row."""
    schema: dict[str, pl.DataType] = {name: f.dtype for name, f in fields.items()} | {"_line": pl.Int64()}
    if path is None:
        return pl.DataFrame(schema=schema)
    if not path.is_file():
        raise SettingsError(f"{setting} names {path}, which is not there.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = _rows(csv.DictReader(handle), fields, path, keys, once)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} is no CSV file in UTF-8: {error}.") from error
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rows(
    reader: "csv.DictReader[str]", fields: Mapping[str, _Field], path: Path, keys: tuple[str, ...], once: bool
) -> list[list[Any]]:
    header = tuple(reader.fieldnames or ())
    unknown = [name for name in header if name not in fields]
    if unknown or not header or (keys and not any(key in header for key in keys)):
        needed = f", with {' or '.join(keys)}" if keys else ""
        raise SettingsError(
            f"{path}: the first line must name columns out of {', '.join(fields)}{needed}; "
            f"not known: {', '.join(unknown) or 'none'}."
        )
    rows: list[list[Any]] = []
    seen: dict[tuple[str, str], int] = {}
    for record in reader:
        rows.append([*_row(record, fields, path, reader.line_num, keys), reader.line_num])
        for key in keys if once else ():
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
    if keys and not any((record.get(key) or "").strip() for key in keys):
        raise SettingsError(f"{path}, line {line}: {' or '.join(keys)} is empty.")
    return values


OWNER_FILES: Final[Mapping[str, Callable[[Path | None], pl.DataFrame]]] = {
    "plants": read_plants_file,
    "devices": read_devices_file,
    "tariffs": read_tariffs_file,
    "targets": read_targets_file,
}
"""Readers by kind; the setting that names a kind's file is `<kind>_file`."""
