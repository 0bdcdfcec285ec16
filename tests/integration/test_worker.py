"""The worker on a home, against the simulator: order of worth, nothing asked twice, going on by itself."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from pipelines.lake.coverage import Coverage, Entry
from pipelines.load import room
from pipelines.load.oldest_search import OldestSearch
from pipelines.load.request import LoadReport, LoadRequest, WorkRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services, state_dir
from pipelines.load.standing import standing_of
from pipelines.load.work import run_work
from pipelines.northbound.clock import ManualClock
from pipelines.owner_files import read_policy
from pipelines.planning.calendar import today
from pipelines.planning.cells import Subject
from pipelines.planning.worth import FRESH_ORDER
from pipelines.settings import Account, Settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
START = date(2026, 5, 30)


class OneClock(ManualClock):
    """Moves the simulator's clock with its own."""

    def __init__(self, simulated: SimClock) -> None:
        super().__init__(NOW)
        self._simulated = simulated

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._simulated.set(self.now())


class Site:
    """A home and a simulator that live by one clock."""

    def __init__(self, home: Path, simulator: Simulator, simulated: SimClock) -> None:
        self.simulator = simulator
        self.clock = OneClock(simulated)
        account = Account("main", simulator.base_url, simulator.username, SecretStr(simulator.password))
        self.settings = Settings(home=home, env_file=None, history_start=START, accounts=(account,))

    def work(self, request: WorkRequest | None = None) -> LoadReport:
        with Services.open(self.settings, self.clock) as services:
            return run_work(services, request=request, build=False)

    @property
    def endpoints(self) -> list[str]:
        """What was called, in order; without logins."""
        names = [record.path.rpartition("/")[2] for record in self.simulator.log.calls()]
        return [name for name in names if name != "login"]

    def cells(self) -> Counter[str]:
        """Cells by state."""
        rollup = Coverage(state_dir(self.settings.home) / "coverage.sqlite").rollup()
        return Counter(dict(rollup.group_by("state").len().iter_rows()))


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single")


@pytest.fixture
def site(tmp_path: Path, world: World) -> Iterator[Site]:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated) as simulator:
        yield Site(tmp_path, simulator, simulated)


def test_the_most_valuable_comes_first_and_what_is_there_is_not_asked_again(site: Site) -> None:
    report = site.work()
    assert report.exit_code == 0, report.as_dict()
    called = list(dict.fromkeys(site.endpoints))
    assert called[:2] == ["stations", "getDevList"]
    reports = [name for name in called if "Kpi" in name and name != "getDevHistoryKpi"]
    assert called.index("getDevHistoryKpi") > max(called.index(name) for name in reports if name != "getKpiStationHour")
    history = [r.body for r in site.simulator.log.calls() if r.path.endswith("getDevHistoryKpi")]
    week = (NOW - timedelta(days=8)).timestamp() * 1000
    fresh = [body["startTime"] >= week for body in history]
    assert fresh == sorted(fresh, reverse=True), "the last week comes before the rest"
    assert not all(fresh)
    assert set(site.cells()) <= {"final", "provisional", "empty"}

    before = len(site.endpoints)
    assert site.work().exit_code == 0
    assert len(site.endpoints) == before


@pytest.mark.slow
def test_it_keeps_up_for_days_by_itself(site: Site) -> None:
    stop_at = NOW + timedelta(days=3)
    report = site.work(WorkRequest(keep_up=True, stop_at=stop_at))
    assert report.failures == []
    assert site.clock.now() >= stop_at
    zone = "Europe/Berlin"
    coverage = Coverage(state_dir(site.settings.home) / "coverage.sqlite")
    yesterday = today(stop_at, zone) - timedelta(days=1)
    for dataset in ("device_history", "plant_hourly", "plant_daily", "device_daily"):
        known = coverage.states(dataset, None, START, yesterday)
        assert {entry.state for entry in known.values()} == {"final"}, dataset
        assert max(period for _, period in known) == yesterday
    assert Counter(site.endpoints)["stations"] == 3


@pytest.mark.slow
def test_a_server_that_fails_now_and_then_gets_rests_and_everything_comes(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, faults=Faults(http_500_every=3)) as simulator:
        site = Site(tmp_path, simulator, simulated)
        site.work(WorkRequest(keep_up=True, stop_at=NOW + timedelta(days=2)))
        known = Coverage(state_dir(tmp_path) / "coverage.sqlite")
        states = {entry.state for entry in known.states("device_history", None, START, NOW.date()).values()}
    assert states == {"final"}


