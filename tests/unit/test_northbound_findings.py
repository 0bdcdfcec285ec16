"""When the ledger says that the vendor counts by another policy, and what `pvms status` can say of it."""

import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from northbound_loopback import Loopback, logged_in, refused, rows

from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.findings import Modelled, policy_findings
from pipelines.northbound.ledger import KEPT_FOR, PRUNE_EVERY, CallRecord, FleetCounts, Ledger

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAILY = "getKpiStationDay"


def call(at: datetime, outcome: str = "ok", endpoint: str = DAILY) -> CallRecord:
    return CallRecord(1, "main", endpoint, "{}", "w", "asked", at, outcome, 0, 1, 1, 1.0)


def model(_: str) -> Modelled:
    return Modelled(25, DAY, (DAILY,))


def days_with_refusals(days: int, good: int) -> list[CallRecord]:
    calls = []
    for back in range(days):
        end = NOW - back * DAY
        calls += [call(end - timedelta(minutes=minutes + 1)) for minutes in range(good)]
        calls.append(call(end, "rate_limited"))
    return calls


def test_three_days_of_refusals_well_below_the_quota_are_a_finding() -> None:
    (found,) = policy_findings(days_with_refusals(3, good=10), model, NOW)
    assert (found.endpoint, found.limit, found.used, found.granted) == (DAILY, 25, 10, 10)
    assert found.refused_on == (date(2026, 6, 8), date(2026, 6, 9), date(2026, 6, 10))
    assert "the policy differs" in found.sentence
    assert "3 of the last 7 days while at most 10 of 25 calls per day were used" in found.sentence


@pytest.mark.parametrize(
    ("calls", "now"),
    [
        (days_with_refusals(2, good=10), NOW),
        (days_with_refusals(4, good=20), NOW),
        (days_with_refusals(3, good=10), NOW + 6 * DAY),
        ([each for each in days_with_refusals(3, good=10) if each.outcome == "ok"], NOW),
    ],
    ids=["two days", "near the quota", "most of it long ago", "no refusal"],
)
def test_less_than_that_is_none(calls: list[CallRecord], now: datetime) -> None:
    assert policy_findings(calls, model, now) == []


def test_the_client_reports_and_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(NOW)
    with (
        Loopback() as server,
        Client(
            base_url=server.url, username="api", password="p", account="main", state_dir=tmp_path, clock=clock
        ) as client,
    ):
        client.counts = FleetCounts(plants=20)
        server.say("login", logged_in())
        for day in range(3):
            server.say(DAILY, rows({"a": 1}), refused(407))
            assert client.policy_findings() == []
            client.call(DAILY, {}, why="w")
            clock.advance(6 * 3600)
            with pytest.raises(Exception, match="more often"):
                client.call(DAILY, {}, why="w")
            clock.advance(18 * 3600 * (day < 2))
        (found,) = client.policy_findings()
    assert (found.endpoint, found.used, found.granted) == (DAILY, 1, 1)
    assert found.sentence in [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_calls_of_more_than_a_year_ago_are_dropped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def one(at: datetime) -> None:
        ledger.settle(ledger.reserve("main", "login", "", "w", at, FleetCounts()), "ok", 0, 1, 1, 1.0, at)

    for number in range(PRUNE_EVERY - 1):
        one(NOW + number * timedelta(days=1))
    one(NOW + KEPT_FOR + timedelta(days=PRUNE_EVERY))
    kept = ledger.calls()
    assert {each.called_at >= NOW + timedelta(days=PRUNE_EVERY) for each in kept} == {True}
    assert len(kept) == 1
