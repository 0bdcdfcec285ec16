"""Inventory: what the last listing says, first and last sight, and a version per observed change."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.lake.decode_flat import DEVICE_LISTING, PLANT_LISTING
from pipelines.lake.inventory import merge_devices, merge_plants, merged_inventory, merged_versions
from pipelines.lake.store import Lake
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

MONDAY = datetime(2026, 3, 30, 6, tzinfo=UTC)
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
PLANTS, PLANT_VERSIONS = TABLES["plants"], TABLES["plant_versions"]
ZONES = {"NE=1": ("Europe/Berlin", "coordinates"), "NE=2": ("Asia/Tokyo", "plants_file")}


def plants(at, *rows):
    given = [{"account": "a", "extracted_at": at, "capacity": 10.0, **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in PLANT_LISTING} for row in given], schema=PLANT_LISTING)


def devices(at, *rows):
    given = [{"account": "a", "extracted_at": at, "device_type_id": 1, "plant_code": "NE=1", **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in DEVICE_LISTING} for row in given], schema=DEVICE_LISTING)


def one(code="NE=1", **rest):
    return {"plant_code": code, "plant_name": "Roof", **rest}


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def test_the_first_listing_makes_a_row_and_an_open_version_each(lake):
    merge_plants(lake, plants(MONDAY, one("NE=1"), one("NE=2")), ZONES)
    found = lake.read("plants")
    assert found["plant_key"].to_list() == ["NE=1", "NE=2"]
    assert found["time_zone"].to_list() == ["Europe/Berlin", "Asia/Tokyo"]
    assert found["time_zone_source"].to_list() == ["coordinates", "plants_file"]
    assert set(found["first_seen_at"]) == set(found["last_seen_at"]) == {MONDAY}
    versions = lake.read("plant_versions")
    assert versions.select("plant_code", "valid_from", "valid_to").rows() == [
        ("NE=1", MONDAY, None),
        ("NE=2", MONDAY, None),
    ]


def test_what_is_no_longer_listed_keeps_its_row_and_its_last_sight(lake):
    merge_plants(lake, plants(MONDAY, one("NE=1"), one("NE=2")), ZONES)
    merge_plants(lake, plants(TUESDAY, one("NE=1")), ZONES)
    seen = {
        code: (first, last)
        for code, first, last in lake.read("plants", ["plant_code", "first_seen_at", "last_seen_at"]).iter_rows()
    }
    assert seen == {"NE=1": (MONDAY, TUESDAY), "NE=2": (MONDAY, MONDAY)}
    assert lake.read("plant_versions")["valid_to"].null_count() == 2


def test_a_change_closes_a_version_and_opens_the_next(lake):
    for at, name in ((MONDAY, "Roof"), (TUESDAY, "Roof"), (WEDNESDAY, "Barn")):
        merge_plants(lake, plants(at, one(plant_name=name)), ZONES)
    assert lake.read("plants", ["plant_name", "first_seen_at", "last_seen_at"]).rows() == [("Barn", MONDAY, WEDNESDAY)]
    assert lake.read("plant_versions", ["plant_name", "valid_from", "valid_to"]).rows() == [
        ("Roof", MONDAY, WEDNESDAY),
        ("Barn", WEDNESDAY, None),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [({"capacity": 10.0}, {"capacity": None}), ({"plant_address": None}, {"plant_address": "Lane 1"})],
)
def test_gaining_or_losing_a_value_is_a_change(lake, before, after):
    merge_plants(lake, plants(MONDAY, one(**before)), ZONES)
    merge_plants(lake, plants(TUESDAY, one(**after)), ZONES)
    assert lake.read("plant_versions").height == 2


def test_a_zone_that_was_corrected_is_a_change(lake):
    merge_plants(lake, plants(MONDAY, one()), {})
    assert lake.read("plants")["time_zone"].to_list() == [None]
    merge_plants(lake, plants(TUESDAY, one()), ZONES)
    assert lake.read("plants")["time_zone"].to_list() == ["Europe/Berlin"]
    assert lake.read("plant_versions")["time_zone"].to_list() == [None, "Europe/Berlin"]


def test_how_the_row_came_is_no_change(lake):
    merge_plants(lake, plants(MONDAY, one(account="a", extra=None)), ZONES)
    merge_plants(lake, plants(TUESDAY, one(account="b", extra='{"x":1}')), ZONES)
    assert lake.read("plant_versions").height == 1
    assert lake.read("plants", ["account", "extra"]).rows() == [("b", '{"x":1}')]


def test_merging_the_same_listing_again_changes_nothing(lake):
    listing = plants(MONDAY, one("NE=1"), one("NE=2"))
    merge_plants(lake, listing, ZONES)
    before = [lake.snapshot(name).version for name in ("plants", "plant_versions")]
    merge_plants(lake, listing, ZONES)
    assert [lake.snapshot(name).version for name in ("plants", "plant_versions")] == before


def test_an_older_listing_that_arrives_late_only_moves_the_first_sight(lake):
    merge_plants(lake, plants(TUESDAY, one(plant_name="new")), ZONES)
    merge_plants(lake, plants(MONDAY, one(plant_name="old")), ZONES)
    assert lake.read("plants", ["plant_name", "first_seen_at", "last_seen_at"]).rows() == [("new", MONDAY, TUESDAY)]
    assert lake.read("plant_versions")["plant_name"].to_list() == ["new"]


def test_a_plant_that_returns_unchanged_goes_on_with_its_version(lake):
    merge_plants(lake, plants(MONDAY, one("NE=1"), one("NE=2")), ZONES)
    merge_plants(lake, plants(TUESDAY, one("NE=1")), ZONES)
    merge_plants(lake, plants(WEDNESDAY, one("NE=1"), one("NE=2")), ZONES)
    assert lake.read("plants")["last_seen_at"].to_list() == [WEDNESDAY] * 2
    assert lake.read("plant_versions").height == 2


def test_an_empty_listing_changes_nothing(lake):
    merge_plants(lake, plants(MONDAY, one()), ZONES)
    merge_plants(lake, plants(TUESDAY), ZONES)
    assert lake.read("plants")["last_seen_at"].to_list() == [MONDAY]


def test_devices_keep_negative_and_large_ids_and_follow_a_move_to_another_plant(lake):
    ids = [-214543629611879, 1000000035841116]
    merge_devices(lake, devices(MONDAY, *({"device_id": each} for each in ids)))
    merge_devices(lake, devices(TUESDAY, {"device_id": ids[0], "plant_code": "NE=9"}, {"device_id": ids[1]}))
    assert lake.read("devices").select("device_id", "plant_code").rows() == [(ids[1], "NE=1"), (ids[0], "NE=9")]
    versions = lake.read("device_versions", ["device_id", "plant_code", "valid_to"])
    assert sorted(versions.rows(), key=str) == sorted(
        [(ids[0], "NE=1", TUESDAY), (ids[0], "NE=9", None), (ids[1], "NE=1", None)], key=str
    )


def test_a_death_between_versions_and_inventory_is_mended_by_the_next_listing(lake, monkeypatch):
    merge_plants(lake, plants(MONDAY, one()), ZONES)
    real = Lake.update

    def dies(self, table, change):
        if table is PLANTS:
            raise RuntimeError("killed")
        return real(self, table, change)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "update", dies)
        with pytest.raises(RuntimeError):
            merge_plants(lake, plants(TUESDAY, one(plant_name="Barn")), ZONES)
    merge_plants(lake, plants(WEDNESDAY, one(plant_name="Barn")), ZONES)
    assert lake.read("plants")["plant_name"].to_list() == ["Barn"]
    assert lake.read("plant_versions", ["plant_name", "valid_from", "valid_to"]).rows() == [
        ("Roof", MONDAY, TUESDAY),
        ("Barn", TUESDAY, None),
    ]


def test_the_pure_merges_give_exactly_their_tables():
    listing = plants(MONDAY, one())
    for table, merge in ((PLANTS, merged_inventory), (PLANT_VERSIONS, merged_versions)):
        schema = polars_schema(table)
        merged = merge(table, pl.DataFrame(schema=schema), listing)
        assert dict(merged.schema) == schema
        assert merged.columns == list(schema)
        assert_frame_equal(merge(table, merged, listing), merged)
