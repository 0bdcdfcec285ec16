"""Clear-sky days: right, worked out once, and again when what they hang on changes."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.lake import clear_sky
from pipelines.lake.clear_sky import clear_sky_kwh_m2, make_table, refresh_clear_sky

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from truth import clear_sky as again
from truth.calendar_of_tests import midnight, ms_of

NOW = datetime(2026, 3, 31, 10, tzinfo=UTC)
TABLES = """
create schema raw; create schema ops;
create table raw.plants (plant_code varchar, latitude double, longitude double, time_zone varchar,
    first_seen_at timestamptz);
insert into raw.plants values
    ('berlin', 52.5, 13.4, 'Europe/Berlin', '2026-03-30 23:00:00+00'),
    ('tromso', 69.6, 18.9, 'Europe/Oslo', '2026-03-30 10:00:00+00'),
    ('nowhere', 0, 0, 'Europe/Berlin', '2026-03-30 10:00:00+00'),
    ('beyond', 152.5, 13.4, 'Europe/Berlin', '2026-03-30 10:00:00+00'),
    ('untold', 52.5, 13.4, 'Europe/Berlin', '2026-03-30 10:00:00+00');
create table raw.plant_daily (plant_code varchar, local_date date);
insert into raw.plant_daily values ('berlin', '2026-03-28'), ('untold', '2026-01-01');
create table ops.coverage (plant_code varchar, dataset varchar, period date, covered bigint);
insert into ops.coverage values
    ('tromso', 'device_history', '2026-03-29', 2), ('tromso', 'plant_daily', '2026-03-01', 0);
create table ops.plant_overrides (plant_code varchar, tilt double, azimuth double);
insert into ops.plant_overrides values
    ('berlin', 30, 180), ('tromso', 10, 170), ('nowhere', 30, 180), ('beyond', 30, 180), ('untold', 30, null);
