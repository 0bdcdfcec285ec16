"""What the mixed fleet's inverters did, slot by slot in daylight: from the rows that were served."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from truth.mixed_flows import HOUR, LONGEST, SLOT, Truth, none, start_ms, utc_of
from truth.mixed_plants import device_reports, light_share

from pipelines.simulator.fleet import Device, Plant

DOWN = {768: "fault", 770: "grid protection", 773: "manual startup", 774: "DC switch"}
EXCLUDED = {769: "command", 771: "communication", 772: "power limit"}
STANDBY = (0, 1, 2, 3, 256, 40960)


@dataclass
class Run:
    """Neighbouring daylight slots of one inverter that are of one kind."""

    plant_code: str
    device_id: int
    day: date
    kind: str
    cause: str
    first: int
    last: int
    frame: pd.DataFrame
    morning: bool
    evening: bool
    availability: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many."""
        return len(self.frame)

    @property
    def own_kwh(self) -> float | None:
        """What the inverter gave; in silence its part of the counter's step, null where that isn't known."""
        if self.kind == "no data":
            return self.notes.get("own_kwh")
        return float(self.frame["power"].fillna(0).sum() / 12)

    @property
    def potential_kwh(self) -> float | None:
        """What it could have given; what part of it is known stands for all, from 80 % on."""
        known = int(self.frame["potential"].notna().sum())
        if known < 0.8 * self.slots:
            return None
        return float(self.frame["potential"].sum() / 12 * self.slots / known)


def trailing_ratios(days: list[dict[str, Any]]) -> dict[tuple[str, date], float]:
    """The performance ratio of the 30 days before each day, where five of them are complete."""
    found = {}
    frame = pd.DataFrame(days)
    for code, mine in frame.groupby("plant_code"):
        whole = mine[mine["pr_poa_pct"].fillna(mine["pr_unverified_plane_pct"]).notna()]
        for day in mine["local_date"]:
            before = whole[
                [day - timedelta(days=30) <= each <= day - timedelta(days=1) for each in whole["local_date"]]
            ]
            if len(before) >= 5:
                reference = (before["p0_kwp"] * before["irradiation_kwh_m2"]).sum()
                found[str(code), day] = round(float(before["pv_energy_kwh"].sum() / reference), 6)
    return found


def runs(truth: Truth, days: list[dict[str, Any]]) -> list[Run]:
    """All runs of all inverters on the days with 5-minute rows, judged."""
    ratios = trailing_ratios(days)
    found: list[Run] = []
    for plant in truth.fleet.plants:
        for day in truth.days(plant):
            found += _runs_of_day(truth, plant, day, ratios.get((plant.code, day)))
        for device in truth.fleet.of(plant.code, 1, 38):
            _judge_silence(truth, device, [run for run in found if run.device_id == device.id])
    return found


def sent_in(truth: Truth, device: Device) -> pd.DataFrame:
    """An inverter's rows by slot: `power`, `state`, `counter`."""
    return truth.once(("sent", device.id), lambda: _sent_in(truth.rows(device)))


def _sent_in(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "slot": frame["t"] // SLOT * SLOT,
            "power": frame["active_power"].astype(float),
            "state": frame["inverter_state"].astype(int),
            "counter": frame["total_cap"].astype(float),
        }
    ).set_index("slot")


def light_of(truth: Truth, plant: Plant, day: date) -> pd.DataFrame:
    """Slots of a day with any light, the sensor's irradiance, and `daylight`: 50 W/m2, else the sun 10 degrees high."""
    grid = np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone), SLOT)
    frame = pd.DataFrame({"sun": truth.sun(plant, grid)}, index=grid)
    frame["light"] = np.nan
    for sensor in truth.fleet.of(plant.code, 10):
        rows = truth.rows(sensor)
        frame["light"] = pd.Series(rows["radiant_line"].astype(float).to_numpy(), index=rows["t"]).reindex(grid)
    measured = frame["light"].notna()
    frame["daylight"] = np.where(measured, frame["light"] >= 50, frame["sun"] >= 10)
    return frame[np.where(measured, frame["light"] > 0, frame["sun"] >= 0)]


