"""Every fault that the simulator plays, alone and in chance company: no crash, no avoidable call, all there in the end.

Loads through the real client over loopback HTTP, on a clock that both sides share and that only waiting moves.
"""

import random
from collections import Counter
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from truth.compare import summary
from truth.inside import load_into, raw_of, settings_of
from truth.raw import Load, datasets, raw_checks

from pipelines.load.request import LoadReport, Waiting
from pipelines.northbound.client import Client
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.errors import QuotaExhausted, SessionContested, SessionExpired
from pipelines.northbound.requests import report_body
from pipelines.settings import Settings
from pipelines.simulator.faults import Faults
from pipelines.simulator.log import RequestRecord
from pipelines.simulator.server import Simulator
from pipelines.simulator.sessions import TOKEN_SECONDS
from pipelines.simulator.world import World, build_world
from schemas.datasets import DATASETS

DAY = date(2025, 6, 15)
WANTED = ("plant_daily", "plant_hourly", "device_daily", "device_history")
ALONE = {
    item.name: "every=3,times=2" for item in fields(Faults) if item.metadata.get("strike") and "oauth" not in item.name
} | {
    **dict.fromkeys(("login_refused", "login_locked", "login_limited", "login_empty", "login_html"), "times=1"),
    # A whole listing is two calls, so these strike data.
    "empty_data": "getDevHistoryKpi,times=1",
    "other_shape": "getDevHistoryKpi,times=1",
    "wrong_content_type": "",
}
REFUSED_LOGINS = ("login_refused", "login_locked", "login_empty")
SESSION_ENDS = (305, 306, 307)
HARMLESS = ("slow_body", "wrong_content_type")
RESTING = ("http_503", "quota_control_403", "too_many_429")


@pytest.fixture(scope="module")
def single() -> World:
    """One home with an inverter, a battery and a meter."""
    return build_world("single", 1)


def differences_of(world: World, settings: Settings, now: datetime) -> str:
    """What is wrong in the tables of the loaded datasets; empty if nothing is."""
    load = Load(world, DAY, DAY, "demo", now, WANTED)
    checks = raw_checks(load)
    with raw_of(settings) as connection:
        found = [each for dataset in datasets(load) for each in checks[dataset.table](connection)]
    return summary(found) if found else ""


def assert_nothing_was_avoidable(log: list[RequestRecord]) -> None:
    """No 407 that the ledger could have foreseen, no login within a token's life, no call while the account rests."""
    assert [r for r in log if r.fail_code == 407 and r.fault is None] == [], "a quota was overdrawn"
    token_alive_until: datetime | None = None
    rests_until = datetime.min.replace(tzinfo=UTC)
    for record in log:
        if record.endpoint == "login":
            assert token_alive_until is None or record.at >= token_alive_until, f"a login too many at {record.at}"
            if record.ok:
                token_alive_until = record.at + timedelta(seconds=TOKEN_SECONDS)
            continue
        assert record.at >= rests_until, f"{record.endpoint} at {record.at}, though the account rests"
        if record.fail_code in SESSION_ENDS or record.fault == "token_minutes":
            token_alive_until = None
        elif token_alive_until is not None and record.account is not None:
            token_alive_until = record.at + timedelta(seconds=TOKEN_SECONDS)
        if record.fault in RESTING:
            rests_until = record.at + timedelta(minutes=1)


def load(settings: Settings, clock: ManualClock, *wanted: str) -> LoadReport:
    """One load; the command ends with 3 where not even the inventory could be asked for."""
    try:
        return load_into(settings, DAY, DAY, *(wanted or WANTED), clock=clock)
    except QuotaExhausted as exhausted:
        return LoadReport(waiting=[Waiting("inventory", 1, 0, exhausted.next_at, exhausted.why)])


def loaded_to_the_end(settings: Settings, clock: ManualClock) -> list[LoadReport]:
    """Loads, hours and days apart, until one has nothing left to do."""
    reports = []
    for hours in (0, 1, 7, 24, 24, 48, 48, 96, 96):
        clock.advance(hours * 3600)
        reports.append(load(settings, clock))
        if reports[-1].exit_code == 0 and not reports[-1].suspect:
            break
    return reports


