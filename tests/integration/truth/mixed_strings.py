"""What the strings of the mixed fleet's inverters did in the sun: from the rows that were served."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from truth.mixed_flows import Truth
from truth.mixed_inverters import rating

from pipelines.simulator.fleet import Device, Plant


def string_days(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_string_day: how far each input in use lies below the median of its inverter, when the sun shines."""
    rows = []
    for device in truth.devices(1, 38):
        plant, frame = truth.fleet.plant(device.plant_code), truth.rows(device)
        for day, used in used_inputs(truth, device).items():
            mine = frame[frame["own_day"] == day]
            currents = mine[[f"pv{number}_i" for number in used]].astype(float).to_numpy()
            volts = mine[[f"pv{number}_u" for number in used]].astype(float).to_numpy()
            median = np.median(currents, axis=1)
            sunny = _sunny(truth, plant, device, mine)
            for column, number in enumerate(used):
                lit = sunny & (median > 0)
                rows.append(
                    {
                        "device_id": device.id,
                        "pv_input": number,
                        "local_date": day,
                        "max_current_a": float(currents[:, column].max()),
                        "dc_energy_kwh": float((currents[:, column] * volts[:, column]).sum() / 12_000),
                        "mismatch": float(np.median(1 - currents[lit, column] / median[lit])) if lit.any() else None,
                        "sunny_rows": int(sunny.sum()),
                        "string_rows": len(mine),
                        "inputs_in_use": len(used),
                        "is_dead_today": bool(currents[:, column].max() <= 0.5),
                    }
                )
    return rows


def used_inputs(truth: Truth, device: Device) -> dict[date, list[int]]:
    """The inputs of an inverter that carried more than 0.5 A on at least 3 of the 60 days up to each with rows."""
    return truth.once(("used", device.id), lambda: _used_inputs(truth, device))


def _used_inputs(truth: Truth, device: Device) -> dict[date, list[int]]:
    frame, inputs = truth.rows(device), 28 if device.type_id == 1 else 8
    names = [f"pv{number}_i" for number in range(1, inputs + 1)]
    active = {
        day: {number for number, name in enumerate(names, 1) if (mine[name].astype(float) > 0.5).any()}
        for day, mine in frame.groupby("own_day")
    }
    found = {}
    for day in (each for each in truth.days(truth.fleet.plant(device.plant_code)) if each in active):
        since = [active[each] for each in active if day - timedelta(days=59) <= each <= day]
        used = [number for number in range(1, inputs + 1) if sum(number in each for each in since) >= 3]
        if used:
            found[day] = used
    return found


def _sunny(truth: Truth, plant: Plant, device: Device, mine: pd.DataFrame) -> np.ndarray:
    """Above 300 W/m2; where no sensor tells, above 30 % of the AC rating, if one is known."""
    power = mine["active_power"].astype(float).to_numpy()
    by_power = power > 0.3 * rating(truth, device)
    sensors = truth.fleet.of(plant.code, 10)
    if not sensors:
        return by_power
    rows = truth.rows(sensors[0])
    light = pd.Series(rows["radiant_line"].astype(float).to_numpy(), index=rows["t"]).reindex(mine["t"]).to_numpy()
    return np.where(np.isnan(light), by_power, light > 300)
