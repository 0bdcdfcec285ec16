"""Weeks of two workers on one account with faults, on one virtual clock: no rule broken, nothing missing.

The year itself, and the other windows: `python benchmarks/simulated_year.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "simulated_year.py"


@pytest.mark.slow
def test_two_workers_keep_every_rule_through_faults_and_bring_each_period_once() -> None:
    # One process at a time: each run is like the last.
    command = [sys.executable, str(BENCHMARK), "--days", "14", "--backlog", "12", "--in-turn", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.stdout, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["avoidable"] == []
    periods = figures["wanted periods"]
    assert periods["with exactly one row"] == periods["wanted"] > 20_000, periods
    assert figures["backlog"]["missing device days"] == 0
    assert len(figures["faults played"]) > 10 and figures["refusals"]["20056"]
    # Two weeks are too short to judge how fast a backlog goes: a day more or less turns on a single call.
    broken = [line for line in done.stderr.splitlines() if line.startswith("BROKEN") and "times as long" not in line]
    assert broken == []
