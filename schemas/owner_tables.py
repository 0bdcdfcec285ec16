"""What the owner's CSV files become in schema `ops`: a description of each table and column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class OwnerTable:
    """One table made of an owner's file at every build; empty without the file."""

    description: str
    columns: Mapping[str, str]


_PLANT: Final = "The vendor's id of the plant."
_PLANT_OR_ALL: Final = "The vendor's id of the plant; null for every plant that has no row of its own."

OWNER_TABLES: Final[Mapping[str, OwnerTable]] = {
    "plant_overrides": OwnerTable(
        "What the owner's plants file says (PVMS_PLANTS_FILE); empty without one. One row per plant.",
        {
            "plant_code": _PLANT,
            "time_zone": "IANA time zone.",
            "dc_kwp": "DC capacity in kWp.",
            "irradiance_plane": "Plane of the irradiance sensor: poa (plane of array) or ghi (horizontal).",
            "tilt": "Tilt of the modules in degrees, 0 is horizontal.",
            "azimuth": "Azimuth of the modules in degrees, clockwise from north.",
            "gamma": "Temperature coefficient of the modules' power per kelvin, negative.",
            "export_limit_kw": "Most power that may be fed in, in kW.",
            "currency": "Currency of the vendor's money columns.",
            "co2_kg_per_kwh": "Emission factor of the grid in kg/kWh.",
        },
    ),
    "device_overrides": OwnerTable(
        "What the owner's devices file says (PVMS_DEVICES_FILE), by device id; empty without one. One row per device.",
        {
            "device_id": "The vendor's id of the device; null if the serial number was never listed.",
            "device_sn": "Serial number of the device, where the owner named it by that.",
            "ac_kw": "AC rating in kW.",
            "usable_kwh": "Usable capacity of a battery in kWh.",
            "meter_role": "What a meter measures: grid, generation or load.",
            "power_sign": "1 or -1: factor that brings the device's power to this project's sign, which is positive "
            "for export at a meter and for charging at a battery.",
            "unit": "Unit of the device's power as sent: W or kW.",
            "replaces_device": "The device whose place this one took, by id or serial number.",
            "replaces_device_id": "The vendor's id of that device; null if it was never listed.",
        },
    ),
    "tariffs": OwnerTable(
        "The owner's prices (PVMS_TARIFFS_FILE); empty without the file. One row per plant and span of days.",
        {
            "plant_code": _PLANT_OR_ALL,
            "valid_from": "First local day of the prices; null: from ever.",
            "valid_to": "Last local day of the prices; null: until further notice.",
            "purchase_price_per_kwh": "Price of a kWh from the grid; may be negative.",
            "feed_in_price_per_kwh": "Price paid for a kWh into the grid; may be negative.",
            "standing_charge_per_day": "What the connection costs a day, whatever flows.",
            "currency": "Currency of the prices.",
        },
    ),
    "targets": OwnerTable(
        "The owner's targets (PVMS_TARGETS_FILE); empty without the file. One row per plant and month.",
        {
            "plant_code": _PLANT_OR_ALL,
            "month": "First day of the month.",
            "pv_energy_kwh": "PV energy of the month in kWh.",
            "specific_yield_kwh_kwp": "Specific yield of the month in kWh/kWp.",
            "pr_pct": "Performance ratio of the month in percent.",
            "availability_pct": "Availability of the inverters in the month in percent.",
        },
    ),
}
"""Tables that the warehouse build makes of the owner's files, by name."""
