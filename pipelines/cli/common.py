"""What every command shares: where results and progress go, which error gets which exit code.

Commands import the rooms inside their functions: `pvms --help` must not wait for libraries that it doesn't use.
"""

import errno
import logging
import signal
import sys
from collections.abc import Callable
from typing import Final

from rich.console import Console

from pipelines.interrupts import keyboard_interrupts
from pipelines.lake.errors import LakeError
from pipelines.load.request import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_QUOTA,
    EXIT_USAGE,
    UsageError,
)
from pipelines.northbound.errors import NorthboundError, QuotaExhausted
from pipelines.settings import Settings, SettingsError, load_settings

PIPED_WIDTH: Final = 200
"""Columns of a table that goes into a file or a pipe, where nobody's window limits it."""

stdout: Final = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
stderr: Final = Console(stderr=True, soft_wrap=True)

PLACE_ERRORS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR}
)
"""What is wrong with a place and not with us: full, not ours, or a file where a folder should be."""


def settings_for_command() -> Settings:
    """The settings as seen from the current folder; sets up logging by them."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # A line per request, or per table that Dagster creates for itself, would drown the progress.
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    return settings


def say(text: str) -> None:
    """A sentence for the person who watches: on stderr, so that results can be piped."""
    # In one write and without rich: it keeps what an interrupt hits on its way out, and says it again each time. While
    # bars are drawn sys.stderr is theirs, and puts the line above them.
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def guarded(command: Callable[[], int]) -> int:
    """Run a command and turn every foreseeable error into a sentence and an exit code, without a stack trace."""
    try:
        with keyboard_interrupts(signal.SIGINT):
            return command()
    except UsageError as error:
        say(f"{error}")
        return EXIT_USAGE
    except SettingsError as error:
        say(f"{error}")
        return EXIT_ERROR
    except QuotaExhausted as error:
        say(error.describe())
        return EXIT_QUOTA
    except NorthboundError as error:
        say(error.describe())
        return EXIT_ERROR
    except LakeError as error:
        say(f"{error}")
        return EXIT_ERROR
    except KeyboardInterrupt:
        say("Interrupted. What was done is kept; the same command goes on from here.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`pvms sql ... | head`): not an error of ours.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in PLACE_ERRORS:
            raise
        say(
            f"{error.strerror}: {error.filename or 'PVMS_HOME'}. Free space or choose another PVMS_HOME; "
            "the published warehouse is untouched."
        )
        return EXIT_ERROR
