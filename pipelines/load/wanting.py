"""What is wanted and not there: the cells of a dataset over some dates, and the calls that carry them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from pipelines.lake.coverage import Entry
from pipelines.load.fleet import Fleet
from pipelines.load.landing import deny
from pipelines.load.request import LoadReport
from pipelines.load.selection import Block, Forced, chooser
from pipelines.load.services import Services
from pipelines.northbound.errors import PlantNotAuthorized
from pipelines.planning import again
from pipelines.planning.calendar import today
from pipelines.planning.cells import Cell, Subject, period_of, wanted_cells
from pipelines.planning.packing import HistoryCall, fill_seats, pack_history, pack_newest_first
from pipelines.planning.reports import ReportCall, pack_reports
from schemas.datasets import DATASETS

SEAT_REACH: Final = timedelta(days=2)
"""A history window has three days, so nothing further than two days from a wanted day can ride along."""

Call = HistoryCall | ReportCall


@dataclass
class Wanting:
    """Wanted minus covered, for one fleet. `forced`: also what is there and final, where it says so.

    `blocks`: what of the dates and plants is meant (empty: all). Of `refused` plants nothing is asked: they would take
    seats in vain.
    """

    services: Services
    fleet: Fleet
    report: LoadReport
    forced: Forced | None = None
    refused: Mapping[str, PlantNotAuthorized] = field(default_factory=dict)
    blocks: Sequence[Block] = ()

    def is_due(self, cell: Cell, entry: Entry | None, subject: Subject, now: datetime) -> bool:
        """Whether a wanted cell is to be asked for, as far as coverage knows it."""
        if self.forced is not None and self.forced.asks_again(cell, subject.plant_code, entry):
            return True
        return entry is None or due_again(cell, entry, subject.zone, now)

    def plan(
        self, dataset: str, todo: Collection[Cell], subjects: Mapping[str, Subject], older: Collection[Cell] = ()
    ) -> Sequence[Call]:
        """The calls that carry `todo`; history calls fill their empty seats with other wanted cells.

        `older` 5-minute data are asked for next: they ride along where that spares calls then. The subjects of a call
        share the accounts that see them, so that each of these can make it.
        """
        groups = self.fleet.by_accounts(DATASETS[dataset].endpoint, {cell.subject for cell in todo})
        if len(groups) < 2:
            return self._plan_group(dataset, todo, subjects, (), older)
        calls: list[Call] = []
        left = set(todo)
        for ids in groups:
            known = set(ids)
            mine = [cell for cell in todo if cell in left and cell.subject in known]
            calls += self._plan_group(dataset, mine, subjects, left.difference(mine), older)
            left.difference_update(cell for call in calls for cell in call.cells)
        return sorted(calls, key=lambda call: call.start if isinstance(call, HistoryCall) else call.instant)

    def _plan_group(
        self,
        dataset: str,
        todo: Collection[Cell],
        subjects: Mapping[str, Subject],
        beside: Collection[Cell],
        older: Collection[Cell],
    ) -> Sequence[Call]:
        """Calls for what the same accounts see; `beside` is wanted too, and rides along where it can."""
        if DATASETS[dataset].window != "range":
            return pack_reports(dataset, todo, subjects, self.services.clock.now())
        everyone = self.fleet.subjects(dataset)
        others = [*beside, *(c for c in self.other_wanted(dataset, todo, everyone) if c not in beside)]
        ids = {cell.subject for cell in todo}
        ahead = self.riding_along(dataset, ids, older)
        calls = pack_newest_first(todo, ahead, subjects) if ahead else pack_history(todo, subjects)
        return fill_seats(calls, self.riding_along(dataset, ids, others), everyone)

    def riding_along(self, dataset: str, ids: Collection[str], cells: Collection[Cell]) -> list[Cell]:
        """Those of the cells whose subjects are seen by every account that sees the subjects `ids`."""
        seen = self.fleet.seen_with(DATASETS[dataset].endpoint, ids)
        return [cell for cell in cells if seen is None or cell.subject in seen]

    def todo(
        self,
        dataset: str,
        subjects: Mapping[str, Subject],
        start: date,
        end: date,
        *,
        declare: bool = True,
        tell: bool = True,
    ) -> list[Cell]:
        """Wanted minus covered. `declare` writes the wanted cells down, so that later loads fill seats with them.

        `tell`: what needn't be asked is counted in the report.
        """
        now = self.services.clock.now()
        wanted = self._meant(dataset, wanted_cells(dataset, subjects.values(), start, end, now), subjects)
        if declare:
            self.services.coverage.declare(
                ((cell.dataset, cell.subject, subjects[cell.subject].plant_code, cell.period) for cell in wanted),
                asked=True,
            )
        known = self._known(dataset, wanted)
        todo = []
        for cell in wanted:
            entry = known.get((cell.subject, cell.period))
            if entry is None or self.is_due(cell, entry, subjects[cell.subject], now):
                todo.append(cell)
            elif not tell:
                continue
            elif entry.state == "provisional":
                self.report.provisional += 1
            elif entry.state == "suspect":
                self.report.suspect += 1
            elif entry.state == "denied":
                self.report.refuse_still(dataset, entry.plant_code, entry.reason or "refused")
            else:
                self.report.already_covered += 1
        return self.without_refused(dataset, todo, subjects, declare=declare)

    def _meant(self, dataset: str, wanted: list[Cell], subjects: Mapping[str, Subject]) -> list[Cell]:
        chooses = chooser(self.blocks, period_of(dataset))
        if chooses is None:
            return wanted
        return [cell for cell in wanted if chooses(subjects[cell.subject].plant_code, cell.period)]

    def without_refused(
        self, dataset: str, wanted: list[Cell], subjects: Mapping[str, Subject], *, declare: bool = True
    ) -> list[Cell]:
        """The cells but for those of refused plants; `declare` settles these as denied, until they come back.

        It is done before calls are planned: a call that goes out for the sake of what it then leaves out is wasted.
        """
        if not self.refused:
            return wanted
        rest: list[Cell] = []
        refused: dict[str, list[Cell]] = {}
        for cell in wanted:
            plant = subjects[cell.subject].plant_code
            (refused.setdefault(plant, []) if plant in self.refused else rest).append(cell)
        for plant, cells in refused.items():
            why = self.refused[plant].describe()
            self.report.refuse(f"plant {plant}", why)
            if declare:
                deny(self.services, dataset, cells, subjects, why)
        return rest

    def _known(self, dataset: str, cells: Collection[Cell]) -> Mapping[tuple[str, date], Entry]:
        if not cells:
            return {}
        periods = [cell.period for cell in cells]
        return self.services.coverage.states(dataset, None, min(periods), max(periods))

    def other_wanted(self, dataset: str, todo: Collection[Cell], everyone: Mapping[str, Subject]) -> list[Cell]:
        """Missing cells near the wanted ones: asked for earlier, or wanted by `PVMS_HISTORY_START`."""
        if not todo:
            return []
        now = self.services.clock.now()
        low = min(cell.period for cell in todo) - SEAT_REACH
        high = max(cell.period for cell in todo) + SEAT_REACH
        coverage = self.services.coverage
        open_entries, known = coverage.not_final(dataset, low, high), coverage.keys(dataset, low, high)
        start = self.services.settings.history_start
        # A history call carries devices of one type.
        types = {everyone[cell.subject].device_type_id for cell in todo}
        riders = [
            subject
            for subject in everyone.values()
            if subject.device_type_id in types and subject.plant_code not in self.refused
        ]
        mine = set(todo)

        def wanted(cell: Cell) -> bool:
            key = cell.subject, cell.period
            entry = open_entries.get(key)
            if entry is not None and entry.state == "suspect":
                return due_again(cell, entry, everyone[cell.subject].zone, now)
            if key in known:
                return entry is not None and entry.state == "missing"
            # Days that have not ended would be read again anyway, so they don't ride along unasked.
            ended = cell.period < today(now, everyone[cell.subject].zone)
            return start is not None and cell.period >= start and ended

        return [cell for cell in wanted_cells(dataset, riders, low, high, now) if cell not in mine and wanted(cell)]


def due_again(cell: Cell, entry: Entry, zone: str, now: datetime) -> bool:
    """Whether a cell that was read, refused or only declared is to be asked for (again)."""
    return again.due_again(cell, entry.state, entry.extracted_at, zone, now)
