"""`pvms ui`: Dagster's web server and daemon as children of this process, and their orderly end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from assets.home import use_dagster_home
from assets.instance import open_instance
from pipelines.settings import Settings

HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 20.0
"""How long both get to end by themselves before they are killed."""


def run_ui(settings: Settings, port: int, say: Callable[[str], None]) -> int:
    """Run both until one ends or we are interrupted; returns the exit code of what ended first, 0 if interrupted."""
    home = use_dagster_home(settings.home)
    # Its databases are made here, once: the children would make them all at the same time.
    with open_instance(settings):
        pass
    chosen = port or free_port()
    location = ["-m", "assets.definitions"]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PVMS_HOME": str(settings.home)}
    commands = (
        [sys.executable, "-m", "dagster_webserver", "-h", HOST, "-p", str(chosen), *location],
        [sys.executable, "-m", "dagster._daemon", "run", *location],
    )
    previous = signal.signal(signal.SIGTERM, _interrupt)
    # A session of its own, so that one signal reaches the code servers that they start, too.
    children = [
        subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True)  # noqa: S603  our own arguments
        for command in commands
    ]
    try:
        say(f"Dagster answers on http://{HOST}:{chosen} in some seconds. Ctrl-C ends it.")
        return _wait(children)
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        stop(children)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    while True:
        for child in children:
            try:
                return child.wait(timeout=0.5) or 1
            except subprocess.TimeoutExpired:
                continue


def stop(children: list[subprocess.Popen[bytes]]) -> None:
    """End the processes that we started and what they started, kindly first."""
    for child in children:
        _signal(child, signal.SIGINT)
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=STOP_SECONDS)
        # What the child left behind in its session ends too.
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
