"""A client beside a server that says what the test wants it to say, on a clock that stands still."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from northbound_loopback import Loopback, logged_in

from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts

SECRET = "a-very-secret-word"
DAY = "getKpiStationDay"
BODY = {"stationCodes": "NE=1", "collectTime": 1_501_862_400_000}
Make = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        server.say("login", logged_in())
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(server: Loopback, clock: ManualClock, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as open_clients:

        def one(**changes: Any) -> Client:
            settings: dict[str, Any] = {
                "base_url": server.url,
                "username": "api",
                "password": SECRET,
                "account": "main",
                "state_dir": tmp_path / "state",
                "clock": clock,
            }
            client = Client(**{**settings, **changes})
            client.counts = FleetCounts(plants=2, devices_by_type={1: 20, 47: 2})
            return open_clients.enter_context(client)

        yield one


def outcomes(client: Client) -> list[tuple[str, str | None]]:
    return [(call.endpoint, call.outcome) for call in client.ledger.calls()]
