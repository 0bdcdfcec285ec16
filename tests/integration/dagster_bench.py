"""A `PVMS_HOME` with a simulated SmartPVMS beside it, and what Dagster knows of it. Times stand still."""

import atexit
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import SecretStr

from assets.home import dagster_home
from assets.instance import open_instance
from assets.launch import load_through_dagster
from assets.resources import RESOURCE, Pvms, as_resource
from pipelines.lake.store import Lake
from pipelines.lake.transform import TransformReport
from pipelines.load.request import CompletedPartition, Listener, LoadReport, LoadRequest, Silent
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.faults import parse_faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World

# Long past, since Dagster knows partitions up to the machine's own date only.
NOW = datetime(2025, 6, 10, 12, tzinfo=UTC)
DAY = date(2025, 6, 7)


@dataclass
class Bench:
    """One home, its simulator, and the ways to load into it."""

    settings: Settings
    world: World
    simulator: Simulator
    clock: ManualClock
    _opened: list[dg.DagsterInstance] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def plant(self) -> str:
        return self.world.plants[0].code

    @property
    def resources(self) -> dict[str, Any]:
        return {RESOURCE: as_resource(Pvms(self.settings, clock=self.clock))}

    def load(self, start: date, end: date, listener: Listener | None = None, **options: Any) -> LoadReport:
        """As `pvms load` does."""
        request = LoadRequest(start, end, **options)
        return load_through_dagster(self.settings, request, listener or Silent(), self.clock)

    @property
    def instance(self) -> dg.DagsterInstance:
        """A second view of the same records, beside the one that a load opens; kept, since opening takes a while."""
        if not self._opened:
            self._opened.append(open_instance(self.settings))
        return self._opened[0]

    def close(self) -> None:
        while self._opened:
            self._opened.pop().dispose()

    def partitions(self, dataset: str) -> set[str]:
        """What Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(dg.AssetKey(["raw", dataset])))

    def events(self, dataset: str) -> list[dg.AssetMaterialization]:
        """All materializations of one asset, newest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(["raw", dataset]), limit=1000).records
        return [record.asset_materialization for record in records if record.asset_materialization is not None]

    def runs(self) -> list[dg.DagsterRun]:
        """All runs, newest first."""
        return list(self.instance.get_runs())

    def calls(self) -> Counter[str]:
        """Requests that the simulator has answered, by the last part of their path."""
        return Counter(record.endpoint for record in self.simulator.log)

    def rows(self, table: str) -> pl.DataFrame:
        """The lake's rows in a fixed order, without the columns that tell of the reading itself."""
        frame = Lake(self.home).read(table).drop("extracted_at", "account", strict=False)
        return frame.sort(frame.columns)


@dataclass
class Watcher(Silent):
    """A listener that keeps what it is told."""

    stages: list[str] = field(default_factory=list)
    partitions: list[CompletedPartition] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.stages.append(stage)

    def completed(self, partition: CompletedPartition) -> None:
        self.partitions.append(partition)

    def message(self, text: str) -> None:
        self.messages.append(text)


@cache
def _empty_instance() -> Path:
    """Dagster's tables take a second to make, so they are made once per process."""
    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with open_instance(Settings(home=home, env_file=None)):
        return dagster_home(home)


@contextmanager
def bench(
    home: Path, world: World, now: datetime = NOW, *, faults: Sequence[str] = (), **settings: Any
) -> Iterator[Bench]:
    """A home of its own beside a simulator of its own, which plays `faults`."""
    shutil.copytree(_empty_instance(), dagster_home(home))
    clock = ManualClock(now)
    with Simulator(world, clock=clock, faults=parse_faults(faults)) as simulator:
        account = Account("bench", simulator.base_url, simulator.username, SecretStr(simulator.password))
        one = Bench(Settings(home=home, env_file=None, accounts=(account,), **settings), world, simulator, clock)
        try:
            yield one
        finally:
            one.close()


def no_dbt(*_: object, **__: object) -> TransformReport:
    """Stands in for dbt, which takes seconds: raw and ops are built and published all the same."""
    return TransformReport({}, 0.0)


def metadata_of(event: dg.AssetMaterialization) -> Mapping[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}
