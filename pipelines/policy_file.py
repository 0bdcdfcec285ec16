"""The owner's policy file (TOML, `PVMS_POLICY_FILE`): what is wanted of which plants, how deep and how fresh."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from pipelines.planning.policy import (
    FRESHNESS_DAYS,
    FROM_GRID_CONNECTION,
    POLICY_DATASETS,
    Group,
    PlantRule,
    Policy,
)
from pipelines.planning.worth import tier_of
from pipelines.settings import Settings, SettingsError
from schemas.device_types import DEVICE_TYPES, HISTORY_TYPES

KEYS: Final = ("datasets", "freshness_days", "since", "history_since", "device_types", "tiers")
"""What every group may set; one that is left out is as in [default], and there as in the settings."""

TIERS: Final = (0, 1)
_TYPE_NAMES: Final = {DEVICE_TYPES[each].name: each for each in HISTORY_TYPES}


def read_policy(path: Path | None, settings: Settings) -> Policy:
    """Read the policy; without a file every plant wants everything, as far back and as fresh as the settings say.

    Raises:
        SettingsError: the file is absent or an entry is wrong; the message names the file, the group, the key and
            what it may be.
    """
    base = Group(
        "default",
        freshness_days=settings.history_freshness_days,
        since=settings.history_start,
        history_since=settings.history_start,
    )
    if path is None:
        return Policy(base)
    if not path.is_file():
        raise SettingsError(f"PVMS_POLICY_FILE names {path}, which is not there.")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    _known(tables, ("default", "groups"), f"{path}", "tables")
    default = _Entry(path, "default", _table(tables.get("default", {}), f"{path} [default]")).read(base)
    groups = _table(tables.get("groups", {}), f"{path} [groups]")
    return Policy(default, tuple(_rules(path, groups, default)))


def _rules(path: Path, groups: Mapping[str, Any], default: Group) -> list[PlantRule]:
    rules: list[PlantRule] = []
    owner: dict[str, str] = {}
    for name, table in groups.items():
        entry = _Entry(path, f"groups.{name}", dict(_table(table, f"{path} [groups.{name}]")))
        plants = entry.plants()
        for plant in plants:
            first = owner.setdefault(plant, name)
            if first != name:
                entry.fail("plants", f"{plant} stands in group {first} too", "each plant or pattern in one group")
        rules.append(PlantRule(plants, entry.read(replace(default, name=name))))
    return rules


@dataclass(frozen=True)
class _Entry:
    """One table of the file."""

    path: Path
    name: str
    values: dict[str, Any]

    def fail(self, key: str, problem: str, allowed: str) -> NoReturn:
        raise SettingsError(f"{self.path} [{self.name}], {key}: {problem}. Allowed: {allowed}.")

    def plants(self) -> tuple[str, ...]:
        found = self.values.pop("plants", None)
        if not isinstance(found, list) or not found or not all(isinstance(each, str) and each for each in found):
            self.fail(
                "plants", "missing or no list of texts", 'plant codes or patterns, such as ["NE=33554875", "NE=4*"]'
            )
        return tuple(found)

    def read(self, base: Group) -> Group:
        _known(self.values, KEYS, f"{self.path} [{self.name}]", "keys")
        if "device_types" in self.values and "tiers" in self.values:
            self.fail("tiers", "device_types is there too", "one of the two")
        group = base
        for key, value in self.values.items():
            if key == "datasets":
                group = replace(group, datasets=self._datasets(value))
            elif key == "freshness_days":
                if type(value) is not int or value not in FRESHNESS_DAYS:
                    self.fail(key, f"{value!r} is none of them", "1, 2 or 3")
                group = replace(group, freshness_days=value)
            elif key == "since":
                group = replace(group, since=self._depth(key, value))
            elif key == "history_since":
                group = replace(group, history_since=self._depth(key, value))
            elif key == "device_types":
                group = replace(group, device_types=self._device_types(value))
            else:
                group = replace(group, device_types=self._tiers(value))
        return group

    def _datasets(self, value: object) -> tuple[str, ...]:
        unknown = _strangers(value, POLICY_DATASETS)
        if unknown is not None:
            self.fail("datasets", unknown, f"a list of {', '.join(POLICY_DATASETS)}")
        assert isinstance(value, list)
        return tuple(name for name in POLICY_DATASETS if name in value)

    def _depth(self, key: str, value: object) -> date | None:
        if isinstance(value, str) and value in ("grid_connection", "none"):
            return FROM_GRID_CONNECTION if value == "grid_connection" else None
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        return self.fail(key, f"{value!r} is no date", 'a date such as 2024-01-01, "grid_connection" or "none"')

    def _device_types(self, value: object) -> frozenset[int]:
        unknown = _strangers(value, (*_TYPE_NAMES, *HISTORY_TYPES))
        if unknown is not None:
            names = ", ".join(f"{name} or {each}" for name, each in _TYPE_NAMES.items())
            self.fail("device_types", unknown, f"a list of {names}")
        assert isinstance(value, list)
        return frozenset(each if isinstance(each, int) else _TYPE_NAMES[each] for each in value)

    def _tiers(self, value: object) -> frozenset[int]:
        unknown = _strangers(value, TIERS)
        if unknown is not None:
            self.fail("tiers", unknown, "a list of 0 (inverters, meters, weather stations) and 1 (batteries, the rest)")
        assert isinstance(value, list)
        return frozenset(each for each in HISTORY_TYPES if tier_of(each) in value)


def _strangers(value: object, allowed: Collection[str | int]) -> str | None:
    """What is wrong with a list whose members must be of `allowed`, if anything."""
    if not isinstance(value, list) or not value:
        return f"{value!r} is no list of them"
    unknown = [str(each) for each in value if isinstance(each, bool) or each not in allowed]
    return f"not known: {', '.join(unknown)}" if unknown else None


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{where} must be a table with one key a line.")
    return dict(value)


def _known(values: Mapping[str, object], allowed: Collection[str], where: str, what: str) -> None:
    unknown = [name for name in values if name not in allowed]
    if unknown:
        raise SettingsError(f"{where}: unknown {what} {', '.join(unknown)}. Allowed: {', '.join(allowed)}.")
