"""Balances of independent sources of one energy in the mixed fleet, and the months of its batteries."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from truth.mixed_flows import Truth, none, steps
from truth.mixed_plants import round_trips
from truth.mixed_trust import COMPLETE, KINDS, completeness

from pipelines.simulator.fleet import Device, Plant

FROM_GRID = "the battery charged from the grid"


@dataclass
class Conversion:
    """A day's balance of inverters: why its loss can't be told, the loss, and whether a hybrid took from the grid."""

    gap: str | None
    loss: float | None
    charged_from_grid: bool | None


def conversion(truth: Truth, plant: Plant, day: date, inverters: pd.DataFrame, stores: pd.DataFrame) -> Conversion:
    """What the counters come to: in, less out. A hybrid's battery (39) sits between; what it draws from the grid, the
    inverter doesn't count."""
    told = inverters[inverters["max_power_kw"].notna()]
    direct, given = (_all(told[name]) for name in ("dc_energy_kwh", "energy_from_counter_kwh"))
    loss = None if direct is None or given is None else direct - given
    hybrids = stores[stores["device_id"].isin([each.id for each in truth.fleet.of(plant.code, 39)])]
    if hybrids.empty:
        return Conversion(_unknown(direct, given), loss, False)
    took = _all(hybrids["charge_from_counter_kwh"] - hybrids["discharge_from_counter_kwh"])
    loss = None if loss is None or took is None else loss - took
    shares = [completeness(truth, plant, day, KINDS[kind]) or 0.0 for kind in ("inverter", "battery")]
    whole = min(shares) >= COMPLETE
    night = hybrids["night_charge_from_counter_kwh"].astype(float).sum(min_count=1)
    charged = None
    if night > 0.1 or (whole and loss is not None and loss < -0.1):
        charged = True
    elif whole and loss is not None and not np.isnan(night):
        charged = False
    gap = FROM_GRID if charged else _unknown(direct, given)
    if gap is None and loss is None:
        gap = "the counters of the battery are not known"
    if gap is None and not whole:
        gap = "rows of inverters and batteries are not both complete"
    return Conversion(gap, loss, charged)


def _all(values: pd.Series) -> float | None:
    """A sum of all: the sum of some is no sum."""
    return None if values.isna().any() else float(values.astype(float).sum())


def _unknown(direct: float | None, given: float | None) -> str | None:
    if direct is None:
        return "the counters of the inputs are not known of every inverter"
    return "the yield counters are not known of every inverter" if given is None else None


def conversion_gaps(
    truth: Truth, days: list[dict[str, Any]], batteries: list[dict[str, Any]]
) -> dict[tuple[str, date], str]:
    """Why plants' days have no conversion loss, where they have none."""
    inverters, stores = pd.DataFrame(days), pd.DataFrame(batteries)
    found = {}
    for (code, day), mine in inverters.groupby(["plant_code", "local_date"]):
        store = stores[(stores["plant_code"] == code) & (stores["local_date"] == day)]
        gap = conversion(truth, truth.fleet.plant(str(code)), day, mine, store).gap
        if gap is not None:
            found[str(code), day] = gap
    return found


def charged_from_grid(
    truth: Truth, days: list[dict[str, Any]], batteries: list[dict[str, Any]]
) -> dict[tuple[str, date], bool | None]:
    """Whether a hybrid took from the grid on plants' days with 5-minute rows of inverters."""
    inverters, stores = pd.DataFrame(days), pd.DataFrame(batteries)
    found = {}
    for (code, day), mine in inverters.groupby(["plant_code", "local_date"]):
        store = stores[(stores["plant_code"] == code) & (stores["local_date"] == day)]
        found[str(code), day] = conversion(truth, truth.fleet.plant(str(code)), day, mine, store).charged_from_grid
    return found


def _by_steps(truth: Truth, devices: list[Device], device_id: int, day: date) -> float:
    """What an inverter's counter rose by within intervals of at most 15 minutes that begin on a day."""
    frame = truth.rows(next(each for each in devices if each.id == device_id))
    stepped = steps(frame["t"].to_numpy(), frame["total_cap"].astype(float).to_numpy())
    return float(np.nansum(stepped[(frame["day"] == day).to_numpy()]))


