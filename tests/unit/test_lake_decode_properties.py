"""Whatever a server sends: nothing raises, nothing is lost, and every number is found again exactly."""

import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from lake_answers import ACCOUNT, EXTRACTED, as_data, subjects

from pipelines.lake.decode import decode
from pipelines.lake.decode_flat import decode_alarms, decode_devices, decode_plants
from pipelines.lake.validate import validate
from schemas.tables import TABLES

TABLE = TABLES["device_history_residential_battery"]
KEYS = {column.item.vendor_key: column.name for column in TABLE.columns if column.item is not None}
IDS = [11, -214543629611879, 9007199254740993]
WHO = subjects(*((str(one), f"NE={one}", "Europe/Paris") for one in IDS))

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.integers(-(10**25), 10**25)
texts = st.one_of(
    st.sampled_from(["N/A", "", "null", " n/a ", "abc", "12.5 ", " 1e3", "900.000", "NaN", "-", "+5", ".5", "5."]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(max_size=8),
)
odd = st.booleans() | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=3), st.none())
cells = st.none() | numbers | texts | odd
clean_maps = st.dictionaries(st.sampled_from(list(KEYS)), st.none() | numbers, max_size=6)
maps = clean_maps | st.dictionaries(
    st.sampled_from([*KEYS, "new_key", "other"]) | st.text(max_size=4), cells, max_size=6
)

grid = [int(datetime(2024, 7, 1, tzinfo=UTC).timestamp() * 1000) + step * 300_000 for step in range(4)]
good_ids = st.sampled_from(IDS).flatmap(lambda one: st.sampled_from([one, str(one)]))
good_times = st.sampled_from(grid).flatmap(lambda one: st.sampled_from([one, str(one)]))
good = st.fixed_dictionaries(
    {"devId": good_ids, "sn": st.sampled_from(["A", "null", None]), "collectTime": good_times, "dataItemMap": maps}
)
clean = st.fixed_dictionaries(
    {"devId": st.sampled_from(IDS), "sn": st.just("A"), "collectTime": st.sampled_from(grid), "dataItemMap": clean_maps}
)
bad = st.one_of(
    cells,
    st.fixed_dictionaries(
        {},
        optional={
            "devId": good_ids | cells,
            "collectTime": good_times | cells,
            "dataItemMap": maps | cells,
            "other": cells,
        },
    ),
)
answers = st.lists(clean, max_size=8) | st.lists(good | bad, max_size=8)


def readable(cell: object) -> float | None:
    """The number that a cell says, by Python's own reading; None if it says none."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    if isinstance(cell, str) and not (cell.isascii() and set(cell.strip()) <= set("0123456789+-.eE")):
        return None
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def filed(record: object) -> tuple[int, int] | None:
    """The key of a record that ought to land, by its own plain reading."""
    if not isinstance(record, dict) or not isinstance(record.get("dataItemMap"), dict):
        return None
    try:
        device, time = (int(str(record.get(key)).strip()) for key in ("devId", "collectTime"))
    except ValueError:
        return None
    if any(isinstance(record.get(key), bool) for key in ("devId", "collectTime")):
        return None
    latest = (EXTRACTED + timedelta(days=2)).timestamp() * 1000
    return (device, time) if device in IDS and 946684800000 <= time <= latest else None


@settings(max_examples=250, deadline=None)
@given(answers)
def test_every_record_is_one_row_or_superseded_or_set_aside(records):
    data = as_data(records)
    decoded = decode(TABLE, data, subjects=WHO, extracted_at=EXTRACTED, account=ACCOUNT)
    validate(TABLE, decoded.rows)
    sent = json.loads(data)
    landing = {key: record for record in sent if (key := filed(record)) is not None}
    aside = [record for record in sent if filed(record) is None]
    assert [json.loads(text) for text in decoded.quarantine["record"]] == aside
    assert decoded.quarantine["reason"].str.len_chars().gt(10).all()
    assert decoded.rows.height == len(landing)
    assert decoded.rows.height + decoded.superseded + decoded.quarantine.height == len(sent)
    rows = {
        (row["device_id"], int(row["collect_time"].timestamp() * 1000)): row
        for row in decoded.rows.iter_rows(named=True)
    }
    assert rows.keys() == landing.keys()
    for key, record in landing.items():
        check_cells(rows[key], record["dataItemMap"])


def check_cells(row: dict[str, object], items: dict[str, object]) -> None:
    extra = json.loads(row["extra"] or "{}")
    for key, cell in items.items():
        if key not in KEYS:
            assert extra[key] == cell
            continue
        assert row[KEYS[key]] == readable(cell), key
        nothing = cell is None or (isinstance(cell, str) and cell.strip().lower() in {"", "null", "n/a"})
        assert (key in extra) == (readable(cell) is None and not nothing)
    for key in KEYS.keys() - items.keys():
        assert row[KEYS[key]] is None


@settings(max_examples=100, deadline=None)
@given(answers)
def test_drift_counts_what_extra_keeps(records):
    decoded = decode(TABLE, as_data(records), subjects=WHO, extracted_at=EXTRACTED, account=ACCOUNT)
    again = decode(TABLE, as_data(records), subjects=WHO, extracted_at=EXTRACTED, account=ACCOUNT)
    assert again.rows.equals(decoded.rows), "what was learned from an answer changes no later one"
    assert sorted(again.drift.rows()) == sorted(decoded.drift.rows())
    kept = Counter(key for text in decoded.rows["extra"].drop_nulls() for key in json.loads(text))
    counted = Counter()
    for _, kind, key, cells_, _ in decoded.drift.rows():
        if kind != "implausible_value":
            counted[key] += cells_
    assert kept.keys() <= counted.keys()
    if not decoded.superseded:
        assert kept == counted


FLAT = {
    decode_plants: ["plantCode", "plantName", "longitude", "capacity", "gridConnectionDate", "new"],
    decode_devices: ["id", "stationCode", "devTypeId", "esnCode", "optimizerNumber", "latitude", "new"],
    decode_alarms: ["stationCode", "alarmId", "raiseTime", "devTypeId", "devTypeid", "causeId", "lev", "new"],
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flat_records_are_rows_or_superseded_or_set_aside(data):
    decoder = data.draw(st.sampled_from(list(FLAT)))
    values = st.sampled_from([1, "1", "NE=1", grid[0], str(grid[0])]) | cells
    record = st.dictionaries(st.sampled_from(FLAT[decoder]), values, min_size=3) | cells
    sent = json.loads(as_data(data.draw(st.lists(record, max_size=6))))
    decoded = decoder(as_data(sent), extracted_at=EXTRACTED, account=ACCOUNT)
    assert decoded.rows.height + decoded.superseded + decoded.quarantine.height == len(sent)
    assert all(json.loads(text) in sent for text in decoded.quarantine["record"])
