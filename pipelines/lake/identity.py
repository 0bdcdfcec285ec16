"""Whose record it is and of which instant: the questions that decide between a row and quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.lake.cells import means_nothing, read_integer, read_text
from pipelines.lake.records import TIMESTAMP

EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01T00:00Z: no plant of this system is older, so an earlier label is a fault, not history."""

LATEST_AHEAD: Final = timedelta(days=2)
"""A label may be ahead of the answer by the zone (at most 14 h) and the end of its period, not by more."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Filing:
    """The records that can be filed."""

    positions: list[int]
    """Their positions in the answer, ascending."""
    subjects: Ints
    """For each, the row of the subjects frame."""
    instants: pl.Series | None
    """For each, its collect_time; None where the table has none."""


class Filer:
    """Matches records to the subjects that were asked for.

    `subjects` has a row per plant or device with column `id`, and `asked_as` where the account that answers knows
    them by other ids. Device ids are compared as integers, so that 123, "123" and " 123 " are one device and no id
    passes through a double.
    """

    def __init__(self, subjects: pl.DataFrame, *, devices: bool) -> None:
        """Index `subjects` by id; `devices` says what they are, and so which key of a record names them."""
        self._id_key = "devId" if devices else "stationCode"
        self._read = read_integer if devices else read_text
        ids = subjects["asked_as" if "asked_as" in subjects.columns else "id"].to_list()
        self._rows: dict[Any, int] = {
            (int(text) if devices else text): row for row, text in enumerate(ids) if text is not None
        }
        self._kind: type = int if devices else str

    def file(
        self, ids: Sequence[Any], times: Sequence[Any] | None, refused: dict[int, str], extracted_at: datetime
    ) -> Filing:
        """File what can be filed; for the rest, add the reason to `refused` (position -> reason).

        Records that are in `refused` already stay there with their reason.
        """
        rows = self._subject_rows(ids, refused)
        millis = None if times is None else _milliseconds(times, refused, extracted_at)
        if refused:
            kept = [position for position in range(len(ids)) if position not in refused]
            rows = rows[kept]
            millis = None if millis is None else millis[kept]
        else:
            kept = list(range(len(ids)))
        instants = None if millis is None else pl.Series(millis * 1000, dtype=pl.Int64()).cast(TIMESTAMP)
        return Filing(kept, rows, instants)

    def _subject_rows(self, ids: Sequence[Any], refused: dict[int, str]) -> Ints:
        clean = set(map(type, ids)) <= {self._kind}
        known = ids if clean else [self._read(one) for one in ids]
        rows = np.array([self._rows.get(one, -1) for one in known], dtype=np.int64)
        for position in np.flatnonzero(rows < 0).tolist():
            refused.setdefault(position, self._why_no_subject(ids[position]))
        return rows

    def _why_no_subject(self, sent: Any) -> str:
        if means_nothing(sent):
            return f"{self._id_key} is missing"
        if self._read(sent) is None and self._kind is int and isinstance(sent, str):
            return f"{self._id_key} is no device id (a whole number)"
        if self._read(sent) is None:
            return f"{self._id_key} is neither a number nor a text that names anything"
        return f"{self._id_key} is not among those that were asked for"


def _milliseconds(times: Sequence[Any], refused: dict[int, str], extracted_at: datetime) -> Ints:
    millis = _all_integers(times)
    if millis is None:
        read = [read_integer(one) for one in times]
        for position, number in enumerate(read):
            if number is None:
                refused.setdefault(position, _why_no_time(times[position]))
        millis = np.array([EARLIEST_MS if number is None else number for number in read], dtype=np.int64)
    latest = int((extracted_at + LATEST_AHEAD).timestamp() * 1000)
    for position in np.flatnonzero(millis < EARLIEST_MS).tolist():
        refused.setdefault(position, "collectTime is before the year 2000")
    for position in np.flatnonzero(millis > latest).tolist():
        refused.setdefault(position, "collectTime is more than 2 days after the answer")
    return millis


def _all_integers(times: Sequence[Any]) -> Ints | None:
    if set(map(type, times)) <= {int}:
        try:
            return np.array(times, dtype=np.int64)
        except OverflowError:
            return None
    return None


def _why_no_time(sent: Any) -> str:
    return "collectTime is missing" if means_nothing(sent) else "collectTime is no time in milliseconds"


def read_serial_numbers(cells: Sequence[Any]) -> list[str | None]:
    """Device serial numbers: meters and batteries send the text "null"."""
    if set(map(type, cells)) <= {str, type(None)}:
        meaning = {sent: read_text(sent) for sent in set(cells)}
        return [meaning[sent] for sent in cells]
    return [read_text(cell) for cell in cells]
