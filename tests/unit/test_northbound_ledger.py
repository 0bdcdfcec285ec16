"""The ledger never grants more than the vendor allows, whoever asks, and forgets nothing."""

import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.northbound.allowances import CLOCK_TOLERANCE
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.ledger import LONGEST_CALL, FleetCounts, Ledger
from schemas.endpoints import ENDPOINTS

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
FLEET = FleetCounts(plants=120, devices_by_type={1: 120, 17: 120})
DAY = timedelta(days=1)
PACE = timedelta(microseconds=-(-(DAY // timedelta(microseconds=1)) // 26))
"""Of getDevList for FLEET, rounded up: never too early."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.sqlite")


def make_call(ledger: Ledger, endpoint: str, at: datetime, *, outcome: str = "ok", took: float = 0.0) -> int:
    call_id = ledger.reserve("main", endpoint, "{}", "a test", at, FLEET)
    ledger.settle(call_id, outcome, 0, 1, 2, 3.0, at + timedelta(seconds=took))
    return call_id


@pytest.mark.parametrize(
    ("endpoint", "limit"),
    [
        ("stations", 44),
        ("getDevList", 26),
        ("getDevHistoryKpi", 48),
        ("getKpiStationHour", 26),
        ("getKpiStationYear", 26),
        ("getDevKpiDay", 26),
    ],
)
def test_the_daily_limits_are_those_of_the_reference(ledger: Ledger, endpoint: str, limit: int) -> None:
    """The examples of 4.2: 120 plants, 120 inverters, 120 meters (meters have no device report)."""
    make_call(ledger, endpoint, NOON)
    found = ledger.allowance("main", endpoint, NOON + DAY - timedelta(seconds=1), FLEET)
    assert (found.granted, found.used, found.limit, found.next_at) == (True, 1, limit, None)
    assert ledger.allowance("main", endpoint, NOON + DAY, FLEET).used == 0


@pytest.mark.parametrize(
    ("endpoint", "limit", "minutes"),
    [
        ("getStationRealKpi", 2, 5),
        ("getDevRealKpi", 4, 5),
        ("getAlarmList", 4, 30),
        ("login", 5, 10),
        ("logout", 5, 10),
    ],
)
def test_no_call_beyond_the_limit(ledger: Ledger, endpoint: str, limit: int, minutes: int) -> None:
    for used in range(limit):
        found = ledger.allowance("main", endpoint, NOON, FLEET)
        assert (found.granted, found.used, found.limit, found.next_at) == (True, used, limit, None)
        make_call(ledger, endpoint, NOON)
    with pytest.raises(QuotaExhausted) as stopped:
        make_call(ledger, endpoint, NOON)
    assert stopped.value.next_at == NOON + timedelta(minutes=minutes)
    assert len(ledger.calls()) == limit, "a call that wasn't granted isn't in the ledger"
    make_call(ledger, endpoint, NOON + timedelta(minutes=minutes))


def test_other_policies(tmp_path: Path) -> None:
    static = Ledger(tmp_path / "static.sqlite", flow_control="static")
    make_call(static, "getDevHistoryKpi", NOON)
    assert static.allowance("main", "getDevHistoryKpi", NOON, FLEET).next_at == NOON + timedelta(minutes=1)
    oauth = Ledger(tmp_path / "oauth.sqlite", flow_control="oauth")
    make_call(oauth, "getDevHistoryKpi", NOON)
    make_call(oauth, "getAlarmList", NOON)
    found = oauth.allowance("main", "stations", NOON, FLEET)
    assert (found.used, found.limit) == (2, 1000), "all basic APIs draw from one counter"
    assert oauth.allowance("main", "login", NOON, FLEET).limit == 5
    with pytest.raises(ValueError, match="dynamic, static, oauth"):
        Ledger(tmp_path / "x.sqlite", flow_control="generous")


def test_accounts_and_endpoints_are_counted_apart(ledger: Ledger) -> None:
    make_call(ledger, "getStationRealKpi", NOON)
    assert ledger.allowance("other", "getStationRealKpi", NOON, FLEET).used == 0
    assert ledger.allowance("main", "getDevRealKpi", NOON, FLEET).used == 0


def test_a_fleet_that_is_not_known_yet_may_call_once(ledger: Ledger) -> None:
    found = ledger.allowance("main", "getDevRealKpi", NOON, FleetCounts())
    assert (found.granted, found.limit) == (True, 1)


def test_a_slow_call_holds_its_seat_until_a_window_after_it_came_back(ledger: Ledger) -> None:
    for _ in range(2):
        make_call(ledger, "getStationRealKpi", NOON, took=40)
    found = ledger.allowance("main", "getStationRealKpi", NOON + timedelta(seconds=301), FLEET)
    assert found.next_at == NOON + timedelta(seconds=340)


def test_a_call_that_never_left_gives_its_seat_back(ledger: Ledger) -> None:
    call_id = ledger.reserve("main", "getStationRealKpi", "{}", "w", NOON, FLEET)
    ledger.settle(call_id, "unreachable", None, None, None, None, NOON, counted=False)
    assert ledger.allowance("main", "getStationRealKpi", NOON, FLEET).used == 0
    assert [call.outcome for call in ledger.calls()] == ["unreachable"]


def test_a_process_that_dies_leaves_its_call_counted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    program = (
        "import os, sys\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from pipelines.northbound.ledger import FleetCounts, Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "now = datetime.fromisoformat(sys.argv[2])\n"
        "ledger.reserve('main', 'getStationRealKpi', '{}', 'w', now, FleetCounts(plants=1))\n"
        "os._exit(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path), NOON.isoformat()], check=False)
    assert ended.returncode == 9
    ledger = Ledger(path)
    (call,) = ledger.calls()
    assert (call.outcome, call.rows, call.called_at) == (None, None, NOON)
    found = ledger.allowance("main", "getStationRealKpi", NOON, FleetCounts(plants=1))
    assert found.next_at == NOON + LONGEST_CALL + timedelta(minutes=5)


def _take_all(path: str, barrier: object, granted: object) -> None:
    ledger = Ledger(Path(path))
    barrier.wait()  # type: ignore[attr-defined]
    count = 0
    for _ in range(12):
        try:
            ledger.reserve("main", "getDevList", "{}", "w", NOON, FLEET)
        except QuotaExhausted:
            continue
        count += 1
    granted.put(count)  # type: ignore[attr-defined]


def test_processes_never_share_the_last_seat(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, granted = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_take_all, args=(str(tmp_path / "ledger.sqlite"), barrier, granted)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    counts = [granted.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(counts) == 26
    assert len(Ledger(tmp_path / "ledger.sqlite").calls()) == 26


def test_a_refusal_closes_the_endpoint_and_is_kept_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    pace = PACE
    for _ in range(3):
        make_call(Ledger(path), "getDevList", NOON)
    assert Ledger(path).note_refusal("main", "getDevList", NOON, FLEET) == NOON + pace
    again = Ledger(path)
    assert again.allowance("main", "getDevList", NOON, FLEET).next_at == NOON + pace
    assert again.allowance("other", "getDevList", NOON, FLEET).granted
    later = NOON + pace
    make_call(again, "getDevList", later)
    assert again.allowance("main", "getDevList", later, FLEET).next_at == later + pace, "an even pace from now on"


def test_refusals_in_a_row_close_it_for_longer_but_never_past_a_window(ledger: Ledger) -> None:
    pace = PACE
    spans = [ledger.note_refusal("main", "getDevList", NOON, FLEET) - NOON for _ in range(7)]
    assert spans == [pace, 2 * pace, 4 * pace, 8 * pace, 16 * pace, DAY, DAY]
    make_call(ledger, "getDevList", NOON + DAY)
    opens = ledger.note_refusal("main", "getDevList", NOON + DAY, FLEET)
    assert opens == NOON + DAY + pace, "a success ends the row; one refusal at an even pace may be a whim"
    make_call(ledger, "getDevList", opens)
    assert ledger.note_refusal("main", "getDevList", opens, FLEET) == opens + 2 * pace, "two make it half as fast"


def test_rows_from_a_wrong_clock_block_for_one_window_only(ledger: Ledger) -> None:
    """Once somebody's clock stood three years ahead."""
    for _ in range(2):
        make_call(ledger, "getStationRealKpi", NOON + 1000 * DAY)
    found = ledger.allowance("main", "getStationRealKpi", NOON, FLEET)
    assert found.next_at is not None
    assert found.next_at <= NOON + timedelta(minutes=5) + CLOCK_TOLERANCE
    assert ledger.allowance("main", "getStationRealKpi", found.next_at, FLEET).granted


def test_calls_since(ledger: Ledger) -> None:
    for hours in range(3):
        make_call(ledger, "getDevList", NOON + timedelta(hours=hours), took=1.5)
    found = ledger.calls(NOON + timedelta(hours=1))
    assert [call.called_at for call in found] == [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    assert (found[0].account, found[0].why, found[0].rows, found[0].bytes, found[0].ms) == ("main", "a test", 1, 2, 3.0)


def test_a_failed_transaction_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.Error):
        ledger.reserve("main", "getDevList", None, "w", NOON, FLEET)  # type: ignore[arg-type]
    assert ledger.calls() == []
    make_call(ledger, "getDevList", NOON)


def test_a_full_disk_leaves_the_ledger_usable(ledger: Ledger) -> None:
    make_call(ledger, "getDevList", NOON)
    with ledger._file.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    with ledger._file._turn() as db:
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        ledger.reserve("main", "getDevList", "x" * 1_000_000, "w", NOON, FLEET)
    assert len(ledger.calls()) == 1
    with ledger._file._turn() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    make_call(ledger, "getDevList", NOON)
    assert ledger.allowance("main", "getDevList", NOON, FLEET).used == 2


def test_a_forked_process_opens_the_ledger_for_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    make_call(ledger, "getDevList", NOON)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=make_call, args=(ledger, "getDevList", NOON))
    child.start()
    child.join()
    assert child.exitcode == 0
    make_call(ledger, "getDevList", NOON)
    assert [call.outcome for call in ledger.calls()] == ["ok"] * 3


STEPS = st.lists(
    st.tuples(
        st.integers(0, 400_000).map(lambda millis: millis / 1000),  # pause before the call, s
        st.integers(0, 60_000).map(lambda millis: millis / 1000),  # how long it takes, s
        st.floats(0, 1),  # where in between the server counts it
        st.booleans(),  # does the process live to see the end
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, plants=st.integers(1, 250))
def test_no_rolling_window_ever_holds_more_than_the_limit(
    steps: list[tuple[float, float, float, bool]], plants: int
) -> None:
    endpoint, counts = "getStationRealKpi", FleetCounts(plants=plants)
    quota = ENDPOINTS[endpoint].quotas["dynamic"]
    window = timedelta(seconds=quota.window_seconds)
    arrivals: list[datetime] = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        now = NOON
        for pause, took, where, survives in steps:
            now += timedelta(seconds=pause)
            promised = ledger.allowance("main", endpoint, now, counts)
            try:
                call_id = ledger.reserve("main", endpoint, "{}", "w", now, counts)
            except QuotaExhausted as error:
                assert not promised.granted
                assert error.next_at == promised.next_at
                assert error.next_at is not None
                assert ledger.allowance("main", endpoint, error.next_at, counts).granted, "a promise is kept"
                continue
            assert promised.granted
            arrivals.append(now + timedelta(seconds=took * where))
            now += timedelta(seconds=took)
            if survives:
                ledger.settle(call_id, "ok", 0, 0, 0, 0.0, now)
    arrivals.sort()
    for first in arrivals:
        inside = [each for each in arrivals if first <= each < first + window]
        assert len(inside) <= quota.limit(plants, {})


# --- lanes ---------------------------------------------------------------------------------------------------


def test_a_backlog_leaves_the_reserve_to_the_others(ledger: Ledger) -> None:
    def backlog(at: datetime) -> None:
        call_id = ledger.reserve("main", "getDevList", "{}", "w", at, FLEET, lane="backlog", reserved=6)
        ledger.settle(call_id, "ok", 0, 1, 2, 3.0, at)

    for minutes in range(20):
        backlog(NOON + timedelta(minutes=minutes))
    later = NOON + timedelta(minutes=20)
    with pytest.raises(QuotaExhausted) as stopped:
        backlog(later)
    assert stopped.value.next_at == NOON + DAY, "20 of 26, and 6 belong to the others"
    for _ in range(6):
        make_call(ledger, "getDevList", later)
    with pytest.raises(QuotaExhausted) as full:
        make_call(ledger, "getDevList", later)
    assert full.value.next_at == NOON + DAY
    backlog(NOON + DAY)
    found = ledger.allowance("main", "getDevList", NOON + DAY, FLEET, lane="backlog", reserved=6)
    assert found.next_at == NOON + DAY + timedelta(minutes=1), "what the others have used needn't be kept for them"
    assert [call.lane for call in ledger.calls()] == ["backlog"] * 20 + ["asked"] * 6 + ["backlog"]


def test_a_reserve_of_the_whole_window_lets_no_backlog_through(ledger: Ledger) -> None:
    found = ledger.allowance("main", "getDevList", NOON, FLEET, lane="backlog", reserved=26)
    assert (found.granted, found.next_at) == (False, None)


def test_a_file_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    make_call(Ledger(path), "getDevList", NOON)
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE calls DROP COLUMN lane")
    (call,) = Ledger(path).calls()
    assert (call.lane, call.outcome) == ("asked", "ok")
    assert Ledger(path).allowance("main", "getDevList", NOON, FLEET).used == 1
