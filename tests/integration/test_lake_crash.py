"""Killed at any moment: no row is lost, none doubled, and the published warehouse is always one whole build.

The children are real processes that are ended by SIGKILL while they land, fold, build and publish.
"""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.lake.store import Lake
from pipelines.lake.warehouse import build_lock, open_published, prepare_build, publish
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

COMMON = """
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
import polars as pl
from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

home, name, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
AT = datetime(2026, 3, 30, tzinfo=UTC)
table = TABLES["plant_hourly"]
schema = polars_schema(table)

def say(*words):
    print(*words, flush=True)

def answer(number):
    # Three days in one part, the days shared by all workers; plant and day are the key, the value tells who wrote.
    rows = [
        {"plant_code": f"{name}-{number}", "local_date": day, "collect_time": datetime(2026, 3, day.day, tzinfo=UTC),
         "pv_yield": float(number), "extracted_at": AT, "account": name}
        for day in (date(2026, 3, 1 + (number + k) % 5) for k in range(3))
    ]
    return pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema, orient="row")
"""

LOADER = (
    COMMON
    + """
drift = pl.DataFrame({"dataset": ["x"], "kind": ["unknown_key"], "key": [name], "cells": [1], "sample": ["s"]})
for number in range(first, first + 10_000):
    say("landing", number)
    Lake(home).land(table, answer(number))
    say("landed", number)
    Lake(home).note_drift(drift, AT)
    say("noted", number)
    if number % 3 == 2:
        Lake(home).fold(lambda done, total: say("folded", done, total))
"""
)

PUBLISHER = (
    COMMON
    + """
from pipelines.lake.warehouse import build_lock, prepare_build, publish
few = {each: TABLES[each] for each in ("plant_hourly", "api_calls", "coverage")}

def frame(table, number):
    values = {"DOUBLE": 1.0, "BIGINT": 1, "INTEGER": 1, "VARCHAR": "x", "DATE": date(2026, 3, 1), "TIMESTAMPTZ": AT}
    row = {column.name: values[column.type] for column in table.columns}
    return pl.DataFrame([row] * number, schema=polars_schema(table), orient="row")

lake = Lake(home)
for number in range(first, first + 10_000):
    lake.land(table, answer(number))
    lake.fold()
    with build_lock(home):
        prepare_build(home, api_calls=frame(TABLES["api_calls"], number + 1),
                      coverage=frame(TABLES["coverage"], number + 1), tables=few)
        publish(home)
    say("published", number)
"""
)


class Child:
    """One process that is killed after some of its lines and a random moment more; `said` holds whole lines."""

    def __init__(self, script: str, home: Path, name: str, first: int) -> None:
        command = [sys.executable, "-c", script, str(home), name, str(first)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[list[str]] = []

    def listen(self, enough: Callable[[list[list[str]]], bool]) -> None:
        assert self.process.stdout is not None
        while not enough(self.said):
            line = self.process.stdout.readline()
            assert line, f"ended by itself: {self.process.stderr.read() if self.process.stderr else ''}"
            self.said.append(line.split())

    def kill_within(self, seconds: float) -> None:
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Not communicate(): it would pass over what the reader of the lines has in its buffer.
        with self.process.stdout, self.process.stderr:
            rest, errors = self.process.stdout.read(), self.process.stderr.read()
        self.process.wait()
        assert self.process.returncode == -signal.SIGKILL, errors
        # A line that was cut off by the kill ends without a newline.
        self.said += [line.split() for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def numbers(self, word: str) -> list[int]:
        return [int(line[1]) for line in self.said if line[0] == word]


def rows_by_plant(lake: Lake) -> dict[str, int]:
    rows = lake.read("plant_hourly", ["plant_code", "collect_time"])
    assert rows.is_duplicated().sum() == 0, "a row is doubled"
    return dict(rows.group_by("plant_code").len().iter_rows())


def loads_killed(home: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    landed: dict[str, set[int]] = {"a": set(), "b": set()}
    tried: dict[str, set[int]] = {"a": set(), "b": set()}
    noted: dict[str, int] = {"a": 0, "b": 0}
    for _ in range(rounds):
        children = {name: Child(LOADER, home, name, max(tried[name], default=-1) + 1) for name in ("a", "b")}
        for child in children.values():
            wanted = chance.randint(2, 14)
            child.listen(lambda said, wanted=wanted: len(said) >= wanted)
        for name, child in children.items():
            child.kill_within(chance.uniform(0, 0.25))
            landed[name] |= set(child.numbers("landed"))
            tried[name] |= set(child.numbers("landing"))
            noted[name] += len(child.numbers("noted"))
        found = rows_by_plant(Lake(home))
        assert found.keys() >= {f"{name}-{number}" for name in landed for number in landed[name]}, "a row is lost"
        assert found.keys() <= {f"{name}-{number}" for name in tried for number in tried[name]}
        assert set(found.values()) == {3}, "an answer is there in part"

    lake = Lake(home)
    before = lake.read("plant_hourly")
    lake.fold()
    assert lake.pending_parts() == 0
    after = lake.read("plant_hourly")
    order = ["plant_code", "collect_time"]
    assert after.sort(order).equals(before.sort(order))
    # Each drift note is counted once; a note whose end wasn't heard of may be there or not: one a kill at most.
    for key, cells in lake.read("schema_drift", ["key", "cells"]).iter_rows():
        assert noted[key] <= cells <= noted[key] + rounds
    assert not list((home / "state" / "landing").rglob("*.tmp"))


def publishes_killed(home: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    newest, first = -1, 0
    for _ in range(rounds):
        child = Child(PUBLISHER, home, "p", first)
        child.listen(lambda said: len(said) >= 1)
        child.kill_within(chance.uniform(0, 0.6))
        newest = max([newest, *child.numbers("published")])
        first = newest + 2

        connection = open_published(home)
        query = """select (select count(*) from ops.api_calls), (select count(*) from ops.coverage),
                          (select count(distinct plant_code) from raw.plant_hourly)"""
        ((calls, periods, plants),) = connection.execute(query).fetchall()
        connection.close()
        assert calls == periods, "two builds are mixed"
        assert calls in (newest + 1, newest + 2), "an older build came back"
        assert plants <= calls
        assert not (home / "warehouse.duckdb.wal").exists()

    few = {each: TABLES[each] for each in ("plant_hourly", "api_calls", "coverage")}
    frames = {name: pl.DataFrame(schema=polars_schema(TABLES[name])) for name in ("api_calls", "coverage")}
    with build_lock(home):
        prepare_build(home, **frames, tables=few)
        publish(home)
    assert sorted(path.name for path in home.iterdir()) == ["lake", "state", "warehouse.duckdb"]
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from ops.api_calls").fetchall() == [(0,)]


def test_two_loads_killed_once_lose_and_double_nothing(tmp_path):
    loads_killed(tmp_path, rounds=1, seed=1)


def test_a_publish_killed_once_leaves_a_whole_warehouse(tmp_path):
    publishes_killed(tmp_path, rounds=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_loads_killed_again_and_again_lose_and_double_nothing(tmp_path, seed):
    loads_killed(tmp_path, rounds=8, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_publishes_killed_again_and_again_leave_a_whole_warehouse(tmp_path, seed):
    publishes_killed(tmp_path, rounds=10, seed=seed)
