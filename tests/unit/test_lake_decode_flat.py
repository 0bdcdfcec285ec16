"""Listings of plants and devices, and polls of alarms."""

import json
from datetime import UTC, datetime

import pytest
from lake_answers import ACCOUNT, EXTRACTED, as_data, quirk

from pipelines.lake.decode_flat import (
    ALARM_POLL,
    DEVICE_LISTING,
    PLANT_LISTING,
    decode_alarms,
    decode_devices,
    decode_plants,
)
from pipelines.lake.records import AnswerShapeError, Decoded
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

DECODERS = {"plants": decode_plants, "devices": decode_devices, "alarms": decode_alarms}
SCHEMAS = {"plants": PLANT_LISTING, "devices": DEVICE_LISTING, "alarms": ALARM_POLL}


def run(table: str, data: bytes) -> Decoded:
    decoded = DECODERS[table](data, extracted_at=EXTRACTED, account=ACCOUNT)
    assert dict(decoded.rows.schema) == SCHEMAS[table]
    return decoded


@pytest.mark.parametrize("table", DECODERS)
def test_listings_hold_what_their_tables_hold_less_what_no_answer_tells(table):
    whole = polars_schema(TABLES[table])
    assert {name: whole[name] for name in SCHEMAS[table]} == SCHEMAS[table]
    assert set(whole) - set(SCHEMAS[table]) <= {
        "plant_key",
        "time_zone",
        "time_zone_source",
        "first_seen_at",
        "last_seen_at",
        "retired_at",
        "cleared_after",
        "cleared_before",
    }


def test_plants():
    decoded = run("plants", quirk("stations"))
    first, second, third = decoded.rows.rows(named=True)
    assert (first["plant_code"], first["plant_name"]) == ("NE=33554785", "Südhang 1")
    assert (first["longitude"], first["latitude"], first["capacity"]) == (11.5755, 48.1372, 146.5)
    assert (first["plant_address"], first["contact_person"], first["extra"]) == (None, None, None)
    assert first["grid_connection_date"] == "2022-11-21T16:23:00+08:00"
    assert (second["longitude"], second["latitude"], second["capacity"]) == (None, None, 123.3)
    assert json.loads(second["extra"]) == {"sharedFlag": 1}
    assert json.loads(third["extra"]) == {"longitude": "east"}
    assert decoded.quarantine["reason"].to_list() == ["plantCode is missing"]
    assert json.loads(decoded.quarantine["record"][0])["plantName"] == "nameless"
    assert set(decoded.drift.rows()) == {
        ("plants", "unknown_key", "sharedFlag", 1, "1"),
        ("plants", "unreadable_cell", "longitude", 1, "east"),
    }


def test_devices():
    decoded = run("devices", quirk("devices"))
    inverter, battery, emma = decoded.rows.rows(named=True)
    assert (inverter["device_id"], inverter["device_sn"], inverter["device_type_id"]) == (
        -214543629611879,
        "5fbfk4",
        1,
    )
    assert (inverter["inverter_model"], inverter["optimizer_number"]) == ("SUN2000-17KTL", None)
    assert (battery["device_id"], battery["device_sn"], battery["device_type_id"]) == (
        1000000035841116,
        None,
        39,
    )
    assert (battery["optimizer_number"], battery["software_version"], battery["latitude"]) == (0, None, 48.1)
    assert (emma["device_type_id"], json.loads(emma["extra"])) == (23070, {"model": "EMMA-A02"})
    assert decoded.quarantine["reason"].to_list() == [
        "id is unreadable",
        "stationCode is missing",
        "devTypeId is unreadable",
        "the record is no JSON object",
    ]
    assert decoded.quarantine["record"].to_list()[-1] == "null"


def test_alarms():
    decoded = run("alarms", quirk("alarms"))
    meter, inverter = decoded.rows.rows(named=True)
    assert (meter["device_sn"], meter["device_type_id"], meter["alarm_cause"]) == (None, 47, None)
    assert (meter["alarm_id"], meter["cause_id"], meter["severity"], meter["status"]) == (2032, 1, 3, 1)
    assert json.loads(meter["extra"]) == {"faultCode": "0x1F"}
    assert (inverter["raise_time"], inverter["severity"]) == (datetime(2022, 10, 31, 1, 31, 1, tzinfo=UTC), 1)
    assert inverter["extra"] is None, "a plant's name is left out on purpose"
    assert decoded.superseded == 1
    assert decoded.quarantine["reason"].to_list() == [
        "raiseTime is missing",
        "raiseTime is before the year 2000",
    ]


def test_the_other_spelling_of_the_device_type():
    record = {"stationCode": "NE=1", "alarmId": 1, "raiseTime": 1667179861000, "devTypeid": 47}
    assert run("alarms", as_data([record])).rows["device_type_id"].to_list() == [47]


@pytest.mark.parametrize("time", [1e300, 2**62, "soon", 10**16, {}])
def test_alarms_that_no_calendar_holds_are_set_aside(time):
    record = {"stationCode": "NE=1", "alarmId": 1, "raiseTime": time}
    decoded = run("alarms", as_data([record]))
    assert (decoded.rows.height, decoded.quarantine.height) == (0, 1)


def test_numbers_too_large_for_their_column_are_kept_as_text():
    record = {"id": 1, "stationCode": "NE=1", "devTypeId": 1, "optimizerNumber": 2**31}
    row = run("devices", as_data([record])).rows.row(0, named=True)
    assert row["optimizer_number"] is None
    assert json.loads(row["extra"]) == {"optimizerNumber": 2**31}


@pytest.mark.parametrize("table", DECODERS)
def test_empty_answers_and_answers_that_are_none(table):
    assert run(table, b"[]").rows.is_empty()
    with pytest.raises(AnswerShapeError):
        run(table, b"null")
