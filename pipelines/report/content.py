"""What the page says: figures with the reason beside each that can't be had. Pure, but for the queries it calls."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, Final

from pipelines.report.sources import BILLS, BY_DAY, CELLS, FEWEST_PEERS, PEERS_KM, PLANTS, Figures, Row

MOST_PLANTS: Final = 60
"""Rows of the calendar and of the ranking; of a larger fleet those that need looking at."""

MOST_ALARMS: Final = 50

PEER_RATIO: Final = "peer_yield_ratio"
"""What `kpi_gaps` calls the yield against that of the plants around."""


@dataclass
class Content:
    """Everything that the page shows."""

    start: date
    end: date
    made_at: datetime
    published_at: datetime | None
    plants: list[Row]
    days: list[Row]
    calendar: list[Row]
    calendar_days: list[date]
    alarms: list[Row]
    totals: Row
    money: list[Row]
    bills: list[Row]
    inverters: list[Row]
    inverters_seen: bool
    gaps: list[tuple[str, str, int]]
    batteries: list[Row]
    ranked: list[Row] = field(default_factory=list)
    before: Row | None = None

    @property
    def left_out(self) -> int:
        """Plants of the ranking that the page has no room for."""
        return len(self.plants) - len(self.ranked)


def content_of(figures: Figures, before: Figures, start: date, end: date) -> Content:
    """Ask everything; `before` holds as many days before `start`."""
    plants = [_with_owner(row) for row in figures.rows(PLANTS)]
    days = _every_day(figures.rows(BY_DAY), start, end)
    cells = figures.rows(CELLS)
    _against_peers(plants, figures.peer_ratios())
    _against_clear_sky(plants)
    plants.sort(key=_rank)
    calendar_days = [each["local_date"] for each in days]
    return Content(
        start=start,
        end=end,
        made_at=datetime.now(UTC),
        published_at=figures.published(),
        plants=plants,
        days=days,
        calendar=_calendar(plants, cells, calendar_days),
        calendar_days=calendar_days,
        alarms=figures.alarms(),
        totals=_totals(plants, days),
        money=_money(plants),
        bills=figures.rows(BILLS),
        inverters=_inverters(plants),
        inverters_seen=any(each["availability_days"] or each["days_read"] for each in plants),
        gaps=_gaps(plants),
        batteries=_batteries(plants, figures.round_trips()),
        ranked=_ranked(plants),
        before=_change(plants, before.rows(PLANTS)),
    )


def _with_owner(row: Row) -> Row:
    owner = {key: value for key, value in json.loads(row.pop("owner") or "{}").items() if value is not None}
    return {**row, "owner": owner, "name": row["plant_name"] or row["plant_code"]}


def _every_day(rows: Sequence[Row], start: date, end: date) -> list[Row]:
    known = {row["local_date"]: row for row in rows}
    dates = (start + timedelta(days=number) for number in range((end - start).days + 1))
    return [known.get(day, {"local_date": day, "plants": 0, "plants_with_energy": 0}) for day in dates]


def _against_peers(plants: Sequence[Row], ratios: Mapping[str, float]) -> None:
    for each in plants:
        each["peer_ratio_pct"] = 100 * ratios[each["plant_code"]] if each["plant_code"] in ratios else None
        each["peer_gap"] = None
        if each["peer_ratio_pct"] is None:
            known = each["latitude"] is not None and (each["latitude"], each["longitude"]) != (0, 0)
            few = f"fewer than {FEWEST_PEERS} others with a yield within {PEERS_KM} km"
            told = [reason for figure, reason in _reasons(each) if figure == PEER_RATIO]
            each["peer_gap"] = told[0] if told else few if known else "the plant's coordinates are unknown"


def _against_clear_sky(plants: Sequence[Row]) -> None:
    """Why there is no ratio to the clear-sky energy, where there is none: the mart's reason, else what it lacks."""
    for each in plants:
        each["clear_sky_gap"] = None
        if each["clear_sky_pct"] is None:
            told = [reason for figure, reason in _reasons(each) if figure == "clear_sky_energy"]
            lacks = "no PV energy" if not each["days_with_energy"] else "the sun did not rise"
            each["clear_sky_gap"] = told[0] if told else lacks


def _reasons(plant: Row) -> list[tuple[str, str]]:
    """What `kpi_gaps` says of a plant's days: figure and reason, each pair once."""
    parts = [part.split(": ", 1) for part in (plant["kpi_gaps"] or "").split("; ") if ": " in part]
    return list(dict.fromkeys((figure, reason) for figure, reason in parts))


def _rank(plant: Row) -> tuple[bool, float, str]:
    """By specific yield a day, the best first; plants without one last."""
    days = plant["days_with_energy"]
    value = plant["specific_yield_kwh_kwp"]
    plant["yield_a_day"] = value / days if value is not None and days else None
    return plant["yield_a_day"] is None, -(plant["yield_a_day"] or 0.0), plant["name"]


