"""Runs that read data but did not get to publish them, above all because their process was killed.

Each run holds a lock file while it works. A file that nobody holds tells two things: the run of that name ended
without finishing, so Dagster must not count it as running any more, and the warehouse may lag behind the lake.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from filelock import FileLock, Timeout

from pipelines.lake.paths import paths_of
from pipelines.load.request import UsageError
from pipelines.load.services import state_dir

SUFFIX: Final = ".lock"

RAISED: Final = "an error"
"""What the file holds of a run that raised an error, which Dagster is about to note by itself."""

NOTED_WITHIN: Final = timedelta(minutes=1)


@dataclass
class Mark:
    """The lock file of a running load; `reads` once it may have read something that an error leaves unpublished."""

    path: Path
    reads: bool = False


@contextmanager
def marked(home: Path, run_id: str) -> Iterator[Mark]:
    """Hold the lock file of a run. It stays, unlocked, if the run is killed or fails after it began to read."""
    mark = Mark(_folder(home) / f"{run_id}{SUFFIX}")
    unseen = mark.path.with_suffix(".starting")
    with FileLock(unseen):
        # It gets its name once it is held: who looks in between would take it for that of a killed run.
        unseen.replace(mark.path)
        try:
            yield mark
        except BaseException:
            if mark.reads:
                # On a full disk the error itself is what counts.
                with suppress(OSError):
                    mark.path.write_text(RAISED, encoding="utf-8")
            else:
                mark.path.unlink(missing_ok=True)
            raise
        mark.path.unlink(missing_ok=True)


def unfinished(home: Path) -> list[str]:
    """Ids of the runs that ended without finishing."""
    return [path.stem for path in sorted(_folder(home).glob(f"*{SUFFIX}")) if _is_held(path) is False]


def without_a_word(home: Path) -> list[str]:
    """Of these, the ones that Dagster will hear nothing of: no error of theirs is on its way to it."""
    return [run_id for run_id in unfinished(home) if not _has_just_raised(_folder(home) / f"{run_id}{SUFFIX}")]


def _has_just_raised(path: Path) -> bool:
    try:
        age = timedelta(seconds=time.time() - path.stat().st_mtime)
        return timedelta() <= age < NOTED_WITHIN and path.read_text(encoding="utf-8") == RAISED
    except FileNotFoundError:
        return False


def running(home: Path) -> list[str]:
    """Ids of the runs that work just now."""
    return [path.stem for path in sorted(_folder(home).glob(f"*{SUFFIX}")) if _is_held(path)]


@contextmanager
def ui_lock(home: Path) -> Iterator[None]:
    """Held by `pvms ui`, and by who changes what a running one has read. One UI and daemon a `PVMS_HOME`.

    Raises:
        UsageError: it is held.
    """
    locks = paths_of(home).locks
    locks.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(locks / "ui.lock").acquire(timeout=0)
    except Timeout as elsewhere:
        raise UsageError("pvms ui runs on this PVMS_HOME already. End that one first (Ctrl-C).") from elsewhere
    with held:
        yield


def forget(home: Path, run_ids: Collection[str]) -> None:
    """Their data are published."""
    for run_id in run_ids:
        (_folder(home) / f"{run_id}{SUFFIX}").unlink(missing_ok=True)


def declare_failed(instance: dg.DagsterInstance, run_ids: Collection[str]) -> None:
    """Tell Dagster of runs whose process has gone, so that they free their places; finished ones stay as they are."""
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run ended without a word. What it had done is kept.")


def has_mark(home: Path, run_id: str) -> bool:
    """Whether a run works, or ended without finishing: one that began long ago has neither if it died at its start."""
    return (_folder(home) / f"{run_id}{SUFFIX}").exists()


def _folder(home: Path) -> Path:
    folder = state_dir(home) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_held(path: Path) -> bool | None:
    """Whether a process holds the file; None if it is gone, because its run has just ended well.

    It is never created: a run takes its file away while it holds it, and one made anew would tell of a killed run.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        # Taken away after it was opened: what is held then has no name any more.
        return False if os.fstat(descriptor).st_nlink else None
    finally:
        os.close(descriptor)
