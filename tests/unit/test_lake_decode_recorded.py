"""Recorded answers of a real server decode without loss."""

import json
from datetime import date
from pathlib import Path

import pytest
from lake_answers import ACCOUNT, EXTRACTED, data_of, subjects

from pipelines.lake.decode import decode
from schemas.tables import TABLES

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded answers (shared/recorded) don't lie beside this checkout"
)


@pytest.mark.parametrize(
    ("name", "table", "type_id"),
    [
        ("getDevKpiDay-38", "device_daily", 38),
        ("getDevRealKpi-38", "device_realtime_residential_inverter", 38),
        ("getDevRealKpi-47", "device_realtime_power_sensor", 47),
    ],
)
def test_nothing_of_a_recorded_answer_is_lost(name, table, type_id):
    data = data_of(RECORDED / f"{name}.json")
    who = subjects(("123456", "NE=1", "Europe/Paris", None, type_id))
    decoded = decode(TABLES[table], data, subjects=who, extracted_at=EXTRACTED, account=ACCOUNT, polled_at=EXTRACTED)
    records = json.loads(data)
    columns = {column.item.vendor_key: column.name for column in TABLES[table].columns if column.item}
    assert decoded.quarantine.is_empty()
    assert decoded.rows.height == len(records)
    for record, row in zip(records, decoded.rows.iter_rows(named=True), strict=True):
        extra = json.loads(row["extra"] or "{}")
        assert row["device_sn"] == (None if record["sn"] == "null" else record["sn"])
        for key, value in record["dataItemMap"].items():
            found = row[columns[key]] if key in columns else extra[key]
            assert found == (None if value == "N/A" else value), key
    assert decoded.drift.is_empty()


def test_labels_of_a_recorded_summer_month_are_local_days():
    who = subjects(("123456", "NE=1", "Europe/Paris", None, 38))
    data = data_of(RECORDED / "getDevKpiDay-38.json")
    rows = decode(TABLES["device_daily"], data, subjects=who, extracted_at=EXTRACTED, account=ACCOUNT).rows
    assert rows["local_date"].to_list() == [date(2024, 7, day) for day in (1, 2, 3, 4)]
