"""Two hours of `pvms ui --ticks` that nobody watches: real processes, real dbt, virtual time, two kills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "unattended.py"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_two_hours_unattended_bring_all_that_is_due_though_a_run_and_the_daemon_are_killed() -> None:
    command = [sys.executable, str(BENCHMARK), "--hours", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["broken"] == [], f"{figures}\n{done.stderr[-3000:]}"
    assert figures["plants"] == 3
    # From the first worker's end on: no slot is lost, not even where a run or the daemon was killed.
    assert figures["slots"]["missed"] == 0
    assert figures["slots"]["from first to last"] >= 22
    runs = figures["runs"]
    assert runs["realtime FAILURE"] == 1
    # One at the start and one when 5-minute days had settled; what each of them may have left, and no more.
    assert 2 <= runs["load SUCCESS"] <= 5
    assert "load FAILURE" not in runs
    calls = figures["calls"]
    assert calls["login"] <= 4
    assert 4 <= calls["getAlarmList"] <= 8
    # Stated, so that whoever changes it sees it; two hours hold one worker and two loops.
    assert figures["kilobytes a plant and day"]["Dagster's runs and events"] > 0
