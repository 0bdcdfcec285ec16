"""Landing parts: durable, whole or not at all, and never of the wrong shape."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from lake_frames import frame_of, hour

from pipelines.lake import durable
from pipelines.lake.errors import DiskFull, UnusableHome, WrongShape
from pipelines.lake.store import Lake
from schemas.tables import TABLES

HOURLY = TABLES["plant_hourly"]


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_landed_frame_is_one_parquet_file_with_exactly_its_rows(tmp_path):
    rows = frame_of(HOURLY, [hour("NE=1"), hour("NE=2")])
    part = Lake(tmp_path).land(HOURLY, rows)
    assert part is not None
    assert (part.table, part.rows) == ("plant_hourly", 2)
    assert files_under(tmp_path) == [str(part.path.relative_to(tmp_path))]
    assert pl.read_parquet(part.path, hive_partitioning=False).equals(rows)


def test_parts_sort_by_the_time_they_landed(tmp_path):
    lake = Lake(tmp_path)
    landed = [lake.land(HOURLY, frame_of(HOURLY, [hour("NE=1", number=number)])) for number in range(12)]
    assert [part.path for part in landed if part] == lake.parts.pending("plant_hourly")


def test_an_empty_frame_lands_nothing(tmp_path):
    assert Lake(tmp_path).land(HOURLY, frame_of(HOURLY, [])) is None
    assert files_under(tmp_path) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.drop("pv_yield"), "missing.*pv_yield"),
        (lambda frame: frame.with_columns(new=1), "unknown.*new"),
        (lambda frame: frame.with_columns(pl.col("pv_yield").cast(pl.Float32)), "pv_yield is Float32"),
        (lambda frame: frame.select(frame.columns[::-1]), "order"),
    ],
)
def test_a_frame_that_is_not_its_tables_is_refused(tmp_path, spoil, says):
    with pytest.raises(WrongShape, match=says):
        Lake(tmp_path).land(HOURLY, spoil(frame_of(HOURLY, [hour("NE=1")])))
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_half_written_and_says_what_to_do(tmp_path, monkeypatch, number):
    def full(handle):
        raise OSError(number, os.strerror(number))

    lake = Lake(tmp_path)
    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(DiskFull, match="Free some"):
        lake.land(HOURLY, frame_of(HOURLY, [hour("NE=1")]))
    monkeypatch.undo()
    assert [path for path in files_under(tmp_path) if "plant_hourly" in path] == []
    assert lake.read(HOURLY).is_empty()


def test_other_errors_of_the_disk_pass_as_they_are(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    lake.land(HOURLY, frame_of(HOURLY, [hour("NE=1")]))
    monkeypatch.setattr(durable.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        lake.land(HOURLY, frame_of(HOURLY, [hour("NE=1")]))


def test_left_overs_of_ended_processes_go_and_those_of_living_ones_stay(tmp_path):
    folder = tmp_path / "state" / "landing" / "plant_hourly"
    folder.mkdir(parents=True)
    dead = folder / f"1.parquet.{ended_process()}-0.tmp"
    alive = folder / f"1.parquet.{os.getpid()}-0.tmp"
    strange = folder / "notes.tmp"
    for path in (dead, alive, strange):
        path.write_bytes(b"half")
    lake = Lake(tmp_path)
    assert not dead.exists()
    assert alive.exists()
    assert strange.exists()
    assert lake.pending_parts() == 0


@pytest.mark.parametrize("name", ["100%", "a#b", "what?", "a*b", "a[1]", "a\\b", "a\nb", "local_date=2020-01-01"])
def test_a_home_that_the_tables_cannot_live_under_is_refused_at_once(tmp_path, name):
    with pytest.raises(UnusableHome, match="Choose a path"):
        Lake(tmp_path / name)


@pytest.mark.parametrize("name", ["a b", "Anlage Süd", "a'b"])
def test_usual_names_of_a_home_work_through_to_the_delta_table(tmp_path, name):
    lake = Lake(tmp_path / name)
    lake.land(HOURLY, frame_of(HOURLY, [hour("NE=1")]))
    lake.fold()
    assert lake.read(HOURLY).height == 1
    assert all(Path(path).is_file() for path in lake.files(HOURLY))
