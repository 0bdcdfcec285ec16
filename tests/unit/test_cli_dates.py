"""Dates on the command line: what `today` and `yesterday` mean, by the clocks of the plants that are known."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.dates import Day, known_zones, read_day, settled
from pipelines.lake.store import Lake
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Settings
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

MORNING = datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
"""The 30th has begun at UTC+14, and the 28th is not over at UTC-12."""

ZONES = ("Pacific/Kiritimati", "Pacific/Apia", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Pacific/Pago_Pago")


def test_dates_are_read() -> None:
    assert read_day("2024-02-29") == Day(date(2024, 2, 29))
    assert read_day("2024-02-29").on(MORNING, ()) == date(2024, 2, 29)


@pytest.mark.parametrize("text", ["", "2025", "2025-02-29", "29.02.2024", "last week", "Yesterday "])
def test_what_is_no_date_is_said(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="like 2025-03-30"):
        read_day(text)


@pytest.mark.parametrize(
    ("zones", "today", "yesterday"),
    [
        ((), date(2026, 11, 30), date(2026, 11, 27)),
        (("Europe/Berlin",), date(2026, 11, 29), date(2026, 11, 28)),
        (("Pacific/Apia",), date(2026, 11, 29), date(2026, 11, 28)),
        (("Pacific/Kiritimati", "Europe/Berlin"), date(2026, 11, 30), date(2026, 11, 28)),
        (("Pacific/Pago_Pago", "Europe/Berlin"), date(2026, 11, 29), date(2026, 11, 27)),
    ],
)
def test_words_go_by_the_plants_clocks(zones: tuple[str, ...], today: date, yesterday: date) -> None:
    assert (Day("today").on(MORNING, zones), Day("yesterday").on(MORNING, zones)) == (today, yesterday)


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.times(),
    st.sets(st.sampled_from(ZONES)),
)
def test_a_known_fleet_never_widens_what_the_words_mean(day: date, at: time, zones: set[str]) -> None:
    now = datetime.combine(day, at, UTC)
    assert Day("today").on(now, zones) <= Day("today").on(now, ())
    assert Day("yesterday").on(now, zones) >= Day("yesterday").on(now, ())
    assert Day("yesterday").on(now, zones) < Day("today").on(now, zones)


def test_the_zones_are_those_of_the_listed_plants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(home=tmp_path, env_file=None)
    clock = ManualClock(MORNING)
    assert settled(settings, read_day("yesterday"), None, clock=clock) == [date(2026, 11, 27), None]
    assert "yesterday is 2026-11-27, the latest date that is over everywhere on earth" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert known_zones(Settings(home=tmp_path, env_file=None, default_time_zone="Asia/Tokyo")) == {"Asia/Tokyo"}

    schema = polars_schema(TABLES["plants"])
    zoned = {"time_zone": "Europe/Berlin", "time_zone_source": "coordinates"}
    rows = [{"plant_code": "NE=1", "plant_key": "1", **zoned}, {"plant_code": "NE=2", "plant_key": "2"}]
    stamps = {"first_seen_at": MORNING, "last_seen_at": MORNING}
    full = [{name: {**row, **stamps}.get(name) for name in schema} for row in rows]
    Lake(tmp_path).land("plants", pl.DataFrame(full, schema=schema, orient="row"))
    assert settled(settings, read_day("yesterday"), read_day("today"), clock=clock) == [
        date(2026, 11, 28),
        date(2026, 11, 29),
    ]
    said = capsys.readouterr().err
    assert "yesterday is 2026-11-28, the latest date that is over at every plant" in said
    assert "today is 2026-11-29" in said


def test_a_date_that_was_named_is_not_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert settled(Settings(home=tmp_path, env_file=None), read_day("2026-11-01")) == [date(2026, 11, 1)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["report", "--from", "soon", "--to", "today"], "--from"),
        (["export", "--to", "x", "--until", "soon"], "--until"),
        (["forget", "--before", "soon"], "--before"),
        (["load", "--from", "today", "--to", "soon"], "--to"),
    ],
)
def test_a_wrong_date_says_which_option_holds_it(command: list[str], option: str) -> None:
    found = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert found.exit_code == 2
    assert f"Invalid value for '{option}': 'soon' is no date" in found.stderr
