"""The ledger against the simulator's flow control, which shares no code with it: what it grants is never refused."""

import heapq
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.ledger import FleetCounts, Ledger
from pipelines.northbound.quotas import QuotaOverride
from pipelines.simulator.flow import Counts, FlowControl, WindowKind

START = datetime(2026, 6, 1, 17, 23, tzinfo=UTC)
DAY = timedelta(days=1)
PLANTS, DEVICES = 250, {1: 300, 17: 150}
FLEET, SEEN = FleetCounts(PLANTS, DEVICES), Counts(PLANTS, DEVICES)
HISTORY, POLLING = "getDevHistoryKpi", "getStationRealKpi"
"""69 calls a day, 3 in five minutes."""


class Vendor:
    """Counts as the simulator does, and keeps the refusals."""

    def __init__(self, window: WindowKind, burst: int | None = None) -> None:
        self.flow = FlowControl("dynamic", window, burst=burst)
        self.granted = 0
        self.refused: list[datetime] = []

    def admits(self, endpoint: str, at: datetime) -> bool:
        if self.flow.admit("main", endpoint, SEEN, at.timestamp()):
            self.granted += 1
            return True
        self.refused.append(at)
        return False


@contextmanager
def two_processes() -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers on one file, as two processes have them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledgers = Ledger(path), Ledger(path)
        yield ledgers
        for each in ledgers:
            each.close()


def ask(ledger: Ledger, vendor: Vendor, endpoint: str, at: datetime, took: timedelta = timedelta(seconds=1)) -> bool:
    """One call from beginning to end; QuotaExhausted if the ledger says no."""
    call_id = ledger.reserve("main", endpoint, "{}", "w", at, FLEET)
    end = at + took
    if vendor.admits(endpoint, at + took / 2):
        ledger.settle(call_id, "ok", 0, 1, 2, 3.0, end, counts=FLEET)
        return True
    ledger.note_refusal("main", endpoint, end, FLEET, call_id=call_id)
    ledger.settle(call_id, "rate_limited", 407, None, 2, 3.0, end, counts=FLEET)
    return False


def backlog(ledgers: tuple[Ledger, Ledger], vendor: Vendor, endpoint: str, begin: datetime, end: datetime) -> None:
    """Call whenever the ledger allows it, in turns."""
    now, turn = begin, 0
    while now < end:
        turn += 1
        try:
            ask(ledgers[turn % 2], vendor, endpoint, now)
        except QuotaExhausted as error:
            assert error.next_at is not None
            assert error.next_at > now
            now = error.next_at
        else:
            now += timedelta(seconds=1)


CALLS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 20), st.floats(0, 2000)),  # pause since the one before began, s
        st.floats(0.01, 60),  # how long it takes, s
        st.floats(0, 1),  # where in between the vendor counts it
        st.integers(0, 1),  # which process makes it
        st.integers(0, 9).map(bool),  # does that live to see the end
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.parametrize(
    ("window", "burst"), [("rolling", None), ("day", None), ("bucket", None), ("bucket", 2), ("bucket", 1)]
)
@settings(max_examples=15, deadline=None)
@given(calls=CALLS)
def test_whatever_the_vendor_s_window_nothing_is_refused_that_could_have_been_foreseen(
    window: WindowKind, burst: int | None, calls: list[tuple[float, float, float, int, bool]]
) -> None:
    """Calls of two processes overlap at will. A bucket smaller than a window's calls is known from its first refusal:
    only calls that have left before may be refused too."""
    vendor = Vendor(window, burst)
    events: list[tuple[datetime, int, int]] = []
    at = START
    for number, (pause, took, where, _, lives) in enumerate(calls):
        at += timedelta(seconds=pause)
        events += [(at, 0, number), (at + timedelta(seconds=took * where), 1, number)]
        if lives:
            events.append((at + timedelta(seconds=took), 2, number))
    heapq.heapify(events)
    begun: dict[int, int] = {}
    admitted: dict[int, bool] = {}
    foreseeable: set[int] = set()
    known = False
    with two_processes() as ledgers:
        while events:
            now, what, number = heapq.heappop(events)
            ledger = ledgers[calls[number][3]]
            if what == 0:
                try:
                    begun[number] = ledger.reserve("main", POLLING, "{}", "w", now, FLEET)
                except QuotaExhausted:
                    continue
                foreseeable |= {number} if known else set()
            elif number in begun and what == 1:
                admitted[number] = vendor.admits(POLLING, now)
                assert admitted[number] or number not in foreseeable
            elif number in begun and admitted[number]:
                ledger.settle(begun[number], "ok", 0, 1, 2, 3.0, now, counts=FLEET)
            elif number in begun:
                known = True
                ledger.note_refusal("main", POLLING, now, FLEET, call_id=begun[number])
                ledger.settle(begun[number], "rate_limited", 407, None, 2, 3.0, now, counts=FLEET)
    assert burst is not None or not vendor.refused


