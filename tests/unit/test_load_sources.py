"""A source of calls: one that failed keeps its place, or goes behind the others, and nothing is planned anew for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipelines.lake.coverage import Coverage
from pipelines.load.looks import NEVER, Dates
from pipelines.load.request import LoadReport
from pipelines.load.sources import Source
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.errors import PlantNotAuthorized
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.reports import ReportCall

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLANTS = {code: Subject(code, code, None, "Europe/Rome") for code in ("A", "B", "C")}


@dataclass
class Planner:
    """Plans a call for each cell, and counts how often it is asked."""

    plans: int = 0

    def without_refused(
        self, dataset: str, wanted: list[Cell], subjects: Mapping[str, Subject], *, declare: bool = True
    ) -> list[Cell]:
        return wanted

    def plan(
        self, dataset: str, todo: Collection[Cell], subjects: Mapping[str, Subject], older: Collection[Cell] = ()
    ) -> Sequence[Call]:
        self.plans += 1
        return [ReportCall(dataset, None, (cell.subject,), NOW, (cell,)) for cell in todo]


@dataclass
class OnePiece:
    """A look whose one piece holds what wasn't done yet."""

    left: list[Cell] = field(default_factory=lambda: [Cell("plant_daily", code, date(2026, 6, 9)) for code in PLANTS])

    def pieces(self, now: datetime) -> Sequence[Dates]:
        return [(date.min, date.max)]

    def todo(self, piece: Dates, now: datetime, *, keep: bool = True) -> list[Cell]:
        return list(self.left)

    def older(self, piece: Dates, now: datetime) -> list[Cell]:
        return []

    def done_until(self, piece: Dates, now: datetime) -> datetime:
        return NEVER

    def next_look(self, now: datetime) -> datetime:
        return NEVER


def a_source() -> tuple[Source, Planner]:
    planner: Any = Planner()
    return Source("plant_daily, fresh", "plant_daily", "fresh", planner, PLANTS, OnePiece()), planner


def subject_of(call: Call | None) -> str | None:
    return call.cells[0].subject if call else None


def test_a_call_that_failed_goes_again_after_its_rest_and_the_plan_stays() -> None:
    source, planner = a_source()
    failed = source.next_call(NOW)
    assert failed is not None
    source.retry(failed, NOW + 5 * MINUTE, last=False)
    assert source.next_call(NOW + 4 * MINUTE) is None, "it rests, though calls are planned"
    assert source.next_call(NOW + 5 * MINUTE) == failed
    assert planner.plans == 1


def test_one_that_fails_again_lets_the_others_go_first() -> None:
    source, planner = a_source()
    failed = source.next_call(NOW)
    assert failed is not None
    source.retry(failed, NOW, last=True)
    order = [subject_of(source.next_call(NOW)) for _ in PLANTS]
    assert order == ["B", "C", "A"]
    assert planner.plans == 1


def test_an_answer_that_settles_nothing_makes_the_source_rest() -> None:
    source, planner = a_source()
    for _ in PLANTS:
        call = source.next_call(NOW)
        assert call is not None
        source.went_out(call, NOW)
    assert source.next_call(NOW) is None, "the same calls are planned, and went out a moment ago"
    assert (planner.plans, source.idle_until) == (2, NOW + 60 * MINUTE)


def test_a_refused_plant_is_left_out_before_calls_are_planned(tmp_path: Path) -> None:
    """A call that went out for the sake of its due days would go without them."""
    coverage = Coverage(tmp_path / "coverage.sqlite")
    clock = SimpleNamespace(now=lambda: NOW)
    services: Any = SimpleNamespace(coverage=coverage, clock=clock)
    fleet: Any = SimpleNamespace(by_accounts=lambda endpoint, ids: [ids])
    refused: dict[str, PlantNotAuthorized] = {}
    report = LoadReport()
    wanting = Wanting(services, fleet, report, refused=refused)
    look = OnePiece()
    source = Source("plant_daily, fresh", "plant_daily", "fresh", wanting, PLANTS, look)
    refused["B"] = PlantNotAuthorized("no consent", code=20056, endpoint="getKpiStationDay")

    call = source.next_call(NOW)
    assert call is not None and {cell.subject for cell in call.cells} == {"A", "C"}
    states = coverage.states("plant_daily", None, date(2026, 6, 1), date(2026, 6, 30))
    assert {key: entry.state for key, entry in states.items()} == {("B", date(2026, 6, 9)): "denied"}
    assert [refusal.what for refusal in report.refusals] == ["plant B"]

    look.left = [cell for cell in look.left if cell.subject == "B"]
    assert source.next_call(NOW) is None, "what is left of it alone makes no call"
    refused.clear()
    anew = Source("plant_daily, fresh", "plant_daily", "fresh", wanting, PLANTS, look)
    assert subject_of(anew.next_call(NOW)) == "B"
