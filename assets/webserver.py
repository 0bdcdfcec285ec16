"""`pvms ui`: Dagster's web server, daemon and code server as children of this process, and their orderly end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy.exc import OperationalError

from assets.code_server import Sources, code_server_of
from assets.home import FOLDER_VARIABLE, use_dagster_home
from assets.instance import open_instance
from assets.reconcile import is_loaded, lines_of, reconcile
from assets.unfinished import declare_failed, ui_lock, without_a_word
from pipelines.northbound.clock import SystemClock
from pipelines.settings import Settings

HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 20.0
"""How long they get to end by themselves before they are killed."""

UP_SECONDS: Final = 60.0
"""One that ends by itself earlier has an error that starting it again doesn't cure."""

RESTARTS: Final = 5
RESTARTS_WITHIN_SECONDS: Final = 3600.0
"""More often than so it isn't started again: then somebody has to look."""

LOOK_EVERY_SECONDS: Final = 15.0
"""How often killed runs are looked for: a place in the queue is free again within a minute."""

LOCATION: Final = ("-m", "assets.definitions")

PATIENCE: Final = {"DAGSTER_GRPC_TIMEOUT_SECONDS": "600"}
"""On a busy machine a run takes over a minute to start; Dagster's own 60 s would call it failed."""

ENDING: Final = (
    "Ending. A run under way ends as failed, and Dagster prints where it was; what it has read is kept, and the next "
    "load goes on from there."
)

Child = subprocess.Popen[bytes]
Start = Callable[[], Child]


def run_ui(settings: Settings, port: int, say: Callable[[str], None], *, location: Sequence[str] = LOCATION) -> int:
    """Run all three until we are interrupted (0) or one of them can't go on (its exit code).

    Before, Dagster's records are made to show what coverage says, where they differ. One that is killed, or ends after
    it was up (the daemon does when the machine has slept), is started again; runs under way go on meanwhile.
    `location`: where the code location is, for Dagster's commands.

    Raises:
        UsageError: another `pvms ui` runs on this `PVMS_HOME`.
    """
    home = use_dagster_home(settings.home)
    with ui_lock(settings.home):
        with open_instance(settings) as instance:
            # Runs that were killed would keep their places in the queue for ever.
            declare_failed(instance, without_a_word(settings.home))
            if is_loaded(settings):
                for line in lines_of(reconcile(settings, instance, SystemClock().now())):
                    say(line)
        return _serve(settings, home, port, say, location)


def _serve(settings: Settings, home: Path, port: int, say: Callable[[str], None], location: Sequence[str]) -> int:
    chosen = port or free_port()
    environment = {
        **PATIENCE,
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PVMS_HOME": str(settings.home),
        FOLDER_VARIABLE: str(settings.env_file.parent if settings.env_file else Path.cwd()),
    }
    children: list[Child] = []

    def starting(*arguments: str) -> Start:
        command = [sys.executable, "-m", *arguments]

        def start() -> Child:
            # In Dagster's folder, because Dagster lets a .env of the current folder win over the environment.
            # A session of its own, so that one signal reaches the runs that the code server starts, too.
            child = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True)  # noqa: S603
            children.append(child)
            return child

        return start

    with code_server_of(location) as server, _interruptible():
        try:
            sources = Sources(settings)
            kept = [Kept("Dagster's code server", starting(*server.arguments))]
            say(f"Dagster answers on http://{HOST}:{chosen} in some seconds. Ctrl-C ends it.")
            while not server.serves:
                _look_after(kept, say)
            web = starting("dagster_webserver", "-h", HOST, "-p", str(chosen), *server.shared)
            kept += [Kept("Dagster's web server", web)]
            kept += [Kept("Dagster's daemon", starting("dagster._daemon", "run", *server.shared))]
            killed = KilledRuns(settings)
            while True:
                _look_after(kept, say)
                killed.tell()
                if sources.changed():
                    server.load_anew()
        except CannotGoOn as end:
            return end.code if end.code > 0 else 1
        except KeyboardInterrupt:
            say(ENDING)
            return 0
        finally:
            stop(children)


class KilledRuns:
    """Tells Dagster of runs whose process has gone, each once: its own watch sees only runs that it has launched.

    A killed `pvms load` would keep its place in the queue for as long as no other load or sensor looks.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is told yet."""
        self._settings = settings
        self._told: set[str] = set()
        self._next_look = 0.0

    def tell(self) -> None:
        """Look, if the time has come."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_SECONDS
        found = set(without_a_word(self._settings.home)) - self._told
        # A database that is busy too long must not end the UI: the next look tries again.
        with suppress(OperationalError):
            if found:
                with open_instance(self._settings) as instance:
                    declare_failed(instance, found)
                self._told |= found


class Kept:
    """A process that is kept running."""

    def __init__(self, name: str, start: Start) -> None:
        """Start it."""
        self.name, self._start = name, start
        self._restarts: list[float] = []
        self._begin()

    def _begin(self) -> None:
        self.child, self._begun = self._start(), time.monotonic()

    def ended(self) -> str | None:
        """Look at it. If it has ended: start it again and return a sentence that says so.

        Raises:
            CannotGoOn: it ended in a way, or so often, that starting it again would be of no use.
        """
        try:
            code = self.child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            return None
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < RESTARTS_WITHIN_SECONDS]
        killed = code < 0
        if len(self._restarts) >= RESTARTS or not (killed or now - self._begun >= UP_SECONDS):
            raise CannotGoOn(code)
        self._restarts.append(now)
        self._begin()
        how = f"was killed by signal {-code}" if killed else f"ended with exit code {code}"
        return f"{self.name} {how} and is started again; runs under way go on."


class CannotGoOn(Exception):
    """A process that is kept running has ended for good."""

    def __init__(self, code: int) -> None:
        """Keep its exit code."""
        super().__init__(f"exit code {code}")
        self.code = code


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


def _look_after(kept: list[Kept], say: Callable[[str], None]) -> None:
    for each in kept:
        said = each.ended()
        if said is not None:
            say(said)


def stop(children: list[Child]) -> None:
    """End the processes that we started and what they started, kindly first; a second signal changes nothing.

    Of one that was killed, what it started may live on in its session.
    """
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
