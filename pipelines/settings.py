"""Every setting of the product, read once from the environment and the nearest `.env`, and typed.

Precedence: the environment, then the `.env` found in the current folder or the nearest folder above it.
Passwords are kept as `SecretStr`, so that they can't be printed by accident.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, cast

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.time_zones import is_zone

FlowControl = Literal["dynamic", "static", "oauth"]
Auth = Literal["account", "oauth"]
Grain = Literal["auto", "day", "month"]

OAUTH_URL: Final = "https://oauth2.fusionsolar.huawei.com"
"""The OAuth service that the reference names (3.1.2)."""

NO_SECRET: Final = SecretStr("")

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("smartpvms_base_url", "smartpvms_username", "smartpvms_password"),
    "oauth": ("smartpvms_base_url", "smartpvms_client_id", "smartpvms_client_secret"),
}
"""What each kind of access can't do without."""

ACCOUNT_KEYS: Final = (
    "smartpvms_base_url",
    "smartpvms_auth",
    "smartpvms_username",
    "smartpvms_password",
    "smartpvms_oauth_url",
    "smartpvms_client_id",
    "smartpvms_client_secret",
    "smartpvms_refresh_token",
    "smartpvms_redirect_uri",
    "smartpvms_flow_control",
    "smartpvms_language",
)
"""Keys that an account of `PVMS_ACCOUNTS_FILE` may set, in lower case."""


PREFIXES: Final = ("SMARTPVMS_", "PVMS_")

INTERNAL: Final = frozenset({"PVMS_BUILD_DB", "PVMS_DBT_THREADS", "PVMS_UI_FOLDER"})
"""Variables that our own processes hand to each other."""


