"""Loads the datasets that have a past: wanted minus covered, packed into calls, asked, landed, covered."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl

from pipelines.lake.coverage import Entry
from pipelines.lake.decode import decode
from pipelines.lake.records import AnswerShapeError
from pipelines.load.asking import Asker, EndpointRefused, Rejected, Reply
from pipelines.load.fleet import Fleet
from pipelines.load.landing import (
    Answered,
    cover,
    deny,
    keep_answered_periods,
    land_rows,
    note_side_results,
    subject_column,
)
from pipelines.load.partitions import Touched
from pipelines.load.request import LoadReport, LoadRequest, Waiting
from pipelines.load.services import Services
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.requests import history_body, report_body
from pipelines.planning.calendar import Period, first_of, local_date_of, next_period, period_window, today
from pipelines.planning.cells import Cell, Subject, final_margin, is_final, period_of, wanted_cells
from pipelines.planning.packing import HistoryCall, fill_seats, pack_history
from pipelines.planning.reports import ReportCall, pack_reports
from schemas.datasets import DATASETS
from schemas.tables import Table, table_for

FOLD_EVERY_PARTS: Final = 200
"""Landing parts are folded into the lake after this many calls, so that a long backfill shows early."""

DENIED_FOR: Final = timedelta(days=1)
"""What the vendor refused is asked again after a day: an owner may have allowed it meanwhile."""

REREAD_AFTER: Final = {"day": timedelta(hours=1), "month": timedelta(hours=12), "year": timedelta(hours=12)}
"""How old a reading of a running period must be before a load spends a call on a newer one."""

LATE_DATA_FOR: Final = timedelta(days=7)
"""An empty period is asked again until then: a logger that was offline sends what it kept when it is back."""

EMPTY_REREAD_AFTER: Final = timedelta(days=1)

SEAT_REACH: Final = timedelta(days=2)
"""A history window has three days, so nothing further than two days from a wanted day can ride along."""

Call = HistoryCall | ReportCall
Ending = QuotaExhausted | EndpointRefused
Progress = Callable[[str, int, int], None]


@dataclass
class PeriodicLoad:
    """One load of the datasets with a past over one fleet."""

    services: Services
    request: LoadRequest
    fleet: Fleet
    asker: Asker
    report: LoadReport
    progress: Progress
    touched: Touched

    def run(self, dataset: str, start: date, end: date) -> Ending | None:
        """Load one dataset over `start`..`end` as far as the quota goes; returns what ended it early, if anything did.

        Raises:
            LoadStopped: no further call makes sense.
        """
        subjects = self.fleet.subjects(dataset, self.request.plants)
        todo = self.todo(dataset, subjects, start, end)
        calls = self.plan(dataset, todo, subjects)
        everyone = self.fleet.subjects(dataset)
        for done, call in enumerate(calls):
            self.progress(dataset, done, len(calls))
            try:
                self._carry(dataset, call, everyone)
            except (QuotaExhausted, EndpointRefused) as ending:
                self._leave(dataset, calls[done:], everyone, ending)
                return ending
            if self.services.lake.pending_parts() >= FOLD_EVERY_PARTS:
                self.services.lake.fold()
        self.progress(dataset, len(calls), len(calls))
        return None

    def leave(self, dataset: str, start: date, end: date, ending: Ending) -> None:
        """Note what of `start`..`end` stays undone because an earlier range of the dataset ended so."""
        subjects = self.fleet.subjects(dataset, self.request.plants)
        calls = self.plan(dataset, self.todo(dataset, subjects, start, end), subjects)
        if calls:
            self._leave(dataset, calls, self.fleet.subjects(dataset), ending)

    def _leave(self, dataset: str, calls: Sequence[Call], everyone: Mapping[str, Subject], ending: Ending) -> None:
        cells = [cell for call in calls for cell in call.cells]
        if isinstance(ending, QuotaExhausted):
            self.report.wait_for(Waiting(dataset, len(calls), len(cells), ending.next_at))
        else:
            self.report.refuse(dataset, ending.error.describe())
            deny(self.services, dataset, cells, everyone, ending.error.describe())

    def plan(self, dataset: str, todo: Collection[Cell], subjects: Mapping[str, Subject]) -> Sequence[Call]:
        """The calls that carry `todo`; history calls fill their empty seats with other wanted cells."""
        now = self.services.clock.now()
        if DATASETS[dataset].window != "range":
            return pack_reports(dataset, todo, subjects, now)
        calls = pack_history(todo, subjects)
        everyone = self.fleet.subjects(dataset)
        return fill_seats(calls, self._other_wanted(dataset, todo, everyone), everyone)

    def todo(
        self, dataset: str, subjects: Mapping[str, Subject], start: date, end: date, *, declare: bool = True
    ) -> list[Cell]:
        """Wanted minus covered. `declare` writes the wanted cells down, so that later loads fill seats with them."""
        now = self.services.clock.now()
        wanted = wanted_cells(dataset, subjects.values(), start, end, now)
        if declare:
            self.services.coverage.declare(
                (cell.dataset, cell.subject, subjects[cell.subject].plant_code, cell.period) for cell in wanted
            )
        if self.request.force:
            return wanted
        known = self._known(dataset, wanted)
        todo = []
        for cell in wanted:
            entry = known.get((cell.subject, cell.period))
            if entry is None or due_again(cell, entry, subjects[cell.subject].zone, now):
                todo.append(cell)
            elif entry.state == "provisional":
                self.report.provisional += 1
            elif entry.state == "denied":
                self._report_denied(dataset, entry)
            else:
                self.report.already_covered += 1
        return todo

    def _report_denied(self, dataset: str, entry: Entry) -> None:
        what = dataset if entry.plant_code is None else f"{dataset} of plant {entry.plant_code}"
        self.report.refuse(what, f"{entry.reason or 'refused'} It is asked again a day after the refusal.")

    def _known(self, dataset: str, cells: Collection[Cell]) -> Mapping[tuple[str, date], Entry]:
        if not cells:
            return {}
        periods = [cell.period for cell in cells]
        return self.services.coverage.states(dataset, None, min(periods), max(periods))

    def _other_wanted(self, dataset: str, todo: Collection[Cell], everyone: Mapping[str, Subject]) -> list[Cell]:
        """Missing cells near the wanted ones: asked for earlier, or wanted by `PVMS_HISTORY_START`."""
        if not todo:
            return []
        now = self.services.clock.now()
        low = min(cell.period for cell in todo) - SEAT_REACH
        high = max(cell.period for cell in todo) + SEAT_REACH
        known = self.services.coverage.states(dataset, None, low, high)
        start = self.services.settings.history_start
        near = wanted_cells(dataset, everyone.values(), low, high, now)
        mine = set(todo)

        def wanted(cell: Cell) -> bool:
            entry = known.get((cell.subject, cell.period))
            if entry is not None:
                return entry.state in ("missing", "suspect")
            # Days that have not ended would be read again anyway, so they don't ride along unasked.
            ended = cell.period < today(now, everyone[cell.subject].zone)
            return start is not None and cell.period >= start and ended

        return [cell for cell in near if cell not in mine and wanted(cell)]

    def _carry(self, dataset: str, call: Call, everyone: Mapping[str, Subject]) -> None:
        ids = call.device_ids if isinstance(call, HistoryCall) else call.subjects
        plant_of = {i: everyone[i].plant_code for i in ids}
        spec = DATASETS[dataset]
        table = table_for(dataset, call.device_type_id if spec.window == "range" else None)
        asked: set[str] = set()
        for reply in self.asker.ask(spec.endpoint, ids, _body_of(call, dataset), plant_of, why=self.request.why):
            asked.update(reply.subjects)
            if isinstance(reply, Rejected):
                self._reject(dataset, call, reply, everyone)
            else:
                self._land(dataset, table, call, reply, everyone)
        refused = {i for i in ids if plant_of[i] in self.asker.refused_plants} - asked
        if refused:
            cells = [cell for cell in call.cells if cell.subject in refused]
            error = self.asker.refused_plants[plant_of[next(iter(refused))]]
            deny(self.services, dataset, cells, everyone, error.describe())

    def _reject(self, dataset: str, call: Call, reply: Rejected, everyone: Mapping[str, Subject]) -> None:
        cells = [cell for cell in call.cells if cell.subject in reply.subjects]
        deny(self.services, dataset, cells, everyone, reply.error.describe())
        days = sorted({cell.period for cell in cells})
        self.report.refuse(f"{dataset} {days[0]}..{days[-1]}", reply.error.describe())

    def _land(self, dataset: str, table: Table, call: Call, reply: Reply, everyone: Mapping[str, Subject]) -> None:
        subjects = {i: everyone[i] for i in reply.subjects}
        try:
            decoded = decode(
                table,
                reply.answer.data,
                subjects=self.fleet.subject_frame(subjects.values()),
                extracted_at=reply.answer.server_time,
                account=self.services.client.account,
            )
        except AnswerShapeError as error:
            self.report.failures.append(f"{reply.answer.endpoint}: {error}")
            return
        note_side_results(self.services, self.report, decoded)
        cells = {cell for cell in call.cells if cell.subject in subjects}
        cells.update(answered_cells(dataset, call, subjects, reply.answer.server_time))
        cells.update(served_cells(dataset, call, subjects, decoded.rows, reply.answer.server_time))
        answered = Answered(dataset, cells, subjects, reply.answer.server_time)
        # A report's row of another period (an hour labelled by its end) lands, but covers nothing.
        rows = keep_answered_periods(decoded.rows, answered) if isinstance(call, HistoryCall) else decoded.rows
        land_rows(self.services, self.report, table, rows)
        cover(self.services, self.report, rows, answered)
        self.touched.note(dataset, answered.cells, subjects, rows)


def due_again(cell: Cell, entry: Entry, zone: str, now: datetime) -> bool:
    """Whether a cell that was read, refused or only declared is to be asked for (again).

    A provisional period is asked again once it is over and settled, before that only now and then: its figures grow
    all the time, and each look costs a call.
    """
    age = now - entry.extracted_at
    period = period_of(cell.dataset)
    if entry.state == "provisional":
        return age >= REREAD_AFTER[period] or is_final(period, cell.period, zone, now, final_margin(cell.dataset))
    if entry.state == "denied":
        return age >= DENIED_FOR
    if entry.state == "empty":
        read_late = entry.extracted_at >= period_window(period, cell.period, zone).end + LATE_DATA_FOR
        return not read_late and age >= EMPTY_REREAD_AFTER
    return entry.state in ("missing", "suspect")


def _body_of(call: Call, dataset: str) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    if isinstance(call, HistoryCall):
        return lambda ids: history_body(ids, call.device_type_id, call.start, call.end)
    endpoint = DATASETS[dataset].endpoint
    return lambda ids: report_body(endpoint, ids, call.instant, device_type_id=call.device_type_id)


def answered_cells(dataset: str, call: Call, subjects: Mapping[str, Subject], now: datetime) -> Iterator[Cell]:
    """Every cell that an answer to `call` speaks for: also days of the window that nobody had asked for."""
    if isinstance(call, HistoryCall):
        first = call.start - timedelta(days=1)
        for subject in subjects.values():
            for cell in wanted_cells(dataset, [subject], first.date(), call.end.date() + timedelta(days=1), now):
                window = period_window("day", cell.period, subject.zone)
                if call.start <= window.start and window.end <= call.end:
                    yield cell
        return
    for subject in subjects.values():
        start, end = _report_span(dataset, call.instant, subject, now)
        yield from wanted_cells(dataset, [subject], start, end, now)


def served_cells(
    dataset: str, call: Call, subjects: Mapping[str, Subject], rows: pl.DataFrame, now: datetime
) -> Iterator[Cell]:
    """Whole periods that the answer holds rows of: also those before the date on which the plant says it began.

    Not those beside what a report's instant selects: a label on the midnight after a day says nothing of the next.
    """
    found = rows.select(pl.col(subject_column(dataset)).cast(pl.String), "local_date").unique()
    for subject, period in found.iter_rows():
        if isinstance(call, HistoryCall):
            window = period_window("day", period, subjects[subject].zone)
            if window.start < call.start or call.end < window.end:
                continue
        elif DATASETS[dataset].window != "life":
            start, end = _report_span(dataset, call.instant, subjects[subject], now)
            if not start <= period <= end:
                continue
        yield Cell(dataset, subject, period)


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
