"""Lists one account's plants and devices, recognises what is known already, and files both."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import polars as pl

from pipelines.lake.decode_flat import DEVICE_LISTING, decode_devices, decode_plants
from pipelines.lake.inventory import merge_devices, merge_plants, note_seen
from pipelines.lake.recognition import Known, Recognised, recognise
from pipelines.lake.records import Decoded
from pipelines.lake.sightings import CANONICAL, merge_sightings
from pipelines.load.asking import Asker, EndpointRefused, Rejected, chunks
from pipelines.load.landing import note_side_results
from pipelines.load.plant_zones import keep_known_zones, resolve_zones
from pipelines.load.request import PERIODIC_DATASETS, Listener, LoadReport
from pipelines.load.services import Services
from pipelines.load.taken_back import bare_plants, take_back
from pipelines.load.unfinished import KeptDevices, Unfinished
from pipelines.northbound.errors import IncompleteList, PlantNotAuthorized
from pipelines.northbound.ledger import FleetCounts
from pipelines.northbound.requests import devices_body, is_plant_code
from schemas.endpoints import ENDPOINTS

PLANTS_PER_CALL: Final = ENDPOINTS["getDevList"].max_plants or 100


@dataclass(frozen=True)
class _Devices:
    """The devices of a listing under the account's own ids; `plants` are the own codes of those that were answered."""

    rows: pl.DataFrame
    plants: frozenset[str]


def list_account(services: Services, asker: Asker, report: LoadReport, listener: Listener, account: str) -> None:
    """List what an account sees and merge it into the lake; nothing is merged unless the listing is complete.

    What an earlier try has brought of it isn't asked again. Emptiness where something was listed before is doubted
    once.

    Raises:
        QuotaExhausted, EndpointRefused, LoadStopped, NorthboundError: it can't be had now.
    """
    client = services.clients[account]
    unfinished = Unfinished(services.unfinished_file, account)
    before = _Before.of(services, account)
    listener.progress("inventory", 0, 2)
    pages = asker.list_plants(account, unfinished, why="inventory")
    # A server whose clock is ahead must not make this listing look newer than those to come.
    at = min(pages[0].server_time, pages[0].received_at)
    if before.plants and not pages[0].page.total and unfinished.is_doubtful("plants", services.clock.now()):
        unfinished.drop_answers()
        raise IncompleteList(f"no plant is listed, and {len(before.plants)} were", endpoint="stations")
    plants = _collect(
        services, report, [decode_plants(page.data.encode(), extracted_at=at, account=account) for page in pages]
    )
    listener.progress("inventory", 1, 2)
    codes = plants["plant_code"].unique(maintain_order=True).to_list()
    client.counts = FleetCounts(len(codes), client.counts.devices_by_type)
    devices = _list_devices(services, asker, report, account, codes, at, unfinished, before)
    _file(services, report, listener, account, plants, devices, at)
    unfinished.finish()
    listener.progress("inventory", 2, 2)


@dataclass(frozen=True)
class _Before:
    """What the account's last listing held, under its own codes: plants, and those of them that had devices."""

    plants: frozenset[str]
    with_devices: frozenset[str]

    @classmethod
    def of(cls, services: Services, account: str) -> "_Before":
        mine = (pl.col("account") == account) & pl.col("absent_since").is_null()
        plants = services.lake.read("account_plants").filter(mine)
        living = services.lake.read("account_devices").filter(mine)["device_id"]
        owners = services.lake.read("devices").filter(pl.col("device_id").is_in(living.to_list()))["plant_code"]
        owning = plants.filter(pl.col("plant_code").is_in(owners.unique().to_list()))
        return cls(frozenset(plants["account_plant_code"]), frozenset(owning["account_plant_code"]))


def _list_devices(
    services: Services,
    asker: Asker,
    report: LoadReport,
    account: str,
    codes: Sequence[str],
    at: datetime,
    unfinished: Unfinished,
    before: _Before,
) -> _Devices:
    kept = [one for one in unfinished.devices if set(one.plants) <= set(codes)]
    listings = [decode_devices(one.data.encode(), extracted_at=at, account=account) for one in kept]
    answered = {code for one in kept for code in one.plants}
    refused = {code for code in codes if not is_plant_code(code)}
    try:
        for batch in chunks([code for code in codes if code not in answered], PLANTS_PER_CALL):
            for reply in asker.ask_as(account, "getDevList", batch, devices_body, why="inventory"):
                if not isinstance(reply, Rejected):
                    data = reply.answer.data
                    had = before.with_devices.intersection(reply.subjects)
                    if had and not reply.answer.rows and unfinished.is_doubtful(min(had), services.clock.now()):
                        raise IncompleteList(
                            f"no device of {len(reply.subjects)} plants is listed, and {len(had)} had some",
                            endpoint="getDevList",
                        )
                    unfinished.note_devices(KeptDevices(tuple(reply.subjects), data.decode()))
                    listings.append(decode_devices(data, extracted_at=at, account=account))
                    answered.update(reply.subjects)
                elif isinstance(reply.error, PlantNotAuthorized):
                    refused.update(reply.subjects)
                else:
                    raise reply.error
    except EndpointRefused as endpoint_refused:
        # Plants can be loaded all the same; devices that were known before stay known.
        report.refuse("devices", endpoint_refused.error.describe())
        return _Devices(pl.DataFrame(schema=DEVICE_LISTING), frozenset())
    if len(answered) + len(refused) < len(codes):
        # A listing with a hole in it would make living devices look as if they had gone.
        raise IncompleteList("some plants' devices could not be listed", endpoint="getDevList")
    rows = _collect(services, report, listings) if listings else pl.DataFrame(schema=DEVICE_LISTING)
    return _Devices(rows, frozenset(answered))


