"""What the owner's files say that can't be so: names that nobody listed, words that a device contradicts."""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import duckdb
import polars as pl

from pipelines.lake.store import Lake
from pipelines.owner_files import read_devices_file, read_plants_file, read_policy, read_targets_file, read_tariffs_file
from pipelines.settings import Settings

SHOWN: Final = 5
"""Names said of one file."""


def unknown_names(settings: Settings, lake: Lake) -> Iterator[str]:
    """A sentence for each of the owner's files that names a plant or a device which no listing ever held.

    Nothing is said before anything is listed.

    Raises:
        SettingsError: a file can't be read.
    """
    plants = set(lake.read("plants")["plant_code"].to_list())
    if not plants:
        return
    for variable, frame in (
        ("PVMS_PLANTS_FILE", read_plants_file(settings.plants_file)),
        ("PVMS_TARIFFS_FILE", read_tariffs_file(settings.tariffs_file)),
        ("PVMS_TARGETS_FILE", read_targets_file(settings.targets_file)),
    ):
        yield from _said(variable, "plant", _words(frame, "plant_code") - plants)
    for rule in read_policy(settings.policy_file, settings).rules:
        strange = {each for each in rule.plants if not any(each == code or fnmatchcase(code, each) for code in plants)}
        yield from _said(f"PVMS_POLICY_FILE, [groups.{rule.group.name}],", "plant", strange)
    devices = read_devices_file(settings.devices_file)
    listed = lake.read("devices").select("device_id", "device_sn")
    if devices.is_empty() or listed.is_empty():
        return
    ids, serials = _words(listed, "device_id"), _words(listed, "device_sn")
    # As the build reads them: a row is its id's, else its serial number's; what was replaced may be named by either.
    named = devices.filter(pl.col("device_id").is_null())
    strangers = (_words(devices, "device_id") - ids) | (_words(named, "device_sn") - serials)
    yield from _said("PVMS_DEVICES_FILE", "device", strangers)
    gone = sorted(_words(devices, "replaces_device") - ids - serials)
    if gone:
        yield (
            "PVMS_DEVICES_FILE names devices in replaces_device that no account has ever listed, so nothing is joined "
            f"to them: {_some(gone)}"
        )


def contradicted_words(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """A sentence for each kind of word in the devices file that the rows of devices contradict (ops.conventions)."""
    for word, column in (("power_sign", "sign_contradicts_setting"), ("unit", "unit_contradicts_setting")):
        found = connection.execute(f"select device_id from ops.conventions where {column} order by all").fetchall()  # noqa: S608
        if found:
            names = _some([str(row[0]) for row in found])
            yield (
                f"PVMS_DEVICES_FILE gives a {word} that the device's own rows contradict (ops.conventions), so its "
                f"powers and directions are wrong in all tables: correct it, or leave it empty, for {names}"
            )


def _words(frame: pl.DataFrame, column: str) -> set[str]:
    """What a column names; an empty cell names nobody."""
    return set(frame[column].cast(pl.String).drop_nulls().to_list()) - {""}


def _said(variable: str, kind: str, names: Iterable[str]) -> Iterator[str]:
    ordered = sorted(names)
    if ordered:
        never = f"{variable} names {kind}s that no account has ever listed"
        yield f"{never}, so these rows count for nothing: {_some(ordered)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
