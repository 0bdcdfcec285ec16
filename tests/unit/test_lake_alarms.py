"""Alarms: clearing is inferred from absence, and only where a poll really looked."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.lake.alarms import AlarmPoll, merge_alarms, merged_alarms
from pipelines.lake.decode_flat import ALARM_POLL
from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

SCHEMA = polars_schema(TABLES["alarms"])
NONE = pl.DataFrame(schema=SCHEMA)
RAISED = datetime(2026, 3, 28, 9, tzinfo=UTC)
FIRST = datetime(2026, 3, 28, 12, tzinfo=UTC)
SECOND, THIRD = FIRST + timedelta(hours=1), FIRST + timedelta(hours=2)
DEFAULT = {
    "plant_code": "NE=1",
    "device_sn": "SN1",
    "device_name": "Inv",
    "alarm_id": 2064,
    "cause_id": 1,
    "raise_time": RAISED,
    "alarm_name": "Grid failure",
}


def poll(at, *alarms, plants=("NE=1", "NE=2"), begin=None, end=None):
    given = [{**DEFAULT, "account": "a", "extracted_at": at, **alarm} for alarm in alarms]
    rows = pl.DataFrame([{name: row.get(name) for name in ALARM_POLL} for row in given], schema=ALARM_POLL)
    return AlarmPoll(rows, frozenset(plants), begin or at - timedelta(days=30), end or at, at)


def after(*polls):
    alarms = NONE
    for each in polls:
        alarms = merged_alarms(alarms, each)
    return alarms


def times(alarms):
    return alarms.select("first_seen_at", "last_seen_at", "cleared_after", "cleared_before").rows()


def test_an_alarm_that_stays_is_one_row_with_its_sights_and_newest_texts():
    alarms = after(poll(FIRST, {}), poll(SECOND, {"alarm_name": "renamed"}))
    assert times(alarms) == [(FIRST, SECOND, None, None)]
    assert alarms["alarm_name"].to_list() == ["renamed"]
    assert dict(alarms.schema) == SCHEMA
    assert alarms.columns == list(SCHEMA)


def test_absence_from_a_covering_poll_clears_between_last_sight_and_that_poll():
    assert times(after(poll(FIRST, {}), poll(SECOND), poll(THIRD))) == [(FIRST, FIRST, FIRST, SECOND)]


def test_showing_up_again_makes_it_active_again():
    alarms = after(poll(FIRST, {}), poll(SECOND), poll(THIRD, {}))
    assert times(alarms) == [(FIRST, THIRD, None, None)]


@pytest.mark.parametrize(
    "blind",
    [
        poll(SECOND, plants=("NE=2",)),
        poll(SECOND, begin=RAISED + timedelta(minutes=1)),
        poll(SECOND, end=RAISED - timedelta(minutes=1)),
        poll(FIRST - timedelta(minutes=1), end=SECOND),
        poll(FIRST),
    ],
    ids=["another plant", "window begins later", "window ends earlier", "an older poll", "the same instant"],
)
def test_absence_where_a_poll_did_not_look_clears_nothing(blind):
    assert times(after(poll(FIRST, {}), blind)) == [(FIRST, FIRST, None, None)]


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_both_ends_of_the_window_are_looked_at(edge):
    cleared = after(poll(FIRST, {}), poll(SECOND, **{edge: RAISED}))
    assert times(cleared) == [(FIRST, FIRST, FIRST, SECOND)]


@pytest.mark.parametrize(
    "other",
    [
        {"plant_code": "NE=2"},
        {"device_sn": "SN2"},
        {"device_sn": None},
        {"device_name": "Other"},
        {"alarm_id": 7},
        {"cause_id": None},
        {"raise_time": RAISED + timedelta(seconds=1)},
    ],
)
def test_every_part_of_the_key_tells_alarms_apart(other):
    alarms = after(poll(FIRST, {}, other), poll(SECOND, other))
    assert alarms.height == 2
    cleared = alarms.filter(pl.col("cleared_before").is_not_null())
    assert cleared.select(list(DEFAULT)).rows(named=True) == [DEFAULT]


def test_a_device_without_serial_number_is_found_again():
    assert times(after(poll(FIRST, {"device_sn": None}), poll(SECOND, {"device_sn": None}))) == [
        (FIRST, SECOND, None, None)
    ]


def test_an_older_poll_that_arrives_late_moves_only_the_first_sight():
    alarms = after(poll(SECOND, {"alarm_name": "new"}), poll(FIRST, {"alarm_name": "old"}))
    assert times(alarms) == [(FIRST, SECOND, None, None)]
    assert alarms["alarm_name"].to_list() == ["new"]


def test_merging_into_the_lake_is_durable_and_repeatable(tmp_path):
    lake = Lake(tmp_path)
    for each in (poll(FIRST, {}), poll(SECOND), poll(SECOND)):
        merge_alarms(lake, each)
    assert times(Lake(tmp_path).read("alarms")) == [(FIRST, FIRST, FIRST, SECOND)]
    version = lake.snapshot("alarms").version
    merge_alarms(lake, poll(THIRD))
    assert lake.snapshot("alarms").version == version


polls_of_three_alarms = st.lists(st.sets(st.integers(0, 2)), max_size=7)


@settings(max_examples=60, deadline=None)
@given(polls_of_three_alarms)
def test_intervals_of_clearing_hold_the_truth_whatever_is_seen(sightings):
    """Against a plain model that remembers when each alarm was seen."""
    instants = [FIRST + timedelta(minutes=5 * number) for number in range(len(sightings))]
    alarms = after(*(poll(at, *({"alarm_id": a} for a in seen)) for at, seen in zip(instants, sightings, strict=True)))
    expected = {}
    for alarm in range(3):
        seen_at = [at for at, seen in zip(instants, sightings, strict=True) if alarm in seen]
        if not seen_at:
            continue
        missed = [at for at in instants if at > seen_at[-1]]
        cleared = (seen_at[-1], missed[0]) if missed else (None, None)
        expected[alarm] = (seen_at[0], seen_at[-1], *cleared)
    found = dict(zip(alarms["alarm_id"], times(alarms), strict=True))
    assert found == expected