"""


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(TABLES)
        make_table(connection)
        yield connection


def made(database: duckdb.DuckDBPyConnection) -> dict[str, list[date]]:
    query = "select plant_code, list(local_date order by local_date) from ops.clear_sky_day group by all order by 1"
    return dict(database.execute(query).fetchall())


def spans(zone: str, *days: date) -> list[tuple[int, int]]:
    ends = [(midnight(day, zone), midnight(day + timedelta(days=1), zone)) for day in days]
    return [(ms_of(start) // 1000, ms_of(stop) // 1000) for start, stop in ends]


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone", "tilt", "azimuth"),
    [
        (52.5, 13.4, "Europe/Berlin", 30.0, 180.0),
        (-33.9, 151.2, "Australia/Sydney", 0.0, 0.0),
        (27.7, 85.3, "Asia/Kathmandu", 90.0, 90.0),
        (69.6, 18.9, "Europe/Oslo", 45.0, 359.0),
    ],
)
def test_energy_is_what_numpy_makes_of_the_same_sky(
    latitude: float, longitude: float, zone: str, tilt: float, azimuth: float
) -> None:
    days = [date(2026, 3, 29), date(2026, 4, 5), date(2026, 6, 21), date(2026, 10, 25), date(2026, 12, 21)]
    found = clear_sky_kwh_m2(latitude, longitude, tilt, azimuth, spans(zone, *days))
    wanted = [again.clear_sky_kwh_m2(latitude, longitude, zone, tilt, azimuth, day) for day in days]
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    assert max(found) > 1


def test_it_knows_seasons_and_the_polar_night() -> None:
    june, december = clear_sky_kwh_m2(
        48.0, 11.0, 30.0, 180.0, spans("Europe/Berlin", date(2026, 6, 21), date(2026, 12, 21))
    )
    assert 2 < december < 6 < june < 10
    assert clear_sky_kwh_m2(69.6, 18.9, 30.0, 180.0, spans("Europe/Oslo", date(2026, 12, 21))) == [0.0]


def test_quarters_of_an_hour_are_fine_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    days = spans("Europe/Berlin", *(date(2026, month, 21) for month in range(1, 13)))
    coarse = clear_sky_kwh_m2(52.5, 13.4, 30.0, 180.0, days)
    monkeypatch.setattr(clear_sky, "STEP_S", 60)
    assert coarse == pytest.approx(clear_sky_kwh_m2(52.5, 13.4, 30.0, 180.0, days), rel=5e-4)


def test_days_are_worked_out_once_and_only_where_place_and_modules_are_known(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From the first report, or row, or listing until today, by each plant's calendar.
    assert refresh_clear_sky(database, NOW) == 4 + 3
    assert made(database) == {
        "berlin": [date(2026, 3, 28) + timedelta(days=each) for each in range(4)],
        "tromso": [date(2026, 3, 29) + timedelta(days=each) for each in range(3)],
    }
    asked: list[list[tuple[int, int]]] = []

    def counted(*arguments: object) -> list[float]:
        asked.append(arguments[4])  # type: ignore[arg-type]
        return [1.0] * len(arguments[4])  # type: ignore[arg-type]

    monkeypatch.setattr(clear_sky, "clear_sky_kwh_m2", counted)
    assert refresh_clear_sky(database, NOW) == 0
    assert asked == []
    # It is 1 April in Berlin and Oslo.
    assert refresh_clear_sky(database, NOW.replace(hour=22)) == 2
    assert asked == [spans("Europe/Berlin", date(2026, 4, 1))] * 2


@pytest.mark.parametrize(
    "change",
    [
        "update raw.plants set latitude = 53 where plant_code = 'berlin'",
        "update raw.plants set time_zone = 'Asia/Tokyo' where plant_code = 'berlin'",
        "update ops.plant_overrides set azimuth = 90 where plant_code = 'berlin'",
        "update ops.clear_sky_day set method = 'an older one' where plant_code = 'berlin'",
    ],
)
def test_what_a_day_hangs_on_makes_it_anew(database: duckdb.DuckDBPyConnection, change: str) -> None:
    refresh_clear_sky(database, NOW)
    before = dict(
        database.execute("select (plant_code, local_date), irradiation_kwh_m2 from ops.clear_sky_day").fetchall()
    )
    database.execute(change)
    assert refresh_clear_sky(database, NOW) == len(made(database)["berlin"])
    after = dict(
        database.execute("select (plant_code, local_date), irradiation_kwh_m2 from ops.clear_sky_day").fetchall()
    )
    same = {key for key in after if after[key] == before.get(key)}
    assert {code for code, _ in same} == ({"berlin", "tromso"} if "method" in change else {"tromso"})
    zones = database.execute(
        "select distinct time_zone, method from ops.clear_sky_day where plant_code = 'berlin'"
    ).fetchall()
    assert zones == [("Asia/Tokyo" if "Tokyo" in change else "Europe/Berlin", clear_sky.METHOD)]


def test_what_is_not_wanted_any_more_goes(database: duckdb.DuckDBPyConnection) -> None:
    refresh_clear_sky(database, NOW)
    database.execute("delete from raw.plants where plant_code = 'berlin'")
    database.execute("update ops.plant_overrides set tilt = null where plant_code = 'tromso'")
    assert refresh_clear_sky(database, NOW) == 0
    assert made(database) == {}


def test_a_table_of_another_version_is_made_anew(database: duckdb.DuckDBPyConnection) -> None:
    refresh_clear_sky(database, NOW)
    make_table(database)
    assert len(made(database)) == 2
    database.execute("alter table ops.clear_sky_day drop column method")
    make_table(database)
    assert refresh_clear_sky(database, NOW) == 7


def test_a_midnight_that_comes_twice_begins_the_day_once(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Havana turns its clocks back at 01:00 on 1 November."""
    database.execute("delete from ops.plant_overrides where plant_code != 'berlin'")
    database.execute("update raw.plants set time_zone = 'America/Havana', first_seen_at = '2026-10-31 12:00:00+00'")
    database.execute("delete from raw.plant_daily")
    asked: list[list[tuple[int, int]]] = []

    def noted(*arguments: object) -> list[float]:
        asked.append(arguments[4])  # type: ignore[arg-type]
        return [1.0] * len(arguments[4])  # type: ignore[arg-type]

    monkeypatch.setattr(clear_sky, "clear_sky_kwh_m2", noted)
    refresh_clear_sky(database, datetime(2026, 11, 2, 12, tzinfo=UTC))
    hours = [(stop - start) / 3600 for start, stop in asked[0]]
    assert hours == [24, 25, 24]
    assert all(one[1] == other[0] for one, other in zip(asked[0], asked[0][1:], strict=False))
