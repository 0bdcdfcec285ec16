"""What was asked for by dates is kept until it is there: after a quota, after a kill, and if it is read again."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_load_odd_answers import House, hours, plant

from pipelines.lake.coverage import Coverage, Entry
from pipelines.load.request import LoadReport, LoadRequest, UsageError, Waiting, WorkRequest
from pipelines.load.request_table import RequestTable, left_of, requests_due, settle_requests, table_file
from pipelines.load.run import run_load
from pipelines.load.selection import Block, ForcedBlocks, blocks_of, chooser
from pipelines.load.work import run_work
from pipelines.planning.cells import Cell

NOW = datetime(2026, 6, 10, tzinfo=UTC)
DAYS = (date(2026, 5, 1), date(2026, 5, 20))
LATER = NOW + timedelta(hours=9)


@pytest.fixture
def table(tmp_path: Path) -> RequestTable:
    return RequestTable(table_file(tmp_path))


@pytest.fixture
def coverage(tmp_path: Path) -> Coverage:
    return Coverage(tmp_path / "state" / "coverage.sqlite")


def entry(period: date, read_at: datetime = NOW, plant: str = "P1") -> Entry:
    return Entry("plant_hourly", plant, plant, period, "final", 24, read_at)


def test_a_request_comes_back_as_it_was(table: RequestTable) -> None:
    blocks = blocks_of({"P1": [DAYS], "P2": [DAYS], "P3": [(DAYS[0], DAYS[0])]})
    assert blocks == (Block(("P1", "P2"), *DAYS), Block(("P3",), DAYS[0], DAYS[0]))
    request = LoadRequest(
        *DAYS, ("plant_hourly",), ("P1", "P2", "P3"), force=True, force_since=NOW, why="x", blocks=blocks
    )
    asked = table.note(request, NOW, "backfill/plant_hourly")
    assert asked.request == request
    assert table.note(LoadRequest(*DAYS), LATER, asked.id) == asked, "of two runs of a backfill the first one counts"
    assert [each.id for each in RequestTable(table.path).unfinished()] == [asked.id]


def test_days_that_touch_are_one_block() -> None:
    day = timedelta(days=1)
    single = [(DAYS[0] + n * day, DAYS[0] + n * day) for n in (2, 0, 1, 5)]
    assert blocks_of({"P": single}) == (
        Block(("P",), DAYS[0], DAYS[0] + 2 * day),
        Block(("P",), DAYS[0] + 5 * day, DAYS[0] + 5 * day),
    )


def test_a_diagonal_means_no_rectangle() -> None:
    chooses = chooser((Block(("P1",), date(2026, 5, 1), date(2026, 5, 3)), Block(("P2",), DAYS[1], DAYS[1])), "day")
    assert chooses is not None
    meant = [(plant, day) for plant in ("P1", "P2") for day in (2, 20) if chooses(plant, date(2026, 5, day))]
    assert meant == [("P1", 2), ("P2", 20)]
    assert chooser((), "day") is None
    every = chooser((Block((), date(2026, 5, 20), DAYS[1]),), "month")
    assert every is not None
    assert every("anyone", date(2026, 5, 1)), "a block that begins within a month means that month"


def test_it_waits_until_nothing_is_left(table: RequestTable, coverage: Coverage) -> None:
    asked = table.note(LoadRequest(*DAYS, ("plant_hourly",), ("P1",)), NOW)
    assert asked.is_due(NOW)
    coverage.declare(("plant_hourly", plant, plant, day) for plant in ("P1", "P2") for day in DAYS)
    assert left_of(asked, coverage) == 2, "P2 isn't asked for"
    table.settle(asked.id, NOW, 2, 2, LATER)
    (waiting,) = table.unfinished()
    assert (waiting.state, waiting.periods, waiting.calls, waiting.next_at) == ("waiting", 2, 2, LATER)
    assert not waiting.is_due(NOW)
    assert waiting.is_due(LATER)

    coverage.record([entry(DAYS[0])])
    settle_requests(table, coverage, LoadReport(waiting=[Waiting("plant_hourly", 1, 1, LATER)]), NOW)
    (waiting,) = table.unfinished()
    assert (waiting.periods, waiting.calls) == (1, 1)
    coverage.record([entry(DAYS[1])])
    settle_requests(table, coverage, LoadReport(), NOW)
    assert table.unfinished() == []
    done = table.get(asked.id)
    assert done is not None
    assert done.state == "done"
    table.note(LoadRequest(*DAYS), NOW + timedelta(days=31))
    assert table.get(asked.id) is None, "kept for a while only"


def test_what_is_read_again_on_purpose_is_left_until_it_was_read_since(table: RequestTable, coverage: Coverage) -> None:
    coverage.record([entry(day, NOW - timedelta(days=3)) for day in DAYS])
    request = LoadRequest(*DAYS, ("plant_hourly",), ("P1",), force=True, force_since=NOW)
    asked = table.note(request, NOW)
    assert left_of(asked, coverage) == 2
    forced = table.forced()
    assert isinstance(forced, ForcedBlocks)
    assert forced.spans("plant_hourly") == [DAYS]
    assert forced.spans("plant_daily") == []
    cell = Cell("plant_hourly", "P1", DAYS[0])
    assert forced.asks_again(cell, "P1", entry(DAYS[0], NOW))
    assert not forced.asks_again(cell, "P2", entry(DAYS[0], NOW))
    assert not forced.asks_again(cell, "P1", entry(DAYS[0], NOW + timedelta(seconds=1)))
    coverage.record([entry(day, NOW + timedelta(hours=1)) for day in DAYS])
    assert left_of(asked, coverage) == 0
    table.settle(asked.id, NOW, 1)
    settle_requests(table, coverage, LoadReport(), NOW)
    assert table.forced() is None


def test_the_vendor_may_refuse_to_be_read_again(table: RequestTable, coverage: Coverage) -> None:
    coverage.record([entry(DAYS[0], NOW - timedelta(days=3))])
    asked = table.note(LoadRequest(*DAYS, ("plant_hourly",), force=True, force_since=NOW), NOW)
    table.settle(asked.id, NOW, 1)
    settle_requests(table, coverage, LoadReport(), NOW + timedelta(days=13))
    assert len(table.unfinished()) == 1
    settle_requests(table, coverage, LoadReport(), NOW + timedelta(days=15))
    assert table.unfinished() == []


def test_a_home_without_requests_is_asked_without_making_anything(tmp_path: Path) -> None:
    assert not requests_due(tmp_path, NOW)
    assert list(tmp_path.iterdir()) == []


# --- With a desk that answers ---


class Counting:
    """Answers hours of the day that is asked for; keeps the days of May, which nobody asks for by himself."""

    def __init__(self) -> None:
        self.days: list[int] = []

    def __call__(self, body: Mapping[str, Any]) -> list[Any] | int:
        asked = datetime.fromtimestamp(body["collectTime"] / 1000, UTC)
        if asked.month == 5:
            self.days.append(asked.day)
        return hours(0, 23)(body)


def may(first: int, last: int, **other: Any) -> LoadRequest:
    return LoadRequest(date(2026, 5, first), date(2026, 5, last), ("plant_hourly",), **other)


def load(house: House, request: LoadRequest) -> LoadReport:
    with house.services() as services:
        return run_load(request, services, build=False)


def work(house: House) -> LoadReport:
    with house.services() as services:
        return run_work(services, request=WorkRequest(), build=False)


@pytest.fixture
def desk() -> Counting:
    return Counting()


@pytest.fixture
def house(tmp_path: Path, desk: Counting) -> House:
    return House(tmp_path, getKpiStationHour=desk)


def test_a_load_that_is_there_leaves_no_request(house: House, table: RequestTable) -> None:
    assert load(house, may(1, 2)).exit_code == 0
    with pytest.raises(UsageError):
        load(house, may(1, 1, plants=("nobody",)))
    assert table.unfinished() == []


def test_a_killed_load_is_gone_on_with_by_the_worker(house: House, desk: Counting, table: RequestTable) -> None:
    load(house, may(1, 1))
    # What a process leaves behind that was killed before it had looked at its dates.
    table.note(may(2, 3), house.clock.now())
    assert requests_due(house.home, house.clock.now())
    work(house)
    assert sorted(desk.days) == [1, 2, 3]
    assert table.unfinished() == []
    assert not requests_due(house.home, house.clock.now())


def test_the_worker_reads_again_what_was_asked_for_on_purpose_once(
    house: House, desk: Counting, table: RequestTable
) -> None:
    load(house, may(1, 3))
    house.clock.advance(60)
    table.note(may(1, 2, force=True), house.clock.now())
    for seconds in (60, 7200):
        house.clock.advance(seconds)
        work(house)
        assert sorted(desk.days) == [1, 1, 2, 2, 3]
        assert table.unfinished() == []


def test_runs_of_one_backfill_read_again_on_purpose_once_together(house: House, desk: Counting) -> None:
    load(house, may(1, 3))
    house.clock.advance(60)
    launched_at = house.clock.now()
    house.clock.advance(60)
    for _ in range(2):
        load(house, may(1, 3, force=True, force_since=launched_at))
    assert sorted(desk.days) == [1, 1, 2, 2, 3, 3]


def test_only_the_blocks_are_asked_for(house: House, desk: Counting) -> None:
    ends = tuple(Block(("P1",), date(2026, 5, day), date(2026, 5, day)) for day in (1, 4))
    load(house, may(1, 4, blocks=ends))
    assert sorted(desk.days) == [1, 4]


def test_a_plant_that_is_listed_no_more_stops_no_load_of_others(house: House, desk: Counting) -> None:
    listed = [plant(), plant("P2")]
    house.desk.handlers["stations"] = lambda _: listed
    load(house, may(1, 1))
    listed.pop()
    house.clock.advance(2 * 86_400)
    report = load(house, may(2, 2, plants=("P1", "P2")))
    assert [refusal.what for refusal in report.refusals] == ["plant P2"]
    assert sorted(desk.days) == [1, 2]
    calls = house.desk.calls.total()
    assert load(house, may(3, 3, plants=("P2",))).exit_code == 4
    assert house.desk.calls.total() == calls, "nothing of it is asked, nor of all the others"
    with pytest.raises(UsageError, match="P3"):
        load(house, may(3, 3, plants=("P2", "P3")))
