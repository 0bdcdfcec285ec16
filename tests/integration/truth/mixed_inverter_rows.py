"""Every 5 minutes of the mixed fleet's inverters and of their inputs: from the rows that were served."""

from typing import Any

import numpy as np
import pandas as pd
from truth.mixed_flows import HOUR, LONGEST, Truth, none, steps, utc_of
from truth.mixed_strings import used_inputs


def inverter_rows(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_inverter_5min: the counter's step, the power's integral beside it, trackers' counters as served."""
    rows = []
    for device in truth.devices(1, 38):
        frame = truth.rows(device)
        stepped = steps(frame["t"].to_numpy(), frame["total_cap"].astype(float).to_numpy())
        power, gap = frame["active_power"].astype(float), frame["t"].diff()
        integral = ((power + power.shift(1)) / 2 * gap / HOUR).where(gap <= LONGEST).to_numpy()
        trackers = range(1, 11 if device.type_id == 1 else 5)
        for number, row in enumerate(frame.to_dict("records")):
            rows.append(
                {
                    "device_id": device.id,
                    "collect_time_utc": utc_of(row["t"]),
                    "plant_code": device.plant_code,
                    "interval_start_utc": utc_of(row["start"]),
                    "local_date": row["day"],
                    "inverter_state_code": int(row["inverter_state"]),
                    "active_power_kw": row["active_power"],
                    "dc_power_kw": row["mppt_power"],
                    "total_yield_kwh": row["total_cap"],
                    "energy_kwh": none(float(stepped[number])),
                    "energy_from_power_kwh": none(float(integral[number])),
                    "energy_difference_kwh": none(float(stepped[number] - integral[number])),
                    "counter_fell": False,
                    **{f"mppt_{each}_yield_kwh": row[f"mppt_{each}_cap"] for each in trackers},
                }
            )
    return rows


def string_rows(truth: Truth) -> pd.DataFrame:
    """marts.fct_string_5min: voltage, current and power of the inputs in use, a row per input and instant."""
    parts = []
    for device in truth.devices(1, 38):
        frame = truth.rows(device)
        for day, inputs in used_inputs(truth, device).items():
            mine = frame[frame["own_day"] == day]
            for number in inputs:
                volts, amperes = (mine[f"pv{number}_{unit}"].astype(float).to_numpy() for unit in "ui")
                parts.append(
                    pd.DataFrame(
                        {
                            "device_id": device.id,
                            "pv_input": number,
                            "at": mine["t"].to_numpy(),
                            "local_date": pd.Timestamp(day),
                            "voltage_v": volts,
                            "current_a": amperes,
                            "dc_power_kw": volts * amperes / 1000,
                        }
                    )
                )
    return pd.concat(parts).sort_values(["device_id", "pv_input", "at"], ignore_index=True)


def string_differences(found: pd.DataFrame, expected: pd.DataFrame, relative: float) -> list[str]:
    """Columns in which two sets of rows of strings differ, or that they aren't the same rows."""
    keys = ["device_id", "pv_input", "at"]
    if len(found) != len(expected) or not (found[keys].to_numpy() == expected[keys].to_numpy()).all():
        return [f"{len(found)} rows found, {len(expected)} expected, or others"]
    names = ("voltage_v", "current_a", "dc_power_kw")
    wrong = [name for name in names if not np.allclose(found[name], expected[name], rtol=relative, atol=1e-9)]
    return wrong + ["local_date"] * (not (found["local_date"].to_numpy() == expected["local_date"].to_numpy()).all())
