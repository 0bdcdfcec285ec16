"""The inventory: which plants and devices the account sees, in which time zone each plant lives."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from pipelines.lake.decode_flat import PLANT_LISTING, decode_devices, decode_plants
from pipelines.lake.inventory import merge_devices, merge_plants
from pipelines.lake.records import Decoded
from pipelines.load.asking import Asker, EndpointRefused, LoadStopped, Rejected, chunks
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.landing import note_side_results
from pipelines.load.refused import probe_refused
from pipelines.load.request import Listener, LoadReport, Waiting
from pipelines.load.services import Services
from pipelines.northbound.errors import IncompleteList, NorthboundError, QuotaExhausted
from pipelines.northbound.requests import devices_body
from pipelines.owner_files import read_plants_file
from pipelines.planning.zones import ZoneUnknown, resolve_zone
from schemas.endpoints import ENDPOINTS

PLANTS_PER_CALL: Final = ENDPOINTS["getDevList"].max_plants or 100

INVENTORY_MAX_AGE: Final = timedelta(days=1)
"""Static data change only when plants change (reference 2.3); a day old is fresh enough not to spend calls on."""


def ensure_inventory(services: Services, asker: Asker, report: LoadReport, listener: Listener, force: bool) -> Fleet:
    """The fleet, listed anew if the last listing is over a day old or `force` says so.

    An earlier listing is gone on with when a new one can't be had now; the report says so.

    Raises:
        QuotaExhausted, LoadStopped: there is no earlier listing, or nothing else could be asked for either.
    """
    fleet = current_fleet(services)
    services.client.counts = fleet.counts
    # First, so that the listing holds the devices of a plant that is open again.
    probe_refused(asker, services.refused_file, fleet.zones, services.clock.now())
    fresh = fleet.listed_at is not None and services.clock.now() - fleet.listed_at < INVENTORY_MAX_AGE
    if not fresh or force:
        _try_to_list(services, asker, report, listener, have_one=fleet.listed_at is not None)
        services.lake.fold()
        fleet = current_fleet(services)
    unknown = _without_zone(services)
    if _name_zones(services, unknown):
        fleet, unknown = current_fleet(services), _without_zone(services)
    services.client.counts = fleet.counts
    _report_gaps(report, fleet, unknown["plant_code"].to_list())
    _tell_unfollowed_zones(services, fleet, listener)
    return fleet


def _try_to_list(services: Services, asker: Asker, report: LoadReport, listener: Listener, *, have_one: bool) -> None:
    try:
        _list_anew(services, asker, report, listener)
    except QuotaExhausted as exhausted:
        if not have_one:
            raise
        report.wait_for(Waiting("inventory", 1, 0, exhausted.next_at))
    except EndpointRefused as refused:
        if not have_one:
            raise LoadStopped(refused.error) from refused
        report.refuse("inventory", refused.error.describe())
    except NorthboundError as error:
        if not have_one:
            raise LoadStopped(error) from error
        report.failures.append(f"The inventory could not be listed anew. {error.describe()}")


def _list_anew(services: Services, asker: Asker, report: LoadReport, listener: Listener) -> None:
    listener.progress("inventory", 0, 2)
    pages = asker.list_plants(why="inventory")
    listings = [
        decode_plants(page.data, extracted_at=pages[0].server_time, account=services.client.account) for page in pages
    ]
    plants = _collect(services, report, listings)
    listener.progress("inventory", 1, 2)
    codes = plants["plant_code"].to_list()
    services.client.counts = Fleet(plants, services.lake.read("devices"), None).counts
    devices, listed = _list_devices(services, asker, report, codes, plants["extracted_at"][0] if codes else None)
    zones = _keep_known_zones(services, resolve_zones(services, plants), listener)
    if listed:
        merge_devices(services.lake, devices)
    # Last: the time of the plants marks the listing as complete.
    merge_plants(services.lake, plants, zones)
    listener.progress("inventory", 2, 2)


def _list_devices(
    services: Services, asker: Asker, report: LoadReport, codes: Sequence[str], extracted_at: datetime | None
) -> tuple[pl.DataFrame, bool]:
    itself = {code: code for code in codes}
    listings: list[Decoded] = []
    failures_before = len(report.failures)
    try:
        for batch in chunks(codes, PLANTS_PER_CALL):
            for reply in asker.ask("getDevList", batch, devices_body, itself, why="inventory"):
                if isinstance(reply, Rejected):
                    raise reply.error
                assert extracted_at is not None
                listings.append(
                    decode_devices(reply.answer.data, extracted_at=extracted_at, account=services.client.account)
                )
    except EndpointRefused as refused:
        # Plants can be loaded all the same; devices that were known before stay known.
        report.refuse("devices", refused.error.describe())
        return pl.DataFrame(), False
    if len(report.failures) > failures_before:
        # A listing with a hole in it would make living devices look as if they had gone.
        raise IncompleteList("some plants' devices could not be listed", endpoint="getDevList")
    if not listings:
        return pl.DataFrame(), False
    return _collect(services, report, listings), True


def _collect(services: Services, report: LoadReport, listings: Sequence[Decoded]) -> pl.DataFrame:
    for listing in listings:
        note_side_results(services, report, listing)
    return pl.concat([listing.rows for listing in listings])


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


def _keep_known_zones(
    services: Services, zones: Mapping[str, tuple[str, str]], listener: Listener
) -> Mapping[str, tuple[str, str]]:
    """The zones, but for plants that have one already: their rows are filed by it, and half of them would move."""
    known = services.lake.read("plants").drop_nulls("time_zone")
    kept = {row["plant_code"]: (row["time_zone"], row["time_zone_source"]) for row in known.iter_rows(named=True)}
    for code in sorted(kept.keys() & zones.keys()):
        if kept[code][0] != zones[code][0]:
            listener.message(
                f"Plant {code} stays in {kept[code][0]}, by which its rows are filed; {zones[code][1]} now says "
                f"{zones[code][0]}. If that is right, load it into a fresh PVMS_HOME."
            )
    return {**zones, **kept}


def _tell_unfollowed_zones(services: Services, fleet: Fleet, listener: Listener) -> None:
    """Say at every load where the owner's file names another zone than the one by which rows are filed."""
    owner = read_plants_file(services.settings.plants_file).drop_nulls("time_zone")
    for code, zone in zip(owner["plant_code"], owner["time_zone"], strict=True):
        filed = fleet.zones.get(code, zone)
        if filed != zone:
            listener.message(
                f"Plant {code} stays in {filed}, by which its rows are filed, though PVMS_PLANTS_FILE says {zone}. "
                "To file it anew, load it into a fresh PVMS_HOME."
            )


