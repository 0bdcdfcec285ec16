"""Which account a call goes out with: the first while it may, the next if no refusal speaks against it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from pipelines.load.asking import Asker
from pipelines.load.fleet import Fleet, View
from pipelines.load.request import LoadReport, Silent
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.lanes import Lane
from pipelines.northbound.quotas import FleetCounts
from pipelines.settings import Account, Settings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
ENDPOINT = "getKpiStationDay"
COUNTS = FleetCounts(1, {})
QUOTA = 25


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    accounts = tuple(Account(name, "http://127.0.0.1:1", name, SecretStr("x")) for name in ("one", "two"))
    with Services.open(Settings(home=tmp_path, env_file=None, accounts=accounts), ManualClock(NOW)) as opened:
        yield opened


def asker_of(services: Services) -> Asker:
    """Both accounts see the one plant."""
    asker = Asker(services.clients, services.clock, LoadReport(), Silent(), wait=False)
    views = {name: View({"P": "P"}, {}, COUNTS, NOW) for name in services.clients}
    asker.see(Fleet(pl.DataFrame(), pl.DataFrame(), NOW, views))
    return asker


def called(services: Services, account: str, times: int, code: int = 0, lane: Lane = "asked") -> None:
    for _ in range(times):
        ledger = services.clients[account].ledger
        call = ledger.reserve(account, ENDPOINT, "P", "test", services.clock.now(), COUNTS, lane=lane)
        ledger.settle(call, "ok" if not code else "refused", code, 1, 1, 1.0, services.clock.now())


def test_the_next_account_is_taken_once_the_first_ones_quota_is_used_up(services: Services) -> None:
    asker = asker_of(services)
    assert asker.allowance(ENDPOINT, ["P"]).used == 0
    called(services, "one", QUOTA)
    allowance = asker.allowance(ENDPOINT, ["P"])
    assert allowance.granted and allowance.used == 0, "by the second account"
    called(services, "two", QUOTA)
    assert not asker.allowance(ENDPOINT, ["P"]).granted


@pytest.mark.parametrize(
    ("account", "codes", "closed"),
    [
        ("two", [407], timedelta(hours=1)),
        ("two", [407, 407], timedelta(hours=2)),
        ("one", [403], timedelta(minutes=10)),
        ("two", [429], timedelta(minutes=10)),
        ("one", [407], timedelta(0)),
    ],
)
def test_a_refusal_speaks_against_asking_with_a_further_account_for_a_while(
    services: Services, account: str, codes: list[int], closed: timedelta
) -> None:
    """407 is the account's own; 403 and 429 are the whole system's, whoever met them."""
    asker = asker_of(services)
    for code in codes:
        called(services, account, 1, code)
    called(services, "one", QUOTA - (len(codes) if account == "one" else 0))
    allowance = asker.allowance(ENDPOINT, ["P"])
    assert allowance.granted == (not closed)
    if closed:
        assert allowance.next_at == NOW + closed
        services.clock.sleep(closed.total_seconds())
        assert asker.allowance(ENDPOINT, ["P"]).granted


def test_the_reserve_of_a_backlog_stands_with_the_account_that_fresh_data_begin_with(services: Services) -> None:
    asker = asker_of(services)
    called(services, "one", QUOTA - 3, lane="backlog")
    assert asker.allowance(ENDPOINT, ["P"], lane="fresh", reserved=3).used == QUOTA - 3
    assert asker.allowance(ENDPOINT, ["P"], lane="backlog", reserved=3).used == 0, "the second has none to keep"
    called(services, "two", QUOTA, lane="backlog")
    assert not asker.allowance(ENDPOINT, ["P"], lane="backlog", reserved=3).granted
    assert asker.allowance(ENDPOINT, ["P"], lane="fresh").granted
