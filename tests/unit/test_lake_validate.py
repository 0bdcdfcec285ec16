"""The strict door: good frames pass unchanged, every kind of fault raises and says what it is."""

import math
from datetime import date

import polars as pl
import pytest
from lake_answers import ACCOUNT, EXTRACTED, as_data, subjects

from pipelines.lake.decode import decode
from pipelines.lake.validate import LandingBug, validate
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

TABLE = TABLES["device_history_residential_battery"]


def good() -> pl.DataFrame:
    records = [
        {"devId": 11, "sn": "A", "collectTime": 1719788400000 + step * 300_000, "dataItemMap": {"battery_soc": step}}
        for step in range(3)
    ]
    who = subjects(("11", "NE=1", "Pacific/Kiritimati"))
    return decode(TABLE, as_data(records), subjects=who, extracted_at=EXTRACTED, account=ACCOUNT).rows


def test_what_was_decoded_passes_unchanged():
    frame = good()
    assert validate(TABLE, frame).equals(frame)


@pytest.mark.parametrize("name", ["device_daily", "plant_monthly", "plant_realtime", "alarms", "quarantine"])
def test_empty_frames_pass(name):
    frame = pl.DataFrame(schema=polars_schema(TABLES[name]))
    assert validate(TABLES[name], frame).is_empty()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: pl.concat([frame, frame.head(1)]), "device_id"),
        (lambda frame: frame.with_columns(plant_code=pl.lit(None, pl.String)), "plant_code"),
        (lambda frame: frame.with_columns(pl.col("battery_soc").cast(pl.String)), "battery_soc"),
        (lambda frame: frame.with_columns(surprise=pl.lit(1)), "surprise"),
        (lambda frame: frame.drop("account"), "account"),
        (lambda frame: frame.select(reversed(frame.columns)), "order"),
        (lambda frame: frame.lazy(), "isn't collected"),
        (lambda frame: frame.with_columns(battery_soc=pl.lit(math.nan)), "3 values in battery_soc"),
        (lambda frame: frame.with_columns(busbar_u=pl.lit(math.inf)), "3 values in busbar_u"),
        (lambda frame: frame.with_columns(local_date=date(2024, 7, 9)), "far from their time"),
        (lambda frame: frame.with_columns(local_date=date(2024, 6, 1)), "far from their time"),
    ],
)
def test_every_fault_raises_and_names_itself(spoil, says):
    with pytest.raises(LandingBug, match=says) as caught:
        validate(TABLE, spoil(good()))
    assert str(caught.value).startswith("rows for raw.device_history_residential_battery ")
    assert len(str(caught.value)) < 400


def test_months_and_years_may_stand_far_behind_their_label_but_not_ahead():
    table = TABLES["plant_yearly"]
    record = {"stationCode": "NE=1", "collectTime": 1719788400000, "dataItemMap": {}}
    rows = decode(
        table,
        as_data([record]),
        subjects=subjects(("NE=1", "NE=1", "Europe/Paris")),
        extracted_at=EXTRACTED,
        account=ACCOUNT,
    ).rows
    assert validate(table, rows)["local_date"].to_list() == [date(2024, 1, 1)]
    with pytest.raises(LandingBug, match="far from their time"):
        validate(table, rows.with_columns(local_date=date(2025, 1, 1)))
