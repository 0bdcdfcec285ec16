"""A plant that is closed to one of two accounts, or to both: neither account stands in the other's way."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from test_load_odd_answers import Desk, device, plant

from pipelines.load.fleet import current_fleet
from pipelines.load.refused import read_refused
from pipelines.load.request import LoadReport, LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
CODES = ("P1", "P2", "P3")


class Two:
    """A home that two accounts feed, north and south, both with the same three plants; `closed` by account."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, ManualClock(NOW)
        self.closed: dict[str, set[str]] = {"north": set(), "south": set()}
        self.asked: list[tuple[str, str, int]] = []

    def services(self) -> Services:
        accounts = tuple(Account(name, "http://127.0.0.1:1", name, SecretStr("secret")) for name in self.closed)
        services = Services.open(Settings(home=self.home, env_file=None, accounts=accounts), self.clock)
        for name, client in services.clients.items():
            desk = Desk(self.clock, stations=lambda _: [plant(code) for code in CODES])
            desk.handlers["getDevList"] = self.closing(
                name, "getDevList", lambda codes: [device(CODES.index(code) + 1, code) for code in codes]
            )
            desk.handlers["getKpiStationDay"] = self.closing(name, "getKpiStationDay", lambda _: [])
            client._transport = client._session._transport = desk  # type: ignore[union-attr]
        return services

    def closing(self, account: str, endpoint: str, answer: Any) -> Any:
        def handler(body: Mapping[str, Any]) -> list[Any] | int:
            codes = body["stationCodes"].split(",")
            closed = bool(self.closed[account] & {*codes})
            self.asked.append((account, endpoint, 20056 if closed else 0))
            return 20056 if closed else answer(codes)

        return handler

    def load(self, day: int) -> LoadReport:
        self.asked.clear()
        with self.services() as services:
            request = LoadRequest(date(2026, 6, day), date(2026, 6, day), ("plant_daily",))
            return run_load(request, services, build=False)

    def refused(self) -> set[str]:
        with self.services() as services:
            return set(read_refused(services.refused_file))

    def pass_days(self, days: float) -> None:
        self.clock.advance(timedelta(days=days).total_seconds())


def test_closed_to_both_and_opened_to_either_it_comes_back(tmp_path: Path) -> None:
    for opens in ("north", "south"):
        two = Two(tmp_path / opens)
        two.closed = {"north": {"P3"}, "south": {"P3"}}
        two.load(1)
        assert two.refused() in ({"P3"}, {"north: P3", "south: P3"})
        two.pass_days(1.01)
        two.load(2)
        two.closed[opens] = set()
        seen: list[set[str]] = []
        for day in range(3, 8):
            two.pass_days(1.01)
            two.load(day)
            seen.append(two.refused())
            assert two.asked.count((opens, "getKpiStationDay", 20056)) == 0
        other = "south" if opens == "north" else "north"
        assert seen[-1] == {f"{other}: P3"}, seen


def test_what_one_account_may_not_list_does_not_stop_its_inventory(tmp_path: Path) -> None:
    two = Two(tmp_path)
    assert two.load(1).exit_code == 0
    two.closed["north"] = {"P3"}
    two.pass_days(1.01)
    report = two.load(2)
    assert report.failures == []
    assert two.refused() == {"north: P3"}
    assert report.rows or report.cells, "south answers for it"
    with two.services() as services:
        listed = {name: view.listed_at for name, view in current_fleet(services).views.items()}
    assert len(set(listed.values())) == 1, "both were taken over"


def test_at_the_first_listing_the_first_account_does_not_speak_for_the_second(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.closed["north"] = {"P3"}
    two.load(1)
    assert two.refused() == {"north: P3"}
    with two.services() as services:
        known = services.coverage.states("plant_daily", ["P3"], date(2026, 6, 1), date(2026, 6, 1))
    assert known, "south was asked about it"
