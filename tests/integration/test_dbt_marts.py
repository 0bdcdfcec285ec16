"""The dbt project on a small database made by hand: figures are recomputed here by plain arithmetic."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from pipelines.load.build import devices_by_id
from pipelines.owner_files import read_devices_file, read_plants_file, read_targets_file, read_tariffs_file
from schemas.generate_dbt import DBT_DIR
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

pytestmark = pytest.mark.slow

BERLIN, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Havana")
SPRING = date(2026, 3, 29)
"""23 hours in Berlin."""
READ_AT = datetime(2026, 4, 2, tzinfo=UTC)
SLOT = timedelta(minutes=5)
Row = dict[str, Any]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _slots(start: datetime, end: datetime) -> list[datetime]:
    return [start + SLOT * step for step in range(int((end - start) / SLOT))]


def _insert(con: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    table = TABLES[name]
    must = {each.name: f"some {each.name}" for each in table.columns if not each.nullable and each.type == "VARCHAR"}
    stamps = {
        each.name: READ_AT for each in table.columns if not each.nullable and each.name.endswith(("_at", "_from"))
    }
    full = [{**must, **stamps, **row} for row in rows]
    schema = {key: kind for key, kind in polars_schema(table).items() if any(key in row for row in full)}
    frame = pl.DataFrame(full, schema=schema, orient="row")
    con.register("incoming", frame)
    con.execute(f"insert into {table.schema}.{name} by name select * from incoming")
    con.unregister("incoming")


def _create(path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(path))
    con.execute("set TimeZone = 'UTC'")
    for schema in ("raw", "ops"):
        con.execute(f"create schema {schema}")
    for table in TABLES.values():
        columns = ", ".join(f"{each.name} {each.type}" for each in table.columns)
        con.execute(f"create table {table.schema}.{table.name} ({columns})")
    for name, frame in OWNER_FRAMES.items():
        con.register("owner", frame)
        con.execute(f"create table ops.{name} as select * from owner")
        con.unregister("owner")
    return con


OWNER_FRAMES = {
    "plant_overrides": read_plants_file(None),
    "device_overrides": devices_by_id(None, read_devices_file(None)),
    "tariffs": read_tariffs_file(None),
    "targets": read_targets_file(None),
}
"""The owner's files where there are none: their columns and no row."""

PLANTS: list[Row] = [
    {"plant_code": "berlin", "latitude": 52.5, "longitude": 13.4, "capacity": 60.0, "time_zone": "Europe/Berlin"},
    {"plant_code": "home", "latitude": 0.0, "longitude": 0.0, "capacity": 8.0, "time_zone": "Europe/Berlin"},
    {"plant_code": "havana", "latitude": 23.1, "longitude": -82.4, "time_zone": "America/Havana"},
    {"plant_code": "kiritimati", "latitude": 1.9, "longitude": -157.4, "time_zone": "Pacific/Kiritimati"},
    {"plant_code": "tromso", "latitude": 69.6, "longitude": 18.9, "time_zone": "Europe/Oslo"},
    {"plant_code": "sydney", "latitude": -33.9, "longitude": 151.2, "time_zone": "Australia/Sydney"},
]
DEVICES: list[Row] = [
    {"device_id": 1, "plant_code": "berlin", "device_type_id": 1, "last_seen_at": READ_AT},
    {"device_id": 2, "plant_code": "berlin", "device_type_id": 10, "last_seen_at": READ_AT},
    {"device_id": 3, "plant_code": "berlin", "device_type_id": 17, "last_seen_at": READ_AT},
    # Taken away before the days looked at: nobody waits for its rows.
    {"device_id": 4, "plant_code": "berlin", "device_type_id": 1, "last_seen_at": datetime(2026, 3, 1, tzinfo=UTC)},
    {"device_id": 5, "plant_code": "home", "device_type_id": 38, "last_seen_at": READ_AT},
    {"device_id": 6, "plant_code": "home", "device_type_id": 39, "last_seen_at": READ_AT},
    {"device_id": 7, "plant_code": "home", "device_type_id": 47, "last_seen_at": READ_AT},
    {"device_id": 8, "plant_code": "tromso", "device_type_id": 1, "last_seen_at": READ_AT},
]


