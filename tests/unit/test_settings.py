"""Settings: which source wins, what relative paths count from, and that errors name the setting and no secret."""

import re
import zoneinfo
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.settings import Account, Settings, SettingsError, find_env_file, load_settings
from schemas.time_zones import is_zone

PASSWORD = "tr0ub4dor-and-3"
ACCOUNT = f"SMARTPVMS_BASE_URL=https://eu5.example.org\nSMARTPVMS_USERNAME=north\nSMARTPVMS_PASSWORD={PASSWORD}\n"
OAUTH = (
    "SMARTPVMS_AUTH=oauth\nSMARTPVMS_BASE_URL=https://eu5.example.org\nSMARTPVMS_CLIENT_ID=123456789\n"
    f"SMARTPVMS_CLIENT_SECRET={PASSWORD}\n"
)
TABLE = f"""
[north]
smartpvms_base_url = "https://eu5.example.org"
smartpvms_username = "north"
smartpvms_password = "{PASSWORD}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_env(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def write_accounts(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    write_env(folder, "PVMS_ACCOUNTS_FILE=accounts.toml\n")
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(folder)
    return str(caught.value)


# --- Which source wins ---


def test_defaults_without_any_setting(folder: Path) -> None:
    assert load_settings() == Settings(home=folder / "data", env_file=None)


def test_the_environment_outranks_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(folder, ACCOUNT + "SMARTPVMS_LANGUAGE=de_DE\n")
    monkeypatch.setenv("SMARTPVMS_USERNAME", "south")
    account = load_settings().account
    assert (account.username, account.name, account.language) == ("south", "south", "de_DE")


def test_an_empty_variable_counts_as_not_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(folder, ACCOUNT + "PVMS_HOME=kept\n")
    deeper = folder / "deeper"
    deeper.mkdir()
    monkeypatch.setenv("PVMS_HOME", "")
    monkeypatch.setenv("SMARTPVMS_USERNAME", "")
    settings = load_settings(deeper)
    assert settings.home == folder / "kept"
    assert settings.account.username == "north"


def test_the_nearest_file_upward_counts_and_no_other(folder: Path) -> None:
    write_env(folder, "PVMS_LOG_LEVEL=DEBUG\nPVMS_HISTORY_START=2024-01-01\n")
    near = folder / "a" / "b"
    (near / "c").mkdir(parents=True)
    nearest = write_env(near, "PVMS_HISTORY_START=2025-02-03\n")
    assert find_env_file(near / "c") == nearest
    settings = load_settings(near / "c")
    assert settings.env_file == nearest
    assert (settings.history_start, settings.log_level) == (date(2025, 2, 3), "INFO")
    assert load_settings(folder / "a").log_level == "DEBUG"


def test_a_folder_called_env_is_no_settings_file(folder: Path) -> None:
    (folder / "x" / ".env").mkdir(parents=True)
    above = write_env(folder, "")
    assert find_env_file(folder / "x") == above


# --- Paths ---


def test_relative_paths_count_from_the_file_that_names_them(folder: Path) -> None:
    write_env(folder, "PVMS_HOME=store\nPVMS_PLANTS_FILE=../plants.csv\nPVMS_DEVICES_FILE=/etc/devices.csv\n")
    deeper = folder / "a" / "b"
    deeper.mkdir(parents=True)
    settings = load_settings(deeper)
    assert settings.home == folder / "store"
    assert settings.plants_file == folder.parent / "plants.csv"
    assert settings.devices_file == Path("/etc/devices.csv")


def test_relative_paths_of_the_environment_count_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(folder, "PVMS_HOME=store\n")
    deeper = folder / "deeper"
    deeper.mkdir()
    monkeypatch.setenv("PVMS_HOME", "mine")
    assert load_settings(deeper).home == deeper / "mine"


def test_a_tilde_is_the_users_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "somebody"))
    write_env(folder, "PVMS_HOME=~/pvms\n")
    assert load_settings().home == folder / "somebody" / "pvms"


def test_the_default_home_lies_beside_the_file(folder: Path) -> None:
    write_env(folder, "")
    (folder / "deeper").mkdir()
    assert load_settings(folder / "deeper").home == folder / "data"


# --- The account ---


def test_flow_control_follows_the_kind_of_access(folder: Path) -> None:
    write_env(folder, ACCOUNT)
    assert load_settings().account.flow_control == "dynamic"
    write_env(folder, ACCOUNT + "SMARTPVMS_FLOW_CONTROL=static\n")
    assert load_settings().account.flow_control == "static"
    write_env(folder, OAUTH)
    assert load_settings().account.flow_control == "oauth"


def test_no_account_is_said_with_the_place_and_what_to_do(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"in the environment.*pvms init.*pvms demo"):
        _ = load_settings().account
    path = write_env(folder, "SMARTPVMS_BASE_URL=\nSMARTPVMS_USERNAME=\nSMARTPVMS_PASSWORD=\n")
    with pytest.raises(SettingsError, match=r"No account is set\. Fill in") as caught:
        _ = load_settings().account
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("absent", ["SMARTPVMS_BASE_URL", "SMARTPVMS_USERNAME", "SMARTPVMS_PASSWORD"])
def test_half_an_account_names_the_missing_half(folder: Path, absent: str) -> None:
    write_env(folder, "\n".join(line for line in ACCOUNT.splitlines() if not line.startswith(absent)))
    message = refusal(folder)
    assert absent in message
    assert sum(name in message for name in ("BASE_URL", "USERNAME", "PASSWORD")) == 1


def test_an_oauth_account_has_the_app_and_needs_no_password(folder: Path) -> None:
    write_env(
        folder, OAUTH + f"SMARTPVMS_REFRESH_TOKEN=r-{PASSWORD}\nSMARTPVMS_REDIRECT_URI=http://127.0.0.1:1/x?a=b\n"
    )
    account = load_settings().account
    assert (account.name, account.client_id, account.redirect_uri) == ("oauth", "123456789", "http://127.0.0.1:1/x?a=b")
    assert account.oauth_url == "https://oauth2.fusionsolar.huawei.com"
    assert account.refresh_token is not None
    assert account.refresh_token.get_secret_value() == f"r-{PASSWORD}"
    assert account.client_secret.get_secret_value() == PASSWORD
    assert PASSWORD not in repr(account)


@pytest.mark.parametrize("absent", ["SMARTPVMS_BASE_URL", "SMARTPVMS_CLIENT_ID", "SMARTPVMS_CLIENT_SECRET"])
def test_half_an_oauth_account_names_the_missing_half(folder: Path, absent: str) -> None:
    write_env(folder, "\n".join(line for line in OAUTH.splitlines() if not line.startswith(absent)))
    assert refusal(folder).startswith(f"{absent} must be set too")


# --- The accounts file ---


def test_an_accounts_file_gives_the_account(folder: Path) -> None:
    write_accounts(folder, TABLE + 'smartpvms_flow_control = "static"\n')
    account = load_settings().account
    assert (account.name, account.base_url, account.username) == ("north", "https://eu5.example.org", "north")
    assert (account.password.get_secret_value(), account.flow_control) == (PASSWORD, "static")


def test_an_accounts_file_may_hold_oauth_accounts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = """
[south]
smartpvms_auth = "oauth"
smartpvms_base_url = "https://eu5.example.org"
smartpvms_oauth_url = "https://oauth2.example.org"
smartpvms_client_id = "123456789"
smartpvms_client_secret = "env:SOUTH_SECRET"
smartpvms_redirect_uri = "https://www.example.com/cn/"
"""
    monkeypatch.setenv("SOUTH_SECRET", PASSWORD)
    write_accounts(folder, table)
    account = load_settings().account
    assert (account.auth, account.flow_control, account.oauth_url) == ("oauth", "oauth", "https://oauth2.example.org")
    assert (account.client_secret.get_secret_value(), account.refresh_token) == (PASSWORD, None)
    write_accounts(folder, table.replace("smartpvms_client_id", "# smartpvms_client_id"))
    assert "[south]: smartpvms_client_id is missing" in refusal(folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_an_accounts_file_that_others_can_read_is_refused(folder: Path, mode: int) -> None:
    path = write_accounts(folder, TABLE, mode)
    message = refusal(folder)
    assert f"chmod 600 {path}" in message
    assert PASSWORD not in message


def test_values_may_point_at_the_environment_or_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TABLE.replace(PASSWORD, "env:NORTH_SECRET").replace('"north"', '"env:NORTH_USER"')
    write_accounts(folder, text)
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.write("NORTH_USER=from-file\nNORTH_SECRET=from-file\n")
    monkeypatch.setenv("NORTH_SECRET", "from-environment")
    account = load_settings().account
    assert (account.username, account.password.get_secret_value()) == ("from-file", "from-environment")


def test_a_value_that_points_nowhere_is_named(folder: Path) -> None:
    path = write_accounts(folder, TABLE.replace(PASSWORD, "env:NORTH_SECRET"))
    message = refusal(folder)
    assert str(path) in message
    assert "[north]" in message
    assert "smartpvms_password" in message
    assert "NORTH_SECRET" in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (TABLE + "password = 'x'\n", "password"),
        (TABLE.replace("smartpvms_username", "# smartpvms_username"), "smartpvms_username is missing"),
        (TABLE + 'smartpvms_flow_control = "fast"\n', "smartpvms_flow_control"),
        ("north = 3\n", "'north' must be a table"),
        ("[north\n", "not valid TOML"),
    ],
)
def test_a_wrong_accounts_file_is_said_by_name(folder: Path, text: str, named: str) -> None:
    path = write_accounts(folder, text)
    message = refusal(folder)
    assert named in message
    assert str(path) in message
    assert PASSWORD not in message


def test_an_absent_accounts_file_is_said(folder: Path) -> None:
    write_env(folder, "PVMS_ACCOUNTS_FILE=gone.toml\n")
    assert refusal(folder).startswith(f"PVMS_ACCOUNTS_FILE names {folder / 'gone.toml'}")


def test_several_accounts_are_read_in_their_order_and_one_login_under_two_names_is_refused(folder: Path) -> None:
    other = TABLE.replace("[north]", "[south]")
    write_accounts(folder, TABLE + other)
    with pytest.raises(SettingsError, match=r"\[north\] and \[south\] are the same account"):
        load_settings(folder)
    write_accounts(folder, TABLE + re.sub('smartpvms_username = ".*"', 'smartpvms_username = "other"', other))
    settings = load_settings(folder)
    assert [account.name for account in settings.accounts] == ["north", "south"]
    assert settings.account.name == "north", "loads begin with the first"


# --- Wrong values ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PVMS_HISTORY_START", "2025-13-01"),
        ("PVMS_DEFAULT_TIME_ZONE", "Europe/Leipzig"),
        ("PVMS_DEFAULT_TIME_ZONE", "../../etc/passwd"),
        ("PVMS_DEFAULT_TIME_ZONE", "localtime"),
        ("PVMS_DEFAULT_TIME_ZONE", "posix/Europe/Berlin"),
        ("PVMS_DEFAULT_TIME_ZONE", "Factory"),
        ("PVMS_PARTITION_GRAIN", "week"),
        ("PVMS_LOG_LEVEL", "chatty"),
        ("PVMS_DUCKDB_THREADS", "0"),
        ("PVMS_DUCKDB_MEMORY", "lots"),
        ("SMARTPVMS_FLOW_CONTROL", "fast"),
        ("SMARTPVMS_AUTH", "password"),
    ],
)
def test_a_wrong_value_names_its_setting(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert name in refusal(folder)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PVMS_LOG_LEVEL", "chatty", "must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', not 'chatty'"),
        ("PVMS_DUCKDB_THREADS", "two", "must be a whole number, not 'two'"),
        ("PVMS_DUCKDB_THREADS", "0", "must be at least 1, not '0'"),
        ("PVMS_HISTORY_FRESHNESS_DAYS", "9", "must be at most 3, not '9'"),
        ("PVMS_HISTORY_START", "2025-13-01", "must be a date such as 2025-01-31, not '2025-13-01'"),
        ("PVMS_DEFAULT_TIME_ZONE", "localtime", "'localtime' is no IANA time zone such as Europe/Berlin"),
    ],
)
def test_a_wrong_value_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refusal(folder) == f"These settings can't be used. {name}: {said}."


def test_every_zone_that_is_taken_is_known_to_polars_and_duckdb() -> None:
    names = [name for name in zoneinfo.available_timezones() if is_zone(name)]
    assert len(names) > 400
    for name in names:
        pl.Series([datetime(2025, 7, 1)]).dt.replace_time_zone("UTC").dt.convert_time_zone(name)  # noqa: DTZ001
    with duckdb.connect() as connection:
        connection.execute("select timezone(unnest(?), timestamptz '2025-07-01')", [names])
        assert len(connection.fetchall()) == len(names)


def test_all_wrong_values_are_said_at_once(folder: Path) -> None:
    write_env(folder, "PVMS_LOG_LEVEL=chatty\nPVMS_PARTITION_GRAIN=week\n")
    message = refusal(folder)
    assert "PVMS_LOG_LEVEL" in message
    assert "PVMS_PARTITION_GRAIN" in message


def test_a_file_in_another_encoding_is_said(folder: Path) -> None:
    path = folder / ".env"
    path.write_bytes("SMARTPVMS_USERNAME=Jürgen\n".encode("latin-1"))
    assert str(path) in refusal(folder)


def test_unknown_lines_of_the_file_are_left_alone(folder: Path) -> None:
    write_env(folder, ACCOUNT + "EDITOR=vi\n# a comment\n")
    assert load_settings().account.username == "north"


# --- Secrets ---


def test_no_secret_in_any_printed_form(folder: Path) -> None:
    write_env(folder, ACCOUNT)
    settings = load_settings()
    account = settings.account
    assert isinstance(account, Account)
    for text in (repr(settings), str(settings), repr(account), str(account), f"{account.password}"):
        assert PASSWORD not in text
    assert account.password.get_secret_value() == PASSWORD


def test_no_secret_in_an_error(folder: Path) -> None:
    write_env(folder, ACCOUNT + "PVMS_LOG_LEVEL=chatty\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(folder)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in str(caught.value.__cause__)


@pytest.mark.parametrize("written", ["'a b#c'", '"a b#c"'])
def test_a_quoted_password_keeps_its_characters(folder: Path, written: str) -> None:
    write_env(folder, ACCOUNT.replace(PASSWORD, written))
    assert load_settings().account.password.get_secret_value() == "a b#c"
