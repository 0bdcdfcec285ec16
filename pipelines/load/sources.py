"""Where a worker's calls come from: one source per dataset and lane, which plans a piece of its dates at a time.

A source gives its calls one by one, newest first, and knows when looking again is worth it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pipelines.load.looks import EVER, NEVER, Dates, Look
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.lanes import Lane
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.packing import HistoryCall
from schemas.datasets import DATASETS

SAME_AGAIN: Final = timedelta(hours=1)
"""A call that is planned anew so soon after it went out has taught nothing: the source rests that long."""


@dataclass
class Source:
    """The calls of one dataset in one lane about what the same accounts see. `everyone`: all subjects that may ride
    along; `plants`: those that it is about.

    `idle_until`: before then there is nothing to ask for.
    """

    name: str
    dataset: str
    lane: Lane
    wanting: Wanting
    everyone: Mapping[str, Subject]
    look: Look
    plants: frozenset[str] = frozenset()
    idle_until: datetime = EVER
    made: int = 0
    calls: deque[Call] = field(default_factory=deque)
    _done: dict[Dates, datetime] = field(default_factory=dict)
    _carried: dict[tuple[Cell, ...], datetime] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The endpoint that answers the dataset."""
        return DATASETS[self.dataset].endpoint

    def next_call(self, now: datetime) -> Call | None:
        """The next planned call; None when there is nothing to ask for before `idle_until`."""
        if now < self.idle_until:
            return None
        if not self.calls:
            self._plan(now)
        if not self.calls:
            return None
        call = self.calls.popleft()
        if now - self._carried.get(call.cells, EVER) < SAME_AGAIN:
            self.rest_until(now + SAME_AGAIN)
            return None
        return call

    def went_out(self, call: Call, now: datetime) -> None:
        """Remember a call for a while, so that an answer that settles nothing isn't asked for again and again."""
        self._carried = {cells: at for cells, at in self._carried.items() if now - at < SAME_AGAIN}
        self._carried[call.cells] = now
        self.made += 1

    def put_back(self, call: Call) -> None:
        """Keep a call that could not go out now for the next time."""
        self.calls.appendleft(call)

    def retry(self, call: Call, instant: datetime, *, last: bool) -> None:
        """Keep a call that failed for later, and give nothing before an instant; `last`: after all others."""
        if last:
            self.calls.append(call)
        else:
            self.calls.appendleft(call)
        self.idle_until = instant

    def rest_until(self, instant: datetime) -> None:
        """Give nothing before an instant, and plan anew then: others hold what is left, or nobody may ask."""
        self.calls.clear()
        self.idle_until = instant

    def remaining(self, now: datetime, counted: set[Cell]) -> tuple[int, int]:
        """Calls and cells that are still to be asked for, but for those `counted` elsewhere; adds its own to these.

        Calls beyond the first piece are reckoned from its own. Nothing is declared: what is declared counts as asked
        for by name, and would pass over the order of worth.
        """
        calls, cells, planned = len(self.calls), 0, 0
        for piece in self.look.pieces(now):
            if self._done.get(piece, now) <= now:
                todo = [cell for cell in self.look.todo(piece, now, keep=False) if cell not in counted]
                counted.update(todo)
                if todo and not cells:
                    calls = len(self.wanting.plan(self.dataset, todo, self.everyone))
                    planned = len(todo)
                cells += len(todo)
        return (-(-calls * cells // planned) if planned else calls), cells

    def _plan(self, now: datetime) -> None:
        self._done = {piece: until for piece, until in self._done.items() if until > now}
        for piece in self.look.pieces(now):
            if piece in self._done:
                continue
            todo = self.wanting.without_refused(self.dataset, self.look.todo(piece, now), self.everyone)
            if todo:
                older = self.wanting.without_refused(
                    self.dataset, self.look.older(piece, now), self.everyone, declare=False
                )
                planned = self.wanting.plan(self.dataset, todo, self.everyone, older)
                self.calls.extend(sorted(planned, key=_end_of, reverse=True))
                return
            self._done[piece] = self.look.done_until(piece, now)
        self.idle_until = min(self.look.next_look(now), min(self._done.values(), default=NEVER))


def _end_of(call: Call) -> datetime:
    return call.end if isinstance(call, HistoryCall) else call.instant