@pytest.mark.parametrize(
    ("window", "burst", "most"),
    [
        ("rolling", None, 0),
        ("day", None, 0),
        ("bucket", None, 0),
        ("bucket", 20, 1),
        ("bucket", 3, 1),
        ("bucket", 1, 1),
    ],
)
@pytest.mark.parametrize(("endpoint", "limit", "span"), [(HISTORY, 69, DAY), (POLLING, 3, timedelta(minutes=5))])
def test_a_backlog_takes_what_the_quota_gives(
    window: WindowKind, burst: int | None, most: int, endpoint: str, limit: int, span: timedelta
) -> None:
    vendor, windows = Vendor(window, burst), 8
    with two_processes() as ledgers:
        backlog(ledgers, vendor, endpoint, START, START + windows * span)
    assert len(vendor.refused) <= most
    assert vendor.granted >= 0.95 * windows * limit


def test_a_burst_that_was_shown_is_used_again_and_another_only_after_calm() -> None:
    vendor = Vendor("bucket", 20)
    with two_processes() as (ledger, other):
        for _ in range(20):
            assert ask(ledger, vendor, HISTORY, START)
        assert not ask(ledger, vendor, HISTORY, START)
        tomorrow = START + DAY
        granted = 0
        while ledger.allowance("main", HISTORY, tomorrow, FLEET).granted:
            assert ask(other, vendor, HISTORY, tomorrow)
            tomorrow += timedelta(seconds=1)
            granted += 1
        assert granted == 20
        assert ledger.allowance("main", HISTORY, tomorrow, FLEET).closed_by == "pace"
        learnt = ledger.learnt("main", HISTORY, FLEET)
        assert learnt is not None
        assert (learnt.paced, learnt.burst, learnt.slower) == (True, 20, 1)
        later = START + timedelta(days=31)
        for _ in range(21):
            ask(ledger, vendor, HISTORY, later)
        assert len(vendor.refused) == 2, "bursts were allowed once more after a month of calm"
        for months in (2, 4, 8):
            at = START + timedelta(days=31 * months)
            while ledger.allowance("main", HISTORY, at, FLEET).granted:
                ask(ledger, vendor, HISTORY, at)
        assert len(vendor.refused) == 2, "and that was refused at once, so never again"


def test_a_backlog_leaves_no_more_than_the_vendor_lets_be_saved(tmp_path: Path) -> None:
    """At an even pace a call that isn't made in its turn is gone; fresh data are served first all the same."""
    ledger, vendor = Ledger(tmp_path / "ledger.sqlite"), Vendor("bucket", 1)
    for _ in range(2):
        ledger.note_refusal("main", HISTORY, START, FLEET)
    now, days = START, 3
    while now < START + days * DAY:
        try:
            call_id = ledger.reserve("main", HISTORY, "{}", "w", now, FLEET, lane="backlog", reserved=46)
        except QuotaExhausted as error:
            assert error.next_at is not None
            now = error.next_at
            continue
        assert vendor.admits(HISTORY, now)
        ledger.settle(call_id, "ok", 0, 1, 2, 3.0, now, counts=FLEET)
        now += timedelta(seconds=1)
    assert vendor.granted >= 0.95 * days * 69