def _inverter_rows() -> list[Row]:
    """Device 1 from two hours before the spring day to two hours after, round the clock, with four blemishes."""
    start = _midnight(SPRING, BERLIN) - timedelta(hours=2)
    end = _midnight(SPRING + timedelta(days=1), BERLIN) + timedelta(hours=2)
    rows: list[Row] = []
    counter = 5000.0
    for number, instant in enumerate(_slots(start, end)):
        counter = round(counter + 0.1 + 0.01 * (number % 7), 2)
        if number == 24 + 100:
            counter = 10.0  # a new inverter's counter
        row = _reading("berlin", 1, instant, BERLIN)
        row |= {"active_power": 1.0 + number % 5, "total_cap": counter, "inverter_state": 512.0, "mppt_power": 3.0}
        rows.append(row)
    rows[40]["total_cap"] = None
    rows[160]["active_power"] = 1e9
    # Midnight's own row is lost, so that an interval bridges it; and three rows at noon.
    lost = {24, 180, 181, 182}
    return [row for number, row in enumerate(rows) if number not in lost]


def _reading(plant: str, device_id: int, instant: datetime, zone: ZoneInfo) -> Row:
    local_date = instant.astimezone(zone).date()
    return {"plant_code": plant, "device_id": device_id, "collect_time": instant, "local_date": local_date}


def _emi_rows() -> list[Row]:
    """A day of irradiance in Berlin, five slots lost, with a daily counter that says something else."""
    slots = _slots(_midnight(SPRING, BERLIN), _midnight(SPRING + timedelta(days=1), BERLIN))
    rows = []
    for number, instant in enumerate(slots):
        radiant = max(0.0, 900 * math.sin((instant.hour + instant.minute / 60 - 5) / 13 * math.pi))
        row = _reading("berlin", 2, instant, BERLIN) | {"radiant_line": round(radiant, 1), "radiant_total": 9.9}
        if number not in range(120, 125):
            rows.append(row)
    return rows


