"""The real-time loop on a home, against the simulator, by one clock."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from pydantic import SecretStr

from pipelines.load import room
from pipelines.load.polling import Polled, run_polling
from pipelines.load.request import LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.load.work import run_work
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import build_world

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

    def __init__(self, home: Path, simulator: Simulator, clock: SleepyClock) -> None:
        self.simulator, self.clock = simulator, clock
        account = Account("main", simulator.base_url, simulator.username, SecretStr(simulator.password))
        self.settings = Settings(home=home, env_file=None, accounts=(account,))

    def list_plants(self) -> None:
        today = self.clock.now().date()
        with Services.open(self.settings, self.clock) as services:
            run_load(LoadRequest(today, today, ("plant_daily",)), services, build=False)

    def poll(self, length: timedelta) -> Polled:
        with Services.open(self.settings, self.clock) as services:
            return run_polling(services, self.clock.now() + length)

    def table(self, name: str) -> pl.DataFrame:
        with Services.open(self.settings, self.clock) as services:
            return services.lake.read(name)

    def calls(self, endpoint: str) -> int:
        return Counter(each.path.rpartition("/")[2] for each in self.simulator.log.calls())[endpoint]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    simulated = SimClock.fixed(NOW)
    clock = SleepyClock(simulated)
    with Simulator(build_world("single"), clock=simulated) as simulator:
        yield Site(tmp_path, simulator, clock)


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
