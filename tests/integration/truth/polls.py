"""Which polls of devices stand for 5-minute slots that history lacks, reckoned from raw rows with pandas."""

from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd

IDENTITY = {"plant_code", "device_id", "device_sn", "polled_at", "local_date", "extra", "extracted_at", "account"}
STATES = {
    "inverter_state",
    "run_state",
    "battery_status",
    "meter_status",
    "ch_discharge_model",
    "open_time",
    "close_time",
}
"""Codes and times, which are no measured figures."""

INVERTER = ["a_i", "b_i", "c_i", "active_power", "mppt_power"]
FLOWS = {
    "string_inverter": [*INVERTER, *(f"pv{number}_i" for number in range(1, 29))],
    "residential_inverter": [*INVERTER, *(f"pv{number}_i" for number in range(1, 9))],
    "emi": ["radiant_line", "horiz_radiant_line"],
    "power_sensor": ["meter_i", "b_i", "c_i", "active_power", "active_power_a", "active_power_b", "active_power_c"],
    "residential_battery": ["ch_discharge_power"],
    "ess": ["ch_discharge_power"],
}
"""Powers, currents and irradiances: while one isn't zero, figures don't repeat themselves."""


def samples(connection: duckdb.DuckDBPyConnection, name: str) -> dict[tuple[int, date], tuple[int, list[Any]]]:
    """Per device and local day: how many polls there were, and those that stand for a slot."""
    polls = connection.sql(f"select * from raw.device_realtime_{name} order by device_id, polled_at").df()
    history = connection.sql(f"select device_id, local_date, collect_time from raw.device_history_{name}").df()
    had = set(zip(history["device_id"], history["local_date"], history["collect_time"].dt.floor("5min"), strict=True))
    return {
        (int(device), day.date()): (len(mine), _samples(mine.reset_index(drop=True), name, had))
        for (device, day), mine in polls.groupby(["device_id", "local_date"])
    }


def _samples(mine: pd.DataFrame, name: str, had: set[Any]) -> list[Any]:
    items = [column for column in mine if column not in IDENTITY]
    figures = mine[[column for column in items if column not in STATES]].astype(float)
    heard = figures.notna().any(axis=1) & (mine["run_state"].fillna(1) != 0)
    for state, silent in (("inverter_state", (45056, 49152)), ("battery_status", (0,)), ("meter_status", (0,))):
        if state in mine:
            heard &= ~mine[state].isin(silent)
    moving = (figures.fillna(0) != 0)[[column for column in FLOWS[name] if column in figures]].any(axis=1)
    telling = moving & ((figures.fillna(0) != 0).sum(axis=1) >= 4)
    same = np.ones(len(mine), dtype=bool)
    for column in items:
        values = mine[column]
        before = values.shift(1)
        if len(mine) > 1:
            before.iloc[0] = values.iloc[1]
        same &= ((values == before) | (values.isna() & before.isna())).to_numpy()
    if len(mine) < 2:
        same[:] = False
    tells = mine[heard & ~(telling & same)]
    slots = tells["polled_at"].dt.floor("5min")
    last = tells[~slots.duplicated(keep="last")]
    lacks = [
        (row.device_id, row.local_date, row.polled_at.floor("5min")) not in had for row in last.itertuples(index=False)
    ]
    return list(last["polled_at"][lacks])
