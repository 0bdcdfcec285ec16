"""Files that are there whole or not at all, also after a power cut; and a full disk as a sentence."""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import duckdb
import polars as pl
from deltalake.exceptions import DeltaError

from pipelines.lake.errors import DiskFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_TEXTS: Final = ("no space left", "disk is full", "os error 28", "disk quota exceeded", "os error 122")
"""How the libraries name ENOSPC (28) and EDQUOT (122) where they don't raise OSError with its number."""

_counter = count()


def _tells_of_full_disk(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error).lower()
    return any(each in text for each in _FULL_TEXTS)


@contextmanager
def full_disk_as_sentence(where: Path) -> Iterator[None]:
    """Turn a full disk, however a library says it, into DiskFull; let everything else through."""
    try:
        yield
    except (OSError, DeltaError, duckdb.Error, sqlite3.Error, pl.exceptions.PolarsError) as error:
        if _tells_of_full_disk(error):
            raise DiskFull(where) from error
        raise


def sync(path: Path) -> None:
    """Force a file's or a folder's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_beside(path: Path) -> Path:
    """Name a temporary file in the folder of `path` that tells which process it belongs to."""
    return path.with_name(f"{path.name}.{os.getpid()}-{next(_counter)}.tmp")


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that it is there whole or not at all, and stays after a power cut.

    Raises:
        DiskFull: no space is left; nothing stays.
    """
    temporary = temporary_beside(path)
    with full_disk_as_sentence(path.parent):
        try:
            with temporary.open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            put_in_place(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a synced temporary file over `path`, and sync the folder."""
    temporary.replace(path)
    sync(path.parent)


def remove_left_over_temporaries(folder: Path, pattern: str = "*.tmp") -> None:
    """Remove temporary files whose process has ended; those of living processes stay."""
    for path in _listed(folder, pattern):
        owner = path.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if owner.isdigit() and not lives(int(owner)):
            with suppress(FileNotFoundError):
                path.unlink()


def _listed(folder: Path, pattern: str) -> Iterable[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else ()


def lives(pid: int) -> bool:
    """Whether a process of that number is at work, seen from here; one that nobody has buried yet isn't."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    # Its name stands in parentheses and may hold anything, its state follows.
    return stat.rpartition(")")[2].split()[:1] != ["Z"]