def _collect(services: Services, report: LoadReport, listings: Sequence[Decoded]) -> pl.DataFrame:
    for listing in listings:
        note_side_results(services, report, listing)
    return pl.concat([listing.rows for listing in listings])


def _file(
    services: Services,
    report: LoadReport,
    listener: Listener,
    account: str,
    plants: pl.DataFrame,
    devices: _Devices,
    at: datetime,
) -> None:
    lake = services.lake
    names = ("plants", "devices", "account_plants", "account_devices")
    known = Known(*(lake.read(name) for name in names))
    host = _host_of(services, account)
    bare = bare_plants(services, known.plants, known.devices)
    found = recognise(account, host, plants, devices.rows, known, answered=devices.plants, bare=bare)
    _tell(report, listener, account, found, known)
    filed_plants = _under_filed_ids(plants, "plant_code", found.plants)
    filed_devices = _under_filed_ids(
        _under_filed_ids(devices.rows, "plant_code", found.plants), "device_id", found.devices
    )
    told = _told_by(services, account, "devices", known.devices, known.account_devices, filed_devices)
    merge_devices(lake, filed_devices.filter(pl.col("device_id").is_in(told)))
    note_seen(lake, "devices", set(filed_devices["device_id"]) - set(told), at)
    told = _told_by(services, account, "plants", known.plants, known.account_plants, filed_plants)
    rows = filed_plants.filter(pl.col("plant_code").is_in(told))
    merge_plants(lake, rows, keep_known_zones(services, resolve_zones(services, rows), listener))
    note_seen(lake, "plants", set(filed_plants["plant_code"]) - set(told), at)
    merge_sightings(
        lake, "account_devices", account, host, {**_unanswered(account, known, found, devices), **found.devices}, at
    )
    disbelieve_while_absent(services, known.account_plants, account, set(found.plants.values()))
    # Last: it marks the listing as complete.
    merge_sightings(lake, "account_plants", account, host, found.plants, at)
    take_back(services, services.clock.now())


def disbelieve_while_absent(services: Services, before: pl.DataFrame, account: str, listed: Collection[str]) -> None:
    """Of plants that this account lists no more, or again (`before`: account_plants), what answers said meanwhile.

    An answer about several plants leaves out one that the account doesn't see, as if it had no data. Again: a load that
    went on beside the listing may have asked by an earlier one.
    """
    mine = before.filter(pl.col("account") == account)
    turned = mine.filter(pl.col("absent_since").is_null() != pl.col("plant_code").is_in(list(listed)))
    for code, seen_at in turned.select("plant_code", "last_seen_at").iter_rows():
        services.coverage.disbelieve(code, seen_at, PERIODIC_DATASETS)


def _under_filed_ids(rows: pl.DataFrame, column: str, filed: dict[str, str] | dict[int, int]) -> pl.DataFrame:
    """The rows of what is filed, under the ids by which it is."""
    return rows.filter(pl.col(column).is_in(list(filed))).with_columns(pl.col(column).replace(filed))


def _told_by(
    services: Services, account: str, name: str, rows: pl.DataFrame, sightings: pl.DataFrame, listed: pl.DataFrame
) -> list[str] | list[int]:
    """Ids whose description is taken from this account: where several see a thing, the first that did describes it.

    Else small differences between accounts would look like changes of the thing at every listing.
    """
    key = CANONICAL[f"account_{name}"]
    present = set(sightings.filter(pl.col("absent_since").is_null()).select("account", key).iter_rows())
    others = {
        one
        for one, by in rows.select(key, "account").iter_rows()
        if by != account and by in services.clients and (by, one) in present
    }
    return [one for one in listed[key].to_list() if one not in others]


def _unanswered(account: str, known: Known, found: Recognised, devices: _Devices) -> dict[int, int]:
    """The account's devices whose plants are listed but whose own listing was refused: they count as seen."""
    silent = {filed for code, filed in found.plants.items() if code not in devices.plants}
    theirs = known.devices.filter(pl.col("plant_code").is_in(list(silent)))["device_id"]
    mine = known.account_devices.filter(
        (pl.col("account") == account) & pl.col("device_id").is_in(theirs.to_list()) & pl.col("absent_since").is_null()
    )
    return dict(mine.select("account_device_id", "device_id").iter_rows())


def _tell(report: LoadReport, listener: Listener, account: str, found: Recognised, known: Known) -> None:
    for code, filed in found.returned.items():
        listener.message(
            f"Plant {code} of account {account} is {filed}: its devices bear the same serial numbers. Its rows go on "
            f"under {filed}."
        )
    for code, reason in found.left_out.items():
        report.refuse(f"plant {code} of account {account}", f"{reason}.")
    before = known.account_plants.filter((pl.col("account") == account) & pl.col("absent_since").is_null())
    for code in sorted(set(before["plant_code"]) - set(found.plants.values())):
        listener.message(
            f"Plant {code} is missing from the list of account {account}: nothing is asked about it until it is back; "
            "a listing without it a day from now retires it."
        )


def _host_of(services: Services, account: str) -> str:
    """Within one host, ids mean the same for all accounts that bear them."""
    url = next(each.base_url for each in services.settings.accounts if each.name == account)
    return urlsplit(url).hostname or url
