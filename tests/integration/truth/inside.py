"""Loads in this process: the library's own function against a simulator in a thread, without dbt and Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from pydantic import SecretStr

from pipelines.lake.paths import paths_of
from pipelines.load.build import prepare
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.northbound.clock import Clock
from pipelines.settings import Account, Settings
from pipelines.simulator.server import Simulator


def settings_of(simulator: Simulator, home: Path, **further: Any) -> Settings:
    """The settings of a home whose account is the simulator's."""
    account = Account("demo", simulator.base_url, simulator.username, SecretStr(simulator.password))
    return Settings(home=home, env_file=None, accounts=(account,), **further)


def with_password(settings: Settings, password: str) -> Settings:
    """The same home with another password."""
    return replace(settings, accounts=(replace(settings.accounts[0], password=SecretStr(password)),))


def load_into(
    settings: Settings, start: date, end: date, *datasets: str, clock: Clock | None = None, **options: Any
) -> LoadReport:
    """One load, the warehouse left alone."""
    with Services.open(settings, clock) as services:
        return run_load(LoadRequest(start, end, datasets, **options), services, build=False)


@contextmanager
def raw_of(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The raw and ops relations of a home as they would be published."""
    with Services.open(settings) as services:
        prepare(services)
    with duckdb.connect(str(paths_of(settings.home).build_db)) as connection:
        yield connection
