"""What the owner's files become in schema ops: a description of each table and column."""

from collections.abc import Mapping, Sequence
from typing import Final

from pipelines.lake.raw_views import quoted

_TABLES: Final[Mapping[str, str]] = {
    "plant_overrides": "What the owner's plants file says (PVMS_PLANTS_FILE); empty without one. One row per plant.",
    "device_overrides": "What the owner's devices file says (PVMS_DEVICES_FILE); empty without one. "
    "One row per device.",
}

_COLUMNS: Final[Mapping[str, str]] = {
    "plant_code": "The vendor's id of the plant.",
    "time_zone": "IANA time zone.",
    "dc_kwp": "DC capacity in kWp.",
    "irradiance_plane": "Plane of the irradiance sensor: poa (plane of array) or ghi (horizontal).",
    "tilt": "Tilt of the modules in degrees, 0 is horizontal.",
    "azimuth": "Azimuth of the modules in degrees, clockwise from north.",
    "gamma": "Temperature coefficient of the modules' power per kelvin.",
    "export_limit_kw": "Most power that may be fed in, in kW.",
    "currency": "Currency of the money columns.",
    "co2_kg_per_kwh": "Emission factor of the grid in kg/kWh.",
    "device_id": "The vendor's id of the device; null if the serial number was never listed.",
    "device_sn": "Serial number of the device, where the owner named it by that.",
    "ac_kw": "AC rating in kW.",
    "usable_kwh": "Usable capacity of a battery in kWh.",
    "meter_role": "What a meter measures: grid, generation or load.",
    "power_sign": "1 or -1: factor that brings the device's power to this project's sign.",
    "unit": "Unit of the device's power as sent: W or kW.",
    "replaces_device": "The device whose place this one took.",
}


def override_comments_sql(name: str, columns: Sequence[str]) -> str:
    """Statements that describe an override table; a column that is not described here says whose it is."""
    described = quoted(_TABLES.get(name, "From the files of the owner."))
    statements = [f'comment on table ops."{name}" is {described}']
    statements += [
        f'comment on column ops."{name}"."{each}" is {quoted(_COLUMNS.get(each, "As the owner wrote it."))}'
        for each in columns
    ]
    return ";\n".join(statements)