def _fill(con: duckdb.DuckDBPyConnection) -> None:
    _insert(con, "plants", PLANTS)
    _insert(con, "devices", DEVICES)
    changed = datetime(2026, 3, 30, 12, tzinfo=UTC)
    version = {"device_id": 1, "plant_code": "berlin", "device_type_id": 1}
    _insert(
        con,
        "device_versions",
        [
            version | {"software_version": "V1", "valid_from": READ_AT - timedelta(days=20), "valid_to": changed},
            version | {"software_version": "V2", "valid_from": changed},
        ],
    )
    _insert(con, "device_history_string_inverter", _inverter_rows())
    _insert(con, "device_history_emi", _emi_rows())
    meter = [
        _reading("berlin", 3, instant, BERLIN) | {"active_power": 2500.0, "active_power_a": 0.8}
        for instant in _slots(_midnight(SPRING, BERLIN), _midnight(SPRING + timedelta(days=1), BERLIN))
    ]
    _insert(con, "device_history_grid_meter", meter[:-6])
    con.execute("insert into ops.device_overrides (device_id, unit, power_sign) values (3, 'W', -1)")
    con.execute(
        """insert into ops.plant_overrides (plant_code, dc_kwp, irradiance_plane, tilt, azimuth) values
            ('berlin', 50, 'poa', 30, 180), ('home', null, null, 30, 180), ('havana', null, null, 30, 180),
            ('tromso', 10, null, 30, 180)"""
    )
    skies = [("berlin", SPRING, 6.0), ("berlin", SPRING + timedelta(days=1), 7.0), ("tromso", date(2026, 12, 21), 0.0)]
    modules = {"latitude": 0.0, "longitude": 0.0, "tilt_deg": 30.0, "azimuth_deg": 180.0}
    _insert(
        con,
        "clear_sky_day",
        [
            modules | {"plant_code": plant, "local_date": day, "irradiation_kwh_m2": energy}
            for plant, day, energy in skies
        ],
    )
    spring = {"plant_code": "berlin", "local_date": SPRING, "collect_time": _midnight(SPRING, BERLIN)}
    home = {"plant_code": "home", "local_date": SPRING, "collect_time": _midnight(SPRING, BERLIN)}
    days = [
        spring | {"pv_yield": 180.0, "inverter_yield": 180.0, "installed_capacity": 49.0, "perpower_ratio": 3.67},
        # The same day under the label of standard time, read earlier.
        spring
        | {
            "pv_yield": 99.0,
            "collect_time": _midnight(SPRING, BERLIN) + timedelta(hours=1),
            "extracted_at": READ_AT - timedelta(days=1),
        },
        home
        | {
            "pv_yield": 17.98,
            "inverter_yield": 14.59,
            "ongrid_power": 5.90,
            "buy_power": 5.19,
            "use_power": 13.88,
            "self_use_power": 12.08,
            "self_provide": 8.69,
            "charge_cap": 8.76,
            "discharge_cap": 5.37,
            "radiation_intensity": 99.0,
            "installed_capacity": 7.2,
        },
    ]
    for plant, day in (
        ("havana", date(2026, 11, 1)),
        ("kiritimati", date(2026, 6, 21)),
        ("tromso", date(2026, 12, 21)),
        ("tromso", date(2026, 6, 21)),
        ("sydney", date(2026, 1, 10)),
    ):
        zone = ZoneInfo(next(each["time_zone"] for each in PLANTS if each["plant_code"] == plant))
        days.append({"plant_code": plant, "local_date": day, "collect_time": _midnight(day, zone)})
    _insert(con, "plant_daily", days)
    covered = {"period": SPRING, "rows": 1, "extracted_at": READ_AT}
    _insert(
        con,
        "coverage",
        [
            covered | {"dataset": "plant_daily", "plant_code": "berlin", "wanted": 1, "covered": 1, "state": "final"},
            covered
            | {"dataset": "device_history", "plant_code": "berlin", "wanted": 3, "covered": 3, "state": "final"},
            covered
            | {"dataset": "plant_daily", "plant_code": "home", "wanted": 1, "covered": 1, "state": "provisional"},
            covered
            | {"dataset": "device_history", "plant_code": "home", "wanted": 3, "covered": 0, "state": "missing"},
            covered
            | {
                "dataset": "device_history",
                "plant_code": "berlin",
                "period": SPRING + timedelta(days=1),
                "wanted": 3,
                "covered": 1,
                "state": "provisional",
            },
        ],
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database after a full `dbt build`, unit tests included."""
    from dbt.cli.main import dbtRunner

    folder = tmp_path_factory.mktemp("dbt")
    path = folder / "build.duckdb"
    con = _create(path)
    _fill(con)
    con.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVMS_BUILD_DB", str(path))
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        where = ["--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)]
        output = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
        result = dbtRunner().invoke(["--quiet", "build", *where, *output])
    assert result.success, result.exception or [
        (each.node.name, each.message) for each in result.result if each.status not in ("success", "pass")
    ]
    with duckdb.connect(str(path)) as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> Row:
    cursor = con.execute(sql)
    rows = cursor.fetchall()
    assert len(rows) == 1
    return dict(zip([each[0] for each in cursor.description], rows[0], strict=True))


def _day(con: duckdb.DuckDBPyConnection, plant: str, day: date = SPRING) -> Row:
    return _one(con, f"select * from marts.fct_plant_day where plant_code = '{plant}' and local_date = '{day}'")


def _expected_steps() -> tuple[dict[date, float], int, list[datetime]]:
    """Energy by local date of the interval's start, readings, and falls: the rule, spelled out row by row."""
    energy: dict[date, float] = {}
    falls = []
    last_time, last_value = None, None
    rows = _inverter_rows()
    for row in rows:
        value, instant = row["total_cap"], row["collect_time"]
        if value is None:
            continue
        if last_time is not None and instant - last_time <= timedelta(minutes=15):
            if value < last_value:
                falls.append(instant)
            else:
                day = last_time.astimezone(BERLIN).date()
                energy[day] = energy.get(day, 0.0) + value - last_value
        last_time, last_value = instant, value
    return energy, len(rows), falls


def test_every_reading_is_in_the_inverter_mart_once(warehouse) -> None:
    _, readings, _ = _expected_steps()
    found = warehouse.execute(
        "select count(*), count(distinct collect_time_utc), count(energy_from_power_kwh) from marts.fct_inverter_5min"
    ).fetchall()[0]
    assert found[:2] == (readings, readings)
    # All but the first, the one after the hole at noon, and the implausible one.
    assert found[2] == readings - 3


def test_counter_energy_is_filed_by_the_start_of_its_interval(warehouse) -> None:
    energy, _, falls = _expected_steps()
    by_day = dict(
        warehouse.execute(
            "select local_date, sum(energy_kwh) from marts.fct_inverter_5min group by local_date"
        ).fetchall()
    )
    assert by_day == pytest.approx(energy)
    assert len(by_day) == 3
    fell = warehouse.execute("select collect_time_utc from marts.fct_inverter_5min where counter_fell").fetchall()
    assert [each[0] for each in fell] == falls
    bridge = _one(
        warehouse,
        f"""select local_date, energy_kwh, interval_end_utc - interval_start_utc as length, inverter_state
            from marts.fct_inverter_5min where interval_end_utc = '{_midnight(SPRING, BERLIN) + SLOT}'""",
    )
    assert bridge["local_date"] == SPRING - timedelta(days=1)
    assert bridge["length"] == 2 * SLOT
    assert bridge["energy_kwh"] > 0
    assert bridge["inverter_state"] == "Grid-connected"


def test_a_day_read_alone_gives_what_it_gives_among_all(warehouse) -> None:
    for day in (SPRING - timedelta(days=1), SPRING, SPRING + timedelta(days=1)):
        alone, among = warehouse.execute(
            f"""select
                (select sum(energy_kwh) from marts.fct_inverter_5min where local_date = '{day}'),
                (select sum(energy_kwh) filter (where local_date = '{day}') from marts.fct_inverter_5min)"""
        ).fetchall()[0]
        assert alone == among


def test_implausible_power_is_null_and_told(warehouse) -> None:
    row = _one(
        warehouse,
        "select active_power_kw, total_yield_kwh, implausible from marts.fct_inverter_5min "
        "where implausible is not null",
    )
    assert row["active_power_kw"] is None
    assert row["total_yield_kwh"] > 0
    assert row["implausible"].startswith("active_power=10000000")


def test_owner_turns_watts_and_sign_of_the_meter(warehouse) -> None:
    row = _one(
        warehouse,
        "select distinct active_power_kw, phase_a_active_power_kw from staging.stg_device_history_grid_meter",
    )
    assert row == {"active_power_kw": -2.5, "phase_a_active_power_kw": -0.8}


def test_performance_ratio_of_the_spring_day(warehouse) -> None:
    row = _day(warehouse, "berlin")
    irradiation = sum(each["radiant_line"] for each in _emi_rows()) * 5 / 60 / 1000
    assert row["irradiation_source"] == "irradiance"
    assert row["irradiation_kwh_m2"] == pytest.approx(irradiation)
    assert 0.95 < row["irradiation_completeness"] < 1
    assert row["p0_kwp"] == 50
    assert row["p0_source"] == "plants_file"
    assert row["p0_differs"]
    assert row["pv_energy_kwh"] == 180
    assert row["specific_yield_kwh_kwp"] == pytest.approx(3.6)
    assert row["specific_yield_vendor_kwh_kwp"] == 3.67
    assert row["pr_poa_pct"] == pytest.approx(100 * 180 / (50 * irradiation))
    assert row["pr_unverified_plane_pct"] is None
    assert row["pr_vendor_pct"] is None


def test_completeness_of_the_spring_day(warehouse) -> None:
    row = _day(warehouse, "berlin")
    assert row["day_slots"] == 276
    assert (row["day_end_utc"] - row["day_start_utc"]) == timedelta(hours=23)
    assert row["day_start_utc"] == _midnight(SPRING, BERLIN)
    assert row["meter_completeness"] == pytest.approx(270 / 276)
    # Three rows at noon are lost and one holds no plausible power; at night nobody waits for an inverter.
    assert row["inverter_slots_expected"] - row["inverter_slots_received"] == 4
    assert 110 < row["inverter_slots_expected"] < 150
    assert row["battery_completeness"] is None
    assert not row["is_provisional"]
    assert row["kpi_flags"].split("; ") == [
        "capacities differ by more than 1 %",
        "irradiation by irradiance and by the sensor's counter differ by more than 5 %",
    ]


def test_energies_of_a_battery_plant_stay_apart(warehouse) -> None:
    row = _day(warehouse, "home")
    assert row["pv_energy_kwh"] == 17.98
    assert row["ac_energy_kwh"] == 14.59
    assert row["feed_in_energy_kwh"] == 5.90
    assert row["purchased_energy_kwh"] == 5.19
    assert row["self_consumption_pct"] == pytest.approx(100 * 12.08 / 17.98)
    assert row["self_sufficiency_pct"] == pytest.approx(100 * 8.69 / 13.88)
    assert row["battery_charged_energy_kwh"] == 8.76
    assert row["battery_discharged_energy_kwh"] == 5.37
    assert row["has_battery"]
    assert row["is_provisional"]


def test_the_recorded_identities_hold_in_the_marts(warehouse) -> None:
    """A public recording of a plant with a battery: the identities that the KPIs rest on, to the digit served."""
    row = _day(warehouse, "home")
    pv, ac = row["pv_energy_kwh"], row["ac_energy_kwh"]
    bought, used, fed = row["purchased_energy_kwh"], row["consumption_kwh"], row["feed_in_energy_kwh"]
    charged, discharged = row["battery_charged_energy_kwh"], row["battery_discharged_energy_kwh"]
    digit = pytest.approx
    assert ac == digit(pv - charged + discharged, abs=0.005)
    assert row["self_used_pv_energy_kwh"] == digit(pv - fed, abs=0.005)
    assert row["self_provided_energy_kwh"] == digit(used - bought, abs=0.005)
    assert ac + bought == digit(used + fed, abs=0.015)
    assert row["specific_yield_kwh_kwp"] == digit(pv / 7.2)


def test_what_is_not_known_is_null_and_told(warehouse) -> None:
    home = _day(warehouse, "home")
    # 99 kWh/m2 a day can't be, and 0,0 is no place on land.
    assert home["irradiation_kwh_m2"] is None
    assert home["implausible"] == "radiation_intensity=99.0"
    assert home["inverter_slots_expected"] is None
    assert home["inverter_completeness"] is None
    assert "performance_ratio: no irradiation" in home["kpi_gaps"]
    unread = _day(warehouse, "berlin", SPRING + timedelta(days=1))
    assert unread["pv_energy_kwh"] is None
    assert unread["report_state"] == "missing"
    assert unread["is_provisional"]
    assert "pv_energy: no report" in unread["kpi_gaps"]


def test_clear_sky_energy_is_that_of_the_capacity_or_says_what_lacks(warehouse) -> None:
    names = ("clear_sky_irradiation_kwh_m2", "clear_sky_energy_kwh", "clear_sky_ratio_pct")
    berlin = _day(warehouse, "berlin")
    assert [berlin[name] for name in names] == pytest.approx([6, 50 * 6, 100 * 180 / 300])
    dark = _day(warehouse, "tromso", date(2026, 12, 21))
    assert [dark[name] for name in names] == [0, 0, None]
    assert "clear_sky" not in f"{berlin['kpi_gaps']} {dark['kpi_gaps']}"
    for plant, day, reason in (
        ("home", SPRING, "no coordinates"),
        ("havana", date(2026, 11, 1), "no capacity"),
        ("sydney", date(2026, 1, 10), "no tilt and azimuth in the plants file"),
        ("tromso", date(2026, 6, 21), "the day was not worked out"),
    ):
        assert f"clear_sky_energy: {reason}" in _day(warehouse, plant, day)["kpi_gaps"]
    for relation in ("fct_plant_month", "fct_plant_year"):
        # The second day has no report: the ratio is over the days that have both.
        row = _one(warehouse, f"select * from marts.{relation} where plant_code = 'berlin'")
        assert [row[name] for name in names] == pytest.approx([13, 50 * 6 + row["p0_kwp"] * 7, 60])
        assert row["clear_sky_days"] == 1


def test_a_midnight_that_comes_twice_begins_the_day_once(warehouse) -> None:
    row = _day(warehouse, "havana", date(2026, 11, 1))
    assert row["day_start_utc"] == datetime(2026, 11, 1, 0, 0, tzinfo=HAVANA).astimezone(UTC)
    assert row["day_slots"] == 300


def test_the_sun_agrees_with_pvlib(warehouse) -> None:
    import pandas as pd
    from pvlib import solarposition

    days = warehouse.sql("select * from staging.int_plant_day where sunrise_utc is not null").pl()
    assert set(days["plant_code"]) == {"berlin", "havana", "kiritimati", "tromso", "sydney"}
    for row in days.to_dicts():

        def elevation(instants: list[datetime], place: Row = row) -> list[float]:
            index = pd.DatetimeIndex(instants)
            position = solarposition.get_solarposition(index, place["latitude"], place["longitude"])
            return position["elevation"].tolist()

        assert row["day_start_utc"] <= row["solar_noon_utc"] < row["day_end_utc"]
        noon_elevation = elevation([row["solar_noon_utc"]])[0]
        threshold = min(10.0, noon_elevation / 2)
        edges = elevation([row["inverter_daylight_start_utc"], row["inverter_daylight_end_utc"]])
        # Half of the height at noon is by the day's declination, 10 degrees are by the sun of that minute.
        assert edges == pytest.approx([threshold] * 2, abs=0.03 if threshold == 10 else 0.2)
        dark = [each for each in (row["dawn_utc"], row["dusk_utc"]) if each and noon_elevation < 40]
        assert elevation(dark) == pytest.approx([-6] * len(dark), abs=0.03)
        noon = 300 * (row["solar_noon_utc"].timestamp() // 300)
        grid = [datetime.fromtimestamp(noon + 300 * step, tz=UTC) for step in range(-144, 144)]
        most = 1 if row["plant_code"] == "tromso" else 0
        assert row["sun_slots"] == pytest.approx(sum(each >= 0 for each in elevation(grid)), abs=most)


def test_polar_night_expects_nothing_and_midnight_sun_everything(warehouse) -> None:
    tromso = "select sunrise_utc, sun_slots from staging.int_plant_day where plant_code = 'tromso'"
    night = _one(warehouse, f"{tromso} and local_date = '2026-12-21'")
    assert night == {"sunrise_utc": None, "sun_slots": None}
    summer = _one(warehouse, f"{tromso} and local_date = '2026-06-21'")
    assert summer["sun_slots"] in (288, 289)


def test_every_relation_and_column_is_described(warehouse) -> None:
    bare = warehouse.execute(
        """select schema_name || '.' || table_name || '.' || column_name from duckdb_columns()
           where schema_name in ('staging', 'marts') and coalesce(comment, '') = ''
           union all
           select schema_name || '.' || view_name from duckdb_views()
           where schema_name in ('staging', 'marts') and coalesce(comment, '') = ''
           union all
           select schema_name || '.' || table_name from duckdb_tables()
           where schema_name in ('staging', 'marts') and coalesce(comment, '') = ''"""
    ).fetchall()
    assert bare == []
    kinds = dict(
        warehouse.execute(
            "select table_name, table_type from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
    )
    # From the hour up marts are tables; five minutes are looked up in the lake.
    assert {name for name, kind in kinds.items() if kind == "VIEW"} == {n for n in kinds if n.endswith("_5min")}
    assert {"dim_plant", "dim_device", "fct_plant_day", "fct_inverter_5min"} <= set(kinds)


def test_devices_have_their_history_and_plants_say_what_cannot_be_had(warehouse) -> None:
    device = warehouse.execute(
        "select device_id, version_number, plant_code, software_version, is_current, year(valid_from_utc), "
        "year(valid_to_utc) from marts.dim_device where device_id = 1 order by version_number"
    ).fetchall()
    assert device == [(1, 1, "berlin", "V1", False, 1900, 2026), (1, 2, "berlin", "V2", True, 2026, 2200)]
    as_of = warehouse.execute(
        """select day.local_date, device.software_version from marts.fct_plant_day as day
           join marts.dim_device as device on day.plant_code = device.plant_code and device.device_id = 1
               and day.day_end_utc > device.valid_from_utc and day.day_end_utc <= device.valid_to_utc
           order by 1"""
    ).fetchall()
    assert as_of == [(SPRING - timedelta(days=1), "V1"), (SPRING, "V1"), (SPRING + timedelta(days=1), "V2")]
    gaps = dict(warehouse.execute("select plant_code, kpi_gaps from marts.dim_plant").fetchall())
    assert "performance_ratio: no irradiation sensor" in gaps["home"]
    assert "peer_yield_ratio: no coordinates" in gaps["home"]
    assert "battery_cycles: no usable_kwh" in gaps["home"]
    assert "clear_sky_energy: no tilt and azimuth" in gaps["sydney"]
    assert "clear_sky_energy: no coordinates" in gaps["home"]
    assert "clear_sky_energy: no capacity" in gaps["havana"]
    assert "clear_sky" not in gaps["berlin"]
    assert "performance_ratio" not in gaps["berlin"]


def test_every_column_of_ops_is_in_the_data_dictionary(warehouse) -> None:
    folder = DBT_DIR.parent / "docs"
    text = "".join((folder / f"data-dictionary{page}.md").read_text(encoding="utf-8") for page in ("", "-models"))
    columns = warehouse.execute(
        "select table_name, column_name from duckdb_columns() where schema_name = 'ops' and not internal"
    ).fetchall()
    assert {"plant_overrides", "conventions", "coverage"} <= {table for table, _ in columns}
    missing = [
        (table, column)
        for table, column in columns
        if f"| `{column}` |" not in (f"{text}\n### ops.{table}\n".split(f"### ops.{table}\n")[1].split("\n#")[0])
    ]
    assert missing == []


def test_codes_and_calendar_are_at_hand(warehouse) -> None:
    word = "select word from marts.dim_code where code_list = 'inverter_states' and code = 513"
    assert warehouse.execute(word).fetchall() == [("Grid-connected: power limited",)]
    zone = "select time_zone from marts.dim_time_zone_code where time_zone_code = 5"
    assert warehouse.execute(zone).fetchall() == [("Europe/Berlin",)]
    spring = _one(
        warehouse, f"select year_month, iso_weekday, is_weekend from marts.dim_date where local_date = '{SPRING}'"
    )
    assert spring == {"year_month": "2026-03", "iso_weekday": 7, "is_weekend": True}
