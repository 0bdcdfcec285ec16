"""How far a day of a plant of the mixed fleet can be trusted: what was owed, what came, and what the rest says."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
from truth.calendar_of_tests import hours_of
from truth.mixed_flows import SLOT, Truth, start_ms
from truth.mixed_plants import RADIUS_KM, device_reports, kilometres, light_slots

from pipelines.simulator.fleet import Device, Plant

COMPLETE = 0.95


Charged = Mapping[tuple[str, date], bool | None]
"""Of plants' days, whether a hybrid took from the grid; null where it can't be told."""


def quality_days(truth: Truth, charged: Charged) -> list[dict[str, Any]]:
    """marts.fct_data_quality_day of all days with a report, but for what `residuals` checks."""
    rows = []
    for plant in truth.fleet.plants:
        for day, report in truth.report_days(plant):
            read = day in truth.days(plant)
            share = {kind: completeness(truth, plant, day, types) for kind, types in KINDS.items()}
            owes = {kind: value for kind, value in share.items() if value is not None}
            owes.pop("emi", None)
            judged = [owes["inverter"]] if "inverter" in owes else list(owes.values())
            rows.append(
                {
                    "plant_code": plant.code,
                    "local_date": day,
                    "day_slots": int(hours_of(day, plant.zone) * 12),
                    "report_state": "final",
                    "history_state": ("provisional" if truth.provisional(plant, day) else "final")
                    if read
                    else "missing",
                    "is_provisional": truth.provisional(plant, day),
                    **{f"{kind}_completeness": value for kind, value in share.items()},
                    **row_counts(truth, plant, day),
                    **stored(truth, plant, day, report),
                    "can_be_trusted": bool(judged)
                    and min(judged) >= COMPLETE
                    and not truth.provisional(plant, day)
                    and agrees(truth, plant, day, report, charged.get((plant.code, day))),
                }
            )
    return rows


KINDS = {"inverter": (1, 38), "emi": (10,), "meter": (17, 47), "battery": (39, 41)}


def row_counts(truth: Truth, plant: Plant, day: date) -> dict[str, int]:
    """Rows of each kind of devices that came of a day."""
    found = dict.fromkeys((f"{kind}_rows" for kind in KINDS), 0)
    if day in truth.days(plant):
        for kind, types in KINDS.items():
            frames = [truth.rows(each) for each in truth.fleet.of(plant.code, *types) if each.id in truth.held]
            found[f"{kind}_rows"] = sum(int((frame["own_day"] == day).sum()) for frame in frames)
    return found


def completeness(truth: Truth, plant: Plant, day: date, types: tuple[int, ...]) -> float | None:
    """Rows that came of those that devices owed: inverters and EMIs by day, the others always. Null if not read."""
    devices = [each for each in truth.fleet.of(plant.code, *types) if each.id in truth.held]
    if day not in truth.days(plant) or not devices:
        return None
    slots = np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone), SLOT)
    if 1 in types:
        slots = light_slots(truth, plant, day)
    elif 10 in types:
        slots = slots[truth.sun(plant, slots) >= 0]
    owed = sum(int(_owes(truth, device, slots).sum()) for device in devices)
    came = sum(min(int(truth.rows(device)["t"].isin(slots).sum()), slots.size) for device in devices)
    return min(1.0, came / owed)


def _owes(truth: Truth, device: Device, slots: np.ndarray) -> np.ndarray:
    """One that took another's place owes rows from its first on; one that went, until it was last heard of."""
    rows = truth.rows(device)["t"]
    since = rows.min() if device.installed_ms is not None else slots[0]
    until = max(int(rows.max()), truth.last_seen(device)) if device.removed_ms is not None else slots[-1]
    return np.asarray((slots >= since) & (slots <= until))


def stored(truth: Truth, plant: Plant, day: date, report: dict[str, Any]) -> dict[str, float | None]:
    """The plant's charge and discharge, less those that its batteries report themselves."""
    told = [device_reports(truth, each)[day] for each in _reporting(truth, plant, day, 39, 41)]
    found: dict[str, float | None] = {}
    for name, of_plant, of_device in (
        ("battery_charge_residual_kwh", "chargeCap", "charge_cap"),
        ("battery_discharge_residual_kwh", "dischargeCap", "discharge_cap"),
    ):
        known = told and report[of_plant] is not None
        found[name] = report[of_plant] - sum(each[of_device] for each in told) if known else None
    return found


def _reporting(truth: Truth, plant: Plant, day: date, *types: int) -> list[Device]:
    return [each for each in truth.fleet.of(plant.code, *types) if day in device_reports(truth, each)]


