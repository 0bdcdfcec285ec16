"""Ctrl-C as a person means it: the command ends, in a sentence, whatever a library at work makes of the signal."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 0.05
"""Long enough for the callback that swallowed an interrupt to end; a person doesn't notice."""

_interrupted: Final = threading.Event()
"""Set for the rest of the process once an interrupt came: what breaks from here on broke because of it."""


@contextmanager
def keyboard_interrupts(*numbers: signal.Signals) -> Iterator[None]:
    """Within it SIGINT and SIGTERM, or the signals given, raise KeyboardInterrupt, and an error after one ends as one.

    Compiled code puts errors of its own in its place (DuckDB: RuntimeError "Query interrupted"); libraries that catch
    those report a failure where nothing has failed. Only in the main thread, as signals are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def interrupt(_number: int, _frame: "FrameType | None") -> None:
        nonlocal came
        came = True
        _interrupted.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers or (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def quiet_interrupts() -> None:
    """Let this process end without a stack trace when it is interrupted; for one that is ours from start to end.

    Outside `keyboard_interrupts`, that is while it starts and once it has said its last word, it ends at once.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """An interrupt that hits a destructor or a callback of the import system is swallowed there: it comes again."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # A signal, not `interrupt_main`: that one wakes no main thread that waits for a lock.
        main = threading.main_thread().ident
        again = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()
    elif _interrupted.is_set():
        _log.debug("After the interrupt: %r in %r", unraisable.exc_value, unraisable.object)
    else:
        sys.__unraisablehook__(unraisable)


def _in_thread(args: threading.ExceptHookArgs) -> None:
    """Threads lose their database or their files to an interrupt of the main thread."""
    if _interrupted.is_set():
        _log.debug("After the interrupt: %r in %r", args.exc_value, args.thread)
    else:
        threading.__excepthook__(args)
