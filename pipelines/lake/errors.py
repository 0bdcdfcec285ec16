"""What can go wrong with the store, each as a sentence that says what to do."""

from pathlib import Path


class LakeError(Exception):
    """A foreseeable failure of the store; the message is for the person who runs the command."""


class DiskFull(LakeError):
    """No space is left where `where` lives. Nothing half-written stays."""

    def __init__(self, where: Path) -> None:
        """Make the sentence."""
        super().__init__(
            f"No space is left on the disk of {where}. Free some, or move PVMS_HOME to a larger disk, and run the "
            "command again: what was done is kept, and the published warehouse is as it was."
        )
        self.where = where


class UnusableHome(LakeError):
    """The path of `PVMS_HOME` holds characters that mean something else to the table and query libraries."""

    def __init__(self, home: Path, characters: str) -> None:
        """Make the sentence."""
        super().__init__(
            f"PVMS_HOME is {home}, and the tables can't live under a path with {' '.join(characters)}. "
            "Choose a path without such characters."
        )


class NoWarehouse(LakeError):
    """No warehouse was published under this home."""

    def __init__(self, path: Path) -> None:
        """Make the sentence."""
        super().__init__(
            f"There is no warehouse at {path} yet. `pvms load --from D --to D` makes it; so does `pvms demo`."
        )


class UnreadableWarehouse(LakeError):
    """The published or the private database can't be opened."""


class WarehouseBusy(LakeError):
    """Another process writes the private build database."""

    def __init__(self, path: Path) -> None:
        """Make the sentence."""
        super().__init__(
            f"Another program has {path} open. Wait until the other build ends (or close that program) and try again."
        )


class TransformFailed(LakeError):
    """dbt models or tests failed; the published warehouse stays as it was.

    `nodes` names what failed, `log` the file with dbt's own words.
    """

    def __init__(self, what: str, nodes: tuple[str, ...], log: Path) -> None:
        """Make the sentence."""
        super().__init__(f"{what} The published warehouse stays as it was. Details: {log}")
        self.nodes = nodes
        self.log = log


class WrongShape(ValueError):
    """A frame whose columns are not its table's: a bug of the caller, nothing of it lands."""
