"""The real-time loop on a home, against the simulator, by one clock; and what the marts make of its polls."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from pipelines.lake.publish import open_published
from pipelines.load import room
from pipelines.load.build import build_and_publish
from pipelines.load.polling import Polled, run_polling
from pipelines.load.request import LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.load.work import run_work
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 10, 10, 1, tzinfo=UTC)


class SleepyClock(ManualClock):
    """Moves the simulator's clock with its own; sleeps longer than it was told when it is told to oversleep."""

    def __init__(self, simulated: SimClock) -> None:
        super().__init__(NOW)
        self._simulated = simulated
        self.oversleep: dict[datetime, float] = {}

    def advance(self, seconds: float) -> None:
        longer = [more for until, more in self.oversleep.items() if until <= self.now() + timedelta(seconds=seconds)]
        self.oversleep = {} if longer else self.oversleep
        super().advance(seconds + sum(longer))
        self._simulated.set(self.now())


class Site:
    """A home and a simulator that live by one clock."""

    def __init__(self, home: Path, world: World, simulator: Simulator, clock: SleepyClock) -> None:
        self.world, self.simulator, self.clock = world, simulator, clock
        account = Account("main", simulator.base_url, simulator.username, SecretStr(simulator.password))
        self.settings = Settings(home=home, env_file=None, accounts=(account,))

    def list_plants(self) -> None:
        today = self.clock.now().date()
        with Services.open(self.settings, self.clock) as services:
            run_load(LoadRequest(today, today, ("plant_daily",)), services, build=False)

    def poll(self, length: timedelta) -> Polled:
        with Services.open(self.settings, self.clock) as services:
            return run_polling(services, self.clock.now() + length)

    def build(self) -> None:
        with Services.open(self.settings, self.clock) as services:
            build_and_publish(services)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Rows of the published warehouse."""
        connection = open_published(self.settings.home)
        try:
            return connection.sql(query).pl().to_dicts()
        finally:
            connection.close()

    def served(self, type_id: int, first: datetime, last: datetime) -> dict[datetime, dict[str, Any]]:
        """History of the plant's device of a type, straight from the simulated world."""
        device = next(each for each in self.world.devices if each.type_id == type_id)
        first_ms, last_ms = (int(each.timestamp() * 1000) for each in (first, last))
        rows = self.world.history(device, first_ms, last_ms, last_ms)
        return {datetime.fromtimestamp(at / 1000, UTC): row for at, row in rows}

    def table(self, name: str) -> pl.DataFrame:
        with Services.open(self.settings, self.clock) as services:
            return services.lake.read(name)

    def calls(self, endpoint: str) -> int:
        return Counter(each.path.rpartition("/")[2] for each in self.simulator.log.calls())[endpoint]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    simulated = SimClock.fixed(NOW)
    clock = SleepyClock(simulated)
    world = build_world("single")
    with Simulator(world, clock=simulated) as simulator:
        yield Site(tmp_path, world, simulator, clock)


def test_without_an_inventory_nothing_is_asked(site: Site) -> None:
    polled = site.poll(timedelta(hours=1))
    assert (polled.slots, polled.missed, len(site.simulator.log.calls())) == (0, 0, 0)


def test_one_hour_after_the_other_loses_no_slot_and_keeps_the_servers_own_time(site: Site) -> None:
    site.list_plants()
    polled = site.poll(timedelta(hours=1))
    again = site.poll(timedelta(hours=1))
    assert (polled.report.failures, again.report.failures) == ([], [])
    # The second hour begins in the slot that the first one polled last, and ends before the poll of its own last slot.
    assert (polled.slots, again.slots, polled.missed + again.missed) == (12, 11, 0)
    assert site.calls("login") == 1
    assert site.calls("getStationRealKpi") == 23
    assert site.calls("getAlarmList") == 4
    plants = site.table("plant_realtime").sort("polled_at")
    first = datetime(2026, 6, 10, 10, 4, tzinfo=UTC)
    times = plants["polled_at"].to_list()
    assert len(times) == 23
    assert all(abs(at - first - n * timedelta(minutes=5)) < timedelta(seconds=90) for n, at in enumerate(times))
    inverters = site.table("device_realtime_residential_inverter")
    assert inverters.group_by("device_id").len()["len"].to_list() == [23]
    assert inverters["active_power"].n_unique() > 12


