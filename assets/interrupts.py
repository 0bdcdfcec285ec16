"""Ctrl-C as every library knows it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Within a run, let SIGINT and SIGTERM raise KeyboardInterrupt.

    Dagster raises an exception of its own instead, which dbt, locks and thread pools don't recognise and so don't
    clean up after; it takes KeyboardInterrupt for the same thing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