def _without_zone(services: Services) -> pl.DataFrame:
    """Plants of the latest listing whose time zone nothing has told."""
    plants = services.lake.read("plants")
    return plants.filter((pl.col("last_seen_at") == pl.col("last_seen_at").max()) & pl.col("time_zone").is_null())


def _name_zones(services: Services, plants: pl.DataFrame) -> bool:
    """Take over what the owner has told of their zones since the listing; whether anything was."""
    zones = resolve_zones(services, plants)
    if zones:
        told = plants.filter(pl.col("plant_code").is_in(list(zones)))
        merge_plants(services.lake, told.select(list(PLANT_LISTING)), zones)
    return bool(zones)


def _report_gaps(report: LoadReport, fleet: Fleet, unknown: Sequence[str]) -> None:
    """Say what of the account can't be loaded at all, so that no load of nothing looks complete."""
    for code in unknown:
        report.refuse(
            f"plant {code}",
            "its time zone is unknown (no coordinates, no offset in its grid connection date). Give it a row in "
            "PVMS_PLANTS_FILE (plant_code,time_zone) or set PVMS_DEFAULT_TIME_ZONE; nothing of it was loaded.",
        )
    if fleet.plants.is_empty() and not unknown:
        report.refuse(
            "inventory",
            "this account sees no plant. The owners allow it in the FusionSolar app (Set Permissions > API Access), "
            "or the company's administrator binds plants to the API account.",
        )
    elif fleet.devices.is_empty() and fleet.plants.height and all(one.what != "devices" for one in report.refusals):
        report.refuse("devices", "none is listed for this account's plants, so nothing was asked about devices.")
