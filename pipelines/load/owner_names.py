"""Plants and devices that the owner's files name and nobody ever listed: their rows count for nothing."""

from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl

from pipelines.lake.store import Lake
from pipelines.owner_files import read_devices_file, read_plants_file, read_targets_file, read_tariffs_file
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
    devices = read_devices_file(settings.devices_file)
    if not devices.is_empty():
        listed = lake.read("devices").select("device_id", "device_sn")
        known = _words(listed, "device_id") | _words(listed, "device_sn")
        named = {name for column in ("device_id", "device_sn", "replaces_device") for name in _words(devices, column)}
        yield from _said("PVMS_DEVICES_FILE", "device", named - known)


def _words(frame: pl.DataFrame, column: str) -> set[str]:
    """What a column names; an empty cell names nobody."""
    return set(frame[column].cast(pl.String).drop_nulls().to_list()) - {""}


def _said(variable: str, kind: str, names: Iterable[str]) -> Iterator[str]:
    ordered = sorted(names)
    if ordered:
        some = ", ".join(ordered[:SHOWN]) + (f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else "")
        yield f"{variable} names {kind}s that no account has ever listed, so these rows count for nothing: {some}"
