"""The policy file: what it can say, and that an error names file, group, key and what is allowed."""

from datetime import date
from pathlib import Path

import pytest

from pipelines.owner_files import read_policy
from pipelines.planning.policy import EARLIEST, EVERYTHING, Group
from pipelines.settings import Settings, SettingsError

HOUSE = """
[default]
since = "grid_connection"
history_since = 2025-01-01

[groups.parks]
plants = ["NE=33554875", "NE=7*"]
datasets = ["plant_daily", "device_history"]
freshness_days = 3
tiers = [0]
history_since = "none"

[groups.roofs]
plants = ["NE=71", "NE=3355487?"]
device_types = ["residential_inverter", 47]
since = "2024-05-01"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(home=tmp_path, env_file=None, **given)  # type: ignore[arg-type]


def test_without_a_file_the_settings_speak(tmp_path):
    policy = read_policy(None, settings(tmp_path, history_start=date(2025, 1, 1), history_freshness_days=2))
    assert policy.group_of("NE=1") == Group(
        "default", EVERYTHING, freshness_days=2, since=date(2025, 1, 1), history_since=date(2025, 1, 1)
    )
    bare = read_policy(None, settings(tmp_path)).group_of("NE=1")
    assert (bare.start("plant_daily", date(2020, 1, 1)), bare.start("device_history", None)) == (None, None)


def test_groups_by_code_then_by_pattern_over_the_default(tmp_path, file):
    file.write_text(HOUSE, encoding="utf-8")
    policy = read_policy(file, settings(tmp_path, history_freshness_days=2))
    assert [policy.group_of(code).name for code in ("NE=33554875", "NE=71", "NE=72", "NE=33554879", "NE=1")] == [
        "parks",
        "roofs",
        "parks",
        "roofs",
        "default",
    ]
    parks, roofs, default = policy.groups
    assert (parks.freshness_days, roofs.freshness_days) == (3, 2)
    assert parks.datasets == ("device_history", "plant_daily")
    assert parks.wants("device_history", 17)
    assert not parks.wants("device_history", 39)
    assert not parks.wants("plant_hourly")
    assert roofs.device_types == {38, 47}
    assert roofs.wants("device_daily", 39)
    connected = date(2023, 2, 1)
    assert parks.start("device_history", connected) is None
    assert parks.start("plant_daily", connected) == connected
    assert parks.start("plant_daily", None) == EARLIEST
    assert roofs.start("plant_daily", connected) == date(2024, 5, 1)
    assert default.start("device_history", date(2025, 7, 1)) == date(2025, 7, 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[default]\nfreshness_days = 4", ("[default]", "freshness_days", "1, 2 or 3")),
        ("[default]\nfreshness_days = true", ("freshness_days",)),
        ("[default]\nsince = 'yesterday'", ("[default]", "since", "grid_connection", "2024-01-01")),
        ("[default]\nhistory_since = 2024", ("history_since", "none")),
        ("[default]\ndepth = 1", ("[default]", "depth", "history_since")),
        ("[group.a]\nplants = ['x']", ("group", "default, groups")),
        ("[groups.a]\nsince = 2024-01-01", ("[groups.a]", "plants", "NE=")),
        ("[groups.a]\nplants = 'NE=1'", ("[groups.a]", "plants", "list")),
        (
            "[groups.a]\nplants = ['NE=1']\ndatasets = ['plant_minutely']",
            ("[groups.a]", "plant_minutely", "plant_hourly"),
        ),
        ("[groups.a]\nplants = ['NE=1']\ndevice_types = [62]", ("[groups.a]", "62", "string_inverter or 1")),
        ("[groups.a]\nplants = ['NE=1']\ntiers = [2]", ("[groups.a]", "tiers", "batteries")),
        ("[groups.a]\nplants = ['NE=1']\ntiers = [0]\ndevice_types = [1]", ("[groups.a]", "one of the two")),
        ("[groups.a]\nplants = ['NE=1']\n[groups.b]\nplants = ['NE=1']", ("[groups.b]", "NE=1", "group a")),
        ("groups = 3", ("[groups]", "table")),
        ("[default", ("TOML",)),
    ],
)
def test_an_error_names_file_group_key_and_what_is_allowed(tmp_path, file, text, parts):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_policy(file, settings(tmp_path))
    for part in (str(file), *parts):
        assert part in str(caught.value)


def test_a_file_that_is_not_there(tmp_path, file):
    with pytest.raises(SettingsError, match="PVMS_POLICY_FILE names"):
        read_policy(file, settings(tmp_path))
