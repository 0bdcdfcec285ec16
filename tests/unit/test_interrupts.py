"""An interrupt ends a command as an interrupt, whatever the code that it hits makes of it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import duckdb
import pytest

from pipelines.cli.common import guarded, say
from pipelines.interrupts import keyboard_interrupts


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def misreport() -> None:
    try:
        press()
    except KeyboardInterrupt:
        raise RuntimeError("Query interrupted") from None


def endless_query() -> None:
    """Interrupted before it begins or while DuckDB works: it takes no other end."""
    Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
    duckdb.sql("select count(*) from range(1_000_000_000_000) as t(n) where n * n % 7 = 3").fetchall()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_interrupt_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), keyboard_interrupts():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("work", [press, misreport, endless_query])
def test_an_error_after_an_interrupt_is_the_interrupt(
    work: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        work()
        return 0

    assert guarded(command) == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_without_an_interrupt_an_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="a bug"), keyboard_interrupts():
        raise RuntimeError("a bug")


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with keyboard_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


SWALLOWED = """
class Thing:
    def __del__(self):
        press()

def command():
    Thing()
    wait()
    return 0
"""

IN_A_THREAD = """
def command():
    def work():
        gone.wait()
        raise ValueError("the database has gone")
    gone = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        press()
    finally:
        gone.set()
        thread.join()
    return 0
"""

PROCESS = """
import signal, threading
from pipelines.cli.common import guarded, say
from pipelines.interrupts import quiet_interrupts

def press():
    signal.raise_signal(signal.SIGINT)

def wait():
    # Longer than any machine needs to be interrupted again; if it isn't, the test fails.
    threading.Event().wait(300)
{command}
quiet_interrupts()
code = guarded(command)
{then}
raise SystemExit(code)
"""

SAID = ["Interrupted. What was done is kept; the same command goes on from here."]


@pytest.mark.parametrize("command", [SWALLOWED, IN_A_THREAD], ids=["swallowed", "in-a-thread"])
def test_an_interrupted_process_shows_no_stack_trace(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS.format(command=command, then="")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()) == (130, SAID)


def test_another_interrupt_after_the_last_word_ends_the_process_without_a_further_one() -> None:
    program = PROCESS.format(command="command = press", then="press()\nprint('still there')")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (-signal.SIGINT, "", SAID)


def test_a_line_that_an_interrupt_hits_on_its_way_out_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if "one" in text:
                raise KeyboardInterrupt
            return written

    heard = Interrupting()
    monkeypatch.setattr(sys, "stderr", heard)
    with pytest.raises(KeyboardInterrupt):
        say("one")
    say("two")
    assert heard.getvalue() == "one\ntwo\n"


def test_a_process_that_is_interrupted_while_it_starts_ends_without_a_word() -> None:
    # The command's modules are still to be imported when the signal comes.
    started = """
import signal, sys
import pipelines.cli

class Finder:
    def find_spec(self, name, path=None, target=None):
        signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
pipelines.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
