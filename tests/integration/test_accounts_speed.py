"""How much faster a backlog gets done with several accounts: more when all see all, less when they split the plants."""

import sys
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.load.asking import Asker, Reply, chunks
from pipelines.load.inventory import ensure_inventory
from pipelines.load.request import LoadReport, Silent
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.lanes import Lane
from pipelines.northbound.requests import history_body
from pipelines.settings import Account, Settings
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account as Login

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from simulator_desk import SmallWorld

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
ENDPOINT = "getDevHistoryKpi"
INVERTERS, FRESH = 20, 2
"""Twenty devices: two calls a day keep them fresh."""
QUOTA = 24 + INVERTERS // 10
DAYS = 3


def backlog_calls_a_day(home: Path, *logins: Login) -> list[int]:
    """What the accounts get done of a backlog that never ends, by day; fresh data come after it and must be had."""
    world: Any = SmallWorld(plants=4, devices={1: INVERTERS})
    clock = ManualClock(NOW)
    done = []
    with Simulator(world, clock=clock, accounts=logins) as simulator:
        accounts = tuple(Account(each.username, simulator.base_url, each.username, SecretStr("x")) for each in logins)
        settings = Settings(home=home, env_file=None, accounts=accounts)
        with Services.open(settings, clock) as services:
            report = LoadReport()
            asker = Asker(services.clients, clock, report, Silent(), wait=False)
            fleet = ensure_inventory(services, asker, report, Silent(), False)
            subjects = fleet.subjects("device_history")
            assert len(subjects) == INVERTERS
            plant_of = {one: subject.plant_code for one, subject in subjects.items()}
            batches = [batch for group in fleet.by_accounts(ENDPOINT, subjects) for batch in chunks(sorted(group), 10)]
            assert len(batches) == FRESH, "however the plants are split, no call leaves with an empty seat"

            def ask(batch: Any, lane: Lane) -> bool:
                def body(ids: Any) -> Any:
                    return history_body(ids, 1, NOW - timedelta(hours=2), NOW - timedelta(hours=1))

                try:
                    replies = list(asker.ask(ENDPOINT, batch, body, plant_of, why=lane, lane=lane, reserved=FRESH))
                except QuotaExhausted:
                    return False
                assert [type(reply) for reply in replies] == [Reply], report.failures
                return True

            for _ in range(DAYS):
                made = 0
                while answers := sum(ask(batch, "backlog") for batch in batches):
                    made += answers
                assert all(ask(batch, "fresh") for batch in batches), "the backlog left them their calls"
                assert not any(ask(batch, "fresh") for batch in batches), "and nothing of the quota is left over"
                done.append(made)
                clock.advance(86_401)
        assert not [call for call in simulator.log.calls() if call.fail_code], "not one refusal"
    return done


@pytest.mark.slow
def test_two_accounts_that_see_all_are_as_fast_as_their_quotas_together_less_what_fresh_data_need(
    tmp_path: Path,
) -> None:
    one = backlog_calls_a_day(tmp_path / "one", Login("a", "x"))
    both = backlog_calls_a_day(tmp_path / "both", Login("a", "x"), Login("b", "x", id_offset=90_000))
    assert one == [QUOTA - FRESH] * DAYS
    assert Fraction(sum(both), sum(one)) == Fraction(2 * QUOTA - FRESH, QUOTA - FRESH)

    west, east = frozenset({"NE=0", "NE=2"}), frozenset({"NE=1", "NE=3"})
    split = backlog_calls_a_day(tmp_path / "split", Login("a", "x", west), Login("b", "x", east))
    assert sum(one) < sum(split) < sum(both), "faster than one account, but less than if each saw all"
    assert split == [2 * (24 + INVERTERS // 20) - FRESH] * DAYS, "each has the quota of its own plants"
