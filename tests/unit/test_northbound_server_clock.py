"""The ledger's time is the server's: measured from answers, steady, shared, and warned about."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from northbound_loopback import Heard, Loopback, Say, logged_in

from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts, Ledger
from pipelines.northbound.skew import ServerTime

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
FLEET = FleetCounts(plants=120)
POLLING = "getStationRealKpi"
SECOND = timedelta(seconds=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def answered(
    ledger: Ledger,
    at: datetime,
    skew: timedelta,
    *,
    endpoint: str = "getDevList",
    took: float = 1.0,
    header: bool = False,
) -> timedelta | None:
    """One call; what the server says of its time lies in the middle of it. Gives the skew to be warned about."""
    end = at + timedelta(seconds=took)
    call_id = ledger.reserve("main", endpoint, "{}", "w", at, FLEET)
    heard = ServerTime(at, end, at + timedelta(seconds=took / 2) + skew, header)
    return ledger.settle(call_id, "ok", 0, 1, 2, 3.0, end, counts=FLEET, server_time=heard)


def test_small_differences_leave_the_ledger_alone(ledger: Ledger) -> None:
    for minute, skew in enumerate((0.3, -0.2, 2.0, 0.1)):
        answered(ledger, NOON + timedelta(minutes=minute), timedelta(seconds=skew))
    found = ledger.clock("main")
    assert found.skew == timedelta(seconds=0.1), "the middle of the last three"
    assert found.applied == timedelta()
    assert ledger.calls()[0].called_at == NOON
    assert ledger.clock("other").skew is None


def test_the_ledger_follows_the_server_and_gives_back_this_machine_s_time(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    for minute in range(3):
        assert ledger.clock("main").applied == timedelta()
        answered(ledger, NOON + timedelta(minutes=minute), hour)
    other = Ledger(path)
    assert other.server_now("main", NOON) == NOON + hour
    assert [call.called_at for call in other.calls()] == [NOON + hour + timedelta(minutes=n) for n in range(3)]
    assert len(other.calls(NOON + timedelta(minutes=1))) == 2, "asked for by this machine's time"
    later = NOON + timedelta(minutes=10)
    for _ in range(2):
        answered(other, later, hour, endpoint=POLLING)
    found = other.allowance("main", POLLING, later, FLEET)
    assert found.next_at == later + SECOND + timedelta(minutes=5), "by this machine's clock"


def test_a_clock_that_is_set_right_costs_no_quota_and_frees_none(ledger: Ledger) -> None:
    """This machine was an hour behind; then its clock is set."""
    hour = timedelta(hours=1)
    for minute in range(3):
        answered(ledger, NOON + timedelta(minutes=minute), hour)
    for _ in range(2):
        answered(ledger, NOON + timedelta(minutes=5), hour, endpoint=POLLING)
    right = NOON + timedelta(minutes=6) + hour
    for second in range(3):
        answered(ledger, right + second * SECOND, timedelta())
    assert ledger.clock("main").applied == timedelta()
    found = ledger.allowance("main", POLLING, right + 3 * SECOND, FLEET)
    assert (found.granted, found.used) == (False, 2), "made a minute ago, by the server's clock"
    assert found.next_at is not None
    assert right + timedelta(minutes=4) <= found.next_at <= right + timedelta(minutes=4, seconds=10)


def test_one_answer_with_a_wrong_time_moves_nothing(ledger: Ledger) -> None:
    for minute, skew in enumerate((0, 0, -7200, 0, 0)):
        answered(ledger, NOON + timedelta(minutes=minute), timedelta(seconds=skew))
        assert ledger.clock("main").applied == timedelta()


def test_a_slow_answer_or_a_whole_second_doesn_t_outvote_a_quick_one(ledger: Ledger) -> None:
    for minute in range(4):
        answered(ledger, NOON + timedelta(minutes=minute), timedelta(seconds=20), took=59)
    assert ledger.clock("main").applied == timedelta(), "the server's time was read somewhere in a minute"
    for minute in range(3):
        answered(ledger, NOON + timedelta(minutes=10 + minute), timedelta(seconds=20))
    assert ledger.clock("main").applied == timedelta(seconds=20)
    for minute in range(3):
        answered(ledger, NOON + timedelta(minutes=20 + minute), timedelta(hours=3), header=True)
    assert ledger.clock("main").applied == timedelta(seconds=20), "params.currentTime outranks the Date header"


def test_a_server_years_away_is_measured_but_not_followed(ledger: Ledger) -> None:
    years = timedelta(days=-2000)
    warned = [answered(ledger, NOON + timedelta(minutes=minute), years) for minute in range(4)]
    assert [each is not None for each in warned] == [True, False, False, False]
    found = ledger.clock("main")
    assert (found.skew, found.applied) == (years, timedelta())
    for _ in range(2):
        answered(ledger, NOON, years, endpoint=POLLING)
    assert not ledger.allowance("main", POLLING, NOON + timedelta(minutes=4), FLEET).granted
    assert ledger.allowance("main", POLLING, NOON + timedelta(minutes=5, seconds=1), FLEET).granted


def test_a_wrong_clock_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(NOON)

    def late(_: Heard) -> Say:
        now = int((clock.now() + timedelta(seconds=90)).timestamp() * 1000)
        return Say({"success": True, "failCode": 0, "data": [], "params": {"currentTime": now}})

    with Loopback() as server:
        server.say("login", logged_in())
        server.say("getDevList", late)
        for _ in range(2):
            with Client(
                base_url=server.url, username="api", password="p", account="main", state_dir=tmp_path, clock=clock
            ) as client:
                for _ in range(3):
                    client.call("getDevList", {"stationCodes": "NE=1"}, why="w")
                assert client.server_now() == clock.now() + timedelta(seconds=90)
    texts = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(texts) == 1, "once for all processes"
    assert "90 s behind the server's" in texts[0]