def sisters_of(truth: Truth, plant: Plant) -> pd.Series:
    """What inverters that nothing limits give per kWp in each slot: the median."""
    return truth.once(("sisters", plant.code), lambda: _sisters_of(truth, plant))


def _sisters_of(truth: Truth, plant: Plant) -> pd.Series:
    free = {}
    for device in truth.fleet.of(plant.code, 1, 38):
        if device.id in truth.held:
            sent = sent_in(truth, device)
            free[device.id] = (sent["power"] / device.inverter.dc_kwp)[(sent["power"] > 0) & (sent["state"] == 512)]
    return pd.DataFrame(free).median(axis=1) if free else pd.Series(dtype=float)


def dim_kwh(truth: Truth, device: Device, run: Run, day: date, low: int, high: int) -> float:
    """What an inverter could have given on a day in slots of low light after `low`, up to `high`."""
    plant = truth.fleet.plant(run.plant_code)
    light = light_of(truth, plant, day)
    dim = light[~light["daylight"] & (light.index > low) & (light.index <= high)]
    ratio = run.notes["ratio"]
    by_light = dim["light"] / 1000 * (np.nan if ratio is None else ratio)
    rate = sisters_of(truth, plant).reindex(dim.index).fillna(by_light)
    return float(rate.fillna(0).sum()) * device.inverter.dc_kwp / 12


def _runs_of_day(truth: Truth, plant: Plant, day: date, ratio: float | None) -> list[Run]:
    light = light_of(truth, plant, day)
    light = light[light["daylight"]]
    inverters = [each for each in truth.fleet.of(plant.code, 1, 38) if each.id in truth.held]
    frames: dict[int, pd.DataFrame] = {}
    for device in inverters:
        sent = sent_in(truth, device)
        slots = light
        # One that took another's place owes rows from its first on; one that went, until it was last heard of.
        if device.installed_ms is not None:
            slots = slots[slots.index >= sent.index[0]]
        if device.removed_ms is not None:
            slots = slots[slots.index <= max(int(sent.index[-1]), truth.last_seen(device))]
        if slots.empty:
            continue
        frame = slots.join(sent[["power", "state"]])
        frame["kind"] = [_kind(power, state) for power, state in zip(frame["power"], frame["state"], strict=True)]
        frame["cause"] = [_cause(kind, state) for kind, state in zip(frame["kind"], frame["state"], strict=True)]
        frame["kwp"] = device.inverter.dc_kwp
        frames[device.id] = frame
    sisters = sisters_of(truth, plant)
    day_slots = light.index
    found = []
    for device in inverters:
        if device.id not in frames:
            continue
        frame = frames[device.id]
        sister = sisters.reindex(frame.index) * frame["kwp"]
        alone = (frame["kind"] == "up") & (frame["state"] == 512)
        sensor = frame["light"] / 1000 * frame["kwp"] * (np.nan if ratio is None else ratio)
        frame["sensor"] = sensor
        frame["potential"] = sister.where(~alone).fillna(sensor)
        label = frame["kind"] + " " + frame["cause"]
        for _, part in frame.groupby((label != label.shift()).cumsum()):
            first, last = int(part.index[0]), int(part.index[-1])
            run = Run(
                plant.code,
                device.id,
                day,
                part["kind"].iloc[0],
                part["cause"].iloc[0],
                first,
                last,
                part,
                first == day_slots[0],
                last == day_slots[-1],
                notes={"ratio": ratio},
            )
            _judge(run)
            found.append(run)
    return found


def _kind(power: float, state: float) -> str:
    if np.isnan(state):
        return "no data"
    if power > 0:
        return "up"
    if state in DOWN:
        return "down"
    if state in EXCLUDED:
        return "excluded"
    return "standby" if state in STANDBY else "unknown"


def _cause(kind: str, state: float) -> str:
    if kind == "no data":
        return "communication"
    if kind == "up":
        return {513: "power limit", 514: "derating"}.get(int(state), "running")
    if kind == "standby":
        return "standby"
    return {**DOWN, **EXCLUDED}.get(int(state), "unknown")


