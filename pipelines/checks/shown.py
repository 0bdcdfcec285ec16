"""What is worth a picture: the power of a day, and the states of the newest plant days."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from pipelines.checks.look import Look

PLANTS_DRAWN: Final = 4
"""More lines can't be told apart in a small picture; the rest is one line."""

STEP_MINUTES: Final = 15
"""Means of three readings: what the eye sees of a day, in a third of the bytes."""

DAYS_LISTED: Final = 14
PLANTS_LISTED: Final = 12

_NEWEST: Final = """
select max(period) as day from ops.coverage where dataset = 'device_history' and state = 'final' and rows > 0
"""

_POWER: Final = """
with readings as (
    select plant_code, device_id, local_date, local_time, active_power_kw
    from staging.stg_device_history_string_inverter
    union all
    select plant_code, device_id, local_date, local_time, active_power_kw
    from staging.stg_device_history_residential_inverter
),
steps as (
    select plant_code, device_id, time_bucket(interval {step} minutes, local_time) as step, avg(active_power_kw) as kw
    from readings where local_date = date '{day}' and active_power_kw is not null group by all
)
select coalesce(any_value(plants.plant_name), steps.plant_code) as name,
    extract(hour from step) + extract(minute from step) / 60 as hour, sum(kw) as kw
from steps left join raw.plants as plants on plants.plant_code = steps.plant_code
group by steps.plant_code, step
order by steps.plant_code, step
"""

_STATES: Final = """
select coverage.plant_code, any_value(plants.plant_name) as plant_name, coverage.period as day,
    any_value(coverage.state) as state
from ops.coverage as coverage left join raw.plants as plants on plants.plant_code = coverage.plant_code
where coverage.dataset = ? and coverage.period > ?::date - {days}
group by coverage.plant_code, coverage.period
order by coverage.plant_code, coverage.period
"""

_NEWEST_OF: Final = "select max(period) as day from ops.coverage where dataset = ?"

_RANK: Final = ("denied", "missing", "suspect", "provisional", "empty", "final")


@dataclass(frozen=True, slots=True)
class DayPower:
    """AC power of a local day by plant: (hour of the local day, kW) in steps of STEP_MINUTES, largest plant first."""

    day: date
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]
    energy_kwh: float


@dataclass(frozen=True, slots=True)
class States:
    """State of each plant's newest days: plants with most trouble first; a state is None where nothing is wanted."""

    dataset: str
    days: tuple[date, ...]
    plants: tuple[tuple[str, tuple[str | None, ...]], ...]
    left_out: int


def power_of_newest_day(look: Look) -> DayPower | None:
    """The newest local day whose 5-minute data were read for good; None before the first."""
    day = look.row(_NEWEST)["day"]
    if day is None:
        return None
    lines: dict[str, list[tuple[float, float]]] = {}
    for each in look.rows(_POWER.format(day=day, step=STEP_MINUTES)):
        lines.setdefault(each["name"], []).append((float(each["hour"]), float(each["kw"])))
    if not lines:
        return None
    by_energy = sorted(lines.items(), key=lambda one: -sum(kw for _, kw in one[1]))
    energy = sum(kw for _, points in by_energy for _, kw in points) * STEP_MINUTES / 60
    drawn = [(name, tuple(points)) for name, points in by_energy[:PLANTS_DRAWN]]
    rest = by_energy[PLANTS_DRAWN:]
    if rest:
        summed: dict[float, float] = {}
        for _, points in rest:
            for hour, kw in points:
                summed[hour] = summed.get(hour, 0.0) + kw
        name = rest[0][0] if len(rest) == 1 else f"{len(rest)} others"
        drawn.append((name, tuple(sorted(summed.items()))))
    return DayPower(day, tuple(drawn), energy)


def newest_states(look: Look, dataset: str) -> States:
    """The states of a dataset's newest DAYS_LISTED periods, for at most PLANTS_LISTED plants."""
    newest = look.row(_NEWEST_OF, dataset)["day"]
    found = look.rows(_STATES.format(days=DAYS_LISTED), dataset, newest) if newest else []
    days = tuple(sorted({each["day"] for each in found}))
    by_plant: dict[str, dict[date, str]] = {}
    names: dict[str, str] = {}
    for each in found:
        by_plant.setdefault(each["plant_code"], {})[each["day"]] = each["state"]
        names[each["plant_code"]] = each["plant_name"] or each["plant_code"]
    order = sorted(by_plant, key=lambda code: (*(-list(by_plant[code].values()).count(s) for s in _RANK[:4]), code))
    rows = tuple((names[code], tuple(by_plant[code].get(day) for day in days)) for code in order[:PLANTS_LISTED])
    return States(dataset, days, rows, max(0, len(order) - PLANTS_LISTED))
