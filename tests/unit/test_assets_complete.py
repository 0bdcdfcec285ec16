"""Which partitions count as complete, by day and by month, and which are told although nobody asked for them."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.lake.coverage import Coverage, Entry, State
from pipelines.load.fleet import Fleet
from pipelines.load.partitions import Partitioning, Touched, completed_partitions
from pipelines.load.request import CompletedPartition
from pipelines.planning.cells import Cell, Subject
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

NOW = datetime(2025, 6, 20, 12, tzinfo=UTC)
JUNE, MAY = date(2025, 6, 1), date(2025, 5, 1)
ZONE = "Europe/Berlin"


def fleet_of(*plants: str) -> Fleet:
    blank = pl.DataFrame(schema=polars_schema(TABLES["plants"]))
    rows = pl.DataFrame({"plant_code": plants, "time_zone": [ZONE] * len(plants)})
    devices = pl.DataFrame(schema=polars_schema(TABLES["devices"]))
    return Fleet(pl.concat([blank, rows], how="diagonal_relaxed"), devices, NOW)


@pytest.fixture
def coverage(tmp_path: Path) -> Coverage:
    return Coverage(tmp_path / "coverage.sqlite")


def cover(coverage: Coverage, plant: str, days: Iterable[date], state: State = "final", rows: int = 24) -> None:
    coverage.record(Entry("plant_hourly", plant, plant, day, state, rows, NOW, None) for day in days)


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def found(
    coverage: Coverage,
    start: date,
    end: date,
    how: Partitioning,
    plants: Collection[str] = (),
    touched: Touched | None = None,
) -> list[CompletedPartition]:
    seen = touched or Touched(how)
    return list(completed_partitions(seen, fleet_of("A", "B"), coverage, "plant_hourly", start, end, plants, NOW))


def keys(partitions: Iterable[CompletedPartition]) -> list[tuple[str, date | None]]:
    return [(each.plant_code, each.period) for each in partitions]


BY_DAY, BY_MONTH = Partitioning("day"), Partitioning("month")


@pytest.mark.parametrize("state", ["missing", "suspect", "denied"])
def test_a_day_is_complete_once_every_cell_is(coverage: Coverage, state: State) -> None:
    one, other = date(2025, 6, 3), date(2025, 6, 4)
    cover(coverage, "A", [one, other])
    cover(coverage, "B", [one], state)
    assert keys(found(coverage, one, other, BY_DAY)) == [("A", one), ("A", other)]
    cover(coverage, "B", [one], "empty", rows=0)
    assert ("B", one) in keys(found(coverage, one, other, BY_DAY))


def test_a_month_is_complete_once_all_its_days_are(coverage: Coverage) -> None:
    cover(coverage, "A", days(MAY, date(2025, 5, 30)))
    assert found(coverage, MAY, date(2025, 5, 30), BY_MONTH) == []
    cover(coverage, "A", [date(2025, 5, 31)])
    (one,) = found(coverage, date(2025, 5, 31), date(2025, 5, 31), BY_MONTH)
    assert (one.plant_code, one.period, one.rows, one.provisional) == ("A", MAY, 31 * 24, False)


def test_the_running_month_is_complete_once_all_days_that_ended_are(coverage: Coverage) -> None:
    cover(coverage, "A", days(JUNE, date(2025, 6, 18)))
    assert found(coverage, JUNE, date(2025, 6, 19), BY_MONTH) == []
    cover(coverage, "A", [date(2025, 6, 19)])
    (one,) = found(coverage, JUNE, date(2025, 6, 19), BY_MONTH)
    assert one.provisional


def test_the_month_in_which_partitions_begin_needs_no_days_before_them(coverage: Coverage) -> None:
    begin = date(2025, 5, 20)
    cover(coverage, "A", days(begin, date(2025, 5, 31)))
    assert found(coverage, begin, begin, BY_MONTH) == []
    assert keys(found(coverage, begin, begin, Partitioning("month", begin))) == [("A", MAY)]


def test_what_a_call_took_along_is_told_if_it_is_complete(coverage: Coverage) -> None:
    asked, beside = date(2025, 6, 3), date(2025, 6, 4)
    cover(coverage, "A", [asked, beside])
    cover(coverage, "B", [asked, beside])
    touched = Touched(BY_DAY)
    subjects = {"A": Subject("A", "A", None, ZONE), "B": Subject("B", "B", None, ZONE)}
    rows = pl.DataFrame({"plant_code": ["B", "B"], "local_date": [asked, beside], "value": [1.5, 2.5]})
    touched.note("plant_hourly", [Cell("plant_hourly", "B", beside)], subjects, rows)
    told = found(coverage, asked, asked, BY_DAY, plants=["A"], touched=touched)
    assert [(each.plant_code, each.period, each.touched) for each in told] == [
        ("A", asked, False),
        ("B", beside, True),
    ]
    # The sample shows rows of the partition alone.
    assert told[0].sample is None
    assert told[1].sample is not None
    assert "2.5" in told[1].sample
    assert "1.5" not in told[1].sample
