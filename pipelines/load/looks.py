"""What there is to ask for of one dataset: fresh days as they come due, the past piece by piece, earlier requests.

A look says which pieces there are, best first, and which cells of a piece are wanted and not there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final, Protocol

from pipelines.lake.coverage import ASKED, Entry
from pipelines.load.blocks import ranges
from pipelines.load.services import Services
from pipelines.load.wanting import Wanting, due_again
from pipelines.planning.again import due_on_schedule
from pipelines.planning.cells import Cell, Subject, period_of, wanted_cells
from pipelines.planning.policy import Policy
from pipelines.planning.waves import KnownWaves, Wave, due_cells, next_due, reserve, waves_change_with
from pipelines.planning.worth import (
    Piece,
    Step,
    beyond,
    followed,
    past_cells,
    pieces,
    report_lacks_data,
    scheduled,
    tier_of,
)

EVER: Final = datetime.min.replace(tzinfo=UTC)
NEVER: Final = datetime.max.replace(tzinfo=UTC)

LOOK_AGAIN: Final = timedelta(days=1)
"""When a piece is looked at again that is done but for periods that come back later: refused or empty ones."""

LOOK_AGAIN_RARELY: Final = timedelta(days=7)
"""The same where nothing comes back by itself, but something is missing for want of use."""

NO_DATA: Final = "the plant's report of that day holds no data, so its devices were not asked for"

SKIPPED_WITHOUT_REPORT: Final = frozenset({"device_history", "plant_hourly"})
"""Datasets that cost a call a day: not asked for where the day's report says that there is nothing."""

GRACE: Final = timedelta(minutes=1)
"""So much after a day has settled it is asked for: read a moment too early by the server's clock, it would only count
as provisional, and cost its calls twice."""

ASKED_LOOK_AGAIN: Final = timedelta(hours=6)
"""How often a worker that keeps up looks for what loads with dates have left undone."""

Dates = tuple[date, date]
WaveName = tuple[int | None, date, date, datetime, int, str]
"""What tells a wave from others of its dataset, from one day's reckoning to the next."""


class Look(Protocol):
    """One way of finding what is wanted of a dataset."""

    def pieces(self, now: datetime) -> Sequence[Dates]:
        """First and last local dates of the pieces to look at, best first."""
        ...

    def todo(self, piece: Dates, now: datetime, *, keep: bool = True) -> list[Cell]:
        """The cells of a piece that are wanted, due and not there; `keep` declares them in coverage."""
        ...

    def older(self, piece: Dates, now: datetime) -> list[Cell]:
        """What is wanted and not there of the days before a piece, as far as its calls may carry it for free."""
        ...

    def done_until(self, piece: Dates, now: datetime) -> datetime:
        """When a piece in which nothing is to do is worth another look."""
        ...

    def next_look(self, now: datetime) -> datetime:
        """When something new may turn up, once all pieces are done."""
        ...


