"""Each check of what was published: it passes on a fleet's real warehouse, and tells when the data are broken.

One small fleet is loaded once, over HTTP and through dbt. To break something, a copy of the published file is edited:
a view over the lake becomes a table of the same name, so that everything above it reads the edited rows.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_bench import DAY, NOW, Bench, bench, no_dbt

from assets.checks import BY_KEY, record_checks
from assets.defs import build_defs
from assets.looks import BACKLOG, POWER, QUOTA
from assets.resources import Pvms
from pipelines.checks.catalog import CHECKS, Check
from pipelines.checks.look import LANDED_DAYS, NEWEST_DAYS, Look
from pipelines.checks.outcome import SAMPLE_ROWS, Outcome, judged
from pipelines.checks.run import outcome_of, run_checks
from pipelines.checks.shown import newest_states, power_of_newest_day
from pipelines.lake.errors import NoWarehouse
from pipelines.lake.paths import paths_of
from pipelines.settings import Settings
from pipelines.simulator.world import build_world

pytestmark = pytest.mark.slow

LAST = DAY + timedelta(days=2)
KEYS = [check.key for check in CHECKS]
BY_NAME = {(check.asset[1], check.name): check for check in CHECKS}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Three days of everything, a whole May by day and 2024 by month, on a server that refuses one dataset."""
    refusing = ("deny=getDevKpiMonth",)
    with bench(tmp_path_factory.mktemp("checks"), build_world("demo"), history_start=DAY, faults=refusing) as one:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipelines.load.build.run_dbt", no_dbt)
            one.load(date(2024, 1, 1), date(2024, 12, 31), datasets=("plant_monthly", "plant_yearly"))
            one.load(date(2025, 5, 1), date(2025, 5, 31), datasets=("plant_daily",))
        one.load(DAY, LAST)
        yield one


