"""`pvms refile` and `pvms forget` on a real lake: what moves and goes, what is wanted again, and kills anywhere."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.lake.coverage import Entry
from pipelines.lake.errors import LakeError
from pipelines.lake.store import Lake
from pipelines.load.forget import Forgetting, forget, rows_to_forget
from pipelines.load.refile import corrections, refile, rows_to_move
from pipelines.load.services import Services
from pipelines.load.unfinished import KeptDevices, Unfinished
from pipelines.settings import Account, Settings
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

HISTORY = "device_history_string_inverter"
AT = datetime(2026, 7, 1, tzinfo=UTC)
FIRST, LAST = date(2026, 5, 30), date(2026, 6, 2)


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = polars_schema(TABLES[table])
    must = {each.name: "x" for each in TABLES[table].columns if not each.nullable and each.type == "VARCHAR"}
    stamps = {each.name: AT for each in TABLES[table].columns if not each.nullable and each.type == "TIMESTAMPTZ"}
    full = [{**must, **stamps, "extracted_at": AT, **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in full], schema=schema, orient="row")


def days() -> list[date]:
    return [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def by_utc(plant: str, device: int) -> list[dict[str, Any]]:
    """An hourly row per device, filed as if the plant lived in UTC."""
    return [
        {
            "plant_code": plant,
            "device_id": device,
            "collect_time": datetime(day.year, day.month, day.day, hour, tzinfo=UTC),
            "local_date": day,
            "total_cap": float(hour),
        }
        for day in days()
        for hour in range(24)
    ]


def fill(home: Path) -> None:
    """Two plants, four days, filed by UTC; one lives in Tokyo."""
    lake = Lake(home)
    lake.land(HISTORY, frame(HISTORY, by_utc("NE=1", 11) + by_utc("NE=2", 22)))
    labels = [
        {"plant_code": plant, "collect_time": datetime(2026, 4 + n, 1, tzinfo=UTC), "local_date": date(2026, 4 + n, 1)}
        for plant in ("NE=1", "NE=2")
        for n in range(3)
    ]
    lake.land("plant_monthly", frame("plant_monthly", labels))
    zones = {"time_zone": "UTC", "time_zone_source": "default"}
    lake.land(
        "plants", frame("plants", [{"plant_code": each, "plant_key": each, **zones} for each in ("NE=1", "NE=2")])
    )
    devices = [{"plant_code": "NE=1", "device_id": 11}, {"plant_code": "NE=2", "device_id": 22}]
    lake.land("devices", frame("devices", [{"device_type_id": 1, **each} for each in devices]))
    seen = [{"account_device_id": 7 + each["device_id"], "device_id": each["device_id"]} for each in devices]
    lake.land("account_devices", frame("account_devices", seen))
    record = {"dataset": "plant_hourly", "reason": "no time"}
    broken = [{**record, "record": f'{{"stationCode":"{each}"}}', "extracted_at": AT} for each in ("NE=1", "NE=2")]
    lake.land("quarantine", frame("quarantine", broken))
    lake.fold()


def settings_of(home: Path) -> Settings:
    account = Account("a", "http://127.0.0.1:9", "user", SecretStr("secret"))
    owner = home / "plants.csv"
    owner.write_text("plant_code,time_zone\nNE=1,Asia/Tokyo\nNE=2,UTC\n")
    return Settings(home=home, env_file=None, accounts=(account,), plants_file=owner)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    fill(tmp_path)
    with Services.open(settings_of(tmp_path)) as services:
        entries = [
            Entry("device_history", device, plant, day, "final", 24, AT)
            for plant, device in (("NE=1", "11"), ("NE=2", "22"))
            for day in days()
        ]
        months = [
            Entry("plant_monthly", plant, plant, date(2026, 4 + n, 1), "final", 1, AT)
            for plant in ("NE=1", "NE=2")
            for n in range(3)
        ]
        services.coverage.record(entries + months)
        yield services


def filed(lake: Lake, plant: str) -> dict[date, int]:
    rows = lake.read(HISTORY, ["local_date"], where=pl.col("plant_code") == plant)
    return dict(rows.group_by("local_date").len().sort("local_date").iter_rows())


def states(services: Services, plant: str) -> dict[date, str]:
    return {each.period: each.state for each in services.coverage.of_plant(plant, "device_history")}


IN_TOKYO = {FIRST: 15, date(2026, 5, 31): 24, date(2026, 6, 1): 24, LAST: 24, date(2026, 6, 3): 9}
"""Nine hours ahead of UTC: the first day begins at 09:00, and the last nine hours are of the day after."""


def check_refiled(services: Services) -> None:
    assert filed(services.lake, "NE=1") == IN_TOKYO
    assert filed(services.lake, "NE=2") == dict.fromkeys(days(), 24)
    times = services.lake.read(HISTORY, ["collect_time"], where=pl.col("plant_code") == "NE=1")["collect_time"]
    assert times.n_unique() == times.len() == 4 * 24
    # The first day lacks hours of a day that was never read; of the day after the last nobody wanted any.
    whole = {day: "missing" if day == FIRST else "final" for day in days()}
    assert states(services, "NE=1") == whole
    assert states(services, "NE=2") == dict.fromkeys(days(), "final")
    zones = services.lake.read("plants", ["plant_code", "time_zone", "time_zone_source"]).sort("plant_code")
    assert zones.row(0) == ("NE=1", "Asia/Tokyo", "plants_file")
    assert corrections(services) == []


def test_rows_move_to_their_local_days_and_what_lacks_hours_is_wanted_again(services: Services) -> None:
    (correction,) = corrections(services)
    assert (correction.plant, correction.filed, correction.zone) == ("NE=1", "UTC", "Asia/Tokyo")
    assert rows_to_move(services, correction) == {HISTORY: 4 * 9}
    assert filed(services.lake, "NE=1") == dict.fromkeys(days(), 24)
    assert refile(services, correction) == 4 * 9
    check_refiled(services)
    # Labels of months keep their months, and what is known of them.
    assert {each.state for each in services.coverage.of_plant("NE=1", "plant_monthly")} == {"final"}


def test_a_plant_is_forgotten_everywhere_and_no_other(services: Services) -> None:
    wanted = Forgetting(plant="NE=1")
    everywhere = {HISTORY: 96, "plant_monthly": 3}
    assert rows_to_forget(services, wanted) == everywhere | dict.fromkeys(
        ("plants", "devices", "account_devices", "quarantine"), 1
    )
    Unfinished(services.unfinished_file, "main").note_devices(KeptDevices(("NE=1",), '[{"stationCode":"NE=1"}]'))
    assert b"NE=1" in services.unfinished_file.read_bytes()
    assert forget(services, wanted) == 103
    assert not services.unfinished_file.exists()
    assert rows_to_forget(services, wanted) == {}
    assert forget(services, wanted) == 0
    assert filed(services.lake, "NE=2") == dict.fromkeys(days(), 24)
    assert services.lake.read("quarantine")["record"].to_list() == ['{"stationCode":"NE=2"}']
    assert services.lake.read("account_devices")["device_id"].to_list() == [22]
    assert states(services, "NE=1") == {}
    assert len(states(services, "NE=2")) == 4


def test_what_lies_wholly_before_a_date_is_forgotten(services: Services) -> None:
    before = date(2026, 6, 2)
    assert forget(services, Forgetting(before=before)) == 2 * (3 * 24 + 2)
    assert filed(services.lake, "NE=1") == {before: 24}
    assert services.lake.read("plant_monthly")["local_date"].unique().to_list() == [date(2026, 6, 1)]
    assert states(services, "NE=1") == {before: "final"}
    assert services.lake.read("plants").height == 2


def test_neither_works_under_a_load(services: Services) -> None:
    services.coverage.claim([("device_history", "11", LAST)], f"load/{os.getpid()}", services.clock.now())
    (correction,) = corrections(services)
    for work in (lambda: refile(services, correction), lambda: forget(services, Forgetting(plant="NE=1"))):
        with pytest.raises(LakeError, match="A load is running"):
            work()


def test_the_commands_need_no_account_and_say_first_what_they_would_do(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BASE_URL", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"SMARTPVMS_{name}", raising=False)
    monkeypatch.setenv("PVMS_HOME", str(tmp_path))
    monkeypatch.setenv("PVMS_PLANTS_FILE", str(tmp_path / "plants.csv"))
    moving = CliRunner().invoke(app, ["refile", "--json"])
    assert json.loads(moving.stdout)["plants"][0]["rows"] == 36
    going = CliRunner().invoke(app, ["forget", "--before", "2026-06-02", "--json"])
    assert json.loads(going.stdout) == {"deleted": False, "rows": {HISTORY: 144, "plant_monthly": 4}}
    for wrong in (["forget"], ["forget", "--plant", "NE=1", "--before", "2026-06-02"], ["refile", "--plant", "NE=2"]):
        assert CliRunner().invoke(app, wrong).exit_code == 2
    assert "no plant NE=3" in CliRunner().invoke(app, ["refile", "--plant", "NE=3"]).stderr
    assert filed(services.lake, "NE=1") == dict.fromkeys(days(), 24)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_upkeep import *
from pipelines.lake.delta import LakeTable
left = int(sys.argv[2])
real = LakeTable.replace
def replace(self, *arguments, **named):
    global left
    done = real(self, *arguments, **named)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
LakeTable.replace = replace
with Services.open(settings_of(Path(sys.argv[1]))) as services:
    if sys.argv[3] == "refile":
        refile(services, corrections(services)[0])
    else:
        forget(services, Forgetting(plant="NE=1"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("work", ["refile", "forget"])
@pytest.mark.parametrize("writes", [1, 3])
def test_after_a_kill_nothing_is_lost_and_the_same_command_goes_on(
    services: Services, tmp_path: Path, work: str, writes: int
) -> None:
    code = KILLED.format(here=str(Path(__file__).parent))
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(writes), work], capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    lake = Lake(tmp_path)
    assert filed(lake, "NE=2") == dict.fromkeys(days(), 24)
    rows = lake.read(HISTORY, ["collect_time"], where=pl.col("plant_code") == "NE=1")["collect_time"]
    if work == "refile":
        # A row may be filed twice for the moment, and is never gone.
        assert rows.n_unique() == 4 * 24
        refile(services, corrections(services)[0])
        check_refiled(services)
    else:
        assert set(states(services, "NE=1")) == set(days())
        forget(services, Forgetting(plant="NE=1"))
        assert filed(lake, "NE=1") == {}
        assert states(services, "NE=1") == {}
