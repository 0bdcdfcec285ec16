"""Ways to keep up to date while the past is fetched: what they cost, and which one is recommended."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.planning.alternatives import Share, Situation, alternatives, recommend, speed_up
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.counting import CallCounter
from pipelines.planning.packing import lower_bound_history, pack_history
from schemas.endpoints import ENDPOINTS

QUOTA = ENDPOINTS["getDevHistoryKpi"].quotas["dynamic"]


def test_accounts_that_see_all_speed_a_backlog_up_by_what_fresh_data_leave():
    # 400 inverters: 24 + 40 calls a day, 40 of them for fresh data.
    quota, fresh, backlog = QUOTA.limit(130, {1: 400}), 40, 4_000
    assert quota == 64
    assert speed_up(2, quota, fresh) == pytest.approx((2 * 64 - 40) / (64 - 40)) == pytest.approx(3.667, abs=0.001)
    assert speed_up(3, quota, fresh) == pytest.approx((3 * 64 - 40) / (64 - 40))
    half = Share(quota=QUOTA.limit(65, {1: 200}), fresh=fresh / 2, backlog=backlog / 2)
    # Each sees half the plants and gets 24 + 20 calls: 2 x 24 are left where both quotas together left 88.
    assert speed_up(2, quota, fresh, [half, half]) == pytest.approx(2.0)
    uneven = [Share(QUOTA.limit(98, {1: 300}), 30, 3_000), Share(QUOTA.limit(32, {1: 100}), 10, 1_000)]
    assert 1 < speed_up(2, quota, fresh, uneven) < speed_up(2, quota, fresh, [half, half])


@given(
    st.integers(2, 5), st.integers(1, 2_000), st.floats(0.05, 0.95), st.lists(st.integers(1, 9), min_size=2, max_size=5)
)
def test_splitting_the_plants_is_never_faster_than_sharing_them(accounts, devices, split, weights):
    weights = weights[:accounts] + [1] * (accounts - len(weights))
    quota = QUOTA.limit(1, {1: devices})
    fresh = split * quota
    parts = [devices * weight // sum(weights) for weight in weights[1:]]
    parts.append(devices - sum(parts))
    shares = [
        Share(min(quota, QUOTA.limit(1, {1: part})), fresh * part / devices, 1_000 * part / devices) for part in parts
    ]
    assert speed_up(accounts, quota, fresh, shares) <= speed_up(accounts, quota, fresh) + 1e-6


SITUATION = Situation(
    quota=64,
    backlog={1: 3_000, 39: 900},
    fresh={1: {1: 40.0, 39: 10.0}, 2: {1: 20.0, 39: 5.0}, 3: {1: 15.0, 39: 4.0}},
)


def test_each_way_names_its_cost():
    ways = {way.key: way for way in alternatives(SITUATION)}
    assert {key: (way.fresh_a_day, way.backlog, way.days) for key, way in ways.items()} == {
        "freshness_1": (50, 3_900, 279),
        "freshness_2": (25, 3_900, 100),
        "freshness_3": (19, 3_900, 87),
        "real_time": (0, 3_900, 61),
        "tier_0": (40, 3_000, 125),
        "accounts_2": (50, 3_900, 50),
        "accounts_3": (50, 3_900, 28),
    }
    assert ways["freshness_3"].effect == "5-minute KPIs up to 3 days late; reports unaffected"
    assert not ways["real_time"].available


def test_the_freshest_way_is_recommended_that_lets_the_past_not_wait_much_longer():
    best = recommend(alternatives(SITUATION))
    assert best.alternative.key == "freshness_2"
    assert "100 days instead of 279 days" in best.reason
    assert "2 accounts that see all plants it takes" in best.reason
    small = Situation(64, {1: 100}, SITUATION.fresh)
    assert recommend(alternatives(small)).alternative.key == "freshness_1"
    assert "no backlog" in recommend(alternatives(Situation(64, {}, SITUATION.fresh))).reason
    starved = Situation(45, {1: 1_000}, SITUATION.fresh)
    assert recommend(alternatives(starved)).alternative.key == "freshness_3"
    hopeless = recommend(alternatives(Situation(10, {1: 1_000}, SITUATION.fresh)))
    assert (hopeless.alternative.days, "another account" in hopeless.reason) == (None, True)


ZONES = ("Europe/Madrid", "America/Sao_Paulo", "Asia/Bangkok", "Pacific/Norfolk")
START = date(2026, 9, 20)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(ZONES), st.sampled_from((1, 39)), st.integers(0, 12)), min_size=1, max_size=14)
)
def test_counted_batches_are_what_the_planner_makes_of_them_and_the_bound_holds(devices):
    subjects = {str(n): Subject(str(n), "NE=1", kind, zone) for n, (zone, kind, _) in enumerate(devices)}
    counter, planned = CallCounter(), 0
    everything = []
    for first in (START, START + timedelta(days=15)):
        cells = [
            Cell("device_history", str(n), first + timedelta(days=day))
            for n, (_, _, begin) in enumerate(devices)
            for day in range(begin, 15)
        ]
        counted = sum(counter.count(cells, subjects).values())
        assert abs(counted - len(pack_history(cells, subjects))) <= 1
        planned += counted
        everything += cells
    assert counter.least <= len(pack_history(everything, subjects))
    assert counter.least <= planned
    assert lower_bound_history(everything, subjects) >= counter.least * 0.8


def test_a_backlog_of_years_is_planned_a_few_times_and_counted_the_rest(monkeypatch):
    from pipelines.planning import counting

    made = []
    monkeypatch.setattr(counting, "pack_history", lambda *args: made.append(1) or pack_history(*args))
    subjects = {str(n): Subject(str(n), "NE=1", 1, ZONES[n % 3]) for n in range(40)}
    counter = CallCounter()
    total = 0
    for block in range(36):
        joined = [n for n in range(40) if n <= block + 4]
        days = [START - timedelta(days=30 * block + n) for n in range(30)]
        total += sum(
            counter.count([Cell("device_history", str(n), d) for n in joined for d in days], subjects).values()
        )
    assert len(made) == counting.PLANNED_SHAPES
    assert counter.least <= total <= counter.least * 1.35
