"""The worker's note of when to go on, and the instants of the real-time loop."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.lake.paths import paths_of
from pipelines.load.due import FILE, NextWork, next_work, note_next_work
from pipelines.load.polling import SLOT, next_poll

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert next_work(tmp_path) is None
    note_next_work(tmp_path, NOON + timedelta(hours=3), NOON)
    assert next_work(tmp_path) == NextWork(NOON + timedelta(hours=3), NOON)
    note_next_work(tmp_path, None, NOON)
    assert next_work(tmp_path) == NextWork(None, NOON)


def test_a_damaged_note_is_no_note(tmp_path: Path) -> None:
    note_next_work(tmp_path, NOON, NOON)
    for damaged in (b"{", b"[]", b'{"at": 5, "begun_at": "x"}', b'{"at": null}'):
        (paths_of(tmp_path).state / FILE).write_bytes(damaged)
        assert next_work(tmp_path) is None


def test_each_slot_is_polled_once_and_late() -> None:
    assert next_poll(NOON) == NOON + timedelta(minutes=4)
    assert next_poll(NOON + timedelta(minutes=4)) == NOON + timedelta(minutes=9)
    assert next_poll(NOON + timedelta(minutes=4, seconds=1)) == NOON + timedelta(minutes=9)
    instant = NOON
    slots = set()
    for _ in range(24):
        instant = next_poll(instant)
        slots.add((instant - NOON) // SLOT)
    assert slots == set(range(24))
