"""A year of two workers on one account with faults, on one virtual clock: no rule broken, nothing missing, no day lost.

The other windows, full answers, other seeds: `python benchmarks/simulated_year.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "simulated_year.py"

HANGS = 5_400
"""Seconds after which it is stuck: a tenth of that is usual, but machines differ."""


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(HANGS)
def test_two_workers_keep_every_rule_through_a_year_of_faults_and_bring_each_period_once() -> None:
    # One process at a time: each run is like the last.
    command = [sys.executable, str(BENCHMARK), "--window", "bucket", "--in-turn", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    assert done.stdout, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["avoidable"] == []
    periods = figures["wanted periods"]
    assert periods["with exactly one row"] == periods["wanted"] > 600_000, periods
    assert len(figures["faults played"]) > 15 and figures["refusals"]["20056"] and figures["processes killed"]
    backlog = figures["backlog"]
    assert backlog["missing device days"] == 0 and 1 <= backlog["ratio"] < 1.05, backlog
    assert (done.returncode, done.stderr) == (0, "")
