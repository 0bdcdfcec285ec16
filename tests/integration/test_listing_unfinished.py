"""Listings that can't be had in one go, or that an answer without anything would make look empty."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from pipelines.lake.store import Lake
from pipelines.load.asking import Asker
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.inventory import ensure_inventory
from pipelines.load.request import LoadReport, Silent
from pipelines.load.services import Services
from pipelines.load.unfinished import Unfinished
from pipelines.northbound.client import ListPage
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.judge import Page
from pipelines.settings import Account, Settings
from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import Faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.thin import ThinWorld

NOW = datetime(2026, 6, 10, 10, 1, tzinfo=UTC)
PLANTS = 130
"""Two pages, and two calls for their devices."""


class Site:
    """A home and a simulated account of two pages of plants, by one clock that is put forward by hand."""

    def __init__(self, home: Path, simulator: Simulator, simulated: SimClock) -> None:
        self.simulator, self._simulated, self.now = simulator, simulated, NOW
        account = Account("main", simulator.base_url, simulator.username, SecretStr(simulator.password))
        self.settings = Settings(home=home, env_file=None, accounts=(account,))

    def later(self, by: timedelta) -> None:
        self.now += by
        self._simulated.set(self.now)

    def list_fleet(self, *, force: bool = False) -> tuple[Fleet, LoadReport]:
        """One try, as by a process of its own."""
        report = LoadReport()
        with Services.open(self.settings, ManualClock(self.now)) as services:
            asker = Asker(services.clients, services.clock, report, Silent(), wait=False)
            return ensure_inventory(services, asker, report, Silent(), force), report

    def refuse(self, endpoint: str) -> None:
        """The vendor has said 407, so that the endpoint's calls are spaced out."""
        with Services.open(self.settings, ManualClock(self.now)) as services:
            fleet = current_fleet(services)
            for _ in range(2):
                services.client.ledger.note_refusal("main", endpoint, self.now, fleet.counts)

    def keep_page(self, page: Page, *plants: str) -> None:
        """Page 1 of a listing is there from a moment ago."""
        with Services.open(self.settings, ManualClock(self.now)) as services:
            data = json.dumps([{"plantCode": each} for each in plants])
            Unfinished(services.unfinished_file, "main").note_page(ListPage(page, data, self.now, self.now))

    def calls(self) -> list[str]:
        """Endpoint and page of the calls but for logins, in order."""
        made = [each for each in self.simulator.log.calls() if each.endpoint in ("stations", "getDevList")]
        return [f"{each.endpoint} {(each.body or {}).get('pageNo', '')}".strip() for each in made]


def ids_of(fleet: Fleet) -> list[int]:
    return fleet.devices["device_id"].to_list()


def site_with(home: Path, faults: Faults) -> Iterator[Site]:
    simulated = SimClock.fixed(NOW)
    with Simulator(ThinWorld("portfolio"), clock=simulated, faults=faults) as simulator:
        yield Site(home, simulator, simulated)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from site_with(tmp_path, Faults())


def test_a_listing_whose_calls_are_spaced_out_goes_on_where_it_stopped(site: Site) -> None:
    first, _ = site.list_fleet()
    assert first.plants.height == PLANTS
    made = len(site.calls())
    site.later(timedelta(days=1))
    site.refuse("stations")
    site.refuse("getDevList")
    tries = 0
    while (fleet := site.list_fleet()[0]).listed_at == first.listed_at:
        site.later(timedelta(hours=2))
        tries += 1
        assert tries < 24, site.calls()[made:]
    assert site.calls()[made:] == ["stations 1", "stations 2", "getDevList", "getDevList"]
    assert ids_of(fleet) == ids_of(first)


def test_pages_of_a_listing_that_began_a_day_ago_are_not_used(site: Site) -> None:
    site.list_fleet()
    site.later(timedelta(days=1))
    site.refuse("stations")
    site.later(timedelta(hours=12))
    made = len(site.calls())
    site.list_fleet()
    assert site.calls()[made:] == ["stations 1"]
    site.later(timedelta(hours=25))
    site.list_fleet()
    assert site.calls()[made:][:2] == ["stations 1", "stations 1"]


def test_a_list_that_has_changed_since_its_first_page_begins_anew_at_once(site: Site) -> None:
    site.keep_page(Page(number=1, pages=2, total=PLANTS - 1), "NE=1")
    fleet, report = site.list_fleet()
    assert fleet.plants.height == PLANTS and not report.failures
    assert site.calls()[:3] == ["stations 2", "stations 1", "stations 2"]


def test_whoever_asks_for_a_new_listing_gets_no_kept_page(site: Site) -> None:
    site.keep_page(Page(number=1, pages=1, total=1), "NE=1")
    fleet, _ = site.list_fleet(force=True)
    assert fleet.plants.height == PLANTS
    assert site.calls()[:2] == ["stations 1", "stations 2"]


def test_a_doubt_from_a_clock_that_was_ahead_lasts_no_longer_than_others(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.json"
    assert Unfinished(path, "main").is_doubtful("plants", NOW + timedelta(days=900))
    assert Unfinished(path, "main").is_doubtful("plants", NOW)
    assert not Unfinished(path, "main").is_doubtful("plants", NOW + timedelta(hours=1))


@pytest.mark.parametrize("endpoint", ["stations", "getDevList"])
def test_a_listing_without_anything_is_doubted_and_asked_again(tmp_path: Path, endpoint: str) -> None:
    lies = Faults(empty_data=f"{endpoint},from=2026-06-11T09:00,until=2026-06-11T12:00")
    for site in site_with(tmp_path, lies):
        first, _ = site.list_fleet()
        site.later(timedelta(days=1))
        doubted, report = site.list_fleet()
        assert ids_of(doubted) == ids_of(first) and doubted.listed_at == first.listed_at
        (failure,) = report.failures
        assert "listed, and" in failure and "what was known before still stands" in failure
        site.later(timedelta(hours=2))
        fleet, report = site.list_fleet()
        assert ids_of(fleet) == ids_of(first) and fleet.listed_at != first.listed_at and not report.failures


def test_a_listing_without_anything_is_believed_when_it_says_so_again(tmp_path: Path) -> None:
    for site in site_with(tmp_path, Faults(empty_data="stations,from=2026-06-11T09:00")):
        site.list_fleet()
        site.later(timedelta(days=1))
        for minutes in (0, 30):
            site.later(timedelta(minutes=minutes))
            doubted, report = site.list_fleet()
            assert doubted.plants.height == PLANTS and report.failures
        site.later(timedelta(minutes=31))
        fleet, report = site.list_fleet()
        assert fleet.plants.is_empty() and not report.failures
        assert any("sees no plant" in each.why for each in report.refusals)


@pytest.mark.parametrize("reads_before", range(4))
def test_a_fleet_read_while_another_process_files_its_first_listing_is_none_or_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, reads_before: int
) -> None:
    read, reads = Lake.read, 0

    def reading(lake: Lake, *args: Any, **kwargs: Any) -> pl.DataFrame:
        nonlocal reads
        reads += 1
        if reads == reads_before + 1:
            monkeypatch.undo()
            site.list_fleet()
        return read(lake, *args, **kwargs)

    with Services.open(site.settings, ManualClock(site.now)) as services:
        monkeypatch.setattr(Lake, "read", reading)
        fleet = current_fleet(services)
        whole = current_fleet(services)
    assert whole.plants.height == PLANTS and whole.devices.height
    if fleet.listed_at is not None:
        assert (fleet.plants.height, fleet.devices.height) == (PLANTS, whole.devices.height)