def test_other_quotas_make_what_was_learnt_void(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).note_refusal("main", HISTORY, START, FLEET)
    assert Ledger(path).learnt("main", HISTORY, FLEET) is not None
    changed = Ledger(path, quotas={HISTORY: QuotaOverride(limit=40)})
    assert changed.learnt("main", HISTORY, FLEET) is None
    found = changed.allowance("main", HISTORY, START, FLEET)
    assert (found.granted, found.limit) == (True, 40)
    hourly = Ledger(path, quotas={HISTORY: QuotaOverride(window_seconds=3600)})
    assert hourly.quota(HISTORY, FLEET) == (69, timedelta(hours=1)), "the formula stays"
    oauth = Ledger(path, flow_control="oauth", quotas={"all": QuotaOverride(limit=500)})
    assert {oauth.allowance("main", name, START, FLEET).limit for name in (HISTORY, POLLING)} == {500}


def test_a_vendor_who_grants_half_is_met_at_half_the_pace() -> None:
    """Its window holds half the calls, because it counts otherwise than the reference says."""
    flow, refused, granted = FlowControl("dynamic", "rolling"), Counter[int](), Counter[int]()
    half = Counts(PLANTS, {1: 105})  # 35 a day
    days = 40
    with two_processes() as (ledger, _):
        now = START
        while now < START + days * DAY:
            try:
                call_id = ledger.reserve("main", HISTORY, "{}", "w", now, FLEET)
            except QuotaExhausted as error:
                assert error.next_at is not None
                now = error.next_at
                continue
            day = (now - START).days
            if flow.admit("main", HISTORY, half, now.timestamp()):
                granted[day] += 1
                ledger.settle(call_id, "ok", 0, 1, 2, 3.0, now + timedelta(seconds=1), counts=FLEET)
            else:
                refused[day] += 1
                ledger.note_refusal("main", HISTORY, now, FLEET, call_id=call_id)
                ledger.settle(call_id, "rate_limited", 407, None, 2, 3.0, now + timedelta(seconds=1), counts=FLEET)
            now += timedelta(seconds=1)
    assert sum(granted[day] for day in range(5, days)) >= 0.9 * 35 * (days - 5)
    assert sum(refused[day] for day in range(7)) <= 20
    assert sum(refused[day] for day in range(20, days)) <= 5, "it tries the faster pace more and more rarely"


@pytest.mark.parametrize(
    "hours",
    [range(8 * 24, 21 * 24, 3 * 24), [8 * 24, 8 * 24 + 15, 13 * 24, 13 * 24 + 15, 18 * 24, 18 * 24 + 15]],
    ids=["every third day", "in pairs, 15 hours apart"],
)
def test_a_refusal_for_no_reason_costs_a_proven_pace_nothing(hours: Sequence[int]) -> None:
    """The counter went at its even pace for days; then 407s come that no quota explains."""
    vendor, days = Vendor("bucket", 2), 24
    whims = iter([START + timedelta(hours=each) for each in hours])
    whim, now = next(whims), START
    with two_processes() as (ledger, _):
        while now < START + days * DAY:
            if now >= whim:
                try:
                    call_id = ledger.reserve("main", HISTORY, "{}", "w", now, FLEET)
                except QuotaExhausted as error:
                    assert error.next_at is not None
                    now = error.next_at
                    continue
                ledger.note_refusal("main", HISTORY, now, FLEET, call_id=call_id)
                ledger.settle(call_id, "rate_limited", 407, None, 2, 3.0, now, counts=FLEET)
                whim = next(whims, START + 2 * days * DAY)
                now += timedelta(seconds=1)
                continue
            try:
                ask(ledger, vendor, HISTORY, now)
            except QuotaExhausted as error:
                assert error.next_at is not None
                now = error.next_at
            else:
                now += timedelta(seconds=1)
    assert vendor.granted >= 0.95 * days * 69


def test_a_paced_call_that_was_not_counted_gives_its_turn_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    at = ledger.note_refusal("main", HISTORY, START, FLEET)
    call_id = ledger.reserve("main", HISTORY, "{}", "w", at, FLEET)
    assert not ledger.allowance("main", HISTORY, at, FLEET).granted
    ledger.settle(call_id, "session_expired", 305, None, 2, 3.0, at, counted=False, counts=FLEET)
    assert ledger.allowance("main", HISTORY, at, FLEET).granted
    ledger.settle(ledger.reserve("main", HISTORY, "{}", "w", at, FLEET), "ok", 0, 1, 2, 3.0, at, counts=FLEET)
    assert ledger.allowance("main", HISTORY, at, FLEET).closed_by == "pace"