@dataclass
class FreshLook:
    """Local days of the last week, as they come due."""

    services: Services
    dataset: str
    subjects: Mapping[str, Subject]
    policy: Policy
    _due: dict[Cell, datetime] = field(default_factory=dict)
    _due_until: datetime = EVER
    _cells: Mapping[WaveName, Mapping[Cell, datetime]] = field(default_factory=dict)
    _reach: Dates = (date.max, date.min)
    _declared: set[WaveName] = field(default_factory=set)
    _waves: Sequence[Wave] = ()
    _known_waves: KnownWaves = field(default_factory=dict)
    _waves_of: tuple[date, date] | None = None

    def pieces(self, now: datetime) -> Sequence[Dates]:
        """One: all that has come due."""
        return [(date.min, date.max)]

    def todo(self, piece: Dates, now: datetime, *, keep: bool = True) -> list[Cell]:
        """What has come due and wasn't read since.

        A wave is compared with coverage once. What of it was not there is declared then, so that from then on the few
        cells that aren't final tell what is to do.
        """
        now -= self._behind(now)
        due = self._due_at(now)
        if not keep:
            known = _known(self.services, self.dataset, list(due))
            return [cell for cell, due_at in due.items() if self._is_due(cell, due_at, known, now)]
        new = self._cells.keys() - self._declared
        if new:
            cells = list({cell: True for name in new for cell in self._cells[name]})
            periods = [cell.period for cell in cells]
            there = self.services.coverage.keys(self.dataset, min(periods), max(periods)) if cells else set()
            declare(self.services, [cell for cell in cells if (cell.subject, cell.period) not in there], self.subjects)
            self._declared = set(self._cells)
        if not due:
            return []
        known = self.services.coverage.not_final(self.dataset, *self._reach)
        open_ones = (Cell(self.dataset, subject, period) for subject, period in sorted(known))
        return [cell for cell in open_ones if cell in due and self._is_due(cell, due[cell], known, now)]

    def older(self, piece: Dates, now: datetime) -> list[Cell]:
        """Nothing: fresh days are one piece."""
        return []

    def _is_due(self, cell: Cell, due_at: datetime, known: Mapping[tuple[str, date], Entry], now: datetime) -> bool:
        entry = known.get((cell.subject, cell.period))
        if entry is None:
            return True
        zone = self.subjects[cell.subject].zone
        return due_on_schedule(cell, entry.state, entry.extracted_at, due_at, zone, now)

    def done_until(self, piece: Dates, now: datetime) -> datetime:
        """Until the next day comes due, or what was refused or doubted may be asked again."""
        low, high = (now - timedelta(days=40)).date(), (now + timedelta(days=1)).date()
        coming_back, _ = self.services.coverage.unsettled(self.dataset, low, high)
        again = now + timedelta(hours=6) if coming_back else NEVER
        return min(self.next_look(now), again)

    def next_look(self, now: datetime) -> datetime:
        """When the next day comes due."""
        behind = self._behind(now)
        due = next_due(self.waves(now - behind), now - behind)
        return due + behind if due else NEVER

    def reserve(self, now: datetime, window: timedelta) -> int:
        """Calls that the days that come due within a window from now will cost."""
        return reserve(self.waves(now), now, window)

    def _behind(self, now: datetime) -> timedelta:
        """How much later than by this machine's clock a day has surely settled by the server's."""
        ahead = self.services.clock.now() - min(client.server_now() for client in self.services.clients.values())
        return max(ahead, timedelta(0)) + GRACE

    def _due_at(self, now: datetime) -> Mapping[Cell, datetime]:
        """The cells that have come due; the same until the next ones do."""
        if now >= self._due_until:
            waves = self.waves(now)
            come = {_name(wave): wave for wave in waves if wave.due_at <= now}
            kept = {name: self._cells.get(name) or due_cells([wave], now) for name, wave in come.items()}
            if period_of(self.dataset) == "day":
                # Each day of a subject is in one wave: what has gone and what has come makes the difference.
                gone = [cells for name, cells in self._cells.items() if name not in kept]
                changed = [cells for name, cells in kept.items() if name not in self._cells]
            else:
                self._due, gone, changed = {}, [], list(kept.values())
            for cells in gone:
                for cell in cells:
                    self._due.pop(cell, None)
            for cells in changed:
                self._due.update(cells)
            self._cells = kept
            periods = [cell.period for cell in self._due]
            self._reach = min(periods, default=date.max), max(periods, default=date.min)
            self._due_until = next_due(waves, now) or NEVER
        return self._due

    def waves(self, now: datetime) -> Sequence[Wave]:
        """The days of the last week and those to come, by the time they come due."""
        kept_for = waves_change_with(now)
        if kept_for != self._waves_of:
            self._waves = scheduled(self.dataset, self._followed, self.policy, now, self._known_waves)
            self._waves_of, self._due_until = kept_for, EVER
        return self._waves

    @cached_property
    def _followed(self) -> Sequence[Subject]:
        """Reckoned once, while the waves change several times a day."""
        return followed(self.dataset, self.subjects.values(), self.policy)


def _name(wave: Wave) -> WaveName:
    return wave.device_type_id, wave.first, wave.last, wave.due_at, len(wave.subjects), wave.subjects[0].id


