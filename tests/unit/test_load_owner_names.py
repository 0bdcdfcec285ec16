"""Names in the owner's files that no listing ever held are told, whatever column they stand in."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.lake.decode_flat import DEVICE_LISTING, PLANT_LISTING
from pipelines.lake.inventory import merge_devices, merge_plants
from pipelines.lake.store import Lake
from pipelines.load.owner_names import unknown_names
from pipelines.settings import Settings

AT = datetime(2026, 3, 30, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home where a plant with two devices is listed."""
    lake = Lake(tmp_path)
    row = {"account": "a", "extracted_at": AT, "plant_code": "NE=1", "plant_name": "Roof", "capacity": 10.0}
    plants = pl.DataFrame([{name: row.get(name) for name in PLANT_LISTING}], schema=PLANT_LISTING)
    merge_plants(lake, plants, {"NE=1": ("Europe/Berlin", "coordinates")})
    rows = [{**row, "device_id": number, "device_sn": f"SN{number}", "device_type_id": 1} for number in (7, 8)]
    devices = [{name: each.get(name) for name in DEVICE_LISTING} for each in rows]
    merge_devices(lake, pl.DataFrame(devices, schema=DEVICE_LISTING))
    return Settings(home=tmp_path, env_file=None, accounts=())


def said(settings: Settings, **files: str) -> list[str]:
    paths = {}
    for kind, text in files.items():
        paths[f"{kind}_file"] = settings.home / f"{kind}.csv"
        paths[f"{kind}_file"].write_text(text, encoding="utf-8")
    return list(unknown_names(replace(settings, **paths), Lake(settings.home)))


def test_what_is_listed_is_not_told(settings: Settings) -> None:
    assert said(settings) == []
    assert (
        said(
            settings,
            plants="plant_code,tilt\nNE=1,30\n",
            devices="device_id,device_sn,ac_kw,replaces_device\n7,,5,SN8\n,SN8,5,\n",
            tariffs="plant_code,valid_from,valid_to,purchase_price_per_kwh\n,2026-01-01,2026-12-31,0.3\n",
            targets="plant_code,month,pr_pct\nNE=1,2026-03,80\n",
        )
        == []
    )


def test_each_file_tells_its_strangers(settings: Settings) -> None:
    plants, devices, replaced, tariffs, targets = sorted(
        said(
            settings,
            plants="plant_code,tilt\nNE=1,30\n" + "".join(f"NE=1{number},30\n" for number in range(7)),
            # The id counts, whatever serial number stands beside it; an id is no serial number.
            devices="device_id,device_sn,ac_kw,replaces_device\n7,OTHER,5,SN99\n,SN9,5,\n10,,5,\n,8,5,\n",
            tariffs="plant_code,valid_from,valid_to,purchase_price_per_kwh\nne=1,2026-01-01,2026-12-31,0.3\n",
            targets="plant_code,month,pr_pct\nNE=2,2026-03,80\n",
        ),
        key=lambda sentence: ["PLANTS", "DEVICES", "TARIFFS", "TARGETS"].index(sentence.split("_")[1]),
    )
    assert plants.startswith("PVMS_PLANTS_FILE names plants")
    assert plants.endswith("NE=10, NE=11, NE=12, NE=13, NE=14 and 2 more")
    assert devices.endswith("devices that no account has ever listed, so these rows count for nothing: 10, 8, SN9")
    assert replaced.endswith("so nothing is joined to them: SN99")
    assert tariffs.endswith(": ne=1")
    assert targets.endswith(": NE=2")


def test_before_anything_is_listed_nobody_is_a_stranger(tmp_path: Path) -> None:
    file = tmp_path / "plants.csv"
    file.write_text("plant_code,tilt\nNE=1,30\n", encoding="utf-8")
    settings = Settings(home=tmp_path, env_file=None, accounts=(), plants_file=file)
    assert list(unknown_names(settings, Lake(tmp_path))) == []


def test_a_policy_that_names_nobody_is_told_by_group(settings: Settings) -> None:
    path = settings.home / "policy.toml"
    path.write_text("[groups.roofs]\nplants = ['NE=1', 'NE=9*', 'NE=?']\n", encoding="utf-8")
    (found,) = unknown_names(replace(settings, policy_file=path), Lake(settings.home))
    assert found.startswith("PVMS_POLICY_FILE, [groups.roofs], names plants that no account has ever listed")
    assert found.endswith(": NE=9*")
