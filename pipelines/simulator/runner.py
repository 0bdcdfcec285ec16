"""A simulator as a program of its own: it runs until it is told to stop, or until its parent is gone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from pipelines.simulator.server import Simulator

_LOOK_SECONDS: Final = 0.5
"""How often the parent is looked for: a demo that was killed leaves its simulator no longer than this."""


def run_forever(simulator: Simulator, *, on_ready: Callable[[str], None], parent_pid: int | None = None) -> None:
    """Start ``simulator``, call ``on_ready(base_url)`` and wait for SIGINT, SIGTERM or a lost parent; then stop it.

    Call it from the main thread: only there signals can be received. ``parent_pid`` names a process without which
    the simulator has no purpose. Raises OSError if the port is taken. Prints nothing.
    """
    stop = threading.Event()
    parent_is_gone = _watch(parent_pid)
    with _signals_set(stop), simulator:
        on_ready(simulator.base_url)
        while not stop.wait(_LOOK_SECONDS):
            if parent_is_gone():
                break


def _watch(parent_pid: int | None) -> Callable[[], bool]:
    if parent_pid is None:
        return lambda: False
    if os.getppid() == parent_pid:
        # A dead parent may linger as a zombie, but its children are given to another process at once.
        return lambda: os.getppid() != parent_pid
    return lambda: not _alive(parent_pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    def handler(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
