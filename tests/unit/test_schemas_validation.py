"""The strict door: what it refuses, and what it can't see."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from pandera.errors import SchemaError

from schemas.polars_types import polars_schema
from schemas.tables import TABLES
from schemas.validation import validate_frame, validator

TABLE = TABLES["device_history_ess"]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def frame(rows: int = 3) -> pl.DataFrame:
    """Good rows of one device, five minutes apart."""
    return pl.DataFrame(
        {
            "plant_code": "NE=1",
            "device_id": -214543629611879,
            "device_sn": None,
            "collect_time": [NOON + timedelta(minutes=5 * n) for n in range(rows)],
            "local_date": date(2026, 6, 1),
            "ch_discharge_power": [1500.0 * n for n in range(rows)],
            "battery_soc": None,
            "charge_cap": 1.5,
            "discharge_cap": 0.0,
            "extra": None,
            "extracted_at": NOON,
            "account": "main",
        },
        schema=polars_schema(TABLE),
    )


def test_good_rows_pass_unchanged() -> None:
    good = frame()
    assert validate_frame(TABLE, good) is good


@pytest.mark.parametrize("column", ["plant_code", "device_id", "collect_time", "local_date", "extracted_at", "account"])
def test_a_null_where_none_may_be_is_refused(column: str) -> None:
    bad = frame().with_columns(pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise(pl.col(column)).alias(column))
    with pytest.raises(SchemaError, match=column):
        validate_frame(TABLE, bad)


def test_a_doubled_key_is_refused() -> None:
    with pytest.raises(SchemaError, match="not unique"):
        validate_frame(TABLE, pl.concat([frame(), frame(1)]))


def test_a_doubled_key_with_a_null_in_it_is_refused() -> None:
    table = TABLES["alarms"]
    values = {"plant_code": "NE=1", "alarm_id": 2064, "raise_time": NOON, "first_seen_at": NOON, "last_seen_at": NOON}
    values |= {"extracted_at": NOON, "account": "main"}
    one = pl.DataFrame({name: [values.get(name)] for name in polars_schema(table)}, schema=polars_schema(table))
    validate_frame(table, one)
    with pytest.raises(SchemaError, match="not unique"):
        validate_frame(table, pl.concat([one, one]))


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("battery_soc", pl.String()),
        ("device_id", pl.Int32()),
        ("collect_time", pl.Datetime("us")),
        ("collect_time", pl.Datetime("ms", "UTC")),
        ("collect_time", pl.Datetime("us", "Europe/Paris")),
    ],
)
def test_another_type_is_refused(column: str, dtype: pl.DataType) -> None:
    series = pl.Series(column, [None] * 3, dtype=dtype)
    with pytest.raises(SchemaError, match=column):
        validate_frame(TABLE, frame().with_columns(series))


def test_a_column_too_many_too_few_or_elsewhere_is_refused() -> None:
    with pytest.raises(SchemaError, match="surprise"):
        validate_frame(TABLE, frame().with_columns(surprise=pl.lit(1)))
    with pytest.raises(SchemaError, match="battery_soc"):
        validate_frame(TABLE, frame().drop("battery_soc"))
    with pytest.raises(SchemaError, match="order"):
        validate_frame(TABLE, frame().select(reversed(frame().columns)))


def test_an_empty_frame_of_the_right_shape_passes_everything() -> None:
    for table in TABLES.values():
        validate_frame(table, pl.DataFrame(schema=polars_schema(table)))


def test_a_lazy_frame_is_refused_because_pandera_would_not_look_at_its_values() -> None:
    doubled = pl.concat([frame(), frame()])
    # Why it is refused: the schema alone lets doubled keys pass on a LazyFrame.
    validator(TABLE).validate(doubled.lazy())
    with pytest.raises(TypeError, match="collect"):
        validate_frame(TABLE, doubled.lazy())  # type: ignore[arg-type]


def test_events_may_repeat() -> None:
    table = TABLES["quarantine"]
    row = pl.DataFrame(
        {"dataset": "alarms", "reason": "no plant", "record": "{}", "extracted_at": NOON}, schema=polars_schema(table)
    )
    assert validate_frame(table, pl.concat([row, row])).height == 2


def test_an_implausible_value_is_not_the_doors_business() -> None:
    validate_frame(TABLE, frame().with_columns(battery_soc=pl.lit(900.0)))


def test_the_schema_of_a_table_is_built_once() -> None:
    assert validator(TABLE) is validator(TABLES["device_history_ess"])
