"""Folding: each key once, the newest extraction, whatever the order of landing, folding and dying."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_frames import DAY, READ_AT, frame_of, hour
from polars.testing import assert_frame_equal

from pipelines.lake.delta import LakeTable
from pipelines.lake.errors import DiskFull, WrongShape
from pipelines.lake.folding import COMMIT_ATTEMPTS
from pipelines.lake.merging import newest_of_each_key
from pipelines.lake.store import Lake
from schemas.columns import Column, Table
from schemas.tables import TABLES

HOURLY = TABLES["plant_hourly"]
HISTORY = TABLES["device_history_string_inverter"]
LATER = READ_AT + timedelta(days=1)


def land(lake: Lake, *rows: dict[str, Any], table: Table = HOURLY) -> None:
    lake.land(table, frame_of(table, rows))


def yields(lake: Lake) -> dict[str, float | None]:
    rows = lake.read(HOURLY, ["plant_code", "pv_yield"])
    found = dict(rows.iter_rows())
    assert len(found) == rows.height, "a key appears twice"
    return found


def test_reading_shows_the_same_before_and_after_a_fold(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1"), hour("NE=2", DAY + timedelta(days=1)))
    before = lake.read(HOURLY)
    report = lake.fold()
    assert (report.parts, report.partitions, report.rows, report.tables) == (1, 2, 2, ("plant_hourly",))
    assert lake.pending_parts() == 0
    assert_frame_equal(lake.read(HOURLY), before, check_row_order=False)
    assert lake.fold().parts == 0


def test_progress_counts_parts_up_to_all_of_them(tmp_path):
    lake = Lake(tmp_path)
    for number in range(3):
        land(lake, hour("NE=1", DAY + timedelta(days=number)))
    told: list[tuple[int, int]] = []
    lake.fold(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_newest_extraction_wins_also_when_it_landed_first(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=2.0, read_at=LATER), hour("NE=2", pv=5.0))
    land(lake, hour("NE=1", pv=1.0), hour("NE=2", pv=6.0, read_at=LATER))
    expected = {"NE=1": 2.0, "NE=2": 6.0}
    assert yields(lake) == expected
    lake.fold()
    assert yields(lake) == expected
    land(lake, hour("NE=1", pv=0.5))
    lake.fold()
    assert yields(lake) == expected


def test_among_equal_times_the_later_part_and_the_later_row_win(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=1.0), hour("NE=1", pv=2.0), hour("NE=2", pv=1.0))
    land(lake, hour("NE=2", pv=3.0))
    lake.fold()
    assert yields(lake) == {"NE=1": 2.0, "NE=2": 3.0}


def test_a_newer_null_replaces_an_older_value(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=1.0))
    lake.fold()
    land(lake, hour("NE=1", pv=None, read_at=LATER))
    lake.fold()
    assert yields(lake) == {"NE=1": None}


def test_a_filter_never_brings_back_a_row_that_a_waiting_part_replaces(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=10.0), hour("NE=2", pv=10.0), hour("NE=3", DAY + timedelta(days=1), pv=10.0))
    lake.fold()
    land(lake, hour("NE=1", pv=0.0, read_at=LATER))
    found = lake.read(HOURLY, ["plant_code"], pl.col("pv_yield") > 5)
    assert sorted(found["plant_code"]) == ["NE=2", "NE=3"]


def test_a_table_that_was_never_written_reads_as_typed_and_empty(tmp_path):
    found = Lake(tmp_path).read("plants")
    assert found.is_empty()
    assert found.columns == [column.name for column in TABLES["plants"].columns]
    assert not (tmp_path / "lake").exists()


def test_days_are_stored_sorted_in_zstd_row_groups_without_dictionaries_on_floats(tmp_path):
    lake = Lake(tmp_path)
    start = datetime(2026, 3, 28, tzinfo=UTC)
    count = 40_000
    rows = frame_of(HISTORY, [{}])[[0] * count].with_columns(
        pl.Series("device_id", [(7 * i) % 139 for i in range(count)], dtype=pl.Int64()),
        pl.Series("collect_time", [start + timedelta(seconds=count - i) for i in range(count)]).dt.cast_time_unit("us"),
        pl.Series("plant_code", [f"NE={(7 * i) % 139 // 4:03}" for i in range(count)]),
        pl.lit(DAY).alias("local_date"),
        pl.Series("active_power", [i % 5 / 2 for i in range(count)]),
    )
    lake.land(HISTORY, rows)
    lake.fold()
    (path,) = lake.files(HISTORY)
    stored = pl.read_parquet(path, hive_partitioning=False)
    assert stored.height == count
    assert stored.equals(stored.sort("plant_code", "device_id", "collect_time"))
    meta = pq.ParquetFile(path).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [30_000, 10_000]
    power = meta.row_group(0).column(stored.columns.index("active_power"))
    assert power.compression == "ZSTD"
    assert "RLE_DICTIONARY" not in power.encodings


def test_reports_are_stored_by_year_and_the_lakes_own_column_stays_inside(tmp_path):
    lake = Lake(tmp_path)
    daily = TABLES["plant_daily"]
    rows = [hour("NE=1", date(2025, 12, 31)), hour("NE=1", date(2026, 1, 1))]
    lake.land(daily, frame_of(daily, rows))
    lake.fold()
    assert sorted(each.partition for each in lake.snapshot(daily).files) == [2025, 2026]
    assert "local_year" not in lake.read(daily).columns
    only = lake.read(daily, where=pl.col("local_date") >= date(2026, 1, 1))
    assert only["local_date"].to_list() == [date(2026, 1, 1)]


def test_a_part_goes_only_when_its_last_day_is_committed(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    days = [DAY + timedelta(days=number) for number in range(3)]
    land(lake, *(hour(f"NE={day}", day) for day in days))
    real = LakeTable.replace

    def fails_on_the_second_day(self, partition, *rest):
        if partition == days[1]:
            raise RuntimeError("killed")
        return real(self, partition, *rest)

    monkeypatch.setattr(LakeTable, "replace", fails_on_the_second_day)
    with pytest.raises(RuntimeError, match="killed"):
        lake.fold()
    assert lake.pending_parts() == 1
    assert len(yields(lake)) == 3
    monkeypatch.undo()
    lake.fold()
    assert len(yields(lake)) == 3
    assert lake.pending_parts() == 0


def test_folding_a_part_again_changes_nothing(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=1.0))
    (part,) = lake.parts.pending("plant_hourly")
    shutil.copy(part, tmp_path / "kept")
    lake.fold()
    land(lake, hour("NE=1", pv=2.0, read_at=LATER))
    lake.fold()
    shutil.copy(tmp_path / "kept", part)
    lake.fold()
    assert yields(lake) == {"NE=1": 2.0}


def test_a_column_that_the_catalog_gains_is_null_in_older_days_and_kept_when_they_are_rewritten(tmp_path):
    full = TABLES["plant_hourly"]
    older = Table(
        full.name,
        full.schema,
        full.dataset,
        None,
        full.description,
        full.key,
        tuple(column for column in full.columns if column.name != "pv_yield"),
        full.partition_by,
    )
    lake = Lake(tmp_path, {"plant_hourly": older})
    lake.land(older, frame_of(older, [hour("NE=1"), hour("NE=2")]))
    lake.fold()
    lake.land(older, frame_of(older, [hour("NE=3")]))

    lake = Lake(tmp_path)
    assert yields(lake) == {"NE=1": None, "NE=2": None, "NE=3": None}
    land(lake, hour("NE=4", DAY + timedelta(days=1), pv=4.0))
    lake.fold()
    assert yields(lake) == {"NE=1": None, "NE=2": None, "NE=3": None, "NE=4": 4.0}
    land(lake, hour("NE=1", pv=1.0, read_at=LATER))
    lake.fold()
    assert yields(lake) == {"NE=1": 1.0, "NE=2": None, "NE=3": None, "NE=4": 4.0}

    # And back to the older release: what it doesn't know is carried along, not dropped.
    lake = Lake(tmp_path, {"plant_hourly": older})
    lake.land(older, frame_of(older, [hour("NE=5")]))
    lake.fold()
    assert yields(Lake(tmp_path))["NE=1"] == 1.0


def test_a_commit_that_another_program_foiled_is_tried_again_on_what_is_there_now(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=1.0))
    lake.fold()
    other = LakeTable(tmp_path / "lake" / "plant_hourly", HOURLY)
    real = LakeTable.replace
    outcomes: list[str] = []

    def after_another_commit(self, partition, frame, parts=()):
        if not outcomes:
            real(other, DAY, frame_of(HOURLY, [hour("NE=1", pv=1.0), hour("NE=9", pv=9.0)]))
        try:
            version = real(self, partition, frame, parts)
        except CommitFailedError:
            outcomes.append("foiled")
            raise
        outcomes.append("committed")
        return version

    monkeypatch.setattr(LakeTable, "replace", after_another_commit)
    land(lake, hour("NE=2", pv=2.0))
    lake.fold()
    assert outcomes == ["foiled", "committed"]
    assert yields(lake) == {"NE=1": 1.0, "NE=2": 2.0, "NE=9": 9.0}


def test_a_commit_that_never_succeeds_raises_and_keeps_the_part(tmp_path, monkeypatch):
    tries: list[int] = []

    def foil(self, *rest):
        tries.append(1)
        raise CommitFailedError("never")

    monkeypatch.setattr(LakeTable, "replace", foil)
    lake = Lake(tmp_path)
    land(lake, hour("NE=1"))
    with pytest.raises(CommitFailedError):
        lake.fold()
    assert len(tries) == COMMIT_ATTEMPTS
    assert lake.pending_parts() == 1


def test_a_full_disk_while_folding_keeps_the_parts_and_the_table(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1", pv=1.0))
    lake.fold()
    land(lake, hour("NE=2", pv=2.0))

    def full(*args, **kwargs):
        raise DeltaError("Generic LocalFileSystem error: No space left on device (os error 28)")

    monkeypatch.setattr("pipelines.lake.delta.write_deltalake", full)
    with pytest.raises(DiskFull):
        lake.fold()
    monkeypatch.undo()
    assert yields(lake) == {"NE=1": 1.0, "NE=2": 2.0}


def test_quarantine_keeps_records_as_they_came_and_a_repeated_fold_does_not_double_them(tmp_path):
    lake = Lake(tmp_path)
    table = TABLES["quarantine"]
    rows = frame_of(
        table,
        [{"dataset": "device_history", "reason": "no devId", "record": record} for record in ('{"a":1}', '{"a":2}')],
    )
    lake.quarantine(rows)
    (part,) = lake.parts.pending("quarantine")
    shutil.copy(part, tmp_path / "kept")
    lake.fold()
    shutil.copy(tmp_path / "kept", part)
    lake.fold()
    assert sorted(lake.read("quarantine")["record"]) == ['{"a":1}', '{"a":2}']


def drift(cells: int, sample: str | None = "abc") -> pl.DataFrame:
    return pl.DataFrame(
        {"dataset": ["alarms"], "kind": ["unknown_key"], "key": ["colour"], "cells": [cells], "sample": [sample]}
    )


def test_drift_adds_up_per_key_and_remembers_when(tmp_path):
    lake = Lake(tmp_path)
    lake.note_drift(drift(3, None), READ_AT)
    lake.note_drift(drift(4), LATER)
    for _ in range(2):
        assert lake.read("schema_drift").rows() == [("alarms", "unknown_key", "colour", 7, "abc", READ_AT, LATER)]
        lake.fold()
    lake.note_drift(drift(1), LATER)
    assert lake.read("schema_drift")["cells"].to_list() == [8]


def test_drift_is_not_counted_twice_when_a_fold_dies_after_its_commit(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    lake.note_drift(drift(3), READ_AT)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.lake.folding.Parts.delete", lambda parts: None)
        lake.fold()
    assert lake.pending_parts() == 1
    assert lake.read("schema_drift")["cells"].to_list() == [3]
    lake.note_drift(drift(2), LATER)
    lake.fold()
    assert lake.read("schema_drift")["cells"].to_list() == [5]
    assert lake.pending_parts() == 0


def test_updating_a_whole_table_commits_only_a_change(tmp_path):
    lake = Lake(tmp_path)
    plant = {"plant_key": "NE=1", "plant_code": "NE=1", "first_seen_at": READ_AT, "last_seen_at": READ_AT}
    wanted = frame_of(TABLES["plants"], [plant])
    assert lake.update("plants", lambda known: pl.concat([known, wanted]))
    version = lake.snapshot("plants").version
    assert not lake.update("plants", lambda known: known)
    assert lake.snapshot("plants").version == version
    assert_frame_equal(lake.read("plants"), wanted)
    with pytest.raises(WrongShape, match="land its rows"):
        lake.update(HOURLY, lambda known: known)


def test_vacuum_removes_old_files_alone_and_keeps_what_open_readers_may_need(tmp_path):
    lake = Lake(tmp_path)
    for pv in (1.0, 2.0):
        land(lake, hour("NE=1", pv=pv))
        lake.fold()
    folder = tmp_path / "lake" / "plant_hourly"
    assert len(list(folder.rglob("*.parquet"))) == 2
    assert lake.vacuum() == 0
    assert len(list(folder.rglob("*.parquet"))) == 2


def test_other_tools_read_the_same_rows_through_the_delta_log(tmp_path):
    lake = Lake(tmp_path)
    land(lake, hour("NE=1"), hour("NE=2", DAY + timedelta(days=1)))
    lake.fold()
    table = DeltaTable(str(tmp_path / "lake" / "plant_hourly"))
    assert table.metadata().partition_columns == ["local_date"]
    read = pl.DataFrame(table.to_pyarrow_table())
    assert_frame_equal(
        read.select("plant_code", "local_date", "pv_yield"),
        lake.read(HOURLY, ["plant_code", "local_date", "pv_yield"]),
        check_row_order=False,
    )


def test_no_parts_lie_under_a_folder_that_is_no_table(tmp_path):
    strange = tmp_path / "state" / "landing" / "somebody_elses"
    strange.mkdir(parents=True)
    (strange / "x.parquet").write_bytes(b"not ours")
    Lake(tmp_path).fold()
    assert (strange / "x.parquet").exists()


Row = tuple[int, int, int]
"""Plant, day and minute of the extraction."""

steps = st.lists(
    st.one_of(
        st.just("fold"),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=4),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_any_order_of_landing_and_folding_shows_the_newest_row_of_each_key(tmp_path_factory, sequence):
    lake = Lake(Path(tmp_path_factory.mktemp("home")))
    model: dict[tuple[str, date], tuple[datetime, float]] = {}
    value = 0.0
    for step in sequence:
        if step == "fold":
            lake.fold()
            continue
        rows = []
        for plant, day, minute in step:
            value += 1
            rows.append(hour(f"NE={plant}", DAY + timedelta(days=day), pv=value))
            rows[-1]["extracted_at"] = read_at = READ_AT + timedelta(minutes=minute)
            key = (f"NE={plant}", DAY + timedelta(days=day))
            if key not in model or model[key][0] <= read_at:
                model[key] = (read_at, value)
        land(lake, *rows)
    found = lake.read(HOURLY, ["plant_code", "local_date", "extracted_at", "pv_yield"])
    assert {(p, d): (at, v) for p, d, at, v in found.iter_rows()} == model
    assert found.height == len(model)


def test_a_table_with_duplicate_and_null_key_parts_keeps_one_row_each():
    wide = Table("x", "raw", None, None, "", ("a", "b"), (Column("a", "BIGINT", ""), Column("b", "BIGINT", "")))
    frame = pl.DataFrame({"a": [1, 1, None, None], "b": [None, None, 2, 3]})
    assert newest_of_each_key(wide, frame).rows() == [(1, None), (None, 2), (None, 3)]
