"""How long the disk lasts, and when nothing more is started."""

from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.lake.paths import paths_of
from pipelines.load import room

DAY = datetime(2026, 6, 10, 12, tzinfo=UTC)
Usage = namedtuple("Usage", ["total", "used", "free"])


def _free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(10**13, 0, size))


def test_growth_is_what_the_home_gained_between_notes(tmp_path: Path) -> None:
    assert room.growth_per_day(tmp_path) is None
    assert room.forecast(tmp_path, 10**12) == ""
    (tmp_path / "lake").mkdir()
    for day in range(3):
        (tmp_path / "lake" / f"{day}.parquet").write_bytes(b"x" * 1_000_000)
        room.note_size(tmp_path, DAY + timedelta(days=2 * day))
        room.note_size(tmp_path, DAY + timedelta(days=2 * day, hours=1))
    growth = room.growth_per_day(tmp_path)
    assert growth == pytest.approx(500_000, rel=0.01)
    lasts = room.forecast(tmp_path, room.LEAST_FREE_BYTES + int(100.5 * growth))
    assert lasts == "; it grows by 0.5 MB a day, enough for about 100 days"


def test_notes_are_kept_for_a_month_and_damage_is_no_note(tmp_path: Path) -> None:
    for day in range(room.NOTES_KEPT + 5):
        room.note_size(tmp_path, DAY + timedelta(days=day))
    file = paths_of(tmp_path).state / room.FILE
    assert file.read_bytes().count(b":") == room.NOTES_KEPT
    file.write_bytes(b'{"never": 1}')
    assert room.growth_per_day(tmp_path) is None


def test_nothing_starts_without_room_for_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.lacks_room(tmp_path / "absent") is None
    _free(monkeypatch, room.LEAST_FREE_BYTES)
    assert room.lacks_room(tmp_path) is None
    _free(monkeypatch, room.LEAST_FREE_BYTES - 1)
    sentence = room.lacks_room(tmp_path)
    assert sentence is not None
    assert str(tmp_path) in sentence


def test_a_run_under_way_goes_on_until_what_it_lands_could_not_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, room.LAST_FREE_BYTES)
    assert room.fills_up(tmp_path) is None
    with (tmp_path / "warehouse.duckdb").open("wb") as warehouse:
        warehouse.truncate(room.LAST_FREE_BYTES + 1)
    sentence = room.fills_up(tmp_path)
    assert sentence is not None
    assert "nothing more is asked for" in sentence
