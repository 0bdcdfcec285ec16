"""A listing that a quota, a fault or a kill cut short goes on where it stopped, in whichever process comes next.

A list takes several calls. Where a refusal has spaced these out, an endpoint may open once in six hours for one call:
a listing that began anew each time would never reach its second page. What a listing found empty where there was
something is kept here, too: it is believed when it is said again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from pipelines.lake.durable import write_durably
from pipelines.northbound.client import ListPage

KEPT_FOR: Final = timedelta(days=1)
"""Pages of a listing that began longer ago are of no use: by then another is due anyway."""

BELIEVED_AFTER: Final = timedelta(hours=1)
"""Emptiness where there was something is the truth if it is said again so much later."""


class KeptDevices(msgspec.Struct, frozen=True):
    """An answer of `getDevList`: the JSON text of its rows, and the plants that it was asked for."""

    plants: tuple[str, ...]
    data: str


class _Kept(msgspec.Struct):
    pages: list[ListPage] = []
    devices: list[KeptDevices] = []
    doubted_at: dict[str, datetime] = {}


_decoder: Final = msgspec.json.Decoder(dict[str, _Kept])


@dataclass
class Unfinished:
    """What is kept of one account's listing, in a file that all accounts share; used under the inventory's lock."""

    path: Path
    account: str
    _all: dict[str, _Kept] = field(init=False)

    def __post_init__(self) -> None:
        """Read the file; one that can't be read is a listing to begin anew."""
        try:
            self._all = _decoder.decode(self.path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            self._all = {}
        self._mine = self._all.setdefault(self.account, _Kept())

    def begin(self, now: datetime) -> list[ListPage]:
        """The pages of the plant list that are there; what is too old is dropped with all that came after it."""
        pages = self._mine.pages
        if pages and not timedelta(0) <= now.astimezone(UTC) - pages[0].received_at <= KEPT_FOR:
            self.drop_answers()
        return list(self._mine.pages)

    def note_page(self, page: ListPage) -> None:
        """Keep a page of the plant list."""
        self._mine.pages.append(page)
        self._write()

    @property
    def devices(self) -> tuple[KeptDevices, ...]:
        """The answers about devices that are there."""
        return tuple(self._mine.devices)

    def note_devices(self, answer: KeptDevices) -> None:
        """Keep an answer about devices."""
        self._mine.devices.append(answer)
        self._write()

    def is_doubtful(self, what: str, now: datetime) -> bool:
        """Whether what is found empty now is to be asked again before it is believed."""
        at = now.astimezone(UTC)
        # A time to come was written under a wrong clock.
        first = min(self._mine.doubted_at.get(what, at), at)
        self._mine.doubted_at[what] = first
        self._write()
        return at - first < BELIEVED_AFTER

    def drop_answers(self) -> None:
        """Begin anew, as after pages that contradict each other; what is doubted stays so."""
        self._mine.pages, self._mine.devices = [], []
        self._write()

    def finish(self) -> None:
        """The listing is complete."""
        self._all[self.account] = self._mine = _Kept()
        self._write()

    def _write(self) -> None:
        kept: Mapping[str, _Kept] = {name: one for name, one in self._all.items() if one != _Kept()}
        if kept:
            write_durably(self.path, msgspec.json.encode(kept))
        else:
            self.path.unlink(missing_ok=True)
