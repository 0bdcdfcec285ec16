"""`pvms plan` as a process: by dates, by settings and by a policy file; it asks the vendor for the inventory alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from truth.running import Server, pvms, simulator_process

POLICY = """
[default]
since = 2025-01-01
history_since = "none"

[groups.most]
plants = ["NE=*"]
history_since = 2025-06-01
freshness_days = 2
tiers = [0]
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A simulator of the demo fleet."""
    with simulator_process(tmp_path_factory.mktemp("plan")) as running:
        yield running


def planned(folder: Path, server: Server, *arguments: str, **further: str) -> dict:
    """What `pvms plan --json` says; it must end well."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = pvms(home, server.base_url, "plan", *arguments, "--json", **further)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"said": done.stderr}


def test_dates_settings_and_policy(tmp_path: Path, server: Server) -> None:
    dated = planned(tmp_path, server, "--from", "2025-06-01", "--to", "2025-06-30")
    calls = {row["dataset"]: row["calls"] for row in dated["datasets"]}
    assert all(row["least_possible"] <= row["calls"] for row in dated["datasets"])
    assert [way["key"] for way in dated["alternatives"]][:4] == [f"freshness_{n}" for n in (1, 2, 3)] + ["real_time"]
    assert all(way["backlog"] == calls["device_history"] for way in dated["alternatives"][:4])
    assert dated["recommended"]["key"] in {way["key"] for way in dated["alternatives"]}

    nothing = planned(tmp_path, server)
    assert "PVMS_HISTORY_START" in nothing["said"]
    assert nothing["periods_wanted"] < 3 * dated["periods_wanted"]

    by_setting = planned(tmp_path, server, PVMS_HISTORY_START="2025-01-01")
    assert "No past is wanted" not in by_setting["said"]
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    by_policy = planned(tmp_path, server, PVMS_HISTORY_START="2025-01-01", PVMS_POLICY_FILE=str(policy))
    deep, shallow = ({row["dataset"]: row["calls"] for row in each["datasets"]} for each in (by_setting, by_policy))
    assert calls["device_history"] < shallow["device_history"] < deep["device_history"]
    assert shallow["plant_daily"] == deep["plant_daily"]

    assert {record.endpoint for record in server.calls()} <= {"login", "stations", "getDevList"}


def test_half_a_range_and_a_wrong_policy_are_said(tmp_path: Path, server: Server) -> None:
    home = tmp_path / "home"
    home.mkdir()
    half = pvms(home, server.base_url, "plan", "--from", "2025-06-01")
    assert (half.returncode, "or neither" in half.stderr) == (2, True)
    policy = tmp_path / "policy.toml"
    policy.write_text("[groups.roofs]\nplants = ['NE=1']\nfreshness_days = 9\n", encoding="utf-8")
    wrong = pvms(home, server.base_url, "plan", PVMS_POLICY_FILE=str(policy))
    assert wrong.returncode == 1
    for part in (str(policy), "[groups.roofs]", "freshness_days", "1, 2 or 3"):
        assert part in wrong.stderr
    assert "Traceback" not in wrong.stderr