def _ranked(plants: Sequence[Row]) -> list[Row]:
    """All plants, or the best and the worst of a fleet that is too large for a page."""
    if len(plants) <= MOST_PLANTS:
        return list(plants)
    return [*plants[: MOST_PLANTS // 2], *plants[-MOST_PLANTS // 2 :]]


def _totals(plants: Sequence[Row], days: Sequence[Row]) -> Row:
    names = [
        "pv_energy_kwh",
        "feed_in_energy_kwh",
        "purchased_energy_kwh",
        "consumption_kwh",
        "battery_charged_energy_kwh",
        "battery_discharged_energy_kwh",
        "self_used_pv_energy_kwh",
        "pv_behind_meter_kwh",
        "p0_kwp",
    ]
    totals = {name: _sum(each[name] for each in plants) for name in names}
    used, behind = totals["self_used_pv_energy_kwh"], totals["pv_behind_meter_kwh"]
    yields = [each["yield_a_day"] for each in plants if each["yield_a_day"] is not None]
    wanted = sum(each["days"] for each in plants)
    return {
        **totals,
        "self_consumption_pct": 100 * used / behind if used is not None and behind else None,
        "median_yield_a_day": median(yields) if yields else None,
        "plant_days": wanted,
        "plant_days_with_energy": sum(each["days_with_energy"] for each in plants),
        "provisional_days": sum(each["provisional_days"] for each in plants),
        "best_day": max((each for each in days if each.get("pv_energy_kwh")), key=_energy, default=None),
    }


def _energy(row: Row) -> float:
    return float(row["pv_energy_kwh"])


def _sum(values: Any) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _change(plants: Sequence[Row], earlier: Sequence[Row]) -> Row | None:
    """Energy against the days before, over the plants that have every day of both; None without one."""
    known = {each["plant_code"]: each for each in earlier}
    pairs = [
        (each, known[each["plant_code"]])
        for each in plants
        if each["plant_code"] in known
        and each["days"] == each["days_with_energy"] == known[each["plant_code"]]["days_with_energy"]
    ]
    before = sum(other["pv_energy_kwh"] for _, other in pairs)
    if not pairs or not before:
        return None
    now = sum(each["pv_energy_kwh"] for each, _ in pairs)
    return {"plants": len(pairs), "change_pct": 100 * (now / before - 1)}


def _money(plants: Sequence[Row]) -> list[Row]:
    """The vendor's revenue by currency; where the owner names none, in that of the management system."""
    found: dict[str, Row] = {}
    for each in plants:
        if each["revenue"] is None:
            continue
        currency = str(each["owner"].get("currency") or "")
        names = ("revenue_days", "revenue", "revenue_of_energy", "energy_with_revenue_kwh")
        row = found.setdefault(currency, {"currency": currency, "plants": 0, **dict.fromkeys(names, 0)})
        row["plants"] += 1
        for name in names:
            row[name] += each[name] or 0
    return sorted(found.values(), key=lambda row: row["currency"])


def _inverters(plants: Sequence[Row]) -> list[Row]:
    """Plants whose inverters were down or held back, those that lost most first."""
    names = ("lost_energy_kwh", "curtailed_energy_kwh", "clipped_energy_kwh")
    struck = [each for each in plants if each["inverter_down_h"] or any(each[name] for name in names)]
    return sorted(struck, key=lambda each: -sum(each[name] or 0.0 for name in names))[:MOST_PLANTS]


def _gaps(plants: Sequence[Row]) -> list[tuple[str, str, int]]:
    """Why a figure is missing somewhere: figure, reason, number of plants; the most frequent first."""
    counted: Counter[tuple[str, str]] = Counter()
    for each in plants:
        counted.update((figure.replace("_", " "), reason) for figure, reason in _reasons(each))
        if each["peer_gap"] and (PEER_RATIO, each["peer_gap"]) not in _reasons(each):
            counted[PEER_RATIO.replace("_", " "), each["peer_gap"]] += 1
    return [(figure, reason, number) for (figure, reason), number in counted.most_common()]


def _batteries(plants: Sequence[Row], round_trips: Mapping[str, Sequence[float]]) -> list[Row]:
    """Plants with a battery, what it took and gave, and the round trip of each of their batteries."""
    return [{**each, "round_trips": round_trips.get(each["plant_code"], [])} for each in plants if each["has_battery"]]


STATES: Final = {
    "good": "complete",
    "part": "with holes",
    "soon": "may still change",
    "none": "nothing received",
    "deny": "refused by the vendor",
    "calm": "energy only, no 5-minute rows read",
    "dusk": "5-minute rows are there, daylight isn't known",
}
"""Kinds of cells in the calendar and their words."""


def _calendar(plants: Sequence[Row], cells: Sequence[Row], days: Sequence[date]) -> list[Row]:
    """A row per plant with the kind of each day; of a large fleet the plants with most to look at."""
    by_plant: dict[str, dict[date, Row]] = {}
    for cell in cells:
        by_plant.setdefault(cell["plant_code"], {})[cell["local_date"]] = cell
    rows = []
    for plant in plants:
        mine = by_plant.get(plant["plant_code"], {})
        kinds = [_kind(mine.get(day)) for day in days]
        rows.append({"name": plant["name"], "cells": list(zip(days, kinds, strict=True)), "bad": _bad(kinds)})
    if len(rows) > MOST_PLANTS:
        rows = sorted(rows, key=lambda row: -row["bad"])[:MOST_PLANTS]
    return rows


def _bad(kinds: Sequence[str]) -> int:
    return sum(kind in ("none", "part", "deny") for kind in kinds)


def _kind(cell: Row | None) -> str:
    if cell is None:
        return "none"
    if "denied" in (cell["report_state"], cell["history_state"]):
        return "deny"
    if cell["pv_energy_kwh"] is None and cell["inverter_completeness"] is None:
        return "none"
    if cell["is_provisional"]:
        return "soon"
    if cell["inverter_completeness"] is None:
        return "dusk" if cell["history_state"] in ("final", "provisional") else "calm"
    return "good" if cell["inverter_completeness"] >= 0.95 else "part"