@dataclass
class PastLook:
    """What the policy wants of the past, newest first; of 5-minute data one tier of device types."""

    services: Services
    dataset: str
    step: Step
    tier: int | None
    subjects: Mapping[str, Subject]
    policy: Policy
    oldest: date | None = None
    _walked: dict[date, date] = field(default_factory=dict)
    """The last day up to which the piece that begins on a date was walked: the newest grows by a day each day."""

    def pieces(self, now: datetime) -> Sequence[Dates]:
        """Months of days, years of months."""
        return [(piece.first, piece.last) for piece in self._pieces(now)]

    def _pieces(self, now: datetime) -> list[Piece]:
        every = pieces({self.dataset: list(self.subjects.values())}, self.policy, now, self.oldest)
        return [piece for piece in every if piece.tier == self.tier]

    def todo(self, piece: Dates, now: datetime, *, keep: bool = True) -> list[Cell]:
        """What isn't there of the piece; days without data are settled without a call.

        Days that were done once are not walked again: what comes back of them is in coverage.
        """
        first, last = piece
        walked_to = self._walked.get(first)
        if walked_to is None:
            return self._walk(piece, now, keep=keep)
        coming_back = self._coming_back((first, min(walked_to, last)), now)
        if walked_to >= last:
            return coming_back
        new = self._walk((walked_to + timedelta(days=1), last), now, keep=keep)
        # The month that both parts hold is in both.
        return list(dict.fromkeys([*coming_back, *new]))

    def _walk(self, piece: Dates, now: datetime, *, keep: bool) -> list[Cell]:
        which = Piece(self.step, self.dataset, self.tier, *piece)
        cells = past_cells(which, self.subjects.values(), self.policy, now, self.oldest)
        if not cells:
            return []
        known = _known(self.services, self.dataset, cells)
        todo = [cell for cell in cells if _is_wanted(cell, known, self.subjects, now)]
        if self.dataset in SKIPPED_WITHOUT_REPORT:
            todo = self._with_data(todo, now, keep=keep)
        if keep:
            declare(self.services, [cell for cell in todo if (cell.subject, cell.period) not in known], self.subjects)
        return todo

    def older(self, piece: Dates, now: datetime) -> list[Cell]:
        """Of 5-minute data the days that the next piece begins with."""
        if self.dataset != "device_history":
            return []
        before = beyond(Piece(self.step, self.dataset, self.tier, *piece))
        return self.todo((before.first, before.last), now, keep=False)

    def _coming_back(self, piece: Dates, now: datetime) -> list[Cell]:
        known = self.services.coverage.not_final(self.dataset, *piece)
        return [
            cell
            for cell in (Cell(self.dataset, subject, period) for subject, period in sorted(known))
            if self._is_mine(cell) and _is_wanted(cell, known, self.subjects, now)
        ]

    def _is_mine(self, cell: Cell) -> bool:
        subject = self.subjects.get(cell.subject)
        if subject is None or (self.oldest and self.dataset == "device_history" and cell.period < self.oldest):
            return False
        return self.tier is None or tier_of(subject.device_type_id or 0) == self.tier

    def _with_data(self, cells: list[Cell], now: datetime, *, keep: bool) -> list[Cell]:
        """The cells but for those of days of which the plant's report holds no data: these are settled as empty."""
        days = _known(self.services, "plant_daily", cells)
        bare = {key for key, entry in days.items() if report_lacks_data(entry.state, entry.rows)}
        if not bare:
            return cells
        plant_of = {cell.subject: self.subjects[cell.subject].plant_code for cell in cells}
        if keep:
            self.services.coverage.record(
                Entry(self.dataset, cell.subject, plant_of[cell.subject], cell.period, "empty", 0, now, NO_DATA)
                for cell in cells
                if (plant_of[cell.subject], cell.period) in bare
            )
        return [cell for cell in cells if (plant_of[cell.subject], cell.period) not in bare]

    def done_until(self, piece: Dates, now: datetime) -> datetime:
        """For good, unless something of the piece comes back."""
        first, last = piece
        self._walked[first] = max(last, self._walked.get(first, last))
        coming_back, missing = self.services.coverage.unsettled(self.dataset, *piece)
        if coming_back:
            return now + LOOK_AGAIN
        return now + LOOK_AGAIN_RARELY if missing else NEVER

    def next_look(self, now: datetime) -> datetime:
        """Days become past one by one; the fresh lane has read them by then."""
        return now + LOOK_AGAIN


