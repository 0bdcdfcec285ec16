"""Whether data are as new as they could be, by the data's own timestamps."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from pipelines.checks.look import Look, in_dates
from pipelines.checks.outcome import Outcome, judged
from pipelines.planning.calendar import today
from pipelines.planning.cells import final_margin
from schemas.tables import TABLES

LOAD_TIME: Final = timedelta(hours=12)
"""Half a day to be asked in once it can be had: the accounts' quotas are shared by all plants."""

POLL_AGE: Final = timedelta(minutes=15)
"""Three polls of five minutes: one may be lost to a busy server, and the next one late."""

POLLED_LATELY: Final = timedelta(days=1)
"""Whoever hasn't polled for a day doesn't mean to."""

_VALUES: Final = {
    "device_history": "",
    "plant_hourly": " and coalesce(pv_yield, inverter_yield, inverter_power) is not null",
    "plant_daily": " and coalesce(pv_yield, inverter_yield, inverter_power) is not null",
    "device_daily": " and coalesce(product_power, charge_cap, discharge_cap) is not null",
}
"""A report's row without a figure tells nothing: the vendor sends it for a day that hasn't begun, too."""

_NEWEST: Final = """
select coverage.plant_code, any_value(plants.time_zone) as time_zone,
    max(coverage.period) filter (where coverage.rows > 0) as newest
from ops.coverage as coverage
inner join raw.plants as plants on plants.plant_code = coverage.plant_code
where coverage.dataset = ? and coverage.state != 'denied' and plants.time_zone is not null
    and plants.retired_at is null
group by coverage.plant_code
"""


def freshness_of(dataset: str) -> Callable[[Look], Outcome]:
    """The check of a dataset that is loaded by day."""

    def freshness(look: Look) -> Outcome:
        """Plants whose newest row is older than the last local day that is over and settled."""
        known = look.rows(_NEWEST, dataset)
        dates = tuple({each["newest"] for each in known if each["newest"]})
        stamps = _newest_stamps(look, dataset, dates)
        off = []
        for each in known:
            due = _due(look, dataset, each["time_zone"])
            stamp = stamps.get(each["plant_code"])
            newest = stamp[0] if stamp else None
            if newest is None or newest < due:
                behind = (due - newest).days if newest else None
                off.append(
                    {
                        "plant_code": each["plant_code"],
                        "newest": stamp[1] if stamp else None,
                        "due": due,
                        "days_behind": behind,
                    }
                )
        off.sort(key=lambda one: (one["days_behind"] is not None, -(one["days_behind"] or 0), one["plant_code"]))
        return judged(
            off,
            len(known),
            "plants",
            good="have data of the last local day that is over and settled",
            bad="have no data of the last local day that is over and settled",
            look="Look at `pvms status` if all are behind: nothing loads. If some are, look at their communication "
            "and at ops.coverage for whether these days were asked for.",
            figures={"newest": max((each[1] for each in stamps.values()), default=None)},
        )

    return freshness


def polling_of(dataset: str) -> Callable[[Look], Outcome]:
    """The check of a dataset that is polled."""
    tables = [name for name, table in TABLES.items() if table.dataset == dataset]

    def freshness(look: Look) -> Outcome:
        """Whether the newest poll, by the server's own time, is at most POLL_AGE old while polling goes on."""
        since = (look.now - 2 * POLLED_LATELY).date()
        query = 'select max(polled_at) as at from raw."{}" where local_date >= ?'
        found = [look.row(query.format(name), since)["at"] for name in tables]
        newest: datetime | None = max((each for each in found if each), default=None)
        if newest is None or look.now - newest > POLLED_LATELY:
            return judged([], 0, "polls of the last day", good="", bad="", look="", figures={"newest": newest})
        age = look.now - newest
        late = [{"newest": newest, "minutes": round(age.total_seconds() / 60)}] if age > POLL_AGE else []
        return judged(
            late,
            1,
            "newest poll",
            good=f"at most {POLL_AGE.total_seconds() / 60:.0f} minutes old",
            bad=f"is more than {POLL_AGE.total_seconds() / 60:.0f} minutes old",
            look="Look at the last runs of the polling job, and at `pvms status` for whether the account rests.",
            figures={"newest": newest},
        )

    return freshness


def _newest_stamps(look: Look, dataset: str, dates: tuple[date, ...]) -> dict[str, tuple[date, datetime]]:
    tables = [name for name, table in TABLES.items() if table.dataset == dataset]
    parts = [
        f'select plant_code, local_date, collect_time from raw."{name}" where {in_dates("local_date", dates)}'  # noqa: S608
        f"{_VALUES[dataset]}"
        for name in tables
    ]
    found = look.rows(
        f"select plant_code, max(local_date) as day, max(collect_time) as at from ({' union all '.join(parts)}) "  # noqa: S608
        "group by plant_code"
    )
    return {each["plant_code"]: (each["day"], each["at"]) for each in found}


def _due(look: Look, dataset: str, zone: str) -> date:
    """The last local day that everybody who loads daily has by now."""
    late = look.freshness_days if dataset == "device_history" else 1
    return today(look.now - final_margin(dataset) - LOAD_TIME, zone) - timedelta(days=late)