def agrees(truth: Truth, plant: Plant, day: date, report: dict[str, Any], charged: bool | None) -> bool:
    """Whether the plant's AC energy is what its inverters report, storage at the AC side taken off; true if unknown.

    Unless it is known not to have come from the grid, what a hybrid's battery charged may be missing in it.
    """
    inverters = _reporting(truth, plant, day, 1, 38)
    if not inverters:
        return True
    behind = [device_reports(truth, each)[day] for each in _reporting(truth, plant, day, 41)]
    given = sum(device_reports(truth, each)[day]["product_power"] for each in inverters)
    given -= sum(each["charge_cap"] - each["discharge_cap"] for each in behind)
    residual = report["inverterYield"] - given
    if residual < 0 and charged is not False:
        before = [device_reports(truth, each)[day] for each in _reporting(truth, plant, day, 39)]
        residual = min(0.0, residual + sum(each["charge_cap"] for each in before))
    return bool(abs(residual) <= max(1.0, 0.01 * abs(report["inverterYield"])))


def gaps(truth: Truth, days: list[dict[str, Any]], inverters: list[dict[str, Any]]) -> dict[tuple[str, date], set[str]]:
    """Of which KPIs a plant's day must say why they are null."""
    judged = {(row["plant_code"], row["local_date"]): row for row in inverters}
    found = {}
    for row in days:
        key = row["plant_code"], row["local_date"]
        own = judged.get(key)
        null = {
            "performance_ratio": row["pr_poa_pct"] is None and row["pr_unverified_plane_pct"] is None,
            "self_consumption": row["self_consumption_pct"] is None,
            "self_sufficiency": row["self_sufficiency_pct"] is None,
            "peer_yield_ratio": row["peer_yield_ratio"] is None,
            "clear_sky_energy": row["clear_sky_energy_kwh"] is None,
            "availability": own is None or own["availability_pct"] is None,
            "lost_energy": own is None or own["lost_energy_kwh"] is None,
            "curtailed_energy": own is None or own["curtailed_energy_kwh"] is None,
            "clipping": own is None or own["inverter_clipped_h"] is None,
            "clipped_energy": own is None or own["clipped_energy_kwh"] is None,
            "night_import": row["night_import_kwh"] is None,
            "bill": row["bill"] is None,
            "savings": row["savings"] is None,
            "co2_avoided": row["co2_avoided_kg"] is None,
            "grid_import_from_counters": row["grid_import_from_counters_kwh"] is None,
            "completeness": not truth.fleet.of(key[0], 1, 38) or key[1] not in truth.days(truth.fleet.plant(key[0])),
        }
        found[key] = {name for name, missing in null.items() if missing}
    return found


def plant_gaps(
    truth: Truth, days: list[dict[str, Any]], strings: list[dict[str, Any]], months: list[dict[str, Any]]
) -> dict[str, set[str]]:
    """Of which KPIs a plant must say why they can't be had, by days of plants and strings and months of batteries."""
    with_strings = {row["device_id"] for row in strings}
    with_trips = {row["plant_code"] for row in months if row["round_trip_pct"] is not None}
    found = {}
    for plant in truth.fleet.plants:
        code = plant.code
        mine = [row for row in days if row["plant_code"] == code]
        inverters, sensors = truth.fleet.of(code, 1, 38), truth.fleet.of(code, 10)
        lit = any(row["irradiation_kwh_m2"] is not None for row in mine)
        near = sum(kilometres(plant, each) <= RADIUS_KM for each in truth.fleet.plants if each.code != code)
        listed = [each for each in inverters if each.removed_ms is None]
        missing = {
            "irradiation performance_ratio": not lit,
            "pr_poa": lit and code != truth.fleet.sunny,
            "clear_sky_energy": code not in (truth.fleet.home, truth.fleet.sunny),
            "peer_yield_ratio": near < 5,
            "availability limited_hours completeness": not inverters,
            "lost_energy curtailed_energy clipping clipped_energy string_mismatch": not inverters,
            "curtailed_energy lost_energy": len(listed) < 2 and not sensors,
            # Nobody but the owner knows a rating before 300 days of power.
            "clipped_energy clipping": code != truth.fleet.sunny,
            "clipped_energy": not sensors,
            "string_mismatch": not any(each.id in with_strings for each in inverters),
            "night_import": all(row["night_import_kwh"] is None for row in mine),
            "battery_round_trip": code not in with_trips,
            "battery_cycles": code != truth.fleet.home,
            "bill savings": all(row["bill"] is None for row in mine),
            "co2_avoided": code != truth.fleet.home,
            "self_consumption self_sufficiency": not truth.fleet.of(code, 17, 47),
        }
        found[code] = {name for names, is_missing in missing.items() if is_missing for name in names.split()}
    return found
