"""One warehouse of the mixed fleet: loaded twice, with a day of replacements and a move of a plant in between."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr
from truth.inside import load_into
from truth.mixed_fleet import (
    ALARM_POLLS,
    EARLIER,
    FIRST,
    FIRST_LOAD,
    LAST,
    LAST_LOAD,
    SERVERS,
    MixedFleet,
    mixed_fleet,
    owner_files,
)

from pipelines.lake.paths import paths_of
from pipelines.load.build import build_and_publish
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account as Login

DATASETS = ("device_history", "plant_daily", "plant_hourly", "device_daily", "plant_monthly", "plant_yearly", "alarms")


def build_mixed(folder: Path, fleet: MixedFleet | None = None) -> Path:
    """Load the fleet and publish its warehouse; the path of the published file."""
    fleet = fleet or mixed_fleet()
    clock = ManualClock(FIRST_LOAD)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Simulator(world, clock=clock, flow_control="none", accounts=_logins(fleet, number)))
            for number, world in enumerate(fleet.worlds)
        ]
        # Two names of this machine are two servers, each with two accounts at least.
        hosts = ["127.0.0.1" if labels == "start" else "localhost" for labels, _ in SERVERS]
        urls = [f"http://{host}:{server.port}" for host, server in zip(hosts, servers, strict=True)]
        accounts = [_account(f"server{number}", url) for number, url in enumerate(urls)]
        accounts.append(_account("second", urls[fleet.server_of[fleet.shared]]))
        moved = fleet.server_of[fleet.moved]
        settings = Settings(home=folder / "home", env_file=None, accounts=tuple(accounts), **owner_files(fleet, folder))
        report = load_into(settings, FIRST, FIRST_LOAD.date(), *DATASETS, clock=clock)
        assert report.exit_code == 0, report
        for poll in ALARM_POLLS:
            clock.advance((poll - clock.now()).total_seconds())
            report = load_into(settings, poll.date(), poll.date(), "alarms", clock=clock)
            assert report.exit_code == 0, report
        accounts[moved] = _account(f"server{moved}", urls[moved], "without moved")
        settings = replace(settings, accounts=(*accounts, _account("moved", urls[moved])))
        clock.advance((LAST_LOAD - clock.now()).total_seconds())
        report = load_into(settings, FIRST, LAST, *DATASETS, "plant_realtime", clock=clock)
        assert report.exit_code == 0, report
        report = load_into(
            settings, *EARLIER, "device_history", "device_daily", "plant_daily", clock=clock, plants=(fleet.home,)
        )
        assert report.exit_code == 0, report
        with Services.open(settings, clock) as services:
            build_and_publish(services)
    return paths_of(folder / "home").published


def _account(name: str, url: str, username: str | None = None) -> Account:
    return Account(name, url, username or name, SecretStr("secret"))


def _logins(fleet: MixedFleet, server: int) -> list[Login]:
    """An account of each server's plants; where a plant moves, one without it, and one that knows it by other ids.

    One plant is seen by a second account all the time, under other ids.
    """
    codes = fleet.codes_of(server)
    logins = [Login(f"server{server}", "secret", codes)]
    if fleet.moved in codes:
        logins.append(Login("without moved", "secret", codes - {fleet.moved}))
        logins.append(Login("moved", "secret", frozenset({fleet.moved}), id_offset=7_000_000))
    if fleet.shared in codes:
        logins.append(Login("second", "secret", frozenset({fleet.shared}), id_offset=9_000_000))
    return logins