def test_without_a_start_only_fresh_data_and_what_was_asked_for(site: Site) -> None:
    site.settings = replace(site.settings, history_start=None)
    assert site.work().exit_code == 0
    history = [r.body for r in site.simulator.log.calls() if r.path.endswith("getDevHistoryKpi")]
    assert min(body["startTime"] for body in history) >= (NOW - timedelta(days=9)).timestamp() * 1000


def test_an_endpoint_that_is_not_open_is_a_refusal_and_no_quota_to_wait_for(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, faults=Faults(deny={"getDevHistoryKpi"})) as simulator:
        site = Site(tmp_path, simulator, simulated)
        report = site.work(WorkRequest(wait=True))
    assert report.exit_code == 4, report.as_dict()
    assert Counter(site.endpoints)["getDevHistoryKpi"] == 1
    assert site.clock.now() - NOW < timedelta(hours=1), "it waits for no permission"


def test_an_inventory_that_the_quota_holds_back_is_waited_for_and_not_called_done(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, faults=Faults(too_frequent="stations,times=1")) as simulator:
        site = Site(tmp_path, simulator, simulated)
        report = site.work()
        assert report.exit_code == 3, report.as_dict()
        assert [waiting.dataset for waiting in report.waiting] == ["inventory"]
        assert site.work(WorkRequest(wait=True)).exit_code == 0
    assert Counter(site.endpoints)["stations"] == 2


def test_counting_what_is_left_asks_for_nothing_by_name_and_counts_it_once(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, faults=Faults(too_frequent="getDevHistoryKpi")) as simulator:
        site = Site(tmp_path, simulator, simulated)
        report = site.work()
        again = site.work()
    (left,) = [waiting for waiting in report.waiting if waiting.dataset == "device_history"]
    declared = Coverage(state_dir(tmp_path) / "coverage.sqlite").states("device_history", None, START, NOW.date())
    assert min(period for _, period in declared) >= NOW.date() - timedelta(days=8), "the backlog keeps its order"
    devices = len({device for device, _ in declared})
    assert left.cells == devices * (NOW.date() - START).days
    assert [w.cells for w in again.waiting if w.dataset == "device_history"] == [left.cells]


def test_a_look_for_the_oldest_day_that_did_not_go_out_says_nothing(site: Site) -> None:
    device = Subject("1", "NE=1", 1, "Europe/Berlin", START)
    with Services.open(site.settings, site.clock) as services:
        policy = read_policy(None, site.settings)
        search = OldestSearch(services, {"1": device}, policy)
        day = NOW.date() - timedelta(days=1)
        services.coverage.record([Entry("device_history", "1", "NE=1", day, "final", 288, NOW)])
        look = search.next_call(NOW)
        assert look is not None
        assert not search.note(look)
        again = OldestSearch(services, {"1": device}, policy).next_call(NOW)
        assert again == look
        found = [Entry(cell.dataset, cell.subject, "NE=1", cell.period, "empty", 0, NOW) for cell in look.cells]
        services.coverage.record(found)
        assert search.note(look)
        other = OldestSearch(services, {"1": device}, policy).next_call(NOW)
        assert other is not None
        assert other.start > look.start


def test_a_load_that_waits_for_quota_keeps_no_cells_from_others(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, faults=Faults(too_frequent="getKpiStationDay,times=1")) as simulator:
        site = Site(tmp_path, simulator, simulated)
        held: list[bool] = []

        class Watched(OneClock):
            def sleep(self, seconds: float) -> None:
                coverage = Coverage(state_dir(tmp_path) / "coverage.sqlite")
                held.append(coverage.claimed_by_others("anybody", self.now()))
                super().sleep(seconds)

        site.clock = Watched(simulated)
        day = NOW.date() - timedelta(days=3)
        with Services.open(site.settings, site.clock) as services:
            request = LoadRequest(day, day, datasets=("plant_daily",), wait=True)
            assert run_load(request, services, build=False).exit_code == 0
    assert Counter(site.endpoints)["getKpiStationDay"] == 2
    assert held
    assert not any(held)


