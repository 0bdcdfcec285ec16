"""Several accounts on one home: one plant is one plant, whoever sees it and whatever its code; none stops another."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr
from truth.inside import load_into

from pipelines.doctor.data import plants_twice
from pipelines.lake.coverage import Entry
from pipelines.load.forget import Forgetting, forget
from pipelines.load.headline import headline
from pipelines.load.refused import read_refused
from pipelines.load.request import LoadReport
from pipelines.load.services import Services
from pipelines.load.standing import standing_of
from pipelines.load.work import run_work
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account as Login
from pipelines.simulator.world import World, build_world

DAY = date(2025, 6, 15)
NOW = datetime(2025, 6, 20, 12, tzinfo=UTC)
DATASETS = ("plant_daily", "device_daily", "device_history", "alarms", "device_realtime")
TABLES = (
    "plant_daily", "device_daily", "device_history_string_inverter", "device_history_residential_battery", "alarms",
    "device_realtime_string_inverter", "device_realtime_residential_battery",
)  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> World:
    """Six plants; meters and batteries without serial numbers."""
    return build_world("demo", 1)


def settings_of(home: Path, simulator: Simulator, *logins: str) -> Settings:
    accounts = tuple(Account(login, simulator.base_url, login, SecretStr("secret")) for login in logins)
    return Settings(home=home, env_file=None, accounts=accounts)


def login(name: str, plants: Sequence[str] | None = None, id_offset: int = 0) -> Login:
    return Login(name, "secret", None if plants is None else frozenset(plants), id_offset)


def load(settings: Settings, clock: ManualClock, *datasets: str, **options: object) -> LoadReport:
    return load_into(settings, DAY, DAY, *(datasets or DATASETS), clock=clock, **options)  # type: ignore[arg-type]


def table(settings: Settings, name: str) -> pl.DataFrame:
    with Services.open(settings) as services:
        return services.lake.read(name)


def content(settings: Settings, name: str) -> pl.DataFrame:
    """A table without what tells who asked and when."""
    rows = table(settings, name)
    told = [c for c in rows.columns if c not in ("account", "extracted_at", "polled_at") and not c.endswith("seen_at")]
    return rows.select(told).sort(told[:4])


@pytest.mark.slow
def test_plants_of_two_accounts_are_one_warehouse_under_the_ids_that_were_seen_first(
    demo: World, tmp_path: Path
) -> None:
    codes = [plant.code for plant in demo.plants]
    logins = [login("all"), login("north", codes[:4]), login("south", codes[2:], id_offset=7_000_000)]
    with Simulator(demo, clock=ManualClock(NOW), accounts=logins) as simulator:
        alone = settings_of(tmp_path / "alone", simulator, "all")
        shared = settings_of(tmp_path / "shared", simulator, "north", "south")
        assert load(alone, ManualClock(NOW)).exit_code == 0
        report = load(shared, ManualClock(NOW))
        assert report.exit_code == 0, report
    own = codes[4:]
    plants = table(shared, "plants")
    assert plants.height == 6 and plants["plant_key"].to_list() == plants["plant_code"].to_list()
    assert set(codes[:4]) < set(plants["plant_code"]), "the first account's codes"
    sightings = table(shared, "account_plants")
    south = dict(sightings.filter(pl.col("account") == "south").select("plant_code", "account_plant_code").iter_rows())
    assert len(south) == 4 and all(south[code] != code for code in codes[2:4]), "seen under another code"
    # Plants that the second account alone sees have its ids; all others, devices without serial numbers too, agree.
    here = dict(zip(own, sorted(set(south) - set(codes)), strict=True))
    assert table(shared, "devices").height == len(demo.devices)
    for name in TABLES:
        expected = content(alone, name).filter(~pl.col("plant_code").is_in(own))
        found = content(shared, name).filter(~pl.col("plant_code").is_in(list(here.values())))
        assert found.equals(expected), name
        assert content(shared, name).height == content(alone, name).height, name
    rows = table(shared, "plant_daily")
    assert set(rows.filter(pl.col("plant_code").is_in(list(here.values())))["account"]) == {"south"}
    assert set(rows.filter(pl.col("plant_code").is_in(codes[:4]))["account"]) == {"north"}, "it starts with one"
    versions = table(shared, "plant_versions")
    assert versions.height == 6, "two accounts that describe one plant make no change of it"


def test_an_account_that_cannot_log_in_leaves_the_others_and_its_plants(demo: World, tmp_path: Path) -> None:
    codes = [plant.code for plant in demo.plants]
    clock = ManualClock(NOW)
    with Simulator(demo, clock=clock, accounts=[login("north", codes[:3]), login("south", codes[3:])]) as simulator:
        settings = settings_of(tmp_path, simulator, "north", "south")
        north, south = settings.accounts
        wrong = replace(settings, accounts=(replace(north, password=SecretStr("wrong")), south))
        first = load(wrong, clock, "plant_daily")
        assert first.exit_code == 1 and "north" in first.failures[0]
        known = {plant.code for plant in demo.plants if plant.first_day <= DAY}
        assert set(table(settings, "plant_daily")["plant_code"]) == known & set(codes[3:])
        assert load(settings, clock, "plant_daily").exit_code == 0
        assert set(table(settings, "plant_daily")["plant_code"]) == known
        clock.advance(2 * 86_400)
        later = load(wrong, clock, "plant_daily", force=True)
        assert later.exit_code == 1
        plants = table(settings, "plants")
        assert plants["retired_at"].null_count() == 6, "what could not be listed has not gone"
        with Services.open(settings, clock) as services:
            absent = services.lake.read("account_plants")["absent_since"]
        assert absent.null_count() == 6


def test_calls_go_out_with_the_second_account_when_the_first_ones_quota_is_used_up(tmp_path: Path) -> None:
    clock, world = ManualClock(NOW), build_world("single", 1)
    with Simulator(world, clock=clock, accounts=[login("one"), login("two", id_offset=5_000)]) as simulator:
        settings = settings_of(tmp_path, simulator, "one", "two")
        report = load_into(settings, date(2025, 4, 1), date(2025, 6, 10), "plant_hourly", clock=clock)
        assert report.exit_code == 3, "71 days, 25 calls for each account"
        by_account = [call.account for call in simulator.log.calls("getKpiStationHour")]
        assert by_account == sorted(by_account), "one after the other"
        assert {by_account.count("one"), by_account.count("two")} == {25}
        assert not [call for call in simulator.log.calls() if call.fail_code == 407]
    rows = table(settings, "plant_hourly")
    assert set(rows["account"]) == {"one", "two"}
    assert set(rows["plant_code"]) == {plant.code for plant in world.plants}


def test_a_plant_that_vanishes_is_asked_about_no_more_is_retired_a_day_later_and_goes_on_when_it_returns(
    demo: World, tmp_path: Path
) -> None:
    code = demo.plants[1].code
    clock = ManualClock(NOW)
    gone_at, new_code_at = NOW + timedelta(hours=1), NOW + timedelta(days=4)
    vanishing = f"{code},from={gone_at:%Y-%m-%dT%H:%M:%SZ},until={new_code_at:%Y-%m-%dT%H:%M:%SZ},as=NE=99"
    with Simulator(demo, clock=clock, faults=Faults(vanish_plant={vanishing}), accounts=[login("one")]) as simulator:
        settings = settings_of(tmp_path, simulator, "one")
        assert load(settings, clock, "plant_daily").exit_code == 0
        before = table(settings, "devices")

        def asked_since(count: int) -> set[str]:
            return {
                one
                for call in simulator.log.calls()[count:]
                for one in str(call.body.get("stationCodes", "")).split(",")
            }

        clock.advance(86_400)
        start = len(simulator.log.calls())
        load(settings, clock, "plant_daily", force=True)
        assert code not in asked_since(start), "left out of the list: not asked about"
        assert table(settings, "plants")["retired_at"].null_count() == 6, "but one list may be wrong"
        clock.advance(86_400)
        load(settings, clock, "plant_daily", force=True)
        retired = table(settings, "plants").filter(pl.col("retired_at").is_not_null())
        assert retired["plant_code"].to_list() == [code]
        clock.advance(3 * 86_400)
        report = load(settings, clock, "plant_daily", force=True)
        assert report.exit_code == 0
        assert "NE=99" in {
            one for call in simulator.log.calls("getKpiStationDay") for one in str(call.body["stationCodes"]).split(",")
        }
    plants = table(settings, "plants")
    assert plants["retired_at"].null_count() == plants.height == 6
    assert "NE=99" not in plants["plant_code"].to_list()
    assert table(settings, "devices").select("device_id", "plant_code").equals(before.select("device_id", "plant_code"))
    newest = table(settings, "plant_daily").filter(pl.col("plant_code") == code)["extracted_at"].max()
    assert newest is not None and newest > new_code_at, "its rows go on under the code that was seen first"  # type: ignore[operator]


def test_what_answers_left_out_of_a_plant_that_had_vanished_is_not_taken_for_empty(demo: World, tmp_path: Path) -> None:
    code, clock = demo.plants[1].code, ManualClock(NOW)
    gone_at, back_at = NOW + timedelta(hours=1), NOW + timedelta(days=20)
    vanishing = f"{code},from={gone_at:%Y-%m-%dT%H:%M:%SZ},until={back_at:%Y-%m-%dT%H:%M:%SZ}"
    old = date(2025, 3, 1), date(2025, 3, 4)
    with Simulator(demo, clock=clock, faults=Faults(vanish_plant={vanishing}), accounts=[login("one")]) as simulator:
        settings = settings_of(tmp_path, simulator, "one")
        assert load_into(settings, date(2025, 3, 10), date(2025, 3, 11), "plant_hourly", clock=clock).exit_code == 0
        clock.advance(2 * 3600)
        # The list is of before: the answer holds the others alone.
        report = load_into(settings, *old, "plant_hourly", "alarms", clock=clock)
        assert (report.exit_code, report.empty) == (0, 4)
        clock.advance(86_400)
        load_into(settings, date(2025, 3, 12), date(2025, 3, 12), "plant_hourly", clock=clock)
        found = standing_of(settings, clock)
        assert found.plants_gone == (code,)
        assert found.periods["missing"] == 0, "nothing is asked about it, so nobody is told to load it"
        with Services.open(settings, clock) as services:
            # As a load records that had begun before the listing.
            late = Entry("plant_hourly", code, code, date(2025, 3, 5), "empty", 0, clock.now(), None)
            services.coverage.record([late])
        clock.advance(20 * 86_400)
        load_into(settings, date(2025, 3, 12), date(2025, 3, 12), "plant_hourly", clock=clock)
        with Services.open(settings, clock) as services:
            assert (
                services.coverage.entries_of([("plant_hourly", code, late.period)])[code, late.period].state
                == "missing"
            )
        load_into(settings, *old, "plant_hourly", clock=clock)
        load_into(settings, late.period, late.period, "plant_hourly", clock=clock)
        assert standing_of(settings, clock).periods["missing"] == 0, "alarms of then can't be asked for any more"
    rows = table(settings, "plant_hourly").filter(pl.col("plant_code") == code, pl.col("local_date").is_between(*old))
    assert rows.height == 96


def test_what_one_account_left_out_is_asked_of_the_other(demo: World, tmp_path: Path) -> None:
    code, clock = demo.plants[1].code, ManualClock(NOW)
    vanishing = f"{code},account=north,from={NOW + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    logins = [login("north"), login("south", [code], id_offset=7_000_000)]
    old = date(2025, 3, 1), date(2025, 3, 2)
    with Simulator(demo, clock=clock, faults=Faults(vanish_plant={vanishing}), accounts=logins) as simulator:
        settings = settings_of(tmp_path, simulator, "north", "south")
        assert load_into(settings, date(2025, 3, 10), date(2025, 3, 11), "plant_hourly", clock=clock).exit_code == 0
        clock.advance(2 * 3600)
        load_into(settings, *old, "plant_hourly", clock=clock)
        clock.advance(86_400)
        load_into(settings, *old, "plant_hourly", clock=clock)
        load_into(settings, *old, "plant_hourly", clock=clock)
    rows = table(settings, "plant_hourly").filter(pl.col("plant_code") == code, pl.col("local_date").is_between(*old))
    assert rows.height == 48


def test_a_plant_that_was_refused_and_then_vanished_closes_no_other(demo: World, tmp_path: Path) -> None:
    refused, clock = [plant.code for plant in demo.plants[1:]], ManualClock(NOW)
    gone_at = NOW + timedelta(hours=1)
    faults = Faults(
        unauthorized_plant=set(refused), vanish_plant={f"{code},from={gone_at:%Y-%m-%dT%H:%M:%SZ}" for code in refused}
    )
    with Simulator(demo, clock=clock, faults=faults, accounts=[login("one")]) as simulator:
        settings = settings_of(tmp_path, simulator, "one")
        load(settings, clock, "plant_daily")
        found = standing_of(settings, clock)
        assert (found.plants, found.open_plants, len(found.refused_plants)) == (6, 1, 5)
        clock.advance(86_400)
        load(settings, clock, "plant_daily", force=True)
        found = standing_of(settings, clock)
    assert (found.plants, found.open_plants, found.refused_plants) == (1, 1, ())
    assert "Every plant is refused" not in headline(found)


@pytest.mark.parametrize("killed", [False, True])
def test_a_plant_that_was_closed_to_the_first_account_is_the_other_accounts_plant_once_it_opens(
    demo: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    code, clock = demo.plants[1].code, ManualClock(NOW)
    opens = NOW + timedelta(hours=30)
    closed = f"{code},account=north,until={opens:%Y-%m-%dT%H:%M:%SZ}"
    logins = [login("north"), login("south", [code], id_offset=7_000_000)]
    with Simulator(demo, clock=clock, faults=Faults(unauthorized_plant={closed}), accounts=logins) as simulator:
        settings = settings_of(tmp_path, simulator, "north", "south")
        load(settings, clock, "plant_daily", "device_daily")
        before = table(settings, "plants")
        assert before.height == 7, "nobody can know yet that two of them are one"
        (found,) = plants_twice(before, table(settings, "devices"))
        assert found.level == "warn" and found.text.startswith(f"{code} seems to be NE=")
        clock.advance(3 * 86_400)
        if killed:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr("pipelines.load.listing.take_back", interrupted)
                load(settings, clock, "plant_daily", "device_daily")
        load(settings, clock, "plant_daily", "device_daily")
        clock.advance(86_400)
        last = load(settings, clock, "plant_daily", "device_daily", force=True)
        assert last.exit_code == 0, last
        assert last.refusals == []
    plants = table(settings, "plants")
    assert list(plants_twice(plants, table(settings, "devices"))) == []
    assert plants.height == 6 and code not in plants["plant_code"].to_list()
    assert plants["retired_at"].null_count() == 6
    sightings = table(settings, "account_plants")
    (filed,) = sightings.filter(pl.col("account") == "south")["plant_code"]
    seen = dict(sightings.filter(pl.col("account") == "north").select("account_plant_code", "plant_code").iter_rows())
    assert seen[code] == filed != code
    assert table(settings, "devices").height == len(demo.devices)
    rows = table(settings, "plant_daily")
    assert rows.height == rows.select("plant_code", "local_date").n_unique()
    assert code not in rows["plant_code"].to_list()
    with Services.open(settings, clock) as services:
        assert services.coverage.of_plant(code, "plant_daily") == []
        assert read_refused(services.refused_file) == {}
    assert code not in table(settings, "plant_versions")["plant_code"].to_list()


def test_a_plant_that_was_filed_twice_is_one_after_what_doctor_says(demo: World, tmp_path: Path) -> None:
    code, clock = demo.plants[1].code, ManualClock(NOW)
    closed = f"{code},account=north,until={NOW + timedelta(hours=30):%Y-%m-%dT%H:%M:%SZ}"
    logins = [login("north"), login("south", [code], id_offset=7_000_000)]
    with Simulator(demo, clock=clock, faults=Faults(unauthorized_plant={closed}), accounts=logins) as simulator:
        settings = settings_of(tmp_path, simulator, "north", "south")
        load(settings, clock, "plant_daily")
        clock.advance(3 * 86_400)
        with pytest.MonkeyPatch.context() as earlier:
            # As a version did that took no plant back.
            earlier.setattr("pipelines.load.listing.bare_plants", lambda *_: set())
            load(settings, clock, "plant_daily", "device_daily", force=True)
        (found,) = plants_twice(table(settings, "plants"), table(settings, "devices"))
        assert "seem to be one plant" in found.text
        gone = found.todo.partition("--plant ")[2].split()[0]
        with Services.open(settings, clock) as services:
            forget(services, Forgetting(gone))
        clock.advance(2 * 86_400)
        assert load(settings, clock, "plant_daily", "device_daily", force=True).exit_code == 0
    plants = table(settings, "plants")
    assert plants.height == 6 and gone not in plants["plant_code"].to_list()
    assert list(plants_twice(plants, table(settings, "devices"))) == []
    assert table(settings, "devices").height == len(demo.devices)


def interrupted(*_: object) -> None:
    """A process that ends just there."""
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_worker_asks_each_account_for_what_it_alone_sees(tmp_path: Path) -> None:
    world = build_world("demo", 1)
    few, rest = [world.plants[0].code], [plant.code for plant in world.plants[1:3]]
    clock = ManualClock(NOW)
    with Simulator(world, clock=clock, accounts=[login("one", few), login("two", rest, id_offset=40)]) as simulator:
        settings = replace(settings_of(tmp_path, simulator, "one", "two"), history_start=date(2025, 6, 1))
        with Services.open(settings, clock) as services:
            report = run_work(services, build=False)
        calls = Counter((call.account, call.endpoint) for call in simulator.log.calls() if call.fail_code == 0)
        assert not [call for call in simulator.log.calls() if call.fail_code], "not one refusal"
    assert report.failures == [] and report.refusals == []
    assert calls["one", "getKpiStationDay"] and calls["two", "getKpiStationDay"]
    rows = table(settings, "plant_daily")
    assert set(rows["account"]) == {"one", "two"}
    assert len(set(rows["plant_code"])) == 3
