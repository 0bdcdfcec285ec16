"""The checks of `pipelines.checks` in Dagster: in the UI, in runs of the assets they are about, and after each publish.

A verdict after a publish is recorded if it is news: another one than the latest, or the first of a day. So a load in
which all is as it was costs no events.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final, cast

import dagster as dg

from assets.resources import RESOURCE, Pvms
from pipelines.checks.catalog import CHECKS, Check
from pipelines.checks.outcome import Outcome, Row
from pipelines.checks.run import run_checks
from pipelines.lake.errors import NoWarehouse
from pipelines.northbound.clock import SystemClock

OP: Final = "published_checks"

REPEATED_AFTER_SECONDS: Final = 24 * 3600
"""A verdict that stays is said again once a day, so that the UI shows that somebody still looks."""

BY_KEY: Final[Mapping[dg.AssetCheckKey, Check]] = {
    dg.AssetCheckKey(dg.AssetKey(list(each.asset)), each.name): each for each in CHECKS
}


def build() -> list[dg.AssetChecksDefinition]:
    """All checks as one op, so that they share one connection; any of them can be selected."""

    @dg.multi_asset_check(
        name=OP,
        specs=[
            dg.AssetCheckSpec(each.name, asset=dg.AssetKey(list(each.asset)), description=each.description)
            for each in CHECKS
        ],
        can_subset=True,
        required_resource_keys={RESOURCE},
    )
    def published_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        pvms: Pvms = context.resources.pvms
        selected = [check for key, check in BY_KEY.items() if key in context.selected_asset_check_keys]
        try:
            for check, outcome in run_checks(pvms.settings, now_of(pvms), selected):
                yield dg.AssetCheckResult(
                    asset_key=dg.AssetKey(list(check.asset)),
                    check_name=check.name,
                    passed=outcome.passed,
                    severity=dg.AssetCheckSeverity[outcome.severity],
                    description=outcome.sentence,
                    metadata=outcome_metadata(outcome),
                )
        except NoWarehouse as error:
            raise dg.Failure(description=f"{error} The checks look at what was published.") from error

    return [published_checks]


def record_checks(context: dg.OpExecutionContext | dg.AssetExecutionContext, pvms: Pvms, *, published: bool) -> int:
    """Run checks on what is published and record what is news, and what this run has announced; how many those are.

    `published`: something new was, so that all checks are run. Else only those are that the run has announced: Dagster
    skips the step of an asset's checks, since a loaded partition is an event and no output of a step.
    """
    latest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(BY_KEY))
    announced = _announced(context)
    checks = [check for key, check in BY_KEY.items() if published or key in announced]
    recorded = 0
    for check, outcome in run_checks(pvms.settings, now_of(pvms), checks) if checks else ():
        key = dg.AssetCheckKey(dg.AssetKey(list(check.asset)), check.name)
        known = latest.get(key)
        if known is not None and key not in announced and not _is_news(outcome, known):
            continue
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=outcome.passed,
            severity=dg.AssetCheckSeverity[outcome.severity],
            description=outcome.sentence,
            metadata=outcome_metadata(outcome),
        )
        # Dagster's annotation leaves out what its code accepts.
        context.log_event(cast("Any", evaluation))
        recorded += 1
    return recorded


def _announced(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> set[dg.AssetCheckKey]:
    """The checks that Dagster has planned in this run. The latest plan of a check may be another run's."""
    planned = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    records = context.instance.get_records_for_run(context.run.run_id, of_type=planned).records
    events = [record.event_log_entry.dagster_event for record in records]
    return {event.asset_check_planned_data.asset_check_key for event in events if event} & BY_KEY.keys()


def outcome_metadata(outcome: Outcome) -> dict[str, Any]:
    """Exact counts, figures, and the sample as a table."""
    metadata: dict[str, Any] = {"count": outcome.count, "looked_at": outcome.looked_at, "unit": outcome.unit}
    metadata |= {name: shown(value) for name, value in outcome.figures.items() if value is not None}
    if outcome.sample:
        metadata["sample"] = table_of(outcome.sample)
    return metadata


def table_of(rows: tuple[Row, ...]) -> dg.MetadataValue:
    """Rows of like columns as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in rows)]
    return dg.MetadataValue.md("\n".join("| " + " | ".join(cells) + " |" for cells in lines))


def shown(value: Any) -> Any:
    """A figure as Dagster shows it best."""
    if isinstance(value, datetime):
        return dg.MetadataValue.timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def now_of(pvms: Pvms) -> datetime:
    """The instant of the home's clock."""
    return (pvms.clock or SystemClock()).now()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
    return text.replace("|", "/").replace("\n", " ")


def _is_news(outcome: Outcome, record: Any) -> bool:
    if record.event is None:
        return True
    said = record.event.dagster_event.event_specific_data
    if not isinstance(said, dg.AssetCheckEvaluation):
        return True
    same = (said.passed, said.severity.name, said.description) == (outcome.passed, outcome.severity, outcome.sentence)
    return not same or time.time() - record.create_timestamp > REPEATED_AFTER_SECONDS
