"""The owner's quotas file (TOML, `PVMS_QUOTAS_FILE`): where the vendor grants otherwise than its reference says.

[dynamic.getDevHistoryKpi]          # every account under that policy
limit = 60                          # calls a window, whatever the fleet
window_seconds = 86400              # left out: as in the reference

[accounts.north.getDevHistoryKpi]   # this account alone; outranks the policy
limit = 100

[oauth.all]                         # the one counter of all interfaces (4.1)
limit = 500
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from pipelines.northbound.quotas import SHARED_KEY, QuotaOverride
from pipelines.settings import Settings, SettingsError
from schemas.endpoints import ENDPOINTS, POLICY_SECTIONS

ACCOUNTS: Final = "accounts"
KEYS: Final = ("limit", "window_seconds")

Overrides = Mapping[str, QuotaOverride]


@dataclass(frozen=True, slots=True)
class QuotasFile:
    """What the file says: by policy and by account, then by endpoint ("all" for OAuth's one counter)."""

    policies: Mapping[str, Overrides] = field(default_factory=dict)
    accounts: Mapping[str, Overrides] = field(default_factory=dict)

    def of(self, account: str, policy: str) -> Overrides:
        """The overrides of one account under its policy."""
        return {**self.policies.get(policy, {}), **self.accounts.get(account, {})}


def read_quotas(settings: Settings) -> QuotasFile:
    """Read the file; nothing is overridden without one.

    Raises:
        SettingsError: the file is absent or an entry is wrong; the message names the file, the table, the key and
            what it may be.
    """
    path = settings.quotas_file
    if path is None:
        return QuotasFile()
    if not path.is_file():
        raise SettingsError(f"PVMS_QUOTAS_FILE names {path}, which is not there.")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    _known(path, "tables", tables, (*POLICY_SECTIONS, ACCOUNTS))
    policies = {name: _overrides(path, name, tables[name], name) for name in POLICY_SECTIONS if name in tables}
    by_name = {each.name: each.flow_control for each in settings.accounts}
    accounts = _table(path, ACCOUNTS, tables.get(ACCOUNTS, {}))
    _known(path, f"accounts in [{ACCOUNTS}]", accounts, by_name)
    return QuotasFile(
        policies,
        {name: _overrides(path, f"{ACCOUNTS}.{name}", table, by_name[name]) for name, table in accounts.items()},
    )


def _overrides(path: Path, where: str, value: Any, policy: str) -> Overrides:
    tables = _table(path, where, value)
    shared = [name for name, each in ENDPOINTS.items() if each.quotas[policy].shared]
    known = [name for name in ENDPOINTS if name not in shared] + [SHARED_KEY] * bool(shared)
    for name in tables:
        if name in shared:
            _refuse(path, f"{where}.{name}", f"under {policy} one counter counts all: write [{where}.{SHARED_KEY}]")
    _known(path, f"endpoints in [{where}]", tables, known)
    return {name: _override(path, f"{where}.{name}", table) for name, table in tables.items()}


def _override(path: Path, where: str, value: Any) -> QuotaOverride:
    table = _table(path, where, value)
    _known(path, f"keys in [{where}]", table, KEYS)
    for key, number in table.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            _refuse(path, where, f"{key} must be a whole number of at least 1, not {number!r}")
    if not table:
        _refuse(path, where, f"set {' or '.join(KEYS)}")
    return QuotaOverride(table.get("limit"), table.get("window_seconds"))


def _table(path: Path, where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(path, where, "must be a table with one key a line")
    return value


def _known(path: Path, what: str, given: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SettingsError(f"{path}: unknown {what}: {', '.join(unknown)}; known: {', '.join(known) or 'none'}.")


def _refuse(path: Path, where: str, why: str) -> NoReturn:
    raise SettingsError(f"{path} [{where}]: {why}.")
