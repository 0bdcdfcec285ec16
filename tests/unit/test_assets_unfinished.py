"""Lock files of runs: who looks at any moment takes no run that works, or has just ended, for a killed one."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from assets.unfinished import marked, running, unfinished, without_a_word

HOLDS = """
import sys
from pathlib import Path
from assets.unfinished import marked
with marked(Path(sys.argv[1]), "killed"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_runs_that_come_and_go_are_never_taken_for_killed_ones(tmp_path: Path) -> None:
    found: list[str] = []
    over = Event()

    def look() -> None:
        while not over.is_set():
            found.extend(unfinished(tmp_path))

    watchers = [Thread(target=look) for _ in range(3)]
    for each in watchers:
        each.start()
    try:
        for number in range(400):
            with marked(tmp_path, f"run-{number}"):
                pass
    finally:
        over.set()
        for each in watchers:
            each.join()
    assert found == []
    assert list((tmp_path / "state" / "runs").iterdir()) == []


def test_a_killed_one_is_told_and_one_that_works_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert (running(tmp_path), unfinished(tmp_path)) == (["killed"], [])
        process.kill()
        process.wait()
    assert (running(tmp_path), unfinished(tmp_path)) == ([], ["killed"])
    assert without_a_word(tmp_path) == ["killed"]


def test_one_that_fails_stays_only_once_it_may_have_read(tmp_path: Path) -> None:
    for reads in (False, True):
        with pytest.raises(RuntimeError), marked(tmp_path, f"reads {reads}") as mark:
            mark.reads = reads
            raise RuntimeError
    assert unfinished(tmp_path) == ["reads True"]
    assert without_a_word(tmp_path) == [], "Dagster is about to note its error"
    file = tmp_path / "state" / "runs" / "reads True.lock"
    long_ago = time.time() - 120
    os.utime(file, (long_ago, long_ago))
    assert without_a_word(tmp_path) == ["reads True"], "it died before it could"
