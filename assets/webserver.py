"""`pvms ui`: Dagster's web server and daemon as children of this process, and their orderly end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from assets.home import FOLDER_VARIABLE, use_dagster_home
from assets.instance import open_instance
from assets.reconcile import is_loaded, lines_of, reconcile
from assets.unfinished import declare_failed, ui_lock, unfinished
from pipelines.northbound.clock import SystemClock
from pipelines.settings import Settings

HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 20.0
"""How long both get to end by themselves before they are killed."""

Child = subprocess.Popen[bytes]


def run_ui(settings: Settings, port: int, say: Callable[[str], None]) -> int:
    """Run both until one ends or we are interrupted; returns the exit code of what ended first, 0 if interrupted.

    Before, Dagster's records are made to show what coverage says, where they differ.

    Raises:
        UsageError: another `pvms ui` runs on this `PVMS_HOME`.
    """
    home = use_dagster_home(settings.home)
    with ui_lock(settings.home):
        with open_instance(settings) as instance:
            # Runs that were killed would keep their places in the queue for ever.
            declare_failed(instance, unfinished(settings.home))
            if is_loaded(settings):
                for line in lines_of(reconcile(settings, instance, SystemClock().now())):
                    say(line)
        return _serve(settings, home, port, say)


def _serve(settings: Settings, home: Path, port: int, say: Callable[[str], None]) -> int:
    chosen = port or free_port()
    location = ["-m", "assets.definitions"]
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PVMS_HOME": str(settings.home),
        FOLDER_VARIABLE: str(settings.env_file.parent if settings.env_file else Path.cwd()),
    }
    commands = (
        [sys.executable, "-m", "dagster_webserver", "-h", HOST, "-p", str(chosen), *location],
        [sys.executable, "-m", "dagster._daemon", "run", *location],
    )
    children: list[Child] = []
    with _interruptible():
        try:
            for command in commands:
                # In Dagster's folder, because Dagster lets a .env of the current folder win over the environment.
                # A session of its own, so that one signal reaches the code servers that they start, too.
                child = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True)  # noqa: S603
                children.append(child)
            say(f"Dagster answers on http://{HOST}:{chosen} in some seconds. Ctrl-C ends it.")
            return _wait(children)
        except KeyboardInterrupt:
            return 0
        finally:
            stop(children)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Both signals interrupt, also where whoever started us had them ignored."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait(children: list[Child]) -> int:
    while True:
        for child in children:
            try:
                return child.wait(timeout=0.5) or 1
            except subprocess.TimeoutExpired:
                continue


def stop(children: list[Child]) -> None:
    """End the processes that we started and what they started, kindly first; a second signal changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for child in children:
        _signal(child, signal.SIGTERM)
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=STOP_SECONDS)
        # What the child left behind in its session ends too.
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
