"""Landing parts: each decoded answer as one small Parquet file, durable before its coverage is recorded."""

import io
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import polars as pl

from pipelines.lake.durable import full_disk_as_sentence, remove_left_over_temporaries, sync, write_durably

_stamp_lock = Lock()
_last_stamp = 0


def _stamp() -> int:
    """Nanoseconds since 1970 that never repeat or fall within this process: the landing order."""
    global _last_stamp
    with _stamp_lock:
        _last_stamp = max(time.time_ns(), _last_stamp + 1)
        return _last_stamp


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One landed frame. Parts sort by the time they landed."""

    path: Path
    table: str
    rows: int


class Parts:
    """The landing folder: a folder per table, a file per part."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, which need not exist, and remove what killed processes left half-written."""
        self.folder = folder
        for each in self.tables():
            remove_left_over_temporaries(self.folder / each)

    def write(self, table: str, frame: pl.DataFrame) -> Part:
        """Make a frame durable.

        Raises:
            DiskFull: no space is left; nothing of the frame stays.
        """
        folder = self.folder / table
        if not folder.is_dir():
            with full_disk_as_sentence(self.folder):
                folder.mkdir(parents=True, exist_ok=True)
                sync(self.folder)
        path = folder / f"{_stamp():020d}-{os.getpid()}.parquet"
        # Through memory: a part is small, and only a plain write tells reliably that the disk is full.
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1)
        write_durably(path, buffer.getbuffer())
        return Part(path, table, frame.height)

    def tables(self) -> list[str]:
        """Tables that have, or had, parts."""
        return sorted(each.name for each in self.folder.iterdir() if each.is_dir()) if self.folder.is_dir() else []

    def pending(self, table: str) -> list[Path]:
        """Parts of a table that are not folded yet, oldest first."""
        folder = self.folder / table
        return sorted(folder.glob("*.parquet")) if folder.is_dir() else []

    def count(self) -> int:
        """How many parts wait, over all tables."""
        return sum(len(self.pending(each)) for each in self.tables())

    @staticmethod
    def delete(parts: Iterable[Path]) -> None:
        """Delete parts that are folded."""
        for each in parts:
            with suppress(FileNotFoundError):
                each.unlink()
