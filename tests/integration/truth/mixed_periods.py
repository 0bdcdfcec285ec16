"""What the mixed fleet's plants did by the month and year: sums of days, and the vendor's reports beside them."""

from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from truth.calendar_of_tests import ms_of
from truth.mixed_fleet import LAST_LOAD
from truth.mixed_flows import Truth, local_dates, none
from truth.mixed_plants import capacity

from pipelines.simulator.fleet import Plant

SUMS = (
    "pv_energy_kwh",
    "ac_energy_kwh",
    "specific_yield_kwh_kwp",
    "clear_sky_irradiation_kwh_m2",
    "clear_sky_energy_kwh",
    "irradiation_kwh_m2",
    "inverter_down_h",
    "inverter_unknown_h",
    "inverter_limited_h",
    "inverter_derated_h",
    "inverter_limit_shutdown_h",
    "lost_energy_kwh",
    "curtailed_energy_kwh",
    "inverter_clipped_h",
    "clipped_energy_kwh",
    "feed_in_energy_kwh",
    "purchased_energy_kwh",
    "consumption_kwh",
    "night_import_kwh",
    "auxiliary_consumption_kwh",
    "battery_charged_energy_kwh",
    "battery_discharged_energy_kwh",
    "revenue",
    "purchase_cost",
    "feed_in_earnings",
    "bill",
    "savings",
    "co2_avoided_kg",
)
"""Columns of days that a period adds up, passing over days without."""


def periods(
    truth: Truth, days: list[dict[str, Any]], inverters: list[dict[str, Any]], kind: Literal["month", "year"]
) -> list[dict[str, Any]]:
    """marts.fct_plant_month or fct_plant_year, those too of which there is a report alone.

    `days` are days of plants, `inverters` what their inverters did (`plant_availability`).
    """
    frame = pd.DataFrame(days).merge(pd.DataFrame(inverters), on=["plant_code", "local_date"], how="left")
    frame["begins"] = [_begin(day, kind) for day in frame["local_date"]]
    numbers = [*SUMS, "up_kwp_h", "judged_kwp_h", "availability_pct", "pr_poa_pct", "pr_unverified_plane_pct"]
    numbers += ["self_consumption_pct", "self_sufficiency_pct", "p0_kwp"]
    frame[numbers] = frame[numbers].astype(float)
    rows = []
    for plant in truth.fleet.plants:
        for begins, told in _reports(truth, plant, kind).items():
            mine = frame[(frame["plant_code"] == plant.code) & (frame["begins"] == begins)]
            rows.append(_period(truth, plant, kind, begins, mine, told))
    return rows


def _begin(day: date, kind: str) -> date:
    return day.replace(day=1) if kind == "month" else day.replace(day=1, month=1)


def _reports(truth: Truth, plant: Plant, kind: str) -> dict[date, dict[str, Any]]:
    world, now = truth.fleet.world(plant.code), ms_of(LAST_LOAD)
    served = world.plant_months(plant, 2026, now) if kind == "month" else world.plant_years(plant, now)
    return {local_dates(np.array([label]), plant.zone)[0]: items for label, items in served}


def _period(
    truth: Truth, plant: Plant, kind: str, begins: date, mine: pd.DataFrame, told: dict[str, Any]
) -> dict[str, Any]:
    length = (_begin(begins + timedelta(days=32 if kind == "month" else 366), kind) - begins).days
    sums = {name: none(float(mine[name].sum(min_count=1))) for name in SUMS}
    poa = plant.code == truth.fleet.sunny
    ratio = mine[mine["pr_poa_pct"].fillna(mine["pr_unverified_plane_pct"]).notna()]
    clear = mine[mine["clear_sky_energy_kwh"].notna()]
    used = mine[mine["self_consumption_pct"].notna()]
    provided = mine[mine["self_sufficiency_pct"].notna()]
    judged = mine[mine["availability_pct"].notna()]
    pr = _percent(ratio["pv_energy_kwh"], ratio["p0_kwp"] * ratio["irradiation_kwh_m2"])
    row = {
        "plant_code": plant.code,
        f"{kind}_start": begins,
        f"days_in_{kind}": length,
        "days_with_energy": len(mine),
        "completeness": len(mine) / length,
        "provisional_days": int(sum(truth.provisional(plant, day) for day in mine["local_date"])),
        **sums,
        **{
            f"{name}_energy_days": int(mine[f"{name}_energy_kwh"].notna().sum())
            for name in ("lost", "curtailed", "clipped")
        },
        "p0_kwp": capacity(truth, plant),
        "pv_energy_from_report_kwh": told["PVYield"],
        "pv_energy_difference_kwh": _less(sums["pv_energy_kwh"], told["PVYield"]),
        # All days, else the vendor's own figure.
        "pv_energy_preferred_kwh": sums["pv_energy_kwh"] if len(mine) == length else told["PVYield"],
        "specific_yield_vendor_kwh_kwp": told["perpower_ratio"],
        "clear_sky_days": len(clear),
        "clear_sky_ratio_pct": _percent(clear["pv_energy_kwh"], clear["clear_sky_energy_kwh"]),
        "pr_poa_pct": pr if poa else None,
        "pr_unverified_plane_pct": None if poa else pr,
        "pr_vendor_pct": told.get("performance_ratio"),
        "availability_pct": _percent(judged["up_kwp_h"], judged["judged_kwp_h"]),
        "feed_in_from_report_kwh": told["ongrid_power"],
        "feed_in_difference_kwh": _less(sums["feed_in_energy_kwh"], told["ongrid_power"]),
        "purchased_from_report_kwh": told["buyPower"],
        "purchased_difference_kwh": _less(sums["purchased_energy_kwh"], told["buyPower"]),
        "self_consumption_pct": _percent(
            used["self_consumption_pct"] * used["pv_energy_kwh"] / 100, used["pv_energy_kwh"]
        ),
        "self_sufficiency_pct": _percent(
            provided["self_sufficiency_pct"] * provided["consumption_kwh"] / 100, provided["consumption_kwh"]
        ),
    }
    if len(mine):
        row |= {
            "pr_days": len(ratio),
            "availability_days": len(judged),
            "bill_days": int(mine["bill"].notna().sum()),
        }
    if kind == "month":
        october = begins == date(2026, 10, 1)
        row["target_pv_energy_kwh"] = (9000.0 if poa else 500.0) if october else None
        row["target_pr_pct"] = 82.0 if poa and october else None
    return row


def _percent(part: pd.Series, whole: pd.Series) -> float | None:
    return float(100 * part.sum() / whole.sum()) if len(whole) and whole.sum() else None


def _less(days: float | None, told: float | None) -> float | None:
    return None if days is None or told is None else days - told
