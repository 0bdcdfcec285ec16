"""Opens what a load works with: the clients, the lake, coverage, and the folders under `PVMS_HOME`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pipelines.lake.coverage import Coverage
from pipelines.lake.store import Lake
from pipelines.load.clients import client_for
from pipelines.load.request_table import RequestTable, table_file
from pipelines.northbound.client import LEDGER_FILE, Client
from pipelines.northbound.clock import Clock, SystemClock
from pipelines.northbound.ledger import Ledger
from pipelines.quotas_file import read_quotas
from pipelines.settings import Settings

REFUSED_FILE: Final = "refused_plants.json"
"""Plants that the vendor refuses, in the folder of the state."""


@dataclass
class Services:
    """The rooms of one load, opened on one `PVMS_HOME`."""

    settings: Settings
    clock: Clock
    clients: Mapping[str, Client]
    """A client per account, by the account's name, in the order of the settings; none where nothing is to be asked."""
    lake: Lake
    coverage: Coverage

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None, *, account_needed: bool = True) -> "Services":
        """Open everything; creates the folders. Not `account_needed`: no clients, for what asks the vendor nothing.

        Raises:
            SettingsError: no usable account is set, or the quotas file can't be used.
        """
        if account_needed:
            settings.account  # noqa: B018  a missing account is said before anything is created
        clock = clock or SystemClock()
        quotas = read_quotas(settings)
        state = state_dir(settings.home)
        state.mkdir(parents=True, exist_ok=True)
        return cls(
            settings=settings,
            clock=clock,
            clients={
                each.name: client_for(each, state, clock, quotas.of(each.name, each.flow_control))
                for each in (settings.accounts if account_needed else ())
            },
            lake=Lake(settings.home),
            coverage=Coverage(state / "coverage.sqlite"),
        )

    @property
    def client(self) -> Client:
        """The first account's client."""
        return next(iter(self.clients.values()))

    @cached_property
    def ledger(self) -> Ledger:
        """The calls of all accounts."""
        return self.client.ledger if self.clients else Ledger(state_dir(self.settings.home) / LEDGER_FILE)

    @cached_property
    def requests(self) -> RequestTable:
        """What was asked for by dates and isn't all there yet."""
        return RequestTable(table_file(self.settings.home))

    @property
    def refused_file(self) -> Path:
        """Where plants that the vendor refuses are kept."""
        return state_dir(self.settings.home) / REFUSED_FILE

    @property
    def unfinished_file(self) -> Path:
        """Where answers of listings are kept until these are complete."""
        return state_dir(self.settings.home) / "unfinished_listings.json"

    def calls_made(self) -> Counter[str]:
        """Calls by endpoint that these services have made so far, for all accounts."""
        return sum((client.ledger.made for client in self.clients.values()), Counter())

    def close(self) -> None:
        """Close the connections; the token stays cached for the next command."""
        for client in self.clients.values():
            client.close()
        if not self.clients:
            self.ledger.close()
        self.coverage.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close on the way out."""
        self.close()


def state_dir(home: Path) -> Path:
    """Where our own state lives under a home."""
    return home / "state"


def server_now(services: Services) -> datetime:
    """The vendor's time as far as it is known: a reading made from now on bears a later one."""
    return min(client.server_now() for client in services.clients.values())