def _judge(run: Run) -> None:
    run.availability = run.kind
    if run.kind == "standby":
        run.availability = "down" if run.slots > 6 else "excluded"
        run.cause = "standby" if run.slots > 6 else "starting"


def _judge_silence(truth: Truth, device: Device, runs_of_device: list[Run]) -> None:
    """Silences by what the counter did over them: those that only a night without a row parts are one."""
    if not runs_of_device:
        return
    sent = sent_in(truth, device)
    counter = sent["counter"][sent["state"] < 45056]
    gaps: list[list[Run]] = []
    ordered = sorted(runs_of_device, key=lambda run: run.first)
    for before, run in zip([None, *ordered], ordered, strict=False):
        if run.kind != "no data":
            continue
        goes_on = (
            before is not None
            and before.kind == "no data"
            and before.evening
            and run.morning
            and run.day == before.day + timedelta(days=1)
            and counter[(counter.index >= before.last + SLOT) & (counter.index < run.first)].empty
        )
        if goes_on:
            gaps[-1].append(run)
        else:
            gaps.append([run])
    for gap in gaps:
        _judge_gap(truth, device, counter, gap)


def _judge_gap(truth: Truth, device: Device, counter: pd.Series, gap: list[Run]) -> None:
    plant = truth.fleet.plant(gap[0].plant_code)
    zone = plant.zone
    since, until = start_ms(gap[0].day - timedelta(days=1), zone), start_ms(gap[-1].day + timedelta(days=2), zone)
    before = counter[(counter.index >= since) & (counter.index < gap[0].first)]
    after = counter[(counter.index >= gap[-1].last + SLOT) & (counter.index < until)]
    potential = pd.concat([run.frame["potential"] for run in gap])
    slots, known = len(potential), int(potential.notna().sum())
    step = None if before.empty or after.empty else float(after.iloc[0] - before.iloc[-1])
    low, high = (before.index[-1] if len(before) else since), (after.index[0] if len(after) else until)
    dim = sum(dim_kwh(truth, device, run, run.day, low, high) for run in gap)
    if len(before):
        dim += dim_kwh(truth, device, gap[0], gap[0].day - timedelta(days=1), low, high)
    more = 0
    if len(after):
        next_day = gap[-1].day + timedelta(days=1)
        dim += dim_kwh(truth, device, gap[-1], next_day, low, high)
        lit = pd.concat([light_of(truth, plant, day)["daylight"] for day in (gap[-1].day, next_day)])
        more = int(bool(lit.get(high, False)))
    whole = potential.sum() / 12 / known * (slots + more) + dim if known >= 0.8 * slots and potential.sum() else None
    for run in gap:
        run.availability = "unknown"
        if step is not None and step >= 0:
            part = run.slots / (slots + more)
            if whole is not None and run.potential_kwh is not None:
                part = run.potential_kwh / whole
            run.notes["own_kwh"] = step * part
        if step is None or whole is None:
            continue
        share = step / whole
        if share >= 0.8:
            run.availability = "up"
        elif 0 <= share <= 0.05:
            run.availability, run.cause = "down", "silent and down"