class SettingsError(ValueError):
    """A setting is missing or wrong; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """One access to the interface: where, who, and which flow control applies (reference 3, 4).

    `auth` "account" logs in with user name and password; "oauth" uses an owner's consent to the app of `client_id`.
    """

    name: str
    base_url: str
    username: str = ""
    password: SecretStr = NO_SECRET
    auth: Auth = "account"
    flow_control: FlowControl = "dynamic"
    language: str = "en_US"
    oauth_url: str = OAUTH_URL
    client_id: str = ""
    client_secret: SecretStr = NO_SECRET
    refresh_token: SecretStr | None = None
    redirect_uri: str | None = None
    listed: bool = False
    """Whether it is one of an accounts file: messages name it then."""


class _Environment(BaseSettings):
    """The settings as they are written, before paths and accounts are resolved."""

    model_config = SettingsConfigDict(env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    smartpvms_base_url: str | None = None
    smartpvms_auth: Auth = "account"
    smartpvms_username: str | None = None
    smartpvms_password: SecretStr | None = None
    smartpvms_oauth_url: str | None = None
    smartpvms_client_id: str | None = None
    smartpvms_client_secret: SecretStr | None = None
    smartpvms_refresh_token: SecretStr | None = None
    smartpvms_redirect_uri: str | None = None
    smartpvms_flow_control: FlowControl | None = None
    smartpvms_language: str = "en_US"
    pvms_home: Path | None = None
    pvms_history_start: date | None = None
    pvms_history_freshness_days: int = Field(default=1, ge=1, le=3)
    pvms_plants_file: Path | None = None
    pvms_devices_file: Path | None = None
    pvms_tariffs_file: Path | None = None
    pvms_targets_file: Path | None = None
    pvms_accounts_file: Path | None = None
    pvms_policy_file: Path | None = None
    pvms_quotas_file: Path | None = None
    pvms_notify_url: SecretStr | None = None
    pvms_notify_command: str | None = None
    pvms_default_time_zone: str | None = None
    pvms_partition_grain: Grain = "auto"
    pvms_ticks: Literal["on", "off"] = "off"
    pvms_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    pvms_duckdb_threads: int = Field(default=2, ge=1)
    pvms_duckdb_memory: str = "2GB"

    @field_validator("pvms_default_time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and not is_zone(value):
            raise ValueError(f"'{value}' is no IANA time zone such as Europe/Berlin")
        return value

    @field_validator("pvms_duckdb_memory")
    @classmethod
    def _amount_of_memory(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)?\s*[KMGT]i?B", value, re.IGNORECASE):
            raise ValueError(f"'{value}' is no amount of memory such as 2GB or 512MB")
        return value

    @model_validator(mode="after")
    def _oauth_has_its_policy(self) -> "_Environment":
        if self.smartpvms_flow_control is None:
            self.smartpvms_flow_control = "oauth" if self.smartpvms_auth == "oauth" else "dynamic"
        return self


@dataclass(frozen=True)
class Settings:
    """All settings, resolved: absolute paths, the accounts (none is fine: commands that need one say so)."""

    home: Path
    env_file: Path | None
    history_start: date | None = None
    history_freshness_days: int = 1
    plants_file: Path | None = None
    devices_file: Path | None = None
    tariffs_file: Path | None = None
    targets_file: Path | None = None
    accounts_file: Path | None = None
    policy_file: Path | None = None
    quotas_file: Path | None = None
    notify_url: SecretStr | None = None
    notify_command: str | None = None
    default_time_zone: str | None = None
    partition_grain: Grain = "auto"
    ticks: bool = False
    """Whether Dagster starts by itself what is due."""
    log_level: str = "INFO"
    duckdb_threads: int = 2
    duckdb_memory: str = "2GB"
    accounts: tuple[Account, ...] = field(default=())

    @property
    def account(self) -> Account:
        """The first account, with which loads begin.

        Raises:
            SettingsError: there is none.
        """
        if not self.accounts:
            if self.env_file:
                raise SettingsError(
                    f"No account is set. Fill in SMARTPVMS_BASE_URL, SMARTPVMS_USERNAME and SMARTPVMS_PASSWORD in "
                    f"{self.env_file}. `pvms demo` needs none."
                )
            raise SettingsError(
                "No account is set in the environment, and there is no .env. Run `pvms init`, then fill in "
                "SMARTPVMS_BASE_URL, SMARTPVMS_USERNAME and SMARTPVMS_PASSWORD. `pvms demo` needs none."
            )
        return self.accounts[0]


def find_env_file(start: Path) -> Path | None:
    """The nearest `.env` in `start` or a folder above it."""
    for folder in (start, *start.parents):
        candidate = folder / ".env"
        if candidate.is_file():
            return candidate
    return None


def load_settings(start: Path | None = None) -> Settings:
    """Read the settings as seen from the folder `start` (default: the current one).

    Raises:
        SettingsError: a value can't be used; the message names the setting.
    """
    folder = (start or Path.cwd()).resolve()
    env_file = find_env_file(folder)
    try:
        raw = _Environment(_env_file=env_file)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} can't be read as UTF-8 text: {error}") from error
    base = env_file.parent if env_file else folder

    def resolve(path: Path | None, name: str) -> Path | None:
        if path is None:
            return None
        # An empty variable counts as not set, so its path came from the file.
        anchor = folder if os.environ.get(name) else base
        return (anchor / path.expanduser()).resolve()

    accounts_file = resolve(raw.pvms_accounts_file, "PVMS_ACCOUNTS_FILE")
    values = dict(dotenv_values(env_file)) if env_file else {}
    return Settings(
        home=resolve(raw.pvms_home, "PVMS_HOME") or (base / "data"),
        env_file=env_file,
        history_start=raw.pvms_history_start,
        history_freshness_days=raw.pvms_history_freshness_days,
        plants_file=resolve(raw.pvms_plants_file, "PVMS_PLANTS_FILE"),
        devices_file=resolve(raw.pvms_devices_file, "PVMS_DEVICES_FILE"),
        tariffs_file=resolve(raw.pvms_tariffs_file, "PVMS_TARIFFS_FILE"),
        targets_file=resolve(raw.pvms_targets_file, "PVMS_TARGETS_FILE"),
        accounts_file=accounts_file,
        policy_file=resolve(raw.pvms_policy_file, "PVMS_POLICY_FILE"),
        quotas_file=resolve(raw.pvms_quotas_file, "PVMS_QUOTAS_FILE"),
        notify_url=raw.pvms_notify_url,
        notify_command=raw.pvms_notify_command,
        default_time_zone=raw.pvms_default_time_zone,
        partition_grain=raw.pvms_partition_grain,
        ticks=raw.pvms_ticks == "on",
        log_level=raw.pvms_log_level,
        duckdb_threads=raw.pvms_duckdb_threads,
        duckdb_memory=raw.pvms_duckdb_memory,
        accounts=_accounts_of_file(accounts_file, values) if accounts_file else _account_of(raw),
    )


def unknown_settings(env_file: Path | None, accounts_file: Path | None = None) -> list[tuple[str, str, str | None]]:
    """Variables that look like settings and are none: name, where it stands, and the setting that may be meant."""
    known = {name.upper() for name in _Environment.model_fields} | INTERNAL
    text = accounts_file.read_text(encoding="utf-8", errors="replace") if accounts_file else ""
    places: list[tuple[str, Mapping[str, str | None]]] = [
        ("the environment", dict(os.environ)),
        (str(env_file), dotenv_values(env_file) if env_file else {}),
    ]
    found = []
    for place, values in places:
        for name in sorted(values):
            # A value of the accounts file may point at any name.
            if name.upper().startswith("PVMS_EVENT"):
                continue  # we stand in a command that was told of something
            if name.upper().startswith(PREFIXES) and name.upper() not in known and f"env:{name}" not in text:
                close = get_close_matches(name.upper(), known - INTERNAL, n=1, cutoff=0.75)
                found.append((name, place, close[0] if close else None))
    return found


def _explain(error: ValidationError) -> str:
    return "These settings can't be used. " + "; ".join(_explained(each) for each in error.errors()) + "."


def _explained(problem: Any) -> str:
    """One wrong value as a sentence; without the value where it is a secret."""
    key = str(problem["loc"][0]).lower() if problem["loc"] else ""
    field_info = _Environment.model_fields.get(key)
    secret = field_info is None or "SecretStr" in str(field_info.annotation)
    given = "" if secret else f", not '{problem['input']}'"
    context = problem.get("ctx", {})
    match problem["type"]:
        case "value_error":
            text = f"{context['error']}"
        case "literal_error":
            text = f"must be {context['expected']}{given}"
        case "int_parsing" | "int_from_float" | "int_type":
            text = f"must be a whole number{given}"
        case "greater_than_equal":
            text = f"must be at least {context['ge']}{given}"
        case "less_than_equal":
            text = f"must be at most {context['le']}{given}"
        case kind if kind.startswith("date"):
            text = f"must be a date such as 2025-01-31{given}"
        case _:
            text = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}{given}"
    return f"{key.upper() or 'The settings'}: {text}"


def _account_of(raw: _Environment) -> tuple[Account, ...]:
    required = REQUIRED[raw.smartpvms_auth]
    if raw.smartpvms_auth == "account" and not any(getattr(raw, key) for key in required):
        return ()
    missing = [key.upper() for key in required if not getattr(raw, key)]
    if missing:
        raise SettingsError(f"{', '.join(missing)} must be set too; `pvms init` writes a commented .env.")
    return (
        Account(
            name=raw.smartpvms_username or raw.smartpvms_auth,
            base_url=raw.smartpvms_base_url or "",
            username=raw.smartpvms_username or "",
            password=raw.smartpvms_password or NO_SECRET,
            auth=raw.smartpvms_auth,
            flow_control=raw.smartpvms_flow_control or "dynamic",
            language=raw.smartpvms_language,
            oauth_url=raw.smartpvms_oauth_url or OAUTH_URL,
            client_id=raw.smartpvms_client_id or "",
            client_secret=raw.smartpvms_client_secret or NO_SECRET,
            refresh_token=raw.smartpvms_refresh_token,
            redirect_uri=raw.smartpvms_redirect_uri,
        ),
    )


def _accounts_of_file(path: Path, env_values: dict[str, str | None]) -> tuple[Account, ...]:
    if not path.is_file():
        raise SettingsError(f"PVMS_ACCOUNTS_FILE names {path}, which is not there.")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path} holds passwords and others can read it. Run: chmod 600 {path}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    accounts = tuple(_account_of_table(name, table, path, env_values) for name, table in tables.items())
    names: dict[tuple[str, str], str] = {}
    for each in accounts:
        # One login is one session and one quota: under two names it would be counted twice.
        twin = names.setdefault((each.base_url.rstrip("/").lower(), each.username), each.name)
        if each.username and twin != each.name:
            raise SettingsError(f"{path}: [{twin}] and [{each.name}] are the same account; keep one of the two tables.")
    return accounts


def _account_of_table(name: str, table: Any, path: Path, env_values: dict[str, str | None]) -> Account:
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: '{name}' must be a table such as [north] with one key a line.")
    unknown = sorted(set(table) - set(ACCOUNT_KEYS))
    if unknown:
        raise SettingsError(f"{path} [{name}]: unknown keys {', '.join(unknown)}; known: {', '.join(ACCOUNT_KEYS)}")

    def given(key: str) -> str:
        text = str(table.get(key, ""))
        if text.startswith("env:"):
            variable = text.removeprefix("env:")
            text = os.environ.get(variable) or env_values.get(variable) or ""
            if not text:
                raise SettingsError(f"{path} [{name}]: {key} points at {variable}, which is not set.")
        return text

    auth = given("smartpvms_auth") or "account"
    flow = given("smartpvms_flow_control") or ("oauth" if auth == "oauth" else "dynamic")
    if auth not in ("account", "oauth") or flow not in ("dynamic", "static", "oauth"):
        raise SettingsError(f"{path} [{name}]: smartpvms_auth or smartpvms_flow_control has an unknown value.")
    for key in REQUIRED[auth]:
        if not given(key):
            raise SettingsError(f"{path} [{name}]: {key} is missing.")
    refresh_token = given("smartpvms_refresh_token")
    return Account(
        name=name,
        listed=True,
        base_url=given("smartpvms_base_url"),
        username=given("smartpvms_username"),
        password=SecretStr(given("smartpvms_password")),
        auth=cast(Auth, auth),
        flow_control=cast(FlowControl, flow),
        language=given("smartpvms_language") or "en_US",
        oauth_url=given("smartpvms_oauth_url") or OAUTH_URL,
        client_id=given("smartpvms_client_id"),
        client_secret=SecretStr(given("smartpvms_client_secret")),
        refresh_token=SecretStr(refresh_token) if refresh_token else None,
        redirect_uri=given("smartpvms_redirect_uri") or None,
    )
