"""Carries planned calls: claims their cells, asks, lands what comes, covers it.

A cell that another process asks for just now is left to it, and one that it has brought meanwhile isn't asked again:
loads that run at once share the work instead of doubling it.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from pipelines.lake.coverage import CellKey, this_place
from pipelines.lake.decode import decode
from pipelines.lake.records import AnswerShapeError
from pipelines.load.asking import Asker, Rejected, Reply
from pipelines.load.landing import (
    Answered,
    RowsOfPeriods,
    cover,
    deny,
    keep_answered_periods,
    land_rows,
    note_side_results,
    rows_of_periods,
)
from pipelines.load.partitions import Touched
from pipelines.load.request import LoadReport
from pipelines.load.services import Services
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.errors import PlantNotAuthorized
from pipelines.northbound.lanes import Lane
from pipelines.northbound.requests import history_body, report_body
from pipelines.planning.calendar import Period, first_of, local_date_of, next_period, period_window, today
from pipelines.planning.cells import Cell, Subject, wanted_cells
from pipelines.planning.packing import HistoryCall, fill_seats
from schemas.datasets import DATASETS
from schemas.tables import Table, table_for


def new_owner() -> str:
    """A name under which one load claims cells; it tells where its process can be seen."""
    return f"{this_place()}/{os.getpid()}-{uuid.uuid4().hex[:12]}"


@dataclass
class Carrier:
    """Makes planned calls of one load happen."""

    services: Services
    asker: Asker
    wanting: Wanting
    report: LoadReport
    touched: Touched
    why: str
    owner: str = field(default_factory=new_owner)
    lane: Lane = "asked"
    reserved: int = 0
    answered: set[Cell] = field(default_factory=set)
    """Cells of the latest call that were answered or refused, also if the quota ended in the middle of it."""
    in_vain: bool = False
    """Whether the latest call asked for something and nobody answered: it failed, or no account could make it."""

    def carry(self, dataset: str, call: Call, everyone: Mapping[str, Subject]) -> int:
        """Ask for what of a call is still wanted; returns how many of its cells another process asks for just now.

        Raises:
            QuotaExhausted, EndpointRefused, LoadStopped: as `Asker.ask`; what was answered before is covered.
                It never waits for quota here, with cells claimed: others may have brought them by then.
        """
        coverage, now = self.services.coverage, self.services.clock.now()
        self.answered.clear()
        self.in_vain = False
        try:
            free = coverage.claim([_key(cell) for cell in call.cells], self.owner, now)
            mine = self._still_wanted(call, free, everyone, now)
            if mine:
                self._ask(dataset, self._refilled(dataset, call, mine, everyone, now), everyone)
                self.in_vain = not self.answered
            return len(call.cells) - len(free)
        finally:
            coverage.release(self.owner)

    def _still_wanted(
        self, call: Call, free: set[CellKey], everyone: Mapping[str, Subject], now: datetime
    ) -> list[Cell]:
        known = self.services.coverage.entries_of(free)
        return [
            cell
            for cell in call.cells
            if _key(cell) in free
            and self.wanting.is_due(cell, known.get((cell.subject, cell.period)), everyone[cell.subject], now)
        ]

    def _refilled(
        self, dataset: str, call: Call, mine: Sequence[Cell], everyone: Mapping[str, Subject], now: datetime
    ) -> Call:
        """The call with its remaining cells; seats that fell free take along what else is wanted near by."""
        if len(mine) == len(call.cells):
            return call
        cells = tuple(mine)
        kept = {cell.subject for cell in cells}
        if not isinstance(call, HistoryCall):
            return replace(call, subjects=tuple(s for s in call.subjects if s in kept), cells=cells)
        smaller = replace(call, device_ids=tuple(d for d in call.device_ids if d in kept), cells=cells)
        beside = [cell for cell in self.wanting.other_wanted(dataset, cells, everyone) if cell not in call.cells]
        beside = self.wanting.riding_along(dataset, smaller.device_ids, beside)
        (filled,) = fill_seats([smaller], beside, everyone)
        extra = filled.cells[len(cells) :]
        free = self.services.coverage.claim([_key(cell) for cell in extra], self.owner, now)
        if len(free) < len(extra):
            (filled,) = fill_seats([smaller], [cell for cell in extra if _key(cell) in free], everyone)
        return filled

    def _ask(self, dataset: str, call: Call, everyone: Mapping[str, Subject]) -> None:
        ids = call.device_ids if isinstance(call, HistoryCall) else call.subjects
        plant_of = {i: everyone[i].plant_code for i in ids}
        spec = DATASETS[dataset]
        table = table_for(dataset, call.device_type_id if spec.window == "range" else None)
        for reply in self.asker.ask(
            spec.endpoint,
            ids,
            _body_of(call, dataset),
            plant_of,
            why=self.why,
            lane=self.lane,
            reserved=self.reserved,
            may_wait=False,
        ):
            self.answered.update(cell for cell in call.cells if cell.subject in reply.subjects)
            if isinstance(reply, Rejected):
                self._reject(dataset, call, reply, everyone)
            else:
                self._land(dataset, table, call, reply, everyone)

    def _reject(self, dataset: str, call: Call, reply: Rejected, everyone: Mapping[str, Subject]) -> None:
        cells = [cell for cell in call.cells if cell.subject in reply.subjects]
        deny(self.services, dataset, cells, everyone, reply.error.describe())
        if isinstance(reply.error, PlantNotAuthorized):
            return  # told by plant
        days = sorted({cell.period for cell in cells})
        self.report.refuse(f"{dataset} {days[0]}..{days[-1]}", reply.error.describe())

    def _land(self, dataset: str, table: Table, call: Call, reply: Reply, everyone: Mapping[str, Subject]) -> None:
        subjects = {i: everyone[i] for i in reply.subjects}
        try:
            decoded = decode(
                table,
                reply.answer.data,
                subjects=self.wanting.fleet.subject_frame(subjects.values(), reply.account),
                extracted_at=reply.answer.server_time,
                account=reply.account,
            )
        except AnswerShapeError as error:
            self.report.failures.append(f"{reply.answer.endpoint}: {error}")
            return
        note_side_results(self.services, self.report, decoded)
        found = rows_of_periods(dataset, decoded.rows)
        cells = {cell for cell in call.cells if cell.subject in subjects}
        cells.update(answered_cells(dataset, call, subjects, reply.answer.server_time))
        cells.update(served_cells(dataset, call, subjects, found, reply.answer.server_time))
        answered = Answered(dataset, cells, subjects, reply.answer.server_time, blank=reply.answer.rows == 0)
        # A report's row of another period (an hour labelled by its end) lands, but covers nothing.
        history = isinstance(call, HistoryCall)
        rows = keep_answered_periods(decoded.rows, found, answered) if history else decoded.rows
        land_rows(self.services, self.report, table, rows)
        cover(self.services, self.report, found, answered)
        self.touched.note(dataset, answered.cells, subjects, rows)


def _key(cell: Cell) -> CellKey:
    return cell.dataset, cell.subject, cell.period


def _body_of(call: Call, dataset: str) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    if isinstance(call, HistoryCall):
        return lambda ids: history_body(ids, call.device_type_id, call.start, call.end)
    endpoint = DATASETS[dataset].endpoint
    return lambda ids: report_body(endpoint, ids, call.instant, device_type_id=call.device_type_id)


def answered_cells(dataset: str, call: Call, subjects: Mapping[str, Subject], now: datetime) -> Iterator[Cell]:
    """Every cell that an answer to `call` speaks for: also days of the window that nobody had asked for."""
    if isinstance(call, HistoryCall):
        first, last = call.start.date() - timedelta(days=1), call.end.date() + timedelta(days=1)
        for cell in wanted_cells(dataset, subjects.values(), first, last, now):
            window = period_window("day", cell.period, subjects[cell.subject].zone)
            if call.start <= window.start and window.end <= call.end:
                yield cell
        return
    spans: dict[tuple[date, date], list[Subject]] = {}
    for subject, span in zip(subjects.values(), _report_spans(dataset, call.instant, subjects, now), strict=True):
        spans.setdefault(span, []).append(subject)
    for (start, end), alike in spans.items():
        yield from wanted_cells(dataset, alike, start, end, now)


def served_cells(
    dataset: str, call: Call, subjects: Mapping[str, Subject], found: RowsOfPeriods, now: datetime
) -> Iterator[Cell]:
    """Whole periods that the answer holds rows of: also those before the date on which the plant says it began.

    Not those beside what a report's instant selects: a label on the midnight after a day says nothing of the next.
    """
    spans = (
        {}
        if isinstance(call, HistoryCall)
        else dict(zip(subjects, _report_spans(dataset, call.instant, subjects, now), strict=True))
    )
    for subject, period in found:
        if isinstance(call, HistoryCall):
            window = period_window("day", period, subjects[subject].zone)
            if window.start < call.start or call.end < window.end:
                continue
        elif DATASETS[dataset].window != "life":
            start, end = spans[subject]
            if not start <= period <= end:
                continue
        yield Cell(dataset, subject, period)


def _report_spans(
    dataset: str, instant: datetime, subjects: Mapping[str, Subject], now: datetime
) -> Iterator[tuple[date, date]]:
    """What `_report_span` says of each subject, reckoned once for those of one zone and age."""
    known: dict[tuple[str, date | None], tuple[date, date]] = {}
    for subject in subjects.values():
        key = subject.zone, subject.connected
        if key not in known:
            known[key] = _report_span(dataset, instant, subject, now)
        yield known[key]


def _report_span(dataset: str, instant: datetime, subject: Subject, now: datetime) -> tuple[date, date]:
    """First and last local date of the window that `instant` selects for a subject, as answered `now`."""
    local = local_date_of(instant, subject.zone)
    window = DATASETS[dataset].window
    if window == "day":
        return local, local
    if window == "life":
        # A life runs to today, whatever day of it was named.
        return subject.connected or local, max(local, today(now, subject.zone))
    grain: Period = "month" if window == "month" else "year"
    first = first_of(grain, local)
    return first, next_period(grain, first) - timedelta(days=1)
