"""Balances of independent sources of one energy in the mixed fleet, and the months of its batteries."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from truth.mixed_flows import Truth, none, steps
from truth.mixed_plants import round_trips
from truth.mixed_trust import COMPLETE, KINDS, completeness

from pipelines.simulator.fleet import Device, Plant

FROM_GRID = "the battery charged from the grid"


def conversion(
    truth: Truth, plant: Plant, day: date, inverters: pd.DataFrame, stores: pd.DataFrame
) -> tuple[str | None, float]:
    """Why a day's conversion loss can't be told, if so, and what the counters come to: in, less out.

    A hybrid's battery (39) sits between; what it draws from the grid, the inverter doesn't count.
    """
    loss = float(inverters["dc_energy_kwh"].sum() - inverters["energy_from_counter_kwh"].sum())
    if stores.empty or truth.fleet.of(plant.code, 41):
        return None, loss
    loss += float((stores["discharge_from_counter_kwh"] - stores["charge_from_counter_kwh"]).sum())
    if stores["night_charge_from_counter_kwh"].sum() > 0.1:
        return FROM_GRID, loss
    shares = [completeness(truth, plant, day, KINDS[kind]) or 0.0 for kind in ("inverter", "battery")]
    if min(shares) < COMPLETE:
        return "rows of inverters and batteries are not both complete", loss
    return FROM_GRID if loss < -0.1 else None, loss


def conversion_gaps(
    truth: Truth, days: list[dict[str, Any]], batteries: list[dict[str, Any]]
) -> dict[tuple[str, date], str]:
    """Why plants' days have no conversion loss, where they have none."""
    inverters, stores = pd.DataFrame(days), pd.DataFrame(batteries)
    found = {}
    for (code, day), mine in inverters.groupby(["plant_code", "local_date"]):
        store = stores[(stores["plant_code"] == code) & (stores["local_date"] == day)]
        gap, _ = conversion(truth, truth.fleet.plant(str(code)), day, mine, store)
        if gap is not None:
            found[str(code), day] = gap
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
        kpi_gap, loss = conversion(truth, truth.fleet.plant(str(code)), day, mine, store)
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
                "conversion_loss_kwh": loss if kpi_gap is None else None,
                "hybrid_charged_from_grid": kpi_gap == FROM_GRID,
                "counter_falls": 0,
            }
        )
    return rows