def battery_months(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """marts.fct_battery_month of the days of batteries: sums of those with both energies, and the round trip."""
    trips = round_trips(days)
    frame = pd.DataFrame(
        [each for each in days if None not in (each["charge_energy_kwh"], each["discharge_energy_kwh"])]
    )
    frame["month"] = [day.replace(day=1) for day in frame["local_date"]]
    rows = []
    for (device_id, month), mine in frame.groupby(["device_id", "month"]):
        length = pd.Period(month, "M").days_in_month
        sums = {
            name: none(float(mine[name].astype(float).sum(min_count=1)))
            for name in (
                "charge_energy_kwh",
                "discharge_energy_kwh",
                "charge_from_counter_kwh",
                "discharge_from_counter_kwh",
                "cycles",
            )
        }
        trip = trips[int(device_id), month]
        over = mine[~mine["is_running"]]
        rows.append(
            {
                "device_id": device_id,
                "month_start": month,
                "plant_code": mine["plant_code"].iloc[0],
                "days_with_energy": len(over),
                "completeness": len(over) / length,
                "idle_days": int((over["discharge_energy_kwh"] < 0.1).sum()),
                "round_trip_pct": trip.percent if trip else None,
                "round_trip_from": trip.since if trip else None,
                "round_trip_to": trip.until if trip else None,
                **sums,
            }
        )
    return rows


def residuals(
    truth: Truth, days: list[dict[str, Any]], batteries: list[dict[str, Any]], plants: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """marts.fct_data_quality_day: where independent sources of one energy differ; `plants` are the days of plants."""
    rows = []
    inverters, stores = pd.DataFrame(days), pd.DataFrame(batteries)
    reports = {(plant.code, day): items for plant in truth.fleet.plants for day, items in truth.report_days(plant)}
    of_plants = {(row["plant_code"], row["local_date"]): row for row in plants}

    def apart(row: dict[str, Any], told: str, counted: str) -> float | None:
        return None if None in (row[told], row[counted]) else row[told] - row[counted]

    for (code, day), mine in inverters.groupby(["plant_code", "local_date"]):
        report = reports[str(code), day]
        store = stores[(stores["plant_code"] == code) & (stores["local_date"] == day)]
        behind = bool(truth.fleet.of(str(code), 41))
        stored = float((store["charge_energy_kwh"] - store["discharge_energy_kwh"]).sum()) if behind else 0.0
        counted = float(mine["energy_from_counter_kwh"].sum()) - stored
        device_yield = float(mine["yield_kwh"][mine["yield_source"] == "report"].sum()) - stored
        stepped = [_by_steps(truth, truth.fleet.of(str(code), 1, 38), each, day) for each in mine["device_id"]]
        balance = conversion(truth, truth.fleet.plant(str(code)), day, mine, store)
        rows.append(
            {
                "plant_code": code,
                "local_date": day,
                "ac_energy_kwh": report["inverterYield"],
                "ac_energy_from_counters_kwh": counted,
                "ac_energy_residual_kwh": report["inverterYield"] - counted,
                "ac_energy_from_device_reports_kwh": device_yield,
                "device_report_residual_kwh": report["inverterYield"] - device_yield,
                "feed_in_residual_kwh": apart(
                    of_plants[code, day], "feed_in_energy_kwh", "grid_export_from_counters_kwh"
                ),
                "purchase_residual_kwh": apart(
                    of_plants[code, day], "purchased_energy_kwh", "grid_import_from_counters_kwh"
                ),
                "realtime_rows": 0,
                "power_integral_residual_kwh": none(float(sum(stepped) - mine["energy_from_power_kwh"].sum())),
                "conversion_loss_kwh": balance.loss if balance.gap is None else None,
                "hybrid_charged_from_grid": balance.charged_from_grid,
                "counter_falls": 0,
            }
        )
    return rows
