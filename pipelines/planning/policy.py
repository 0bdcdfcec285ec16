"""How much of each plant is wanted: datasets, depth and freshness, by groups of plants.

Pure rules; the owner's file is read by `pipelines.owner_files.read_policy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from pipelines.planning.cells import Subject
from schemas.datasets import DATASETS

FROM_GRID_CONNECTION: Final = date.min
"""A depth that reaches back to each plant's own grid connection."""

EARLIEST: Final = date(2015, 1, 1)
"""Where "back to the grid connection" begins for a plant that doesn't tell its date: nothing older is known of."""

FRESHNESS_DAYS: Final = range(1, 4)
"""Days that fresh 5-minute data may wait to ride together: a history call takes up to three [5.1.2.3]."""

POLICY_DATASETS: Final[tuple[str, ...]] = tuple(
    name for name, each in DATASETS.items() if each.period in ("day", "month", "year", "instant")
)
"""What a group may name: everything but the inventory, which always comes first."""

EVERYTHING: Final[tuple[str, ...]] = tuple(
    name for name in POLICY_DATASETS if DATASETS[name].period != "instant" or name == "alarms"
)
"""What a group wants that names nothing: all that has a past, and alarms."""


@dataclass(frozen=True, slots=True)
class Group:
    """What is wanted of the plants of one group.

    `since` is the first local date of reports, `history_since` that of 5-minute data: None for no gap filling,
    FROM_GRID_CONNECTION for all there is. `device_types` limits 5-minute data to these types (None: all).
    """

    name: str
    datasets: tuple[str, ...] = EVERYTHING
    freshness_days: int = 1
    since: date | None = None
    history_since: date | None = None
    device_types: frozenset[int] | None = None

    def wants(self, dataset: str, device_type_id: int | None = None) -> bool:
        """Whether the group wants a dataset, of this device type if it is one of 5-minute data."""
        if dataset not in self.datasets:
            return False
        if dataset != "device_history" or self.device_types is None or device_type_id is None:
            return True
        return device_type_id in self.device_types

    def depth(self, dataset: str) -> date | None:
        """Return how far back the group wants a dataset, as its file says."""
        return self.history_since if dataset == "device_history" else self.since

    def start(self, dataset: str, connected: date | None) -> date | None:
        """Return the first local date wanted of a plant that was connected on `connected`; None: no gap filling."""
        depth = self.depth(dataset)
        if depth is None:
            return None
        if depth == FROM_GRID_CONNECTION:
            return connected or EARLIEST
        return max(depth, connected) if connected else depth


@dataclass(frozen=True, slots=True)
class PlantRule:
    """Plant codes, or patterns with `*` and `?`, and the group that they belong to."""

    plants: tuple[str, ...]
    group: Group

    def matches(self, plant_code: str) -> bool:
        """Whether the plant is named here, as it is or by a pattern; letters count as written."""
        return plant_code in self.plants or any(fnmatchcase(plant_code, each) for each in self.plants)


@dataclass(frozen=True)
class Policy:
    """The groups in the order of the file, and the group of all other plants."""

    default: Group
    rules: tuple[PlantRule, ...] = ()
    _found: dict[str, Group] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def groups(self) -> Sequence[Group]:
        """All groups, the default last."""
        return (*(rule.group for rule in self.rules), self.default)

    def group_of(self, plant_code: str) -> Group:
        """Return the first group that names the plant, by its code before any pattern; else the default."""
        if plant_code not in self._found:
            self._found[plant_code] = self._first_match(plant_code)
        return self._found[plant_code]

    def _first_match(self, plant_code: str) -> Group:
        exact = (rule.group for rule in self.rules if plant_code in rule.plants)
        by_pattern = (rule.group for rule in self.rules if rule.matches(plant_code))
        return next(exact, None) or next(by_pattern, self.default)

    def wanted(self, dataset: str, subject: Subject) -> bool:
        """Whether a dataset is wanted of a plant or a device."""
        return self.group_of(subject.plant_code).wants(dataset, subject.device_type_id)

    def depth(self, dataset: str, subject: Subject) -> date | None:
        """Return how far back a dataset is wanted, as the file says."""
        return self.group_of(subject.plant_code).depth(dataset)

    def start(self, dataset: str, subject: Subject) -> date | None:
        """Return the first local date wanted of a plant or a device; None: no gap filling."""
        return self.group_of(subject.plant_code).start(dataset, subject.connected)
