"""The owner's quotas file: what it may say, and what it says when it can't be used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.load.services import Services
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts
from pipelines.northbound.quotas import QuotaOverride
from pipelines.quotas_file import read_quotas
from pipelines.settings import Account, Settings, SettingsError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NORTH = Account("north", "https://north.example", "api", SecretStr("a-password"))


def settings_with(tmp_path: Path, text: str | None, *accounts: Account) -> Settings:
    path = tmp_path / "quotas.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return Settings(home=tmp_path / "data", env_file=None, quotas_file=path, accounts=accounts or (NORTH,))


def test_an_account_outranks_its_policy(tmp_path: Path) -> None:
    text = """
        [dynamic.getDevHistoryKpi]
        limit = 60
        [dynamic.stations]
        window_seconds = 3600
        [oauth.all]
        limit = 500
        [accounts.north.getDevHistoryKpi]
        limit = 100
        window_seconds = 43200
    """
    found = read_quotas(settings_with(tmp_path, text))
    assert found.of("north", "dynamic") == {
        "getDevHistoryKpi": QuotaOverride(100, 43_200),
        "stations": QuotaOverride(None, 3600),
    }
    assert found.of("south", "oauth") == {"all": QuotaOverride(500, None)}
    assert found.of("south", "static") == {}


def test_a_load_goes_by_it(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "[accounts.north.getDevHistoryKpi]\nlimit = 1\nwindow_seconds = 60\n")
    with Services.open(settings, ManualClock(NOW)) as services:
        ledger = services.client.ledger
        ledger.reserve("north", "getDevHistoryKpi", "{}", "w", NOW, FleetCounts(plants=3))
        found = services.client.allowance("getDevHistoryKpi")
        assert (found.granted, found.limit) == (False, 1)
        assert found.next_at is not None
        assert found.next_at <= NOW + timedelta(minutes=3)
        assert services.client.allowance("getDevList").limit == 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "PVMS_QUOTAS_FILE names .*quotas.toml, which is not there"),
        ("[dynamic\n", "not valid TOML: .*line 1"),
        ("[generous.stations]\nlimit = 1", "unknown tables: generous; known: dynamic, static, oauth, accounts"),
        ("[dynamic.getStationList]\nlimit = 1", r"unknown endpoints in \[dynamic\]: getStationList; known: .*stations"),
        ("[dynamic.stations]\nlimits = 1", r"unknown keys in \[dynamic.stations\]: limits; known: limit"),
        ("[dynamic.stations]\nlimit = 0", r"\[dynamic.stations\]: limit must be a whole number of at least 1, not 0"),
        ("[dynamic.stations]\nlimit = true", "whole number"),
        ("[dynamic.stations]\nwindow_seconds = 1.5", "window_seconds must be a whole number"),
        ("[dynamic.stations]", "set limit or window_seconds"),
        ("dynamic = 3", r"\[dynamic\]: must be a table"),
        ("[oauth.stations]\nlimit = 3", r"\[oauth.stations\]: under oauth one counter counts all.*\[oauth.all\]"),
        ("[accounts.south.stations]\nlimit = 3", r"unknown accounts in \[accounts\]: south; known: north"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_quotas(settings_with(tmp_path, text))
