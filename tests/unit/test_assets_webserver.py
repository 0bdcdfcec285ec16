"""The processes that `pvms ui` keeps running."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from assets import webserver
from assets.webserver import RESTARTS, CannotGoOn, Kept


class Starter:
    """Starts a small process and keeps hold of all that it has started."""

    def __init__(self, code: str) -> None:
        self._code = code
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self) -> "subprocess.Popen[bytes]":
        self.started.append(subprocess.Popen([sys.executable, "-S", "-c", self._code]))
        return self.started[-1]


@pytest.fixture
def lasting() -> Iterator[Starter]:
    starter = Starter("import time; time.sleep(600)")
    yield starter
    for process in starter.started:
        process.kill()
        process.wait()


def test_one_that_runs_is_left_alone(lasting: Starter) -> None:
    kept = Kept("The daemon", lasting)
    assert kept.ended() is None
    assert len(lasting.started) == 1


def test_one_that_is_killed_is_started_again_but_not_for_ever(lasting: Starter) -> None:
    kept = Kept("The daemon", lasting)
    for _ in range(RESTARTS):
        kept.child.kill()
        kept.child.wait()
        assert kept.ended() == "The daemon was killed by signal 9 and is started again; runs under way go on."
    assert kept.child.poll() is None
    kept.child.kill()
    kept.child.wait()
    with pytest.raises(CannotGoOn):
        kept.ended()
    assert len(lasting.started) == RESTARTS + 1


def test_one_that_gives_up_at_once_is_not_started_again() -> None:
    starter = Starter("raise SystemExit(3)")
    kept = Kept("The web server", starter)
    kept.child.wait()
    with pytest.raises(CannotGoOn) as end:
        kept.ended()
    assert end.value.code == 3
    assert len(starter.started) == 1


def test_one_that_gives_up_after_it_was_up_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "UP_SECONDS", 0.0)
    starter = Starter("raise SystemExit(1)")
    kept = Kept("The daemon", starter)
    kept.child.wait()
    assert kept.ended() == "The daemon ended with exit code 1 and is started again; runs under way go on."
    kept.child.wait()
