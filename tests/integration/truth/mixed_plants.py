"""What the mixed fleet's plants did by the hour, day and month: from the reports and 5-minute rows that were served."""

from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from truth.calendar_of_tests import days_from, ms_of
from truth.clear_sky import clear_sky_kwh_m2
from truth.mixed_fleet import FIRST, LAST, LAST_LOAD, MODULES, POLLS, SERVERS
from truth.mixed_flows import HOUR, SLOT, Truth, local_dates, none, start_ms, steps, utc_of

from pipelines.simulator.fleet import Device, Plant

RADIUS_KM = 25.0


def tariff(truth: Truth, code: str, day: date) -> tuple[float, float, float | None]:
    """Price of purchase and feed-in, and the standing charge, as the tariffs file of the fleet says."""
    if code != truth.fleet.home:
        return 0.30, 0.08, 0.5
    if day == date(2026, 10, 24):
        return -0.05, -0.02, 0.4
    return 0.32, 0.07, 0.4 if day > date(2026, 10, 24) else None


def capacity(truth: Truth, plant: Plant) -> float:
    """The owner's kWp where there is one, else the report's."""
    return 6.6 if plant.code == truth.fleet.home else plant.capacity_kwp


def grid_meters(truth: Truth, code: str) -> list[Device]:
    """Meters at the grid, which the owner didn't call something else."""
    return [d for d in truth.fleet.of(code, 17, 47) if code != truth.fleet.generation and d.id in truth.held]


def irradiation(truth: Truth, plant: Plant, day: date, told: Any) -> tuple[float | None, str | None, bool]:
    """kWh/m2, its source, and whether it is complete: the first that qualifies of sensor, its counter, the report."""
    for sensor in truth.fleet.of(plant.code, 10):
        frame = truth.rows(sensor)
        rows = frame[frame["own_day"] == day]
        if rows.empty:
            continue
        grid = np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone), SLOT)
        up = grid[truth.sun(plant, grid) >= 0]
        share = rows["t"].between(up[0], up[-1]).sum() / up.size
        if share >= 0.95:
            return both_irradiations(truth, plant, day)[0], "irradiance", True
        last = float(rows["t"].max())
        return both_irradiations(truth, plant, day)[1], "sensor_counter", (last - up[0]) / (up[-1] - up[0]) >= 0.95
    return (told, "report", True) if told else (None, None, False)


def both_irradiations(truth: Truth, plant: Plant, day: date) -> tuple[float | None, float | None]:
    """kWh/m2 by the sum of a sensor's irradiance and by its own counter."""
    for sensor in truth.fleet.of(plant.code, 10):
        frame = truth.rows(sensor)
        rows = frame[frame["own_day"] == day]
        if not rows.empty:
            grid = np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone), SLOT)
            sunrise = grid[truth.sun(plant, grid) >= 0][0]
            # The row of midnight closes the day before.
            counted = rows.loc[rows["t"] >= sunrise, "radiant_total"].max()
            return float(rows["radiant_line"].sum()) * 5 / 60 / 1000, float(counted) / 3.6
    return None, None


