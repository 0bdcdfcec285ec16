"""A paged list is whole or it is refused.

A list that was cut short would retire plants that live, so its pages have to agree with each other and with
the number of rows that they announce.
"""

from typing import Any, Final

import msgspec

from pipelines.northbound.errors import IncompleteList
from pipelines.northbound.judge import Page

MOST_PAGES: Final = 10_000
"""A million plants: a server that announces more is not to be believed."""


class _Plant(msgspec.Struct):
    plantCode: Any = None  # noqa: N815 the vendor's name


_PLANTS: Final = msgspec.json.Decoder(list[_Plant])


class PagedList:
    """Takes the pages of `stations` in order; ``next_page`` is the one wanted next, None at the end."""

    def __init__(self) -> None:
        """Begin with page 1."""
        self.next_page: int | None = 1
        self._first: Page | None = None
        self._rows = 0
        self._seen: set[Any] = set()

    def add(self, page: Page, data: bytes) -> None:
        """Take the wanted page; IncompleteList if it contradicts what came before."""
        first = self._first = self._first or page
        last = max(first.pages, 1)
        if page.number != self.next_page:
            raise _refused(f"page {self.next_page} was asked for and page {page.number} came")
        if (page.pages, page.total) != (first.pages, first.total):
            raise _refused(
                f"page 1 announced {first.total} plants on {first.pages} pages, "
                f"page {page.number} {page.total} on {page.pages}"
            )
        if last > MOST_PAGES:
            raise _refused(f"{first.pages} pages were announced")
        codes = _codes(data)
        if not codes and first.total:
            raise _refused(f"page {page.number} of {last} is empty")
        self._rows += len(codes)
        self._note(codes)
        self.next_page = page.number + 1 if page.number < last else None
        if self.next_page is None and self._rows != first.total:
            raise _refused(f"{first.total} plants were announced and {self._rows} came")

    def _note(self, codes: list[Any]) -> None:
        for code in codes:
            # A row without a code is the decoder's to set aside; it can't be told from another such row.
            if code is not None and code in self._seen:
                raise _refused(f"plant {code} came twice, so another is missing")
            self._seen.add(code)


def _codes(data: bytes) -> list[Any]:
    try:
        rows = _PLANTS.decode(data)
    except msgspec.DecodeError:
        raise _refused("a row of the list is no record") from None
    return [code if isinstance(code := row.plantCode, str | int) else None for row in rows]


def _refused(why: str) -> IncompleteList:
    return IncompleteList(f"the plant list doesn't add up: {why}", endpoint="stations")