def test_a_load_of_dates_ends_before_the_disk_is_full_and_the_next_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = NOW.date() - timedelta(days=1)
    request = LoadRequest(yesterday, yesterday)

    def asked() -> list[str]:
        found = ((r.path.rpartition("/")[2], sorted(r.body.items())) for r in site.simulator.log.calls())
        return [f"{name} {body}" for name, body in found if "Kpi" in name]

    def load(calls: int | None) -> LoadReport:
        """With a disk that has room for so many calls (None: for any)."""

        def usage(_: Path) -> SimpleNamespace:
            return SimpleNamespace(free=room.LAST_FREE_BYTES - (calls is not None and len(asked()) >= calls))

        monkeypatch.setattr(room.shutil, "disk_usage", usage)
        with Services.open(site.settings, site.clock) as services:
            return run_load(request, services, build=False)

    first = load(calls=5)
    assert first.exit_code == 1
    (sentence,) = first.failures
    assert "nothing more is asked for" in sentence and "the next load then goes on" in sentence
    assert len(asked()) == 5
    assert first.completed > 0, "what has landed is told"
    with Services.open(site.settings, site.clock) as services:
        assert len(services.requests.unfinished()) == 1
        assert services.lake.read("plant_daily").height > 0, "what has landed is in the lake"
        assert not services.lake.pending_parts()
    assert load(calls=5).failures == [sentence]
    assert len(asked()) == 5, "while there is no room nothing is asked for"

    rest = load(calls=None)
    assert rest.exit_code == 0, rest.as_dict()
    assert len(set(asked())) == len(asked()) > 5, "nothing that had landed is asked again"
    assert set(site.cells()) <= {"final", "provisional", "empty"}


@pytest.mark.slow
def test_a_list_that_can_not_be_had_is_tried_less_and_less_often(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    faults = Faults(cut_short_paging=True)
    with Simulator(world, clock=simulated) as simulator:
        site = Site(tmp_path, simulator, simulated)
        site.work()
    with Simulator(world, clock=simulated, faults=faults, port=site.simulator.port) as simulator:
        site.simulator = simulator
        site.clock.advance(timedelta(days=1).total_seconds())
        site.work(WorkRequest(keep_up=True, stop_at=site.clock.now() + timedelta(days=1)))
        assert len([each for each in simulator.log.calls("stations") if each.body["pageNo"] == 1]) <= 8


class Standing(ManualClock):
    """Stands still, as the simulator's does; whoever waits for another waits for real."""

    def sleep(self, seconds: float) -> None:
        Event().wait(0.05)


def _work(settings: Settings) -> None:
    with Services.open(settings, Standing(NOW)) as services:
        run_work(services, build=False)


@pytest.mark.slow
def test_workers_at_once_share_the_calls_and_double_none(site: Site) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_work, args=(site.settings,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    bodies = Counter((r.path, str(r.body)) for r in site.simulator.log.calls() if "Kpi" in r.path or "Dev" in r.path)
    assert set(bodies.values()) == {1}
    assert len(site.simulator.log.calls("login")) == 1
    # What a worker left to another is there in the end, or comes with the next look.
    site.work(WorkRequest(wait=True))
    assert set(site.cells()) <= {"final", "provisional", "empty"}


def test_a_minutes_quota_is_waited_for_without_being_told(tmp_path: Path, world: World) -> None:
    simulated = SimClock.fixed(NOW)
    with Simulator(world, clock=simulated, flow_control="static") as simulator:
        site = Site(tmp_path, simulator, simulated)
        (account,) = site.settings.accounts
        site.settings = replace(site.settings, accounts=(replace(account, flow_control="static"),))
        report = site.work()
        refused = [call for call in simulator.log.calls() if not call.ok]
    assert report.exit_code == 0, report.as_dict()
    assert refused == []
    assert timedelta(minutes=3) < site.clock.now() - NOW < timedelta(hours=1)


def test_status_says_that_something_is_due_when_the_worker_asks_and_only_then(site: Site) -> None:
    site.work()
    told, asked = [], []
    for _ in range(24):
        site.clock.advance(2 * 3600)
        found = standing_of(site.settings, site.clock)
        told.append(
            {each.dataset for each in (*found.due, *found.ahead)}
            | {each.dataset for each in found.datasets if each.states["missing"]}
        )
        report = site.work()
        asked.append(report.cells.keys() & set(FRESH_ORDER))
        assert not standing_of(site.settings, site.clock).due
    assert [bool(names) for names in told] == [bool(names) for names in asked]
    assert any(asked) and not all(asked)
