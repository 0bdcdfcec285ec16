"""Puts files and folders in place of older ones, whole or not at all: written beside, then exchanged by name."""

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from pipelines.lake.durable import lives, sync

_LINUX_HERE: Final = -100
_LINUX_EXCHANGE: Final = 2
_MACOS_SWAP: Final = 2

_counter = count()


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a file or a folder to; it takes the target's place when the block ends well.

    Readers see the old one or the new one, whole. What a killed process left is removed, or put back where the
    system could not exchange the two at once. The name begins with a dot: readers of the folder pass over it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clean_up(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{next(_counter)}.tmp")
    try:
        yield temporary
        _sync_below(temporary)
        _put(temporary, target)
        sync(target.parent)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_below(path: Path) -> None:
    for each in [*(sorted(path.rglob("*")) if path.is_dir() else ()), path]:
        sync(each)


def _put(temporary: Path, target: Path) -> None:
    """Rename; a folder that is in the way is exchanged for the new one, which leaves it under the temporary name."""
    if temporary.is_dir() and target.is_dir():
        if not _exchange(temporary, target):
            aside = target.with_name(f".{target.name}.aside")
            target.rename(aside)
            temporary.rename(target)
            remove(aside)
    else:
        temporary.replace(target)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system or the file system can't."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    system: str = sys.platform
    with suppress(AttributeError):
        if system == "linux":
            return int(library.renameat2(_LINUX_HERE, names[0], _LINUX_HERE, names[1], _LINUX_EXCHANGE)) == 0
        return int(library.renamex_np(names[0], names[1], _MACOS_SWAP)) == 0
    return False


def _clean_up(target: Path) -> None:
    aside = target.with_name(f".{target.name}.aside")
    if aside.exists():
        remove(aside) if target.exists() else aside.rename(target)
    for each in target.parent.glob(f".{_literal(target.name)}.*.tmp"):
        owner = each.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if owner.isdigit() and not lives(int(owner)):
            remove(each)


def _literal(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
