"""Records with maps of data items: values, identity, local dates, quarantine and drift."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from lake_answers import ACCOUNT, EXTRACTED, as_data, quirk, subjects

from pipelines.lake.decode import AnswerShapeError, Decoded, decode
from pipelines.lake.records import DRIFT_SCHEMA, QUARANTINE_SCHEMA
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

PARIS = "Europe/Paris"
HISTORY = TABLES["device_history_residential_battery"]


def run(table: str, data: bytes, who: pl.DataFrame, **more: object) -> Decoded:
    decoded = decode(TABLES[table], data, subjects=who, extracted_at=EXTRACTED, account=ACCOUNT, **more)
    assert decoded.rows.schema == pl.Schema(polars_schema(TABLES[table]))
    assert decoded.quarantine.schema == pl.Schema(QUARANTINE_SCHEMA)
    assert decoded.drift.schema == pl.Schema(DRIFT_SCHEMA)
    return decoded


def battery(time: object, **items: object) -> dict[str, object]:
    return {"devId": 11, "sn": "A", "collectTime": time, "dataItemMap": items}


ONE_BATTERY = subjects(("11", "NE=1", PARIS, "A", 39))


def test_cells_of_a_real_time_answer():
    who = subjects(("1000000035841116", "NE=1", PARIS, None, 38), ("-214543629611879", "NE=2", "Asia/Tokyo", "SN2", 38))
    polled = datetime(2024, 7, 21, 16, 30, tzinfo=UTC)
    decoded = run("device_realtime_residential_inverter", quirk("device_realtime_38"), who, polled_at=polled)
    first, second = decoded.rows.rows(named=True)
    assert first["device_id"] == 1000000035841116
    assert (first["bc_u"], first["ca_u"], first["active_power"]) == (399.1, 397.25, 1000.0)
    assert (first["day_cap"], first["total_cap"], first["open_time"]) == (17543.0, 900.0, 1721537680000.0)
    for nothing in ("a_u", "b_u", "c_u", "a_i", "close_time", "pv2_u", "temperature", "efficiency", "mppt_power"):
        assert first[nothing] is None, nothing
    assert json.loads(first["extra"]) == {
        "temperature": "abc",
        "efficiency": True,
        "mppt_power": {"value": 1},
        "day_on_grid_energy": 4.25,
        "grid_code": "G99/1-7",
        "serial_counter": 12345678901234567890,
    }
    assert (second["device_id"], second["plant_code"], second["device_sn"]) == (-214543629611879, "NE=2", "SN2")
    assert second["extra"] is None
    assert (first["local_date"], second["local_date"]) == (date(2024, 7, 21), date(2024, 7, 22))
    assert set(decoded.rows["polled_at"]) == {polled}
    assert set(decoded.drift.select("kind", "key", "cells", "sample").rows()) == {
        ("unreadable_cell", "temperature", 1, "abc"),
        ("unreadable_cell", "efficiency", 1, "true"),
        ("unreadable_cell", "mppt_power", 1, '{"value":1}'),
        ("unknown_key", "day_on_grid_energy", 1, "4.25"),
        ("unknown_key", "grid_code", 1, "G99/1-7"),
        ("unknown_key", "serial_counter", 1, "12345678901234567890"),
    }
    assert decoded.quarantine.is_empty()


def test_serial_number_null_is_taken_from_the_inventory_or_stays_null():
    for known in (None, "METER-1"):
        who = subjects(("1000000035841200", "NE=1", PARIS, known, 47))
        decoded = run("device_realtime_power_sensor", quirk("device_realtime_47"), who, polled_at=EXTRACTED)
        row = decoded.rows.row(0, named=True)
        assert row["device_sn"] == known
        assert (row["active_power"], row["reverse_active_cap"], row["b_u"]) == (-1250.0, 296.8, None)
        assert row["extra"] is None


def test_plant_values_as_text_and_the_newer_name_of_the_map():
    who = subjects(
        ("NE=33554785", "NE=33554785", PARIS),
        ("5D02E8B40AD342159AC8D8A2BCD4FAB5", "5D02E8B40AD342159AC8D8A2BCD4FAB5", PARIS),
    )
    decoded = run("plant_realtime", quirk("plant_realtime_texts"), who, polled_at=EXTRACTED)
    first, second = decoded.rows.rows(named=True)
    assert (first["total_income"], first["total_power"], first["month_power"]) == (17543.0, 900.0, 100.0)
    assert (first["day_income"], first["real_health_state"]) == (None, 3.0)
    assert json.loads(first["extra"]) == {"day_on_grid_energy": "8.1", "day_use_energy": None}
    assert (second["total_power"], second["extra"]) == (88.5, None)


def test_the_newer_name_of_the_map_is_read_fast_too():
    data = as_data([{"devId": 11, "sn": "A", "collectTime": 1719788400000, "dataItems": {"battery_soc": 5}}])
    assert run(HISTORY.name, data, ONE_BATTERY).rows["battery_soc"].to_list() == [5.0]


def test_both_names_of_the_map_in_one_record_lose_nothing():
    record = battery(1719788400000, battery_soc=5) | {"dataItems": {"battery_soc": 6}}
    row = run(HISTORY.name, as_data([record]), ONE_BATTERY).rows.row(0, named=True)
    assert row["battery_soc"] == 5.0
    assert json.loads(row["extra"]) == {"dataItems": {"battery_soc": 6}}


def test_labels_at_standard_and_at_local_midnight_name_the_same_days():
    who = subjects(("700001", "NE=1", PARIS, None, 38))
    decoded = run("device_daily", quirk("device_daily_summer_labels"), who)
    assert decoded.rows["local_date"].to_list() == [date(2024, 7, day) for day in (1, 2, 3)]
    assert decoded.rows["device_type_id"].to_list() == [38] * 3
    assert decoded.rows["product_power"].to_list() == [15.970000000000027, 31.54, 24.45]
    assert decoded.rows["charge_cap"].is_null().all()


@pytest.mark.parametrize(
    ("table", "label", "zone", "expected"),
    [
        ("plant_daily", "2024-03-30T23:00Z", PARIS, date(2024, 3, 31)),
        ("plant_daily", "2023-10-28T22:00Z", PARIS, date(2023, 10, 29)),
        ("plant_daily", "2024-06-30T10:00Z", "Pacific/Kiritimati", date(2024, 7, 1)),
        ("plant_daily", "2024-06-30T11:00Z", "Pacific/Pago_Pago", date(2024, 6, 30)),
        ("plant_monthly", "2024-03-31T22:00Z", PARIS, date(2024, 4, 1)),
        ("plant_monthly", "2024-03-31T23:00Z", PARIS, date(2024, 4, 1)),
        ("plant_monthly", "2024-07-01T07:00Z", "America/Los_Angeles", date(2024, 7, 1)),
        ("plant_yearly", "2023-12-31T23:00Z", PARIS, date(2024, 1, 1)),
        ("plant_yearly", "2024-01-01T08:00Z", "America/Los_Angeles", date(2024, 1, 1)),
        # A zone known from an offset alone has no summer time: labels at true midnight come an hour early.
        ("plant_daily", "2024-06-30T22:00Z", "Etc/GMT-1", date(2024, 7, 1)),
        ("plant_hourly", "2024-06-30T22:00Z", PARIS, date(2024, 7, 1)),
        ("plant_hourly", "2024-06-30T21:00Z", PARIS, date(2024, 6, 30)),
    ],
)
def test_local_date_of_labels_and_of_instants(table, label, zone, expected):
    instant = datetime.fromisoformat(label)
    record = {"stationCode": "NE=1", "collectTime": int(instant.timestamp() * 1000), "dataItemMap": {}}
    decoded = run(table, as_data([record]), subjects(("NE=1", "NE=1", zone)))
    assert decoded.rows["local_date"].to_list() == [expected]
    assert decoded.rows["collect_time"].to_list() == [instant]


def test_zones_of_one_answer_are_kept_apart():
    who = subjects(("NE=1", "NE=1", PARIS), ("NE=2", "NE=2", "America/Los_Angeles"))
    time = int(datetime(2024, 7, 1, 3, tzinfo=UTC).timestamp() * 1000)
    records = [{"stationCode": f"NE={n}", "collectTime": time, "dataItemMap": {}} for n in (2, 1)]
    dates = run("plant_hourly", as_data(records), who).rows["local_date"].to_list()
    assert dates == [date(2024, 6, 30), date(2024, 7, 1)]


def test_bad_records_are_set_aside_with_reason_and_own_text():
    data = quirk("device_history_bad_records")
    decoded = run(HISTORY.name, data, ONE_BATTERY)
    assert decoded.rows["battery_soc"].to_list() == [56.5, 150.0]
    assert decoded.superseded == 1
    records = json.loads(data)
    expected = {
        1: "the record is no JSON object",
        2: "devId is missing",
        3: "devId is no device id (a whole number)",
        4: "devId is not among those that were asked for",
        5: "collectTime is missing",
        6: "collectTime is no time in milliseconds",
        7: "collectTime is before the year 2000",
        8: "collectTime is more than 2 days after the answer",
        9: "dataItemMap is missing",
        10: "dataItemMap is no JSON object",
    }
    assert decoded.quarantine["reason"].to_list() == list(expected.values())
    assert [json.loads(text) for text in decoded.quarantine["record"]] == [records[at] for at in expected]
    assert decoded.drift.rows() == [("device_history", "implausible_value", "battery_soc", 1, "150.0")]


def test_a_bad_record_in_an_otherwise_clean_answer():
    records = [battery(1719788400000, battery_soc=1), battery(1719788400000) | {"devId": 12}]
    records.append({"devId": 11, "collectTime": 1719788700000})
    decoded = run(HISTORY.name, as_data(records), ONE_BATTERY)
    assert decoded.rows.height == 1
    assert decoded.quarantine["reason"].to_list() == [
        "devId is not among those that were asked for",
        "dataItemMap is missing",
    ]
    assert json.loads(decoded.quarantine["record"][1]) == records[2]


def test_bounds_of_collect_time_are_inclusive():
    latest = EXTRACTED + timedelta(days=2)
    times = [946684800000, 946684799999, int(latest.timestamp() * 1000), int(latest.timestamp() * 1000) + 1]
    decoded = run(HISTORY.name, as_data([battery(time) for time in times]), ONE_BATTERY)
    assert decoded.rows["collect_time"].to_list() == [datetime(2000, 1, 1, tzinfo=UTC), latest]
    assert decoded.quarantine.height == 2


@pytest.mark.parametrize("time", [2**63, -(2**63) - 1, 10**30, 1e300, True, {}, [], "1e12", " ", "-1"])
def test_unfit_times_are_set_aside(time):
    decoded = run(HISTORY.name, as_data([battery(time), battery(1719788400000)]), ONE_BATTERY)
    assert (decoded.rows.height, decoded.quarantine.height) == (1, 1)


@pytest.mark.parametrize("sent", [11, "11", " 11 ", "011", 11.0])
def test_an_id_is_the_same_as_number_and_as_text(sent):
    decoded = run(HISTORY.name, as_data([battery(1719788400000) | {"devId": sent}]), ONE_BATTERY)
    assert decoded.rows["device_id"].to_list() == [11]


@pytest.mark.parametrize("sent", [True, 11.5, 10**20, {"id": 11}, [11], "", "null", None, "1 1"])
def test_an_id_that_is_none_is_set_aside(sent):
    one = subjects(("11", "NE=1", PARIS), ("1", "NE=1", PARIS))
    decoded = run(HISTORY.name, as_data([battery(1719788400000) | {"devId": sent}]), one)
    assert (decoded.rows.height, decoded.quarantine.height) == (0, 1)


def test_neighbouring_sixteen_digit_ids_stay_apart():
    ids = [9007199254740993, 9007199254740992, -9007199254740993]
    who = subjects(*((str(one), f"NE={one}", PARIS) for one in ids))
    for forms in ((int, int, int), (str, str, str), (int, int, str), (str, int, int)):
        records = [battery(1719788400000) | {"devId": form(one)} for form, one in zip(forms, ids, strict=True)]
        rows = run(HISTORY.name, as_data(records), who).rows
        assert rows["device_id"].to_list() == ids
        assert rows["plant_code"].to_list() == [f"NE={one}" for one in ids]


def test_tokens_that_json_does_not_know():
    data = (
        b'[{"devId":11,"sn":"NaN, Infinity","collectTime":1719788400000,"dataItemMap":'
        b'{"battery_soc":NaN,"busbar_u":-Infinity,"charge_cap":1e999,"discharge_cap":2.5,"x":"a NaN\tb"}}]'
    )
    decoded = run(HISTORY.name, data, ONE_BATTERY)
    row = decoded.rows.row(0, named=True)
    assert (row["battery_soc"], row["busbar_u"], row["charge_cap"]) == (None, None, None)
    assert (row["discharge_cap"], row["device_sn"]) == (2.5, "NaN, Infinity")
    assert json.loads(row["extra"]) == {
        "battery_soc": "NaN",
        "busbar_u": "-Infinity",
        "charge_cap": "1e999",
        "x": "a NaN b",
    }
    assert decoded.drift.filter(pl.col("kind") == "unreadable_cell")["cells"].sum() == 3


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-Infinity",
        "1_000",
        "1,5",
        "1e",
        "e5",
        ".",
        "+",
        "1d5",
        "1f",
        "true",
        "infinity",
        "1e5.5",
        "1__0",
        "½",
        "0x10",
        "٣",
        "1e999",
        "--",
        "1 2",
    ],
)
def test_texts_that_are_no_number_are_kept(text):
    row = run(HISTORY.name, as_data([battery(1719788400000, battery_soc=text)]), ONE_BATTERY).rows
    assert row["battery_soc"].to_list() == [None]
    assert json.loads(row["extra"][0]) == {"battery_soc": text}


def test_broken_unicode_does_not_cost_the_answer():
    items = b'{"battery_soc":1,"x":"\\ud83d\\ude00 \\ud800"}'
    data = b'[{"devId":11,"sn":"\xff","collectTime":1719788400000,"dataItemMap":' + items + b"}]"
    row = run(HISTORY.name, data, ONE_BATTERY).rows.row(0, named=True)
    assert (row["battery_soc"], row["device_sn"]) == (1.0, "\ufffd")
    assert json.loads(row["extra"]) == {"x": "😀 \ufffd"}


def test_keys_beside_the_map_are_kept_even_when_their_names_clash():
    record = battery(1719788400000, battery_soc=1) | {"devName": "B", "battery_soc": 2}
    decoded = run(HISTORY.name, as_data([record]), ONE_BATTERY)
    assert json.loads(decoded.rows["extra"][0]) == {"devName": "B", "record.battery_soc": 2}
    assert set(decoded.drift["key"]) == {"devName", "record.battery_soc"}


def test_the_last_of_one_key_wins_and_the_order_stays():
    times = [1719788400000, 1719788700000, 1719788400000]
    records = [battery(time, battery_soc=soc) for soc, time in enumerate(times)]
    decoded = run(HISTORY.name, as_data(records), ONE_BATTERY)
    assert decoded.rows["battery_soc"].to_list() == [1.0, 2.0]
    assert decoded.superseded == 1


def test_drift_counts_every_cell_and_keeps_a_sample_that_says_something():
    records = [
        battery(1719788400000, new_key=None, battery_soh="x"),
        battery(1719788700000, new_key=7, battery_soh="y", battery_soc=-1),
        battery(1719789000000, battery_soc=101.5),
    ]
    drift = run(HISTORY.name, as_data(records), ONE_BATTERY).drift
    assert sorted(drift.rows()) == [
        ("device_history", "implausible_value", "battery_soc", 2, "-1.0"),
        ("device_history", "unknown_key", "new_key", 2, "7"),
        ("device_history", "unreadable_cell", "battery_soh", 2, "x"),
    ]


def test_implausible_values_land():
    rows = run(HISTORY.name, as_data([battery(1719788400000, battery_soc=101.5)]), ONE_BATTERY).rows
    assert rows["battery_soc"].to_list() == [101.5]


def test_an_empty_answer_is_an_empty_frame():
    decoded = run(HISTORY.name, b"[]", ONE_BATTERY)
    assert (decoded.rows.height, decoded.quarantine.height, decoded.drift.height) == (0, 0, 0)


def test_answers_of_which_nothing_can_be_filed():
    for data in (b"[1]", as_data([battery(1719788400000) | {"devId": 3}])):
        decoded = run(HISTORY.name, data, ONE_BATTERY)
        assert (decoded.rows.height, decoded.quarantine.height) == (0, 1)


@pytest.mark.parametrize("data", [b"null", b"{}", b"", b"<html>", b'[{"devId": 11', b"7"])
def test_what_is_no_list_is_no_answer(data):
    with pytest.raises(AnswerShapeError, match="answer's data"):
        run(HISTORY.name, data, ONE_BATTERY)


def test_real_time_needs_the_time_of_the_poll():
    with pytest.raises(ValueError, match="polled_at"):
        run("plant_realtime", b"[]", ONE_BATTERY)


def test_a_key_that_was_met_before_is_read_as_it_was_the_first_time():
    table = "device_history_mains"
    who = subjects(("11", "NE=1", PARIS))
    items = {"brand_new": {"a": [1]}, "serial": 12345678901234567890, "none": None}
    data = as_data([battery(1719788400000, **items), battery(1719788700000), battery(1719789000000, serial="x")])
    first, second = run(table, data, who), run(table, data, who)
    assert [text and json.loads(text) for text in first.rows["extra"]] == [items, None, {"serial": "x"}]
    assert second.rows.equals(first.rows)
    assert sorted(second.drift.rows()) == sorted(first.drift.rows())


def test_a_clean_answer_after_learning_has_nothing_extra():
    run(HISTORY.name, as_data([battery(1719788400000, brand_new=1)]), ONE_BATTERY)
    decoded = run(HISTORY.name, as_data([battery(1719788400000, battery_soc="5")]), ONE_BATTERY)
    assert decoded.rows.select("battery_soc", "extra").rows() == [(5.0, None)]
    assert decoded.drift.is_empty()
