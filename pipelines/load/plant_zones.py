"""In which time zone each plant lives: who tells, and what stays once rows are filed by it."""

from collections.abc import Mapping

import polars as pl

from pipelines.lake.decode_flat import PLANT_LISTING
from pipelines.lake.inventory import merge_plants
from pipelines.load.fleet import Fleet
from pipelines.load.request import Listener
from pipelines.load.services import Services
from pipelines.owner_files import read_plants_file
from pipelines.planning.zones import ZoneUnknown, resolve_zone


def resolve_zones(services: Services, plants: pl.DataFrame) -> Mapping[str, tuple[str, str]]:
    """IANA zone and its source by plant code, for the plants whose zone is known.

    `plants` has the columns of a plant listing. The order of the sources: owner's file,
    coordinates, offset of the grid connection date, `PVMS_DEFAULT_TIME_ZONE`.
    """
    owner = read_plants_file(services.settings.plants_file)
    overrides = dict(zip(owner["plant_code"], owner["time_zone"], strict=True))
    zones: dict[str, tuple[str, str]] = {}
    for row in plants.iter_rows(named=True):
        try:
            zone = resolve_zone(
                row["plant_code"],
                row["latitude"],
                row["longitude"],
                row["grid_connection_date"],
                overrides.get(row["plant_code"]),
                services.settings.default_time_zone,
            )
        except ZoneUnknown:
            continue
        zones[row["plant_code"]] = (zone.name, zone.source)
    return zones


def keep_known_zones(
    services: Services, zones: Mapping[str, tuple[str, str]], listener: Listener
) -> Mapping[str, tuple[str, str]]:
    """The zones, but for plants that have one already: their rows are filed by it, and half of them would move."""
    known = services.lake.read("plants").drop_nulls("time_zone")
    kept = {row["plant_code"]: (row["time_zone"], row["time_zone_source"]) for row in known.iter_rows(named=True)}
    for code in sorted(kept.keys() & zones.keys()):
        if kept[code][0] != zones[code][0]:
            listener.message(
                f"Plant {code} stays in {kept[code][0]}, by which its rows are filed; {zones[code][1]} now says "
                f"{zones[code][0]}. If that is right, `pvms refile` moves them."
            )
    return {**zones, **kept}


def tell_unfollowed_zones(services: Services, fleet: Fleet, listener: Listener) -> None:
    """Say at every load where the owner's file names another zone than the one by which rows are filed."""
    owner = read_plants_file(services.settings.plants_file).drop_nulls("time_zone")
    for code, zone in zip(owner["plant_code"], owner["time_zone"], strict=True):
        filed = fleet.zones.get(code, zone)
        if filed != zone:
            listener.message(
                f"Plant {code} stays in {filed}, by which its rows are filed, though PVMS_PLANTS_FILE says {zone}. "
                "`pvms refile` moves them."
            )


def name_zones(services: Services, fleet: Fleet) -> bool:
    """Take over what the owner has told of unknown zones since the listing; whether anything was."""
    if not fleet.without_zone:
        return False
    plants = services.lake.read("plants").filter(pl.col("plant_code").is_in(list(fleet.without_zone)))
    zones = resolve_zones(services, plants)
    if zones:
        told = plants.filter(pl.col("plant_code").is_in(list(zones)))
        merge_plants(services.lake, told.select(list(PLANT_LISTING)), zones)
    return bool(zones)
