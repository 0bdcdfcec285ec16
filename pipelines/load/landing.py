"""Lands decoded answers: good rows to a part, bad ones to quarantine, what they showed to drift, then coverage."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from pipelines.lake.coverage import Entry, State
from pipelines.lake.records import Decoded
from pipelines.lake.validate import validate
from pipelines.load.request import LoadReport
from pipelines.load.services import Services
from pipelines.planning.again import DOUBTED_FOR
from pipelines.planning.cells import Cell, Subject, final_margin, is_final, period_of
from schemas.datasets import DATASETS
from schemas.tables import Table

_BLANK_SINCE: Final = "answered with nothing at all since "


def note_side_results(services: Services, report: LoadReport, decoded: Decoded) -> None:
    """Keep what an answer held beside its good rows, and count it."""
    if not decoded.quarantine.is_empty():
        services.lake.quarantine(decoded.quarantine)
        report.quarantined += decoded.quarantine.height
    if not decoded.drift.is_empty():
        services.lake.note_drift(decoded.drift, services.clock.now())
        by_kind = dict(decoded.drift.group_by("kind").agg(pl.col("cells").sum()).iter_rows())
        report.unreadable_cells += by_kind.get("unreadable_cell", 0)
        report.implausible_values += by_kind.get("implausible_value", 0)


def land_rows(services: Services, report: LoadReport, table: Table, rows: pl.DataFrame) -> None:
    """Make good rows durable as a landing part."""
    if rows.is_empty():
        return
    services.lake.land(table, validate(table, rows))
    report.rows[table.name] = report.rows.get(table.name, 0) + rows.height


@dataclass(frozen=True, slots=True)
class Answered:
    """The cells that one answer speaks for, with their subjects, and when the server said so.

    `blank`: it was a success without a single record.
    """

    dataset: str
    cells: Collection[Cell]
    subjects: Mapping[str, Subject]
    read_at: datetime
    blank: bool = False


RowsOfPeriods = Mapping[tuple[str, date], int]
"""How many rows an answer holds, by subject and local date (the first of the period)."""


def rows_of_periods(dataset: str, rows: pl.DataFrame) -> RowsOfPeriods:
    """Count the rows of each period of each subject."""
    counted = rows.group_by(pl.col(subject_column(dataset)).cast(pl.String).alias("subject"), "local_date").len()
    return {(subject, day): n for subject, day, n in counted.iter_rows()}


def keep_answered_periods(rows: pl.DataFrame, found: RowsOfPeriods, answered: Answered) -> pl.DataFrame:
    """Rows of the answered cells alone.

    A history window that serves several zones cuts through some local days; half a day would look like a gap,
    so only whole days are kept. They are asked again when they are wanted.
    """
    allowed = {(cell.subject, cell.period) for cell in answered.cells}
    return rows if found.keys() <= allowed else only_periods(rows, answered.dataset, allowed)


def only_periods(rows: pl.DataFrame, dataset: str, periods: Collection[tuple[str, date]]) -> pl.DataFrame:
    """Rows of these subjects and local dates."""
    allowed = pl.DataFrame(
        list(periods), schema={"_subject": pl.String(), "local_date": pl.Date()}, orient="row"
    ).unique()
    return (
        rows.with_columns(pl.col(subject_column(dataset)).cast(pl.String).alias("_subject"))
        .join(allowed, on=["_subject", "local_date"], how="semi")
        .drop("_subject")
    )


def cover(services: Services, report: LoadReport, found: RowsOfPeriods, answered: Answered) -> None:
    """Record what the answered cells are now: final, empty, provisional or suspect."""
    period, margin = period_of(answered.dataset), final_margin(answered.dataset)
    # A server whose clock is ahead must not settle a period that runs on.
    read_at = min(answered.read_at, services.clock.now())
    doubts = _doubts(services, answered)
    # Many cells of an answer share their zone and period.
    settled: dict[tuple[str, date], bool] = {}
    entries = []
    counts: Counter[State] = Counter()
    for cell in answered.cells:
        known = answered.subjects[cell.subject]
        key = known.zone, cell.period
        if key not in settled:
            settled[key] = is_final(period, cell.period, known.zone, read_at, margin)
        n = found.get((cell.subject, cell.period), 0)
        doubt = doubts.get(cell) if doubts and settled[key] else None
        state: State = "provisional" if not settled[key] else "suspect" if doubt else "final" if n else "empty"
        counts[state] += 1
        entries.append(
            Entry(answered.dataset, cell.subject, known.plant_code, cell.period, state, n, answered.read_at, doubt)
        )
    report.provisional += counts["provisional"]
    report.empty += counts["empty"]
    report.suspect += counts["suspect"]
    services.coverage.record(entries)
    report.cells[answered.dataset] = report.cells.get(answered.dataset, 0) + len(entries)


def _doubts(services: Services, answered: Answered) -> Mapping[Cell, str]:
    """Why cells of a blank answer aren't taken for empty yet.

    Servers are known to answer so when a permission is gone, and when they fail inside. So nothing at all counts
    once a second reading, a day later, says the same. An answer that holds data of others is believed at once, and
    so is one about subjects that never had data, once they were found empty.
    """
    if not answered.blank:
        return {}
    silent = services.coverage.silent(answered.dataset, {cell.subject for cell in answered.cells})
    mine = [cell for cell in answered.cells if cell.subject not in silent]
    known = services.coverage.entries_of([(cell.dataset, cell.subject, cell.period) for cell in mine])
    doubts = {}
    for cell in mine:
        entry = known.get((cell.subject, cell.period))
        if entry is not None and entry.state in ("final", "empty"):
            continue
        since = _blank_since(entry) or answered.read_at
        if answered.read_at - since < DOUBTED_FOR:
            doubts[cell] = f"{_BLANK_SINCE}{since.isoformat()}"
    return doubts


def _blank_since(entry: Entry | None) -> datetime | None:
    """When a suspect cell was first answered with nothing."""
    if entry is None or entry.state != "suspect" or not (entry.reason or "").startswith(_BLANK_SINCE):
        return None
    return datetime.fromisoformat((entry.reason or "").removeprefix(_BLANK_SINCE))


def deny(
    services: Services, dataset: str, cells: Collection[Cell], subjects: Mapping[str, Subject], reason: str
) -> None:
    """Record that the vendor refuses these cells for good."""
    now = services.clock.now()
    services.coverage.record(
        Entry(
            dataset=dataset,
            subject=cell.subject,
            plant_code=subjects[cell.subject].plant_code,
            period=cell.period,
            state="denied",
            rows=0,
            extracted_at=now,
            reason=reason,
        )
        for cell in cells
    )


def subject_column(dataset: str) -> str:
    """The raw column that identifies a dataset's subject."""
    return "device_id" if DATASETS[dataset].subject == "device" else "plant_code"
