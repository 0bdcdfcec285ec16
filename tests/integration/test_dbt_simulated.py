"""The dbt project on what the simulator served: the documented questions, and late corrections.

Corrections, polls, history that replaces polls, and rows that were forgotten reach every mart without a full rebuild,
and leave what one would make. Polls alone make the marts that history would have made.
"""

import math
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from truth.inside import load_into, raw_of, settings_of
from truth.polls import FLOWS, IDENTITY, samples

from pipelines.lake.built_views import MERGED, UNCHANGED_VIEWS
from pipelines.northbound.clock import ManualClock
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import build_world
from schemas.generate_dbt import DBT_DIR
from schemas.merged_5min import merged_types

pytestmark = pytest.mark.slow

FIRST, LAST = date(2026, 10, 22), date(2026, 10, 26)
"""The demo fleet with all its plants; in Europe the 25th has 25 hours."""

CORRECTED_AT = datetime(2026, 11, 20, tzinfo=UTC)

CORRECTIONS = {
    "device_history_string_inverter": ("active_power", "total_cap", "pv1_i", "inverter_state"),
    "device_history_residential_inverter": ("active_power", "total_cap", "mppt_1_cap"),
    "device_history_emi": ("radiant_line", "radiant_total"),
    "device_history_grid_meter": ("active_power", "active_cap", "reverse_active_cap"),
    "device_history_power_sensor": ("active_power", "reverse_active_cap"),
    "device_history_residential_battery": ("ch_discharge_power", "charge_cap", "battery_soc"),
    "device_history_ess": ("ch_discharge_power", "discharge_cap"),
    "plant_daily": ("pv_yield", "inverter_yield", "installed_capacity"),
    "device_daily": ("product_power", "charge_cap"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build database whose raw tables can be corrected, once built."""
    folder = tmp_path_factory.mktemp("corrections")
    with Simulator(build_world("demo", 1), clock=(clock := ManualClock(datetime(2026, 11, 10, tzinfo=UTC)))) as server:
        settings = settings_of(server, folder / "home")
        wanted = ("device_history", "plant_daily", "device_daily", "plant_hourly")
        assert load_into(settings, FIRST, LAST, *wanted, clock=clock).exit_code == 0
    path = folder / "build.duckdb"
    with raw_of(settings) as con:
        con.execute(f"attach '{path}' as corrected")
        for schema, name in con.execute(
            "select schema_name, view_name from duckdb_views() where schema_name = 'raw' union all "
            "select schema_name, table_name from duckdb_tables() "
            "where schema_name = 'ops' and database_name != 'corrected'"
        ).fetchall():
            con.execute(f"create schema if not exists corrected.{schema}")
            con.execute(f"create table corrected.{schema}.{name} as select * from {schema}.{name}")
    dbt(path)
    yield path


def dbt(path: Path, *arguments: str) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVMS_BUILD_DB", str(path))
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        where = ["--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR), "--target-path", str(path.parent / "t")]
        only = ["--resource-type", "model", "--resource-type", "seed", "--log-level-file", "none"]
        result = dbtRunner().invoke(["--quiet", "build", *where, *only, *arguments])
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()
    assert result.success, result.exception or [each.message for each in result.result if each.status == "error"]


def correct(path: Path, chance: random.Random, number: int) -> None:
    """A few late changes of every sort: values, rows that vanish, a device's size, a plant's place."""
    at = CORRECTED_AT + timedelta(days=number)
    with duckdb.connect(str(path)) as con:
        con.execute("set TimeZone = 'UTC'")
        for table, columns in CORRECTIONS.items():
            column, remainder = chance.choice(columns), chance.randrange(97)
            day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1))
            con.execute(
                f"update raw.{table} set {column} = {column} * {chance.uniform(0.9, 1.1)}, extracted_at = ? "
                f"where local_date = ? and epoch(collect_time)::bigint // 300 % 97 in ({remainder}, {remainder + 1})",
                [at, day],
            )
        gone = chance.choice([each for each in CORRECTIONS if each.startswith("device_history")])
        day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1))
        con.execute(f"delete from raw.{gone} where local_date = ? and hour(collect_time) in (9, 10)", [day])
        device, plant = con.execute(
            "select device_id, plant_code from raw.devices where device_type_id = 1 order by device_id % ? limit 1",
            [5 + number],
        ).fetchall()[0]
        con.execute("insert into ops.device_overrides (device_id, ac_kw) values (?, 25)", [device])
        con.execute("update raw.plants set latitude = latitude + 0.5 where plant_code = ?", [plant])


def to_polls(path: Path, where: str) -> None:
    """History that came as polls instead, two minutes into each slot; the rows are the same."""
    with duckdb.connect(str(path)) as con:
        con.execute("set TimeZone = 'UTC'")
        for kind in merged_types():
            history, polls = f"raw.device_history_{kind.name}", f"raw.device_realtime_{kind.name}"
            known = {row[0] for row in con.execute(f"describe {polls}").fetchall()}
            moved = ", ".join(row[0] for row in con.execute(f"describe {history}").fetchall() if row[0] in known)
            con.execute(
                f"insert into {polls} by name select {moved}, collect_time + interval 2 minutes as polled_at "
                f"from {history} where {where}"
            )
            con.execute(f"delete from {history} where {where}")


def replaced_by_history(path: Path, hours: tuple[int, int], at: datetime) -> None:
    """Some hours of what was polled come as history, too."""
    with duckdb.connect(str(path)) as con:
        con.execute("set TimeZone = 'UTC'")
        for kind in merged_types():
            history, polls = f"raw.device_history_{kind.name}", f"raw.device_realtime_{kind.name}"
            known = {row[0] for row in con.execute(f"describe {history}").fetchall()} - {"extracted_at"}
            moved = ", ".join(row[0] for row in con.execute(f"describe {polls}").fetchall() if row[0] in known)
            con.execute(
                f"insert into {history} by name select {moved}, ?::timestamptz as extracted_at, "
                f"polled_at - interval 2 minutes as collect_time from {polls} where hour(polled_at) between ? and ?",
                [at, *hours],
            )


def forget_a_plant(path: Path) -> str:
    """Delete what `pvms forget --plant` deletes: the plant's rows of every table of raw and ops, coverage too."""
    with duckdb.connect(str(path)) as con:
        code = con.execute("select plant_code from raw.device_history_ess limit 1").fetchall()[0][0]
        for schema, name in con.execute(
            "select schema_name, table_name from duckdb_columns() where column_name = 'plant_code' "
            "and schema_name in ('raw', 'ops') and table_name not in ('conventions', 'server_conventions')"
        ).fetchall():
            con.execute(f"delete from {schema}.{name} where plant_code = ?", [code])
    return str(code)


def contents(path: Path) -> dict[str, list[tuple]]:
    """Every table that dbt makes, rows in order of their columns, keys first."""
    found = {}
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name in ('staging', 'marts') "
            "or table_name in ('conventions', 'server_conventions')"
        ).fetchall()
        for schema, name in tables:
            found[f"{schema}.{name}"] = con.execute(f"select * from {schema}.{name} order by all").fetchall()
    return found


def alike(one: list[tuple], other: list[tuple]) -> bool:
    """Equal rows, but for the noise that the order of a sum makes."""

    def same(left: object, right: object) -> bool:
        if isinstance(left, float) and isinstance(right, float):
            return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-7)
        return left == right

    return len(one) == len(other) and all(
        same(*pair) for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True)
    )