@pytest.fixture(scope="module")
def look(fleet: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    # A copy, since one process can't open one file with two configurations.
    path = tmp_path_factory.mktemp("look") / "warehouse.duckdb"
    shutil.copyfile(paths_of(fleet.home).published, path)
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield Look(connection, NOW)


Broken = Callable[..., Look]


@pytest.fixture
def broken(fleet: Bench, tmp_path: Path) -> Iterator[Broken]:
    """Copies the published warehouse and edits it: `table` (schema.name) becomes one of its own, then `sql` runs."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def edit(*tables: str, sql: str, now: datetime = NOW) -> Look:
        path = tmp_path / f"{len(opened)}.duckdb"
        shutil.copyfile(paths_of(fleet.home).published, path)
        with duckdb.connect(path) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for each in tables:
                connection.execute(f"create table edited as select * from {each}; drop view {each}")
                connection.execute(f"create table {each} as select * from edited; drop table edited")
            connection.execute(sql)
        reader = duckdb.connect(path, read_only=True)
        reader.execute("set TimeZone = 'UTC'")
        opened.append(reader)
        return Look(reader, now)

    yield edit
    for each in opened:
        each.close()


def outcome(look: Look, table: str, name: str) -> Outcome:
    return outcome_of(BY_NAME[table, name], look)


# --- On what was really loaded ---

NOT_ON_THIS_FLEET = {
    ("device_history", "completeness"),  # devices of the simulator fall silent now and then
    ("device_monthly", "refused"),  # refused by the server of this fleet
}


@pytest.mark.parametrize("check", [each for each in CHECKS if (each.asset[1], each.name) not in NOT_ON_THIS_FLEET])
def test_it_passes_where_all_is_well(look: Look, check: Check) -> None:
    found = outcome_of(check, look)
    assert found.passed, found
    assert (found.count, found.sample) == (0, ())


def test_every_check_had_something_to_look_at(look: Look) -> None:
    idle = {(check.asset[1], check.name) for check in CHECKS if not outcome_of(check, look).looked_at}
    # Nothing was polled; the whole dataset is refused before anything of it was wanted.
    assert idle == {("plant_realtime", "freshness"), ("device_realtime", "freshness")}


def test_what_the_server_refuses_is_an_error_when_it_is_all_of_a_dataset(look: Look) -> None:
    found = outcome(look, "device_monthly", "refused")
    assert (found.passed, found.severity) == (False, "ERROR")
    assert found.count == found.looked_at == found.figures["denied"]
    assert found.figures["last_fail_code"] == 401
    assert "pvms status" in found.sentence


def test_completeness_counts_device_days_by_the_rule(look: Look, broken: Broken) -> None:
    found = outcome(look, "device_history", "completeness")
    gaps = look.rows(
        "select device_id from staging.int_device_day as rows inner join staging.int_plant_day as days "
        "using (plant_code, local_date) where case kind when 'inverter' then inverter_daylight_rows < .95 * "
        "inverter_slots when 'emi' then sun_rows < .95 * sun_slots else day_rows < .95 * day_slots end"
    )
    assert found.count == len(gaps) > 0
    assert found.severity == "WARN"
    silent = ", ".join(str(each["device_id"]) for each in gaps)
    healthy = outcome(
        broken("raw.devices", sql=f"delete from raw.devices where device_id in ({silent})"),
        "device_history",
        "completeness",
    )
    assert healthy.passed
    assert healthy.looked_at > 0


def test_a_device_that_sent_nothing_is_not_complete(look: Look, broken: Broken) -> None:
    before = outcome(look, "device_history", "completeness")
    (device,) = look.rows("select device_id from raw.devices where device_type_id = 10")
    edited = broken(sql=f"delete from staging.int_device_day where device_id = {device['device_id']}")
    after = outcome(edited, "device_history", "completeness")
    silent = [each for each in after.sample if each["device_id"] == device["device_id"]]
    assert after.count > before.count
    assert [each["received"] for each in silent] == [0, 0, 0]


def test_a_long_day_expects_300_slots(broken: Broken) -> None:
    edited = broken(
        sql="update staging.int_plant_day set day_end_utc = day_end_utc + interval 1 hour, day_slots = 300 "
        f"where local_date = date '{LAST}'"
    )
    found = outcome(edited, "device_history", "completeness")
    # 288 of 300 is 96 %: still complete; meters that miss a few more are not.
    assert any(each["expected"] == 300 for each in found.sample)


# --- Broken one by one: (tables that are edited, what is done to them, the check, how many are off) ---

PLANT = "(select min(plant_code) from raw.plant_daily)"
BREAKS: dict[str, tuple[tuple[str, ...], str, tuple[str, str], int | None]] = {
    # The plant whose one device with a history is an inverter.
    "a plant's 5-minute rows stop": (
        ("raw.device_history_residential_inverter",),
        f"delete from raw.device_history_residential_inverter where plant_code = {PLANT} "
        f"and local_date > date '{DAY}'; update ops.coverage set rows = 0, state = 'empty' "
        f"where dataset = 'device_history' and plant_code = {PLANT} and period > date '{DAY}'",
        ("device_history", "freshness"),
        1,
    ),
    "a plant's hours hold no figure": (
        ("raw.plant_hourly",),
        f"update raw.plant_hourly set pv_yield = null, inverter_yield = null, inverter_power = null "
        f"where plant_code = {PLANT}",
        ("plant_hourly", "freshness"),
        1,
    ),
    "a plant reports half of its yield": (
        ("raw.plant_daily",),
        "update raw.plant_daily set inverter_yield = inverter_yield / 2, pv_yield = pv_yield / 2 "
        f"where local_date = date '{LAST}' and plant_code in (select plant_code from raw.device_history_emi)",
        ("plant_daily", "yield_against_counters"),
        1,
    ),
    "feed-in in other units": (
        ("raw.plant_daily",),
        "update raw.plant_daily set ongrid_power = ongrid_power * 1000 + 50",
        ("plant_daily", "grid_against_meters"),
        None,
    ),
    "a battery that is not in the plant's report": (
        ("raw.device_daily",),
        f"update raw.device_daily set charge_cap = charge_cap + 100 where local_date = date '{LAST}' "
        "and device_type_id = 41",
        ("plant_daily", "battery_against_devices"),
        1,
    ),
    "an MPPT that counts double": (
        ("raw.device_history_string_inverter",),
        "update raw.device_history_string_inverter set mppt_total_cap = 2 * mppt_total_cap "
        "where plant_code in (select plant_code from raw.device_history_emi)",
        ("device_history", "conversion_loss"),
        # On the third day an inverter has too few rows to be counted.
        2,
    ),
    "hours by another clock": (
        ("raw.plant_hourly",),
        "update raw.plant_hourly set collect_time = collect_time + interval 3 hours",
        ("plant_hourly", "counters_against_hours"),
        None,
    ),
    "an hour that is lost": (
        ("raw.plant_hourly",),
        f"delete from raw.plant_hourly where plant_code = {PLANT} and local_date = date '{LAST}' "
        "and pv_yield = (select max(pv_yield) from raw.plant_hourly "
        f"where plant_code = {PLANT} and local_date = date '{LAST}')",
        ("plant_hourly", "hours_against_day"),
        1,
    ),
    "a month that was corrected": (
        ("raw.plant_monthly",),
        "update raw.plant_monthly set pv_yield = 2 * pv_yield "
        f"where local_date = '2025-05-01' and plant_code = {PLANT}",
        ("plant_monthly", "days_against_month"),
        1,
    ),
    "a year that was corrected": (
        ("raw.plant_yearly",),
        # One plant was there all year.
        "update raw.plant_yearly set pv_yield = 2 * pv_yield where local_date = '2024-01-01'",
        ("plant_yearly", "months_against_year"),
        1,
    ),
    "a counter that falls": (
        ("raw.device_history_grid_meter",),
        "update raw.device_history_grid_meter set active_cap = active_cap - 5 where device_id = "
        "(select min(device_id) from raw.device_history_grid_meter) and local_date = "
        f"date '{LAST}' and active_cap is not null",
        ("device_history", "counters_fall"),
        1,
    ),
    "temperatures of the sun": (
        ("raw.device_history_residential_inverter",),
        "update raw.device_history_residential_inverter set temperature = 5500 where device_id = "
        f"(select min(device_id) from raw.device_history_residential_inverter) and local_date = date '{LAST}' "
        "and extract(minute from collect_time) = 0",
        ("device_history", "plausible_values"),
        None,
    ),
    "a daily yield below zero": (
        ("raw.plant_daily",),
        f"update raw.plant_daily set pv_yield = -1e6 where plant_code = {PLANT} and local_date = date '{LAST}'",
        ("plant_daily", "plausible_values"),
        1,
    ),
    "a meter that the owner has the wrong way round": (
        (),
        "update ops.conventions set sign_contradicts_setting = true "
        "where device_id = (select min(device_id) from ops.conventions)",
        ("conventions", "conventions"),
        1,
    ),
    "a battery whose evidence is divided": (
        (),
        "update ops.conventions set power_sign_agreement = 0.6 "
        "where device_id = (select min(device_id) from ops.conventions where device_kind = 'battery')",
        ("conventions", "conventions"),
        1,
    ),
    "a key that is new": (
        (),
        "insert into ops.schema_drift values ('plant_daily', 'unknown_key', 'moonYield', 12, '3.4', "
        f"'{NOW - timedelta(days=1)}', '{NOW}')",
        ("schema_drift", "drift"),
        1,
    ),
    "records that can't be filed": (
        (),
        "insert into ops.quarantine select 'plant_daily', 'no plant code', '{}', "
        f"timestamptz '{NOW - timedelta(hours=1)}' from range(7)",
        ("quarantine", "quarantine_growth"),
        7,
    ),
    "an owner who withdrew": (
        (),
        f"update ops.coverage set state = 'denied' where dataset = 'plant_hourly' and plant_code = {PLANT}",
        ("plant_hourly", "refused"),
        3,
    ),
    "days that nobody fetches": (
        (),
        f"update ops.coverage set state = 'missing' where dataset = 'device_history' and plant_code = {PLANT}; "
        "update ops.api_calls set called_at = called_at - interval 2 days",
        ("device_history", "left_behind"),
        3,
    ),
    "days that never became final": (
        (),
        f"update ops.coverage set state = 'provisional' where dataset = 'plant_daily' and plant_code = {PLANT} "
        "and period between '2025-05-01' and '2025-05-10'",
        ("plant_daily", "left_behind"),
        10,
    ),
    "a poll that is late": (
        ("raw.plant_realtime",),
        f"insert into raw.plant_realtime by name select {PLANT} as plant_code, "
        f"timestamptz '{NOW - timedelta(minutes=20)}' as polled_at, date '{NOW.date()}' as local_date",
        ("plant_realtime", "freshness"),
        1,
    ),
}


@pytest.mark.parametrize("how", BREAKS)
def test_it_tells_when_the_data_are_broken(broken: Broken, how: str) -> None:
    tables, sql, (table, name), count = BREAKS[how]
    found = outcome(broken(*tables, sql=sql), table, name)
    assert not found.passed, found
    assert found.count == (count or found.count) > 0
    assert 0 < len(found.sample) <= SAMPLE_ROWS
    assert found.looked_at >= found.count
    always_error = "contradicts" in str(found.sample)
    assert found.severity == ("ERROR" if always_error or found.count > found.looked_at / 2 else "WARN")
    assert found.sentence.startswith(f"{found.count:,} of {found.looked_at:,} {found.unit} ")
    assert " Look " in found.sentence


def test_every_kind_of_check_is_broken_here() -> None:
    told = {name for _, _, (_, name), _ in BREAKS.values()} | {"completeness"}
    assert told == {check.name for check in CHECKS}


def test_what_is_off_everywhere_is_an_error_and_what_is_off_once_a_warning(broken: Broken) -> None:
    everywhere = broken("raw.plant_hourly", sql="update raw.plant_hourly set pv_yield = 3 * pv_yield + 1")
    assert outcome(everywhere, "plant_hourly", "hours_against_day").severity == "ERROR"


def test_hours_that_are_labelled_by_their_end_are_recognised(look: Look, broken: Broken) -> None:
    by_start = outcome(look, "plant_hourly", "counters_against_hours")
    edited = broken("raw.plant_hourly", sql="update raw.plant_hourly set collect_time = collect_time + interval 1 hour")
    by_end = outcome(edited, "plant_hourly", "counters_against_hours")
    assert (by_start.figures["hour_label"], by_end.figures["hour_label"]) == ("start", "end")
    assert by_end.passed


def test_a_meter_the_other_way_round_is_no_residual(broken: Broken) -> None:
    edited = broken(
        "raw.device_history_grid_meter",
        sql="update raw.device_history_grid_meter set active_cap = reverse_active_cap, reverse_active_cap = active_cap",
    )
    assert outcome(edited, "plant_daily", "grid_against_meters").passed


def test_what_waits_while_calls_go_on_is_not_left_behind(broken: Broken) -> None:
    edited = broken(sql="update ops.coverage set state = 'missing' where dataset = 'device_history'")
    found = outcome(edited, "device_history", "left_behind")
    assert found.passed
    assert found.figures["missing"] == found.looked_at


def test_a_check_that_cannot_be_run_has_failed_and_says_why(broken: Broken) -> None:
    found = outcome(broken(sql="drop table ops.schema_drift"), "schema_drift", "drift")
    assert (found.passed, found.severity) == (False, "ERROR")
    assert "could not be run" in found.sentence
    assert "schema_drift" in found.sentence


def test_before_the_first_load_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(NoWarehouse):
        next(run_checks(Settings(home=tmp_path, env_file=None), NOW))


# --- In Dagster ---


def evaluations(one: Bench) -> dict[dg.AssetCheckKey, Any]:
    return dict(one.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(BY_KEY)))


def test_a_load_records_every_check_and_what_there_is_to_look_at(fleet: Bench) -> None:
    found = evaluations(fleet)
    assert set(found) == set(BY_KEY)
    told = {key: record.event.dagster_event.event_specific_data for key, record in found.items()}
    refused = told[dg.AssetCheckKey(dg.AssetKey(["raw", "device_monthly"]), "refused")]
    assert (refused.passed, refused.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert refused.metadata["denied"].value == refused.metadata["count"].value > 0
    assert "| plant_code |" in refused.metadata["sample"].value
    for key in (QUOTA, BACKLOG):
        event = fleet.instance.get_latest_materialization_event(key)
        assert event is not None
    (power,) = fleet.instance.fetch_observations(POWER, limit=10).records
    assert power.asset_observation is not None
    assert power.asset_observation.metadata["day"].value == str(LAST)
    assert 2_000 < len(str(power.asset_observation.metadata["power"].value)) < 20_000


def test_the_job_look_calls_nobody_and_yields_every_check(fleet: Bench) -> None:
    calls = fleet.calls()
    defs = build_defs(Pvms(fleet.settings, clock=fleet.clock))
    done = defs.resolve_job_def("look").execute_in_process(instance=fleet.instance)
    assert done.success
    assert fleet.calls() == calls
    assert {each.asset_check_key for each in done.get_asset_check_evaluations()} == set(BY_KEY)
    (quota,) = [each for each in done.asset_materializations_for_node("looking") if each.asset_key == QUOTA]
    (backlog,) = [each for each in done.asset_materializations_for_node("looking") if each.asset_key == BACKLOG]
    assert "getDevHistoryKpi" in str(quota.metadata["quota"].value)
    assert quota.metadata["endpoints_denied"].value == 1
    assert str(quota.metadata["used by bench"].value).startswith("![Share of each quota that is used](data:image/svg")
    assert backlog.metadata["periods_denied"].value > 0
    assert backlog.metadata["complete_until"].value == str(LAST)
    assert len(str(backlog.metadata["newest_periods"].value)) < 20_000


def test_an_asset_run_evaluates_the_checks_of_its_asset(fleet: Bench) -> None:
    defs = build_defs(Pvms(fleet.settings, clock=fleet.clock))
    key = dg.AssetKey(["raw", "plant_hourly"])
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={key}, asset_check_selection={each for each in BY_KEY if each.asset_key == key}
    )
    done = job.execute_in_process(
        instance=fleet.instance,
        partition_key=dg.MultiPartitionKey({"date": str(LAST), "plant": fleet.plant}),
    )
    assert done.success
    assert {each.check_name for each in done.get_asset_check_evaluations()} == {
        each.name for each in BY_KEY if each.asset_key == key
    }


def test_the_checks_of_a_run_are_made_though_another_run_was_planned_since(
    fleet: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    defs = build_defs(Pvms(fleet.settings, clock=fleet.clock))
    key = dg.AssetKey(["raw", "plant_hourly"])
    own = {each for each in BY_KEY if each.asset_key == key}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key}, asset_check_selection=own)
    others: list[str] = []

    def once_more(*args: Any, **options: Any) -> int:
        # As a backfill does, whose runs are all planned before the first one is done: the latest plan is another's.
        run = fleet.instance.create_run_for_job(job)
        others.append(run.run_id)
        return record_checks(*args, **options)

    monkeypatch.setattr("assets.loading.record_checks", once_more)
    done = job.execute_in_process(
        instance=fleet.instance,
        partition_key=dg.MultiPartitionKey({"date": str(LAST), "plant": fleet.plant}),
    )
    assert done.success
    latest = fleet.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(own))
    assert {each.run_id for each in latest.values()} == set(others)
    assert {each.check_name for each in done.get_asset_check_evaluations()} == {each.name for each in own}


def test_a_verdict_that_stays_is_not_recorded_again(fleet: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pvms = Pvms(fleet.settings, clock=fleet.clock)
    recorded: list[int] = []

    @dg.op
    def publish(context: dg.OpExecutionContext) -> None:
        recorded.append(record_checks(context, pvms, published=True))

    @dg.job
    def load() -> None:
        publish()

    for _ in range(2):
        assert load.execute_in_process(instance=fleet.instance).success
    assert recorded[1] == 0
    monkeypatch.setattr("assets.checks.REPEATED_AFTER_SECONDS", -1)
    assert load.execute_in_process(instance=fleet.instance).success
    assert recorded[2] == len(CHECKS)


# --- What is looked at, and what is drawn ---


def test_a_backfill_that_landed_is_looked_at_beside_the_newest_week(broken: Broken) -> None:
    landed = (
        "insert into ops.coverage select 'device_history', 'NE=1', date '2024-01-01' + i::int, 1, 1, 288, 'final', "
        f"timestamptz '{NOW}' - to_days(case when i < 40 then 0 else 30 end) from range(60) as t(i)"
    )
    days = broken(sql=landed).days
    assert days[:3] == (LAST, LAST - timedelta(days=1), DAY)
    # Beside the three loaded days: the four newest of the others, then those alone that landed in the last day.
    assert len(days) == NEWEST_DAYS + LANDED_DAYS
    assert min(days) == date(2024, 1, 40 - LANDED_DAYS + 1)


def test_the_power_of_the_newest_day_adds_up_to_its_energy(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    power = power_of_newest_day(look)
    assert power is not None
    assert power.day == LAST
    counted = look.row("select sum(pv_energy_kwh) as kwh from marts.fct_plant_day where local_date = ?", LAST)["kwh"]
    assert power.energy_kwh == pytest.approx(counted, rel=0.1)
    assert len(power.lines) == 5
    monkeypatch.setattr("pipelines.checks.shown.PLANTS_DRAWN", 3)
    fewer = power_of_newest_day(look)
    assert fewer is not None
    assert [name for name, _ in fewer.lines] == [*(name for name, _ in power.lines[:3]), "2 others"]
    assert fewer.energy_kwh == pytest.approx(power.energy_kwh)


def test_the_states_put_trouble_first(broken: Broken) -> None:
    edited = broken(
        sql="update ops.coverage set state = 'denied' where dataset = 'device_history' and plant_code = "
        f"(select max(plant_code) from ops.coverage where dataset = 'device_history') and period = date '{LAST}'"
    )
    states = newest_states(edited, "device_history")
    assert states.days == (DAY, DAY + timedelta(days=1), LAST)
    assert states.plants[0][1][-1] == "denied"
    assert all(state == "final" for _, row in states.plants[1:] for state in row)


# --- The rule ---


def test_the_rule_of_severity() -> None:
    rows = [{"n": n} for n in range(7)]

    def verdict(count: int, of: int) -> Outcome:
        return judged(rows[:count], of, "things", good="are well", bad="are off", look="Look there.")

    assert verdict(0, 10).passed
    assert verdict(0, 0).passed
    assert verdict(5, 10).severity == "WARN"
    assert verdict(6, 10).severity == "ERROR"
    assert verdict(7, 100).count == 7
    assert len(verdict(7, 100).sample) == SAMPLE_ROWS
    assert replace(verdict(1, 4)).sentence == "1 of 4 things are off. Look there."
