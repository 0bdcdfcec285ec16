"""What coverage tells of a dataset: what the vendor refuses, and what was left behind."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pipelines.checks.look import LATELY, Look
from pipelines.checks.outcome import Outcome, judged
from pipelines.planning.cells import final_margin
from schemas.datasets import DATASETS

OVERDUE: Final = timedelta(days=3)
"""A provisional period is read again as soon as it has settled, within what the quota leaves: three days of it."""

STATES: Final = ("final", "provisional", "empty", "missing", "suspect", "denied")

_STATES: Final = """
select state, count(*) as periods, sum(rows)::bigint as rows, count(distinct plant_code) as plants
from ops.coverage where dataset = ? group by state
"""

_DENIED: Final = """
select plant_code, min(period) as first_period, max(period) as last_period, count(*) as periods
from ops.coverage where dataset = ? and state = 'denied' group by plant_code order by periods desc, plant_code
"""

_REFUSALS: Final = """
select fail_code, count(*) as calls, max(called_at) as last_at from ops.api_calls
where endpoint = ? and fail_code is not null and outcome not in ('rate_limited', 'system_busy')
group by fail_code order by last_at desc limit 1
"""

_BEHIND: Final = """
select plant_code, period, state, wanted, covered, extracted_at
from ops.coverage
where dataset = $dataset and (
    state = 'provisional' and period + interval 1 {unit} + to_microseconds($margin) < $now
    or state in ('missing', 'suspect') and not $at_work
)
order by period, plant_code
"""


def refused_of(dataset: str) -> Callable[[Look], Outcome]:
    """The check of what the vendor refuses of one dataset."""

    def refused(look: Look) -> Outcome:
        """Plant periods that the vendor refuses: a permission of the account, or of a plant's owner."""
        figures = states(look, dataset)
        plants = look.rows(_DENIED, dataset)
        last = look.rows(_REFUSALS, DATASETS[dataset].endpoint) if plants else []
        if last:
            figures = {**figures, "last_fail_code": last[0]["fail_code"], "last_refusal_at": last[0]["last_at"]}
        return judged(
            plants,
            figures["periods"],
            "plant periods",
            count=figures["denied"],
            good="are allowed",
            bad="are refused by the vendor",
            look="Look at `pvms status` (Refused by the vendor) for its words: an API that is not ticked for the "
            "account (401), or a plant whose owner withdrew access (20056). Both are asked again by themselves.",
            figures=figures,
        )

    return refused


def left_behind_of(dataset: str) -> Callable[[Look], Outcome]:
    """The check of what was left behind of one dataset."""
    spec = DATASETS[dataset]
    unit = spec.period if spec.period in ("day", "month", "year") else "day"

    def left_behind(look: Look) -> Outcome:
        """Plant periods that nobody is fetching any more, though they are wanted.

        Missing ones while no call for the dataset has succeeded for a day; provisional ones that could have been read
        for good OVERDUE ago. What waits for quota while calls go on is no fault.
        """
        figures = states(look, dataset)
        called = look.row(
            "select max(called_at) as at from ops.api_calls where endpoint = ? and outcome = 'ok'", spec.endpoint
        )["at"]
        at_work = called is not None and look.now - called <= LATELY
        margin = final_margin(dataset) + OVERDUE + timedelta(hours=12)  # UTC-12 ends its days last
        off = look.connection.execute(
            _BEHIND.format(unit=unit),
            {
                "dataset": dataset,
                "margin": round(margin.total_seconds() * 1_000_000),
                "now": look.now.replace(tzinfo=None),
                "at_work": at_work,
            },
        )
        names = [each[0] for each in off.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in off.fetchall()]
        return judged(
            found,
            figures["periods"],
            "plant periods",
            good="are there, settling, or being fetched",
            bad="were left behind: missing while nothing asks for them, or provisional for days too long",
            look="Look at the first line of `pvms status` for why nothing asks for them, then run `pvms load`.",
            figures={**figures, "last_call_at": called},
        )

    return left_behind


def states(look: Look, dataset: str) -> dict[str, int]:
    """Plant periods by state, rows and plants of one dataset; the partition matrix has no colour for most of them."""
    found = {each["state"]: each for each in look.rows(_STATES, dataset)}
    figures = {state: int(found[state]["periods"]) if state in found else 0 for state in STATES}
    return {
        "periods": sum(figures.values()),
        **figures,
        "rows": sum(int(each["rows"] or 0) for each in found.values()),
        "plants": max((int(each["plants"]) for each in found.values()), default=0),
    }