def inverter_days(truth: Truth, judged: list[Run]) -> list[dict[str, Any]]:
    """marts.fct_inverter_day of the days with 5-minute rows."""
    rows = []
    rated = {each.id: each.inverter.ac_kw for each in truth.fleet.of(truth.fleet.sunny, 1)}
    by_day: dict[tuple[int, date], list[Run]] = {}
    for run in judged:
        by_day.setdefault((run.device_id, run.day), []).append(run)
    for (device_id, day), mine in by_day.items():
        device = next(each for each in truth.fleet.devices if each.id == device_id)
        frame = truth.rows(device)
        told = device_reports(truth, device).get(day, {})
        here = frame[frame["day"] == day]
        frame["dc"] = _dc(frame)
        counted = truth.counted_day(device, day, ("total_cap", "dc"))
        mean = (frame["active_power"].astype(float) + frame["active_power"].astype(float).shift(1)) / 2
        gap = frame["t"].diff()
        power = (mean * gap / HOUR).where(gap <= LONGEST)
        slots = {
            name: sum(run.slots for run in mine if run.availability == name)
            for name in ("up", "down", "excluded", "unknown")
        }
        total = sum(run.slots for run in mine)
        limited = [run for run in mine if run.cause == "power limit"]
        below = [run.frame[run.frame["power"] < 0.95 * run.frame["potential"]] for run in limited]
        downs = [run for run in mine if run.availability == "down"]
        all_slots = pd.concat([run.frame for run in mine])
        clipped = (all_slots["state"] == 512) & (all_slots["power"] >= 0.99 * rated.get(device_id, np.inf))
        clips = int(clipped.sum())
        unclear = slots["unknown"] > 0.2 * total
        stateless = sum(run.slots for run in mine if run.kind in ("no data", "unknown"))
        untold = stateless > 0.2 * total
        blind = untold or any(run.potential_kwh is None for run in limited)
        lost_blind = unclear or any(run.potential_kwh is None for run in downs)
        yield_kwh = told.get("product_power")
        if yield_kwh is None and not here.empty:
            yield_kwh = counted["total_cap"]
        row = {
            "plant_code": device.plant_code,
            "device_id": device_id,
            "local_date": day,
            "p0_kwp": device.inverter.dc_kwp,
            "yield_kwh": yield_kwh,
            "yield_source": "report" if told else None if here.empty else "counter",
            "yield_from_report_kwh": told.get("product_power"),
            "specific_yield_kwh_kwp": None if yield_kwh is None else yield_kwh / device.inverter.dc_kwp,
            "specific_yield_vendor_kwh_kwp": told.get("perpower_ratio"),
            "ac_kw": rating(truth, device),
            "ac_kw_source": "devices_file" if device_id in rated else "percentile_99_9",
            "completeness": light_share(truth, device, day),
            "daylight_h": total / 12,
            "up_h": slots["up"] / 12,
            "down_h": slots["down"] / 12,
            "excluded_h": slots["excluded"] / 12,
            "unknown_h": slots["unknown"] / 12,
            "availability_pct": 100 * slots["up"] / (slots["up"] + slots["down"])
            if slots["unknown"] <= 0.2 * total and slots["up"] + slots["down"]
            else None,
            "silent_h": sum(run.slots for run in mine if run.kind == "no data") / 12,
            "stateless_h": stateless / 12,
            "limited_h": sum(run.slots for run in limited if run.kind == "up") / 12,
            "derated_h": sum(run.slots for run in mine if run.cause == "derating") / 12,
            "limit_shutdown_h": sum(run.slots for run in limited if run.kind == "excluded") / 12,
            "curtailed_energy_kwh": None
            if blind
            else float(sum((each["potential"] - each["power"]).sum() for each in below)) / 12,
            "clipped_h": None if device_id not in rated or untold else clips / 12 if clips >= 3 else 0.0,
            "clipped_energy_kwh": none(
                float((all_slots["sensor"] - all_slots["power"])[clipped].clip(lower=0).sum(min_count=1) / 12)
                if clips >= 3
                else 0.0
            )
            if device_id in rated and not untold
            else None,
            "lost_energy_kwh": None
            if lost_blind
            else float(sum(max(run.potential_kwh - run.own_kwh, 0) for run in downs)),
        }
        if not here.empty:
            row |= {
                "energy_from_counter_kwh": counted["total_cap"],
                "yield_difference_kwh": told["product_power"] - counted["total_cap"] if told else None,
                "energy_from_power_kwh": float(power[here.index].sum()),
                "dc_energy_kwh": counted["dc"],
                "max_power_kw": float(here["active_power"].max()),
                "counter_falls": 0,
            }
        rows.append(row)
    return rows


def _dc(frame: pd.DataFrame) -> np.ndarray:
    if "mppt_total_cap" in frame:
        return frame["mppt_total_cap"].astype(float).to_numpy()
    trackers = [name for name in frame if name.startswith("mppt_") and name.endswith("_cap")]
    return frame[trackers].astype(float).sum(axis=1).to_numpy()


