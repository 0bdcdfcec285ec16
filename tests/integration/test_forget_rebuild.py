"""What `pvms forget` leaves is what would be there had the plant never been: raw, ops, staging and marts."""

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from pydantic import SecretStr
from truth.inside import load_into

from pipelines.lake.publish import open_published
from pipelines.load.build import build_and_publish
from pipelines.load.forget import Forgetting, forget
from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Account, Settings
from pipelines.simulator.fleet import BatterySpec
from pipelines.simulator.fleets import LEIPZIG, FleetBuilder, LoadSpec
from pipelines.simulator.server import Simulator
from pipelines.simulator.view import Account as Login
from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 10, tzinfo=UTC)
SPAN = date(2026, 10, 24), date(2026, 10, 26)
DATASETS = ("device_history", "plant_daily", "device_daily", "alarms")


def street() -> World:
    """Six homes: as long as all are there, each of them has five peers."""
    fleet = FleetBuilder()
    for number in range(6):
        plant = fleet.plant(
            f"Home {number}",
            LEIPZIG,
            6.0 + number,
            "2026-07-15T09:00:00",
            load=LoadSpec("home", 0.3, 1.6),
            battery=BatterySpec(5.0, 2.5) if number in (0, 1) else None,
        )
        fleet.home(plant)
    return build_world(fleet, 3)


def loaded(home: Path, world: World, codes: frozenset[str]) -> tuple[Settings, ManualClock]:
    """A home whose account sees these plants, loaded and published."""
    clock = ManualClock(NOW)
    home.mkdir()
    owner = home / "plants.csv"
    owner.write_text("plant_code,tilt,azimuth\n" + "".join(f"{plant.code},30,180\n" for plant in world.plants))
    with Simulator(world, clock=clock, flow_control="none", accounts=[Login("a", "secret", codes)]) as server:
        account = Account("a", f"http://127.0.0.1:{server.port}", "a", SecretStr("secret"))
        settings = Settings(home=home, env_file=None, accounts=(account,), plants_file=owner)
        assert load_into(settings, *SPAN, *DATASETS, clock=clock).exit_code == 0
    with Services.open(settings, clock) as services:
        build_and_publish(services)
    return settings, clock


def contents(home: Path) -> dict[str, list[tuple]]:
    """Rows of every table and raw view, but for the ledger of calls and the owner's own file."""
    connection = open_published(home)
    try:
        names = connection.execute(
            """select schema_name || '.' || table_name from duckdb_tables()
                where schema_name in ('ops', 'staging', 'marts') and table_name not in ('api_calls', 'plant_overrides')
            union all
            select schema_name || '.' || view_name from duckdb_views() where schema_name = 'raw'"""
        ).fetchall()
        return {name: rows_of(connection, name) for (name,) in names}
    finally:
        connection.close()


def rows_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple]:
    """Rows in order; floats to twelve digits, for the order of a sum is not fixed."""
    rows = connection.execute(f"select * from {name}").fetchall()
    rounded = [tuple(float(f"{each:.12g}") if isinstance(each, float) else each for each in row) for row in rows]
    return sorted(rounded, key=repr)


def test_a_forgotten_plant_leaves_what_would_be_there_without_it(tmp_path: Path) -> None:
    world = street()
    codes = frozenset(plant.code for plant in world.plants)
    gone = next(plant.code for plant in world.plants if plant.battery)
    settings, clock = loaded(tmp_path / "all", world, codes)
    before = contents(settings.home)
    with Services.open(settings, clock) as services:
        forget(services, Forgetting(plant=gone))
        build_and_publish(services)
    after = contents(settings.home)
    anew, _ = loaded(tmp_path / "others", world, codes - {gone})
    wanted = contents(anew.home)

    assert after.keys() == wanted.keys()
    assert {name for name in wanted if after[name] != wanted[name]} == set()
    assert [name for name, rows in after.items() if gone in repr(rows)] == []
    # It was everywhere, and was a peer of the others.
    held = {name for name, rows in before.items() if gone in repr(rows)}
    assert held >= {
        "ops.account_plants",
        "ops.clear_sky_day",
        "ops.coverage",
        "raw.device_history_residential_battery",
        "staging.int_flow_day",
        "marts.fct_plant_month",
        "marts.fct_inverter_day",
    }
    others = [row for row in before["marts.fct_plant_day"] if gone not in repr(row)]
    assert len(others) == len(after["marts.fct_plant_day"])
    assert others != after["marts.fct_plant_day"]