def test_slots_that_a_sleeping_machine_missed_are_counted_and_not_made_up_for(site: Site) -> None:
    site.list_plants()
    site.clock.oversleep = {datetime(2026, 6, 10, 10, 14, tzinfo=UTC): 22 * 60.0}
    polled = site.poll(timedelta(hours=1))
    assert polled.slots + polled.missed == 12
    # The slots that begin at 10:10 to 10:30; that of 10:35 still runs when the machine wakes.
    assert polled.missed == 5
    assert site.calls("getStationRealKpi") == polled.slots


def test_it_ends_before_the_disk_is_full(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.list_plants()
    full_from = NOW + timedelta(minutes=20)

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=room.LAST_FREE_BYTES - (site.clock.now() >= full_from), total=10**12)

    monkeypatch.setattr(room.shutil, "disk_usage", usage)
    polled = site.poll(timedelta(hours=1))
    assert polled.slots == 4
    assert polled.stopped is not None
    assert "nothing more is asked for" in polled.stopped
    assert site.table("plant_realtime").height == 4
    before = len(site.simulator.log.calls())
    with Services.open(site.settings, site.clock) as services:
        report = run_work(services, build=False)
    assert report.failures == [polled.stopped]
    assert len(site.simulator.log.calls()) == before


def test_what_was_polled_is_in_the_marts(site: Site) -> None:
    site.list_plants()
    site.build()
    assert site.ask("select * from marts.fct_inverter_5min") == []
    site.poll(timedelta(hours=1))
    site.build()
    slots = [datetime(2026, 6, 10, 10, tzinfo=UTC) + n * timedelta(minutes=5) for n in range(12)]
    inverter, battery, meter = (site.served(each, slots[0], slots[-1]) for each in (38, 39, 47))
    steps = {at: inverter[at]["total_cap"] - inverter[before]["total_cap"] for before, at in pairwise(slots)}
    assert sum(steps.values()) > 0.5

    def by_time(table: str) -> dict[datetime, dict[str, Any]]:
        rows = site.ask(f"select * from marts.fct_{table}_5min where local_date = '2026-06-10'")
        return {row["collect_time_utc"]: row for row in rows}

    inverters, batteries, meters = (by_time(each) for each in ("inverter", "battery", "meter"))
    for rows, source in ((inverters, inverter), (batteries, battery), (meters, meter)):
        assert sorted(rows) == sorted(source) == slots
        assert {row["source"] for row in rows.values()} == {"realtime"}
    assert {at: row["energy_kwh"] for at, row in inverters.items() if at in steps} == pytest.approx(steps)
    powers = {at: row["active_power"] for at, row in inverter.items()}
    assert {at: row["active_power_kw"] for at, row in inverters.items()} == pytest.approx(powers)
    for at in slots:
        assert batteries[at]["charge_counter_kwh"] == battery[at]["charge_cap"]
        assert meters[at]["forward_active_energy_kwh"] == meter[at]["active_cap"]
    day = "local_date = '2026-06-10'"
    counted = site.ask(f"select energy_from_counter_kwh, silent_h, up_h from marts.fct_inverter_day where {day}")[0]
    assert counted["energy_from_counter_kwh"] == pytest.approx(sum(steps.values()))
    # It runs since 10:00; what comes after the last poll is nobody's silence.
    assert counted["up_h"] == pytest.approx(10 / 12, abs=0.1)
    now = site.ask(
        "select inverters_down, inverters_silent, is_offline, last_inverter_row_utc from marts.mart_fleet_now"
    )
    assert now == [
        {"inverters_down": 0, "inverters_silent": 0, "is_offline": False, "last_inverter_row_utc": slots[-1]}
    ]
    told = f"select realtime_rows, inverter_realtime_rows, inverter_rows from marts.fct_data_quality_day where {day}"
    assert site.ask(told) == [{"realtime_rows": 36, "inverter_realtime_rows": 12, "inverter_rows": 12}]
