"""Coverage: the latest answer per cell, refusals that hide nothing, and the roll-up that ops.coverage shows."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

from pipelines.lake.coverage import Coverage, Entry, this_place
from pipelines.lake.durable import lives
from pipelines.lake.errors import DiskFull
from pipelines.sqlite_file import SqliteFile
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

DAY = date(2026, 3, 28)
AT = datetime(2026, 3, 29, 5, 6, 7, 890123, tzinfo=UTC)


def entry(subject="1", state="final", *, day=DAY, rows=288, at=AT, plant="NE=1", dataset="device_history", reason=None):
    return Entry(dataset, subject, plant, day, state, rows, at, reason)


@pytest.fixture
def coverage(tmp_path):
    return Coverage(tmp_path / "state" / "coverage.sqlite")


def state_of(coverage, subject="1"):
    return coverage.states("device_history", [subject], DAY, DAY)[subject, DAY].state


def test_what_is_recorded_comes_back_to_the_microsecond(coverage):
    known = entry(state="denied", reason="401: no permission", rows=0)
    coverage.record([known])
    assert coverage.states("device_history", None, DAY, DAY) == {("1", DAY): known}
    assert Coverage(coverage.path).states("device_history", ["1"], DAY, DAY) == {("1", DAY): known}


def test_states_are_those_of_the_dataset_the_subjects_and_the_range_both_ends_included(coverage):
    days = [DAY + timedelta(days=number) for number in range(5)]
    coverage.record(entry(subject, day=day) for subject in ("1", "2") for day in days)
    coverage.record([entry("1", dataset="plant_hourly")])
    found = coverage.states("device_history", {"2"}, days[1], days[3])
    assert sorted(found) == [("2", day) for day in days[1:4]]
    assert coverage.states("device_history", [], DAY, days[-1]) == {}


def test_the_latest_answer_counts_whatever_the_order_of_recording(tmp_path):
    answers = [
        entry(state="provisional", rows=100),
        entry(state="suspect", rows=0, at=AT + timedelta(hours=1)),
        entry(state="final", rows=288, at=AT + timedelta(hours=2)),
    ]
    for number, order in enumerate(permutations(answers)):
        coverage = Coverage(tmp_path / f"{number}.sqlite")
        for each in order:
            coverage.record([each])
        assert coverage.states("device_history", None, DAY, DAY)["1", DAY] == answers[-1]


@pytest.mark.parametrize("settled", ["final", "empty"])
def test_a_refusal_never_hides_what_was_settled(coverage, settled):
    coverage.record([entry(state=settled)])
    coverage.record([entry(state="denied", rows=0, at=AT + timedelta(days=1))])
    assert state_of(coverage) == settled


def test_a_refusal_of_a_provisional_period_shows_and_keeps_its_rows(coverage):
    coverage.record([entry(state="provisional", rows=100)])
    coverage.record([entry(state="denied", rows=0, at=AT + timedelta(days=1), reason="20056")])
    known = coverage.states("device_history", None, DAY, DAY)["1", DAY]
    assert (known.state, known.rows, known.reason) == ("denied", 100, "20056")
    coverage.record([entry(state="final", at=AT + timedelta(days=2))])
    assert coverage.states("device_history", None, DAY, DAY)["1", DAY].reason is None


def test_declaring_wanted_cells_never_forgets_what_is_known(coverage):
    coverage.record([entry("1")])
    coverage.declare([("device_history", "1", "NE=1", DAY), ("device_history", "2", "NE=1", DAY)])
    assert state_of(coverage, "1") == "final"
    assert state_of(coverage, "2") == "missing"
    coverage.record([entry("1", "missing", rows=0)])
    assert state_of(coverage, "1") == "final"
    coverage.record([entry("2", "provisional", at=datetime(2020, 1, 1, tzinfo=UTC))])
    assert state_of(coverage, "2") == "provisional"


def test_only_what_an_answer_since_then_called_empty_is_taken_back(coverage):
    later = AT + timedelta(hours=1)
    coverage.record(
        [
            entry("new", "empty", rows=0, at=later),
            entry("old", "empty", rows=0),
            entry("rows", "final", at=later),
            entry("told", "empty", rows=0, at=later, reason="the plant's report holds no data"),
            entry("other", "empty", rows=0, at=later, plant="NE=2"),
            entry("alarms", "empty", rows=0, at=later, dataset="alarms"),
        ]
    )
    assert coverage.disbelieve("NE=1", AT, ["device_history"]) == 1
    states = {subject: one.state for (subject, _), one in coverage.states("device_history", None, DAY, DAY).items()}
    assert states == {"new": "missing", "old": "empty", "rows": "final", "told": "empty", "other": "empty"}
    assert coverage.states("alarms", None, DAY, DAY)["alarms", DAY].state == "empty"
    assert coverage.disbelieve("NE=1", AT, ["device_history"]) == 0
    coverage.record([entry("new", "final", at=later + timedelta(hours=1))])
    assert state_of(coverage, "new") == "final"


def test_a_state_that_does_not_exist_is_refused_and_nothing_of_its_batch_is_kept(coverage):
    with pytest.raises(ValueError, match="no state"):
        coverage.record([entry("1"), entry("2", "done")])
    assert coverage.states("device_history", None, DAY, DAY) == {}


def test_a_batch_is_recorded_whole_or_not_at_all(coverage):
    def broken():
        yield entry("1")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        coverage.record(broken())
    assert coverage.states("device_history", None, DAY, DAY) == {}


@pytest.mark.parametrize(
    ("states", "expected", "covered"),
    [
        (["final", "final"], "final", 2),
        (["final", "empty"], "final", 2),
        (["empty", "empty"], "empty", 2),
        (["final", "provisional"], "provisional", 2),
        (["provisional", "suspect"], "suspect", 1),
        (["suspect", "denied"], "denied", 0),
        (["final", "missing", "denied"], "missing", 1),
    ],
)
def test_a_plants_period_shows_the_state_that_asks_for_most_attention(coverage, states, expected, covered):
    coverage.declare([("device_history", str(number), "NE=1", DAY) for number in range(len(states))])
    coverage.record(entry(str(number), state, rows=10) for number, state in enumerate(states) if state != "missing")
    (row,) = coverage.rollup().iter_rows(named=True)
    assert (row["plant_code"], row["period"], row["state"]) == ("NE=1", DAY, expected)
    assert (row["wanted"], row["covered"]) == (len(states), covered)
    assert row["rows"] == 10 * sum(state not in ("missing", "denied") for state in states)
    assert row["extracted_at"] == AT


def test_the_roll_up_has_the_types_of_its_table_also_without_rows(coverage):
    schema = polars_schema(TABLES["coverage"])
    assert dict(coverage.rollup().schema) == schema
    coverage.declare([("alarms", "NE=1", "NE=1", DAY)])
    assert dict(coverage.rollup().schema) == schema
    assert coverage.rollup()["extracted_at"].to_list() == [None]


def test_a_full_disk_is_a_sentence(coverage, monkeypatch):
    class Full:
        in_transaction = False

        def execute(self, *rest):
            raise sqlite3.OperationalError("database or disk is full")

    @contextmanager
    def turn(self):
        yield Full()

    monkeypatch.setattr(SqliteFile, "_turn", turn)
    with pytest.raises(DiskFull):
        coverage.record([entry()])


def test_many_writers_at_once_lose_nothing(coverage):
    def write(worker):
        for number in range(20):
            Coverage(coverage.path).record([entry(f"{worker}-{number}")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(coverage.states("device_history", None, DAY, DAY)) == 160


def test_who_looked_at_the_clock_first_and_came_second_leaves_a_claim_alone(coverage):
    cell = ("device_history", "1", DAY)
    assert coverage.claim([cell], "quick", AT + timedelta(seconds=30)) == {cell}
    assert coverage.claim([cell], "slow", AT) == set()
    assert coverage.claim([cell], "later", AT + timedelta(hours=1)) == {cell}
    assert coverage.claim([cell], "after the clock was set back", AT - timedelta(hours=1)) == {cell}


def test_another_process_sees_what_this_one_recorded(coverage):
    coverage.record([entry()])
    script = (
        "import sys; from datetime import date; from pathlib import Path; from pipelines.lake.coverage import Coverage;"
        "print(len(Coverage(Path(sys.argv[1])).states('device_history', None, date(2026,1,1), date(2026,12,31))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(coverage.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


def test_a_year_of_400_devices_rolls_up_to_what_was_recorded(coverage):
    days = [DAY + timedelta(days=number) for number in range(365)]
    coverage.record(entry(str(device), day=day, plant=f"NE={device % 130}") for device in range(400) for day in days)
    assert len(coverage.states("device_history", None, days[0], days[-1])) == 400 * 365
    rollup = coverage.rollup()
    assert rollup.height == 130 * 365
    totals = rollup.select(pl.col("wanted").sum(), pl.col("rows").sum()).row(0)
    assert totals == (400 * 365, 400 * 365 * 288)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells in /proc whether a process ended")
def test_a_process_that_nobody_has_buried_claims_nothing(coverage):
    process = subprocess.Popen([sys.executable, "-c", ""])
    # It has ended and is left as it is.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not lives(process.pid)
        assert lives(os.getpid())
    finally:
        process.wait()


def test_a_claim_of_a_dead_process_is_free_unless_its_process_cannot_be_seen_from_here(coverage):
    cells = [("plant_daily", "P1", date(2026, 6, day)) for day in (1, 2)]
    with sqlite3.connect(coverage.path) as file:
        for (dataset, subject, period), owner in zip(
            cells, (f"{this_place()}/dead", "another container:1/1-x"), strict=True
        ):
            until = int((AT + timedelta(minutes=10)).timestamp() * 1e6)
            row = (dataset, subject, period.isoformat(), owner, 2**22 + 1, until)
            file.execute("insert into claim values (?, ?, ?, ?, ?, ?)", row)
    assert coverage.claimed_by_others("me", AT)
    assert coverage.claim(cells, "me", AT) == {cells[0]}
    assert coverage.claim(cells, "me", AT + timedelta(minutes=11)) == set(cells)
