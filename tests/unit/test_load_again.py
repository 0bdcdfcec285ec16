"""When a cell that is known already is asked for again: never for nothing, never too late."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.lake.coverage import Entry, State
from pipelines.load.wanting import due_again
from pipelines.planning.cells import Cell

DAY = date(2026, 6, 10)
ENDED = datetime(2026, 6, 10, 22, tzinfo=UTC)  # local midnight in Berlin


def due(dataset: str, state: State, read_at: datetime, now: datetime) -> bool:
    period = DAY if dataset != "plant_monthly" else DAY.replace(day=1)
    entry = Entry(dataset, "NE=1", "NE=1", period, state, 1, read_at)
    return due_again(Cell(dataset, "NE=1", period), entry, "Europe/Berlin", now)


@pytest.mark.parametrize(
    ("dataset", "minutes", "expected"),
    [
        ("plant_daily", 59, False),
        ("plant_daily", 60, True),
        ("plant_monthly", 719, False),
        ("plant_monthly", 720, True),
    ],
)
def test_a_running_period_is_read_again_only_now_and_then(dataset: str, minutes: int, expected: bool) -> None:
    read_at = datetime(2026, 6, 10, 8, tzinfo=UTC)
    assert due(dataset, "provisional", read_at, read_at + timedelta(minutes=minutes)) is expected


def test_a_period_that_has_settled_since_is_read_again_at_once() -> None:
    settles = ENDED + timedelta(hours=6)
    read_at = settles - timedelta(minutes=2)
    assert not due("plant_daily", "provisional", read_at, settles - timedelta(minutes=1))
    assert due("plant_daily", "provisional", read_at, settles)


def test_an_empty_day_is_asked_for_daily_until_late_data_can_no_longer_come() -> None:
    early, late = ENDED + timedelta(days=1), ENDED + timedelta(days=7)
    assert not due("device_history", "empty", early, early + timedelta(hours=23))
    assert due("device_history", "empty", early, early + timedelta(hours=24))
    assert not due("device_history", "empty", late, late + timedelta(days=30))


def test_a_suspect_period_is_asked_again_after_hours_and_an_old_one_after_a_day() -> None:
    fresh, old = ENDED + timedelta(hours=2), ENDED + timedelta(days=20)
    assert [due("device_history", "suspect", fresh, fresh + timedelta(hours=h)) for h in (5, 6)] == [False, True]
    assert [due("device_history", "suspect", old, old + timedelta(hours=h)) for h in (23, 24)] == [False, True]


@pytest.mark.parametrize(("state", "expected"), [("final", False), ("missing", True)])
def test_other_states(state: State, expected: bool) -> None:
    assert due("plant_daily", state, ENDED, ENDED + timedelta(days=100)) is expected