@dataclass
class AskedLook:
    """What earlier loads asked for by name and the quota, a fault or a kill left undone.

    Of what is missing by policy alone this is no matter: the past has it in the order of worth. What is to be read
    again on purpose the carrier of the calls has to know, too: `wanting` is told.
    """

    services: Services
    dataset: str
    subjects: Mapping[str, Subject]
    policy: Policy
    wanting: Wanting

    def pieces(self, now: datetime) -> Sequence[Dates]:
        """The dates between the first and the last such period."""
        self.wanting.forced = forced = self.services.requests.forced()
        span = self.services.coverage.span_left_undone(self.dataset, also_missing=self._without_past)
        spans = [*([span] if span else []), *(forced.spans(self.dataset) if forced else ())]
        if not spans:
            return []
        return ranges(self.dataset, min(first for first, _ in spans), max(last for _, last in spans))

    @cached_property
    def _without_past(self) -> bool:
        """Whether the policy leaves the past of any subject alone: then whatever was declared of it was asked for."""
        return any(self.policy.start(self.dataset, subject) is None for subject in self.subjects.values())

    def todo(self, piece: Dates, now: datetime, *, keep: bool = True) -> list[Cell]:
        """Declared and not there, or not read again yet."""
        known = self.services.coverage.left_undone(self.dataset, *piece, also_missing=self._without_past)
        open_ones = (Cell(self.dataset, subject, period) for subject, period in sorted(known))
        left = [
            cell
            for cell in open_ones
            if cell.subject in self.subjects
            and self._is_asked(cell, known[cell.subject, cell.period])
            and _is_wanted(cell, known, self.subjects, now)
        ]
        known_left = set(left)
        return [*left, *(cell for cell in self._forced(piece, now) if cell not in known_left)]

    def _forced(self, piece: Dates, now: datetime) -> Iterator[Cell]:
        forced = self.wanting.forced
        if forced is None:
            return
        known = self.services.coverage.states(self.dataset, None, *piece)
        for cell in wanted_cells(self.dataset, self.subjects.values(), *piece, now):
            entry = known.get((cell.subject, cell.period))
            if forced.asks_again(cell, self.subjects[cell.subject].plant_code, entry):
                yield cell

    def older(self, piece: Dates, now: datetime) -> list[Cell]:
        """Nothing: each piece by itself."""
        return []

    def _is_asked(self, cell: Cell, entry: Entry) -> bool:
        if entry.state != "missing" or entry.reason == ASKED:
            return True
        start = self.policy.start(self.dataset, self.subjects[cell.subject])
        return start is None or cell.period < start

    def done_until(self, piece: Dates, now: datetime) -> datetime:
        """Other loads may ask for more of it at any time."""
        return now + ASKED_LOOK_AGAIN

    def next_look(self, now: datetime) -> datetime:
        """Other loads may ask for something at any time."""
        return now + ASKED_LOOK_AGAIN


def declare(services: Services, cells: Sequence[Cell], subjects: Mapping[str, Subject]) -> None:
    """Write wanted cells down as missing, so that they are seen in ops.coverage and ride along in empty seats."""
    if cells:
        services.coverage.declare((c.dataset, c.subject, subjects[c.subject].plant_code, c.period) for c in cells)


def _is_wanted(
    cell: Cell, known: Mapping[tuple[str, date], Entry], subjects: Mapping[str, Subject], now: datetime
) -> bool:
    entry = known.get((cell.subject, cell.period))
    return entry is None or due_again(cell, entry, subjects[cell.subject].zone, now)


def _known(services: Services, dataset: str, cells: Sequence[Cell]) -> dict[tuple[str, date], Entry]:
    if not cells:
        return {}
    periods = [cell.period for cell in cells]
    return services.coverage.states(dataset, None, min(periods), max(periods))