def plant_availability(truth: Truth, days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What fct_plant_day makes of its inverters: weighted by size, null above 20 % unknown."""
    rows = []
    for (code, day), mine in pd.DataFrame(days).groupby(["plant_code", "local_date"]):
        up, judged = (mine["p0_kwp"] * mine["up_h"]).sum(), (mine["p0_kwp"] * (mine["up_h"] + mine["down_h"])).sum()
        known = mine["unknown_h"].sum() <= 0.2 * mine["daylight_h"].sum()
        clipped = mine["clipped_energy_kwh"].astype(float)
        sums = {
            f"{name}_energy_kwh": float(mine[f"{name}_energy_kwh"].sum())
            if mine[f"{name}_energy_kwh"].notna().all()
            else None
            for name in ("lost", "curtailed")
        }
        rows.append(
            {
                "plant_code": code,
                "local_date": day,
                "availability_pct": float(100 * up / judged) if known and judged else None,
                "up_kwp_h": float(up),
                "judged_kwp_h": float(judged),
                "inverter_daylight_h": float(mine["daylight_h"].sum()),
                **{
                    f"inverter_{name}_h": float(mine[f"{name}_h"].sum())
                    for name in ("down", "unknown", "silent", "limited", "derated", "limit_shutdown")
                },
                "inverter_clipped_h": float(mine["clipped_h"].sum()) if mine["clipped_h"].notna().all() else None,
                "clipped_energy_kwh": float(clipped.sum()) if clipped.notna().all() else None,
                **sums,
            }
        )
    return rows


def episodes(truth: Truth, judged: list[Run]) -> list[dict[str, Any]]:
    """marts.fct_inverter_episode: runs of one cause that only nights part are one."""
    chains: dict[tuple[int, str, str], list[list[Run]]] = {}
    for run in sorted(judged, key=lambda each: (each.device_id, each.first)):
        if run.cause == "running":
            continue
        chain = chains.setdefault((run.device_id, run.availability, run.cause), [])
        before = chain[-1][-1] if chain else None
        goes_on = before is not None and before.evening and run.morning and run.day == before.day + timedelta(days=1)
        if goes_on:
            chain[-1].append(run)
        else:
            chain.append([run])
    newest: dict[int, int] = {}
    for run in judged:
        newest[run.device_id] = max(run.last, newest.get(run.device_id, run.last))
    rows = []
    for (device_id, availability, cause), chain in chains.items():
        for each in chain:
            potential = [run.potential_kwh for run in each]
            given = [run.own_kwh for run in each]
            own = None if None in given else sum(given)
            lost: float | None = None
            if None in potential or own is None or (availability in ("up", "unknown") and cause == "communication"):
                lost = None
            elif cause in ("power limit", "derating"):
                low = [run.frame[run.frame["power"] < 0.95 * run.frame["potential"]] for run in each]
                lost = float(sum((part["potential"] - part["power"]).sum() for part in low)) / 12
            else:
                lost = max(sum(value for value in potential if value is not None) - own, 0.0)
            rows.append(
                {
                    "device_id": device_id,
                    "plant_code": each[0].plant_code,
                    "local_date": each[0].day,
                    "end_local_date": each[-1].day,
                    "own_energy_kwh": own,
                    "potential_energy_kwh": None if None in potential else float(sum(potential)),
                    "availability": availability,
                    "cause_group": cause,
                    "start_utc": utc_of(each[0].first),
                    "end_utc": utc_of(each[-1].last + SLOT),
                    "is_open": each[-1].last == newest[device_id],
                    "daylight_h": sum(run.slots for run in each) / 12,
                    "lost_energy_kwh": lost,
                }
            )
    return rows


def rating(truth: Truth, device: Device) -> float:
    """The owner's, else what 99.9 % of the powers above nothing don't exceed, to three digits."""
    if device.plant_code == truth.fleet.sunny:
        return device.inverter.ac_kw
    frame = truth.rows(device)
    days = truth.days(truth.fleet.plant(device.plant_code))
    powers = np.sort(frame[frame["day"].isin(days)]["active_power"].astype(float))
    powers = powers[powers > 0]
    value = powers[int(np.ceil(0.999 * powers.size)) - 1]
    return round(float(value), 2 - int(np.floor(np.log10(value))))