@pytest.mark.slow
@pytest.mark.parametrize("fault", ALONE)
def test_each_fault_alone(single: World, tmp_path: Path, fault: str) -> None:
    clock = ManualClock(datetime(2026, 6, 20, 12, tzinfo=UTC))
    faults = Faults(**{fault: ALONE[fault] or True}, slow_body_seconds=0.05)
    with Simulator(single, clock=clock, faults=faults) as simulator:
        settings = settings_of(simulator, tmp_path)
        first = load(settings, clock)
        assert first.exit_code in (0, 1, 3), first
        if fault in REFUSED_LOGINS:
            assert first.exit_code == 1 and "login was" in first.failures[0]
            assert len(simulator.log) == 1, "one attempt, and nothing else"
            assert load(settings, clock).exit_code == 1
            assert len(simulator.log) == 1
            (tmp_path / "state" / "tokens.json").unlink()  # what the error advises
            clock.advance(1800)
        last = loaded_to_the_end(settings, clock)[-1]
        assert last.exit_code == 0 and not last.suspect, last
        assert any(record.fault == fault for record in simulator.log), "the fault was played"
        assert_nothing_was_avoidable(list(simulator.log))
        assert differences_of(single, settings, clock.now()) == ""
        calls = len(simulator.log)
        clock.advance(60)
        assert load(settings, clock).exit_code == 0
        assert len(simulator.log) == calls, "what is there isn't asked again"


@pytest.mark.parametrize("seed", range(3))
def test_faults_in_chance_company(single: World, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    several = chance.sample([name for name in ALONE if name not in REFUSED_LOGINS], 6)
    whens = {name: f"rate={chance.choice((0.1, 0.2, 0.3))},until=2026-06-23" for name in several}
    clock = ManualClock(datetime(2026, 6, 20, 12, tzinfo=UTC))
    faults = Faults(**whens, seed=seed, slow_body_seconds=0.05, string_fail_codes=bool(seed % 2))
    with Simulator(single, clock=clock, faults=faults) as simulator:
        settings = settings_of(simulator, tmp_path)
        reports = loaded_to_the_end(settings, clock)
        assert {report.exit_code for report in reports} <= {0, 1, 3}
        assert reports[-1].exit_code == 0 and not reports[-1].suspect, (whens, reports[-1])
        assert_nothing_was_avoidable(list(simulator.log))
        assert differences_of(single, settings, clock.now()) == ""
        endpoints = {DATASETS[name].endpoint for name in WANTED}
        whole = [record for record in simulator.log.calls(ok=True) if record.fault in (None, *HARMLESS)]
        repeated = Counter(str(record.body) for record in whole if record.endpoint in endpoints)
        assert max(repeated.values()) == 1, "what has come isn't asked again"


def test_a_program_that_steals_the_session_again_and_again_makes_the_account_rest(
    single: World, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 6, 20, 12, tzinfo=UTC))
    faults = Faults(steal_session="until=2026-06-20T14:00")
    with (
        Simulator(single, clock=clock, faults=faults, flow_control="none") as simulator,
        Client(
            base_url=simulator.base_url,
            username=simulator.username,
            password=simulator.password,
            account="main",
            state_dir=tmp_path / "state",
            clock=clock,
        ) as client,
    ):
        body = report_body("getKpiStationDay", [single.plants[0].code], clock.now() - timedelta(days=1))
        ends: list[tuple[int, str, int]] = []
        for _ in range(100):
            try:
                client.call("getKpiStationDay", body, why="test")
                ends.append((clock.now().hour * 60 + clock.now().minute - 720, "ok", len(simulator.log)))
                break
            except (SessionExpired, QuotaExhausted) as error:
                ends.append((clock.now().hour * 60 + clock.now().minute - 720, error.outcome, len(simulator.log)))
                if isinstance(error, SessionContested):
                    assert "another program" in str(error) and "Go on at 2026-06-20" in str(error)
            clock.advance(120)
        logins = [record.at for record in simulator.log.calls("login")]
    outcomes = [what for _, what, _ in ends]
    assert outcomes[:2] == ["session_expired", "session_contested"], "the third token that died in half an hour"
    assert outcomes[-1] == "ok", "and goes on when the other has stopped"
    assert len(logins) <= 12, "two hours of it cost a handful of logins"
    for first, at in enumerate(logins):
        assert len([each for each in logins[first:] if each - at < timedelta(minutes=10)]) <= 3


def test_loads_of_a_contested_account_say_so_and_when_they_go_on(single: World, tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 6, 20, 12, tzinfo=UTC))
    with Simulator(single, clock=clock, faults=Faults(steal_session="times=5")) as simulator:
        settings = settings_of(simulator, tmp_path)
        reports = [load(settings, clock, "plant_daily") for _ in range(4)]
        asked = len(simulator.log)
        assert [report.exit_code for report in reports][-1] in (1, 3)
        said = str([*reports[-1].waiting, *reports[-1].failures])
        assert ("another program" in said and "own" in said) or "rests" in said
        assert load(settings, clock, "plant_daily").exit_code != 0
        assert len(simulator.log) == asked, "nothing is asked while the account rests"
        assert loaded_to_the_end(settings, clock)[-1].exit_code == 0