def plant_days(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_plant_day but for what inverters do."""
    reports = {(plant.code, day): items for plant in truth.fleet.plants for day, items in truth.report_days(plant)}
    yields = {key: items["PVYield"] / capacity(truth, truth.fleet.plant(key[0])) for key, items in reports.items()}
    return [_plant_day(truth, truth.fleet.plant(code), day, items, yields) for (code, day), items in reports.items()]


def _plant_day(
    truth: Truth, plant: Plant, day: date, report: dict[str, Any], yields: dict[tuple[str, date], float]
) -> dict[str, Any]:
    metered = bool(truth.fleet.of(plant.code, 17, 47))
    pv, size = report["PVYield"], capacity(truth, plant)
    light, source, whole = irradiation(truth, plant, day, report.get("radiation_intensity"))
    peers = [
        yields[other.code, day]
        for other in truth.fleet.plants
        if other.code != plant.code and (other.code, day) in yields and kilometres(plant, other) <= RADIUS_KM
    ]
    peer = float(np.median(peers)) if len(peers) >= 5 else None
    ratio = 100 * pv / (size * light) if light and whole and trusted(truth, plant, day) else None
    buy, feed, standing = tariff(truth, plant.code, day)
    bought, fed, used = report["buyPower"], report["ongrid_power"], report["use_power"]
    flows = counted_flows(truth, plant, day)
    poa = plant.code == truth.fleet.sunny
    summed, counted = both_irradiations(truth, plant, day)
    return {
        "plant_code": plant.code,
        "local_date": day,
        "pv_energy_kwh": pv,
        "pv_energy_source": "pv_yield",
        "ac_energy_kwh": report["inverterYield"],
        "p0_kwp": size,
        "p0_source": "plants_file" if plant.code == truth.fleet.home else "daily_report",
        "p0_differs": plant.code == truth.fleet.home,
        "specific_yield_kwh_kwp": pv / size,
        "specific_yield_vendor_kwh_kwp": report["perpower_ratio"],
        "peer_yield_ratio": yields[plant.code, day] / peer if peer else None,
        "peer_specific_yield_kwh_kwp": peer,
        "peer_count": len(peers) if peer is not None else None,
        "irradiation_kwh_m2": light,
        "irradiation_source": source,
        "irradiation_from_irradiance_kwh_m2": summed,
        "irradiation_from_counter_kwh_m2": counted,
        "irradiation_difference_kwh_m2": None if summed is None or counted is None else summed - counted,
        "is_running": False,
        "pr_poa_pct": ratio if poa else None,
        "pr_unverified_plane_pct": None if poa else ratio,
        "pr_vendor_pct": report.get("performance_ratio"),
        "self_consumption_pct": 100 * report["selfUsePower"] / pv if metered and pv else None,
        "self_sufficiency_pct": 100 * report["selfProvide"] / used if metered and used else None,
        "feed_in_energy_kwh": fed,
        "purchased_energy_kwh": bought,
        "consumption_kwh": used,
        "battery_charged_energy_kwh": report["chargeCap"],
        "battery_discharged_energy_kwh": report["dischargeCap"],
        "revenue": report["power_profit"],
        "purchase_cost": None if bought is None else bought * buy,
        "feed_in_earnings": None if fed is None else fed * feed,
        "bill": None if bought is None else bought * buy + (standing or 0) - fed * feed,
        "savings": None if bought is None else (used - bought) * buy + fed * feed,
        "co2_avoided_kg": pv * 0.4 if plant.code == truth.fleet.home else None,
        **flows,
        **against_clear_sky(truth, plant, day, pv, size),
    }


def against_clear_sky(truth: Truth, plant: Plant, day: date, pv: float, size: float) -> dict[str, float | None]:
    """What a cloudless sky would give the plants whose modules the owner told of."""
    names = ("clear_sky_irradiation_kwh_m2", "clear_sky_energy_kwh", "clear_sky_ratio_pct")
    modules = dict(zip((truth.fleet.home, truth.fleet.sunny), MODULES, strict=True)).get(plant.code)
    if modules is None:
        return dict.fromkeys(names)
    light = clear_sky_kwh_m2(float(plant.served_latitude), float(plant.served_longitude), plant.zone, *modules, day)
    return dict(zip(names, (light, size * light, 100 * pv / (size * light)), strict=True))


def light_slots(truth: Truth, plant: Plant, day: date) -> np.ndarray:
    """The slots of a day with the sun 10 degrees high, when inverters owe rows."""
    grid = np.arange(start_ms(day, plant.zone), start_ms(day + timedelta(days=1), plant.zone), SLOT)
    return grid[truth.sun(plant, grid) >= 10]


def light_share(truth: Truth, device: Device, day: date) -> float | None:
    """How many of these slots an inverter sent a row of; null on a day without any row of it."""
    rows = truth.rows(device)
    if not (rows["own_day"] == day).any():
        return None
    slots = light_slots(truth, truth.fleet.plant(device.plant_code), day)
    return float(rows["t"].isin(slots).sum() / slots.size)


def trusted(truth: Truth, plant: Plant, day: date) -> bool:
    """Whether the inverters' rows of a day are whole enough for a performance ratio, where they were read."""
    if day not in truth.days(plant):
        return True
    inverters = truth.fleet.of(plant.code, 1, 38)
    assert all(each.installed_ms is None and each.removed_ms is None for each in inverters)
    light = light_slots(truth, plant, day)
    sent = sum(int(truth.rows(each)["t"].between(light[0], light[-1]).sum()) for each in inverters)
    return sent / (light.size * len(inverters)) >= 0.95


def kilometres(one: Plant, other: Plant) -> float:
    """Great-circle distance."""
    a, b = np.radians([one.latitude, one.longitude]), np.radians([other.latitude, other.longitude])
    middle = np.cos(a[0]) * np.cos(b[0]) * np.cos(a[1] - b[1]) + np.sin(a[0]) * np.sin(b[0])
    return float(6371 * np.arccos(min(1.0, middle)))


def counted_flows(truth: Truth, plant: Plant, day: date) -> dict[str, Any]:
    """Import and export by counters, and what was bought at night; null where no meter's directions are known."""
    names = ("grid_import_from_counters_kwh", "grid_export_from_counters_kwh", "night_import_kwh")
    found: dict[str, Any] = dict.fromkeys((*names, "auxiliary_consumption_kwh"))
    for device in truth.fleet.of(plant.code, 17, 47):
        if device.id not in truth.held or not truth.known(device):
            continue
        counted = truth.counted_day(device, day, ("inward", "outward"))
        if day not in truth.days(plant) or counted["inward"] is None or counted["outward"] is None:
            continue
        sums = (counted["inward"], counted["outward"], truth.night_inward(device, day))
        if plant.code == truth.fleet.generation:
            found["auxiliary_consumption_kwh"] = sums[2]
        else:
            for name, value in zip(names, sums, strict=True):
                found[name] = None if value is None else (found[name] or 0.0) + float(value)
    return found


def plant_hours(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_plant_hour of the loaded days."""
    rows = []
    for plant in truth.fleet.plants:
        labels, merges = SERVERS[truth.fleet.server_of[plant.code]]
        inverters = [_hourly(truth, each, ("total",)) for each in truth.fleet.of(plant.code, 1, 38)]
        # Where a meter's directions aren't known yet, neither is what was bought while it was in place.
        meters = [
            {
                hour: energies if truth.known(each) else dict.fromkeys(energies, np.nan)
                for hour, energies in _hourly(truth, each, ("inward", "outward")).items()
            }
            for each in grid_meters(truth, plant.code)
        ]
        for day in days_from(FIRST, LAST):
            served = truth.fleet.world(plant.code).plant_hours(plant, day, ms_of(LAST_LOAD))
            begins = start_ms(day, plant.zone)
            long = (start_ms(day + timedelta(days=1), plant.zone) - begins) // HOUR == 25
            for label, items in served:
                start, hours = begins, 1
                if long and merges and _clock(begins, plant.zone) == _clock(begins + HOUR, plant.zone):
                    hours = 2
                begins = start + hours * HOUR
                spans = range(start, begins, HOUR)
                bought = _sum(meters, spans, "inward")
                provided = items["selfProvide"]
                rows.append(
                    {
                        "plant_code": plant.code,
                        "label_utc": utc_of(label),
                        "hour_label": labels,
                        "interval_start_utc": utc_of(start),
                        "interval_end_utc": utc_of(begins),
                        "local_date": day,
                        "is_merged_hour": hours == 2,
                        "day_rows": len(served),
                        "pv_energy_kwh": items["PVYield"],
                        "ac_energy_kwh": items["inverterYield"],
                        "ac_energy_from_counters_kwh": _sum(inverters, spans, "total"),
                        "feed_in_energy_kwh": items["ongrid_power"],
                        "feed_in_from_counters_kwh": _sum(meters, spans, "outward"),
                        "purchased_energy_kwh": bought,
                        "consumption_kwh": None if bought is None or provided is None else provided + bought,
                        "battery_charged_energy_kwh": items["chargeCap"],
                        "irradiation_kwh_m2": items.get("radiation_intensity"),
                    }
                )
            assert begins == start_ms(day + timedelta(days=1), plant.zone)
    return rows


def _clock(ms: int, zone: str) -> int:
    return int(pd.Timestamp(ms, unit="ms", tz="UTC").tz_convert(zone).hour)


def _hourly(truth: Truth, device: Device, names: tuple[str, ...]) -> dict[int, dict[str, float]]:
    """Energies of each hour that a device counted in full, NaN in those that it owes: between its rows of a day."""
    frame = truth.rows(device) if device.type_id in (1, 38) else truth.flows(device)
    if frame.empty:
        return {}
    frame = frame.copy()
    if "total" in names:
        frame["total"] = steps(frame["t"].to_numpy(), frame["total_cap"].astype(float).to_numpy())
    frame["hour"] = frame["start"] // HOUR * HOUR
    found: dict[int, dict[str, float]] = {}
    for _, mine in frame.groupby("day"):
        for hour in range(int(mine["hour"].min()), int(mine["hour"].max()) + 1, HOUR):
            part = mine[(mine["hour"] == hour) & mine[names[0]].notna()]
            whole = (part["t"] - part["start"]).sum() >= HOUR
            found[hour] = {name: float(part[name].sum()) if whole else np.nan for name in names}
    return found


def _sum(devices: list[dict[int, dict[str, float]]], hours: range, name: str) -> float | None:
    """Over all devices that owe any of these hours; null if one has a hole."""
    there = [each[hour] for each in devices for hour in hours if hour in each]
    if not there or any(not any(hour in each for each in devices) for hour in hours):
        return None
    return none(float(np.sum([each[name] for each in there])))


def battery_days(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_battery_day of the days with 5-minute rows or reports."""
    rows = []
    for device in truth.fleet.of_types(39, 41):
        plant = truth.fleet.plant(device.plant_code)
        frame = truth.flows(device)
        reports = device_reports(truth, device)
        own_days = set(frame["day"]) & set(truth.days(plant)) if not frame.empty else set()
        for day in sorted(set(reports) | own_days):
            mine = frame[frame["day"] == day] if not frame.empty else frame
            told = reports.get(day, {})
            counted = day in own_days
            known = truth.known(device) and counted
            power = mine["from_power"] if counted else None
            sums = truth.counted_day(device, day, ("inward", "outward")) if counted else {}
            inward, outward = sums.get("inward"), sums.get("outward")
            charge, discharge = told.get("charge_cap", inward), told.get("discharge_cap", outward)
            slots = (start_ms(day + timedelta(days=1), plant.zone) - start_ms(day, plant.zone)) // SLOT
            usable = plant.battery.usable_kwh if plant.code == truth.fleet.home else None
            rows.append(
                {
                    "device_id": device.id,
                    "local_date": day,
                    "plant_code": plant.code,
                    "charge_energy_kwh": charge,
                    "discharge_energy_kwh": discharge,
                    "energy_source": "report" if told else "counter",
                    "charge_from_counter_kwh": inward,
                    "discharge_from_counter_kwh": outward,
                    "night_charge_from_counter_kwh": truth.night_inward(device, day) if counted else None,
                    "charge_difference_kwh": _less(told.get("charge_cap"), inward),
                    "discharge_difference_kwh": _less(told.get("discharge_cap"), outward),
                    "charge_from_power_kwh": float(power.clip(lower=0).sum()) if known else None,
                    "discharge_from_power_kwh": float((-power).clip(lower=0).sum()) if known else None,
                    "max_charge_power_kw": float(mine["power"].max()) if known else None,
                    "max_discharge_power_kw": float(-mine["power"].min()) if known else None,
                    "charging_duration_h": told.get("charge_time"),
                    "discharging_duration_h": told.get("discharge_time"),
                    "min_soc_pct": float(mine["battery_soc"].min()) if counted else None,
                    "max_soc_pct": float(mine["battery_soc"].max()) if counted else None,
                    "counter_kind": truth.counter_kind(device) if counted else None,
                    "counter_falls": 0 if counted else None,
                    "completeness": len(mine) / slots if counted else None,
                    "first_soc_pct": float(mine["battery_soc"].iloc[0]) if counted else None,
                    "last_soc_pct": float(mine["battery_soc"].iloc[-1]) if counted else None,
                    "cycles": discharge / usable if usable else None,
                    # One that went away was asked for the last time while its last day still ran.
                    "is_running": bool(told)
                    and truth.last_seen(device) < start_ms(day + timedelta(days=1), plant.zone),
                }
            )
    return rows


def _less(told: float | None, counted: float | None) -> float | None:
    return None if told is None or counted is None else told - counted


def device_reports(truth: Truth, device: Device) -> dict[date, dict[str, Any]]:
    """The daily reports of a device that the warehouse holds; their values as served at the last load, or the first."""
    return truth.once(("reports", device.id), lambda: _device_reports(truth, device))


def _device_reports(truth: Truth, device: Device) -> dict[date, dict[str, Any]]:
    plant = truth.fleet.plant(device.plant_code)
    read_at = "select local_date, epoch_ms(max(extracted_at)) from raw.device_daily where device_id = ? group by 1"
    held = dict(truth.warehouse.execute(read_at, [device.id]).fetchall())
    found = {}
    for year, month, at in {(day.year, day.month, at) for day, at in held.items()}:
        answer = truth.fleet.world(plant.code).device_days(device, year, month, at)
        days = local_dates(np.array([label for label, _ in answer]), plant.zone)
        found |= {day: items for day, (_, items) in zip(days, answer, strict=True) if held.get(day) == at}
    return found


class Trip(NamedTuple):
    """Discharge / charge over a run of days, both ends included."""

    percent: float
    since: date
    until: date


def round_trips(days: list[dict[str, Any]]) -> dict[tuple[int, date], Trip | None]:
    """Per battery and month: discharge / charge over the shortest run of 30 days whose ends are alike, per cent."""
    frame = pd.DataFrame(days)
    found: dict[tuple[int, date], Trip | None] = {}
    for device_id, mine in frame.groupby("device_id"):
        mine = mine.sort_values("local_date").reset_index(drop=True)
        mine["month"] = [day.replace(day=1) for day in mine["local_date"]]
        for month in sorted(set(mine["month"])):
            found[int(device_id), month] = None
            ends = mine[(mine["month"] == month) & mine["last_soc_pct"].notna() & ~mine["is_running"]]
            if ends.empty:
                continue
            end = ends.index[-1]
            for begun in range(end - 29, -1, -1):
                run = mine.loc[begun:end]
                whole = (run["local_date"].iloc[-1] - run["local_date"].iloc[0]).days == len(run) - 1
                if whole and abs(run["first_soc_pct"].iloc[0] - run["last_soc_pct"].iloc[-1]) <= 10:
                    charged, given = run["charge_energy_kwh"].sum(), run["discharge_energy_kwh"].sum()
                    ends = run["local_date"].iloc[[0, -1]]
                    found[int(device_id), month] = Trip(float(100 * given / charged), *ends)
                    break
    return found


def alarms(truth: Truth) -> list[dict[str, Any]]:
    """marts.fct_alarm: what the polls saw, 31 days back each; what the next one missed was cleared in between."""
    polls = [ms_of(each) for each in POLLS]
    window = 31 * 24 * HOUR
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = ("stationCode", "devName", "alarmId", "causeId", "raiseTime")
    for now in polls:
        for number, world in enumerate(truth.fleet.worlds):
            for alarm in world.alarms(now):
                mine = truth.fleet.server_of[alarm["stationCode"]] == number
                if mine and alarm["raiseTime"] >= now - window:
                    key = tuple(alarm[name] for name in names)
                    seen[key] = {"last": now, "lev": alarm["lev"]}
    rows = []
    for (code, name, alarm_id, cause_id, raised), poll in seen.items():
        # A poll that doesn't reach back to where an alarm was raised says nothing of it.
        first, last = poll["last"], min((each for each in polls if each > poll["last"]), default=0)
        cleared = last > 0 and raised >= last - window
        same = [key[4] for key in seen if key[:4] == (code, name, alarm_id, cause_id)]
        rows.append(
            {
                "plant_code": code,
                "device_name": name,
                "alarm_id": alarm_id,
                "raise_time_utc": utc_of(raised),
                "severity_code": poll["lev"],
                "is_open": not cleared,
                "cleared_after_utc": utc_of(first) if cleared else None,
                "cleared_before_utc": utc_of(last) if cleared else None,
                "open_days_at_least": (poll["last"] - raised) / (24 * HOUR),
                "time_to_clear_at_least_h": (first - raised) / HOUR if cleared else None,
                "time_to_clear_at_most_h": (last - raised) / HOUR if cleared else None,
                "repeats_in_90_days": sum(raised - 90 * 24 * HOUR <= each < raised for each in same),
            }
        )
    return rows


def fleet_now(
    truth: Truth, days: list[dict[str, Any]], spans: list[dict[str, Any]], told: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """marts.mart_fleet_now, from one poll of all plants, the days of their reports, episodes and alarms."""
    polled = dict(truth.warehouse.sql("select plant_code, epoch_ms(polled_at) from raw.plant_realtime").fetchall())
    devices = {device.id: device for device in truth.fleet.devices}
    words = {"1": "disconnected", "2": "faulty", "3": "healthy"}
    rows = []
    for plant in truth.fleet.plants:
        items = truth.fleet.world(plant.code).plant_realtime(plant, polled[plant.code])
        inverters = [truth.rows(each) for each in truth.fleet.of(plant.code, 1, 38) if each.id in truth.held]
        mine = [
            each
            for each in spans
            if each["is_open"]
            and (device := devices[each["device_id"]]).plant_code == plant.code
            # Who has spoken in the dark since is silent no more.
            and not (each["cause_group"] == "communication" and utc_of(truth.rows(device)["t"].max()) > each["end_utc"])
        ]
        down = [each["start_utc"] for each in mine if each["availability"] == "down"]
        silent = [each["start_utc"] for each in mine if each["cause_group"] == "communication"]
        alarms_open = [each for each in told if each["plant_code"] == plant.code and each["is_open"]]
        newest = max((each for each in days if each["plant_code"] == plant.code), key=lambda each: each["local_date"])
        offline = [utc_of(polled[plant.code])] * (items["real_health_state"] == "1") + silent
        rows.append(
            {
                "plant_code": plant.code,
                "polled_at_utc": utc_of(polled[plant.code]),
                "health_state": words[items["real_health_state"]],
                "health_since_utc": utc_of(polled[plant.code]),
                "yield_today_kwh": float(items["day_power"]),
                "yield_this_month_kwh": float(items["month_power"]),
                "total_yield_kwh": float(items["total_power"]),
                "revenue_today": float(items["day_income"]),
                "last_inverter_row_utc": utc_of(max(frame["t"].max() for frame in inverters)) if inverters else None,
                "inverters_down": len(down) if inverters else None,
                "down_since_utc": min(down, default=None),
                "inverters_silent": len(silent) if inverters else None,
                "is_offline": bool(offline),
                "offline_since_utc": min(offline, default=None),
                "open_alarms": len(alarms_open),
                "open_critical_alarms": sum(each["severity_code"] == 1 for each in alarms_open),
                "open_major_alarms": sum(each["severity_code"] == 2 for each in alarms_open),
                "oldest_open_alarm_utc": min((each["raise_time_utc"] for each in alarms_open), default=None),
                "last_report_date": newest["local_date"],
                "last_report_pv_energy_kwh": newest["pv_energy_kwh"],
                "last_report_specific_yield_kwh_kwp": newest["specific_yield_kwh_kwp"],
            }
        )
    return rows