def test_the_ten_questions_of_the_documents_are_answered(built: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "questions.md").read_text(encoding="utf-8")
    questions = re.findall(r"## (\d+)\. (.+?\?)\n.*?```sql\n(.+?)```\n\n\| (.+?) \|\n", page, re.DOTALL)
    assert [number for number, *_ in questions] == [str(each) for each in range(1, 11)]
    with duckdb.connect(str(built), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        for number, question, query, head in questions:
            answer = con.execute(query)
            assert [each[0] for each in answer.description] == head.split(" | "), question
            # The fleet has too few neighbours for peers, and its alarms are not polled here.
            assert bool(answer.fetchall()) == (number not in ("1", "9")), question


def test_polls_alone_make_what_history_would_have_made(built: Path) -> None:
    before = contents(built)
    polled = built.with_name("polled.duckdb")
    shutil.copyfile(built, polled)
    to_polls(polled, f"local_date in ('{LAST}', '{FIRST}')")
    dbt(polled, "--select", *UNCHANGED_VIEWS, f"{MERGED}*")
    with duckdb.connect(str(polled)) as con:
        con.execute("set TimeZone = 'UTC'")
        sources = "select distinct local_date, source from marts.fct_inverter_5min where local_date between ? and ?"
        found = con.execute(sources, [FIRST + timedelta(days=1), LAST]).fetchall()
        assert {source for day, source in found if day < LAST - timedelta(days=1)} == {"history"}
        assert {source for day, source in found if day == LAST} == {"realtime"}
        told = con.execute(
            "select sum(realtime_rows) filter (where local_date in (?, ?)), "
            "sum(inverter_rows + emi_rows + meter_rows + battery_rows) filter (where local_date in (?, ?)), "
            "sum(inverter_realtime_rows), sum(inverter_rows) filter (where local_date in (?, ?)), sum(realtime_rows) "
            "from marts.fct_data_quality_day",
            [FIRST, LAST] * 3,
        ).fetchall()[0]
        assert told[0] == told[1] == told[4] > 1000
        assert told[2] == told[3] > 100
        con.execute("update marts.fct_data_quality_day set realtime_rows = 0, inverter_realtime_rows = 0")
    after = contents(polled)
    marts = [name for name in after if not name.startswith("staging.")]
    assert len(marts) > 20
    assert [name for name in marts if not alike(after[name], before[name])] == []


def test_polls_of_silent_and_frozen_devices_stand_for_nothing(built: Path) -> None:
    polled = built.with_name("silent.duckdb")
    shutil.copyfile(built, polled)
    to_polls(polled, f"local_date = '{LAST}'")
    replaced_by_history(polled, (17, 18), CORRECTED_AT)
    silent = {"string_inverter": "inverter_state = 45056", "power_sensor": "meter_status = 0"}
    with duckdb.connect(str(polled)) as con:
        con.execute("set TimeZone = 'UTC'")
        for name in FLOWS:
            table = f"raw.device_realtime_{name}"
            items = [row[0] for row in con.execute(f"describe {table}").fetchall() if row[0] not in IDENTITY]
            # An hour without a word, one of the device's own state, one without any value.
            con.execute(f"update {table} set run_state = 0 where hour(polled_at) = 7")
            con.execute(f"update {table} set {silent.get(name, 'run_state = 0')} where hour(polled_at) = 8")
            nothing = ", ".join(f"{item} = null" for item in items if item != "run_state")
            con.execute(f"update {table} set {nothing} where hour(polled_at) = 9")
            # Frozen at noon, and in the first hour of the day in Leipzig; asked twice in a slot.
            frozen = ", ".join(f"{item} = first.{item}" for item in items)
            con.execute(
                f"update {table} as polls set {frozen} "
                f"from (select * from {table} where minute(polled_at) between 0 and 4) as first "
                "where polls.device_id = first.device_id and hour(polls.polled_at) in (12, 23) "
                "and time_bucket(interval 1 hour, polls.polled_at) = time_bucket(interval 1 hour, first.polled_at)"
            )
            con.execute(
                f"insert into {table} select * replace (polled_at + interval 1 minute as polled_at) from {table} "
                "where hour(polled_at) = 14"
            )
    dbt(polled, "--select", *UNCHANGED_VIEWS, "+int_poll_day")
    with duckdb.connect(str(polled), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        for name in FLOWS:
            number = next(kind.id for kind in merged_types() if kind.name == name)
            found = con.execute(
                "select device_id, local_date, polls, sample_polls from staging.int_poll_day where device_type_id = ?",
                [number],
            ).fetchall()
            expected = samples(con, name)
            assert {(device, day): (polls, sampled) for device, day, polls, sampled in found} == expected, name
            hours = {at.hour for _, sampled in expected.values() for at in sampled}
            assert hours >= {6, 10, 11, 13} and not hours & {7, 8, 9, 17, 18}, name
            by_hour = Counter(at.hour for _, sampled in expected.values() for at in sampled)
            assert by_hour[12] < by_hour[11], "frozen"


def test_incremental_builds_equal_a_full_rebuild_after_late_corrections(built: Path) -> None:
    before = contents(built)
    assert len(before["marts.fct_plant_day"]) > 20
    chance = random.Random(7)
    for number in range(2):
        correct(built, chance, number)
        if number:
            replaced_by_history(built, (9, 12), CORRECTED_AT + timedelta(days=number))
        else:
            to_polls(built, f"local_date = '{LAST - timedelta(days=1)}' or hour(collect_time) = 11")
        forgotten = forget_a_plant(built) if number else ""
        dbt(built, "--select", *UNCHANGED_VIEWS, f"{MERGED}*")
    whole = built.with_name("whole.duckdb")
    shutil.copyfile(built, whole)
    dbt(whole, "--full-refresh")
    grown, anew = contents(built), contents(whole)
    assert grown.keys() == anew.keys()
    assert [name for name in anew if not alike(grown[name], anew[name])] == []
    with duckdb.connect(str(built), read_only=True) as con:
        samples, polls = con.execute("select sum(samples), sum(polls) from staging.int_poll_day").fetchall()[0]
    assert 1000 < samples < polls, "some polls stand for slots, and history has replaced others"
    # What was forgotten is nowhere any more, and was there before.
    assert forgotten in str(before["marts.fct_plant_day"])
    assert [name for name, rows in grown.items() if forgotten in str(rows)] == []
    # And the corrections did change something, in each layer.
    for name in ("staging.int_inverter_run", "staging.int_flow_day", "marts.fct_plant_day", "marts.fct_inverter_day"):
        assert not alike(grown[name], before[name]), name


def test_days_that_nothing_changed_are_not_made_anew(built: Path) -> None:
    """Rows that were tampered with stay: proof that the model did not touch them."""
    with duckdb.connect(str(built)) as con:
        con.execute("update staging.int_inverter_day set max_power_kw = -1")
    dbt(built, "--select", "int_inverter_day")
    with duckdb.connect(str(built), read_only=True) as con:
        assert con.execute("select distinct max_power_kw from staging.int_inverter_day").fetchall() == [(-1,)]
