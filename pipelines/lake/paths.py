"""Where the store keeps things under `PVMS_HOME`."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.lake.errors import UnusableHome

UNUSABLE: Final = frozenset('%#=*?[]{}<>|^`"\\')
"""Patterns or partitions to the libraries that read files, or not escaped alike by all layers of the Delta library."""


@dataclass(frozen=True, slots=True)
class HomePaths:
    """The folders and files of one home; `root` is absolute."""

    root: Path

    @property
    def lake(self) -> Path:
        """Delta tables, a folder each: the durable truth."""
        return self.root / "lake"

    @property
    def state(self) -> Path:
        """What is ours alone."""
        return self.root / "state"

    @property
    def landing(self) -> Path:
        """Landing parts, a folder per table."""
        return self.state / "landing"

    @property
    def locks(self) -> Path:
        """Lock files; empty, never deleted."""
        return self.state / "locks"

    @property
    def build_db(self) -> Path:
        """The private database that dbt writes."""
        return self.state / "build" / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The database that readers open; replaced whole."""
        return self.root / "warehouse.duckdb"

    @property
    def dbt(self) -> Path:
        """What dbt keeps between runs."""
        return self.state / "dbt"

    @property
    def dbt_log(self) -> Path:
        """What dbt said in its last run."""
        return self.dbt / "dbt.log"


def paths_of(home: Path) -> HomePaths:
    """Resolve a home.

    Raises:
        UnusableHome: its path holds characters that the tables can't live under.
    """
    root = home.expanduser().resolve()
    bad = sorted({each for each in str(root) if each in UNUSABLE or unicodedata.category(each).startswith("C")})
    if bad:
        raise UnusableHome(root, "".join(bad))
    return HomePaths(root)
