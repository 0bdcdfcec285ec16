"""Tells whether a plant or device of a listing is one that is known already, maybe under another id. Pure.

Plant and device ids differ between accounts and change over time (reference 8.8, 8.9); serial numbers don't. A code
that this account, or another account of the same host, has shown before is that plant. Else a plant is known by the
serial numbers of its devices: at least one in common with a known plant, and at least half of those of the one that
has fewer, and more than with any other plant. What speaks against it: the account lists that known plant under
another code in this very listing (an inverter that was moved makes no plant of two).

A plant that was closed when it was first listed is filed without devices. If its devices turn out to be another plant's
before anything was read of it, and both are described alike, it is that plant.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, TypeVar

import polars as pl

LEAST_SHARE: Final = 0.5
"""Of the serial numbers of the plant that has fewer, so many must be in common: an inverter may have been moved."""

_DESCRIPTION: Final = ["plant_name", "latitude", "longitude", "capacity"]

NO_SERIALS: Final = frozenset({"", "null", "none", "n/a", "na", "-", "0", "unknown"})
"""Texts that servers put where they know no serial number."""

Id = TypeVar("Id", str, int)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before a listing: raw.plants, raw.devices, ops.account_plants and ops.account_devices."""

    plants: pl.DataFrame
    devices: pl.DataFrame
    account_plants: pl.DataFrame
    account_devices: pl.DataFrame


@dataclass
class Recognised:
    """The listing's ids (code or number) to those under which rows are filed; what isn't among them is left out."""

    plants: dict[str, str] = field(default_factory=dict)
    devices: dict[int, int] = field(default_factory=dict)
    returned: dict[str, str] = field(default_factory=dict)
    """Plants that were recognised by serial numbers just now: code in the listing -> code of their rows."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Plant codes of the listing that can't be filed, with the reason."""


def meaningful(serial: str | None) -> str | None:
    """A serial number that identifies something, else None."""
    text = (serial or "").strip()
    return None if text.lower() in NO_SERIALS or not text.strip("0") else text


def twins(devices: pl.DataFrame) -> list[tuple[str, str, int]]:
    """Pairs of plants that seem to be one, and how many serial numbers both bear (columns plant_code, device_sn)."""
    bearers: dict[str, set[str]] = defaultdict(set)
    for plant, sent in devices.select("plant_code", "device_sn").iter_rows():
        serial = meaningful(sent)
        if serial is not None:
            bearers[serial].add(plant)
    own = Counter(plant for plants in bearers.values() for plant in plants)
    common = Counter(pair for plants in bearers.values() for pair in combinations(sorted(plants), 2))
    return [(*pair, n) for pair, n in sorted(common.items()) if n >= LEAST_SHARE * min(own[each] for each in pair)]


def alike(plants: pl.DataFrame, without: Collection[str]) -> list[tuple[str, str]]:
    """Plants `without` devices, each with the one other plant that is described alike (columns of raw.plants).

    That is a hint for people: two plants may stand side by side and be described alike.
    """
    described = plants.drop_nulls(_DESCRIPTION).group_by(_DESCRIPTION).agg(pl.col("plant_code").sort())
    pairs = [codes for codes in described["plant_code"].to_list() if len(codes) == 2]
    return sorted(
        (one, other) for pair in pairs for one, other in (pair, pair[::-1]) if one in without and other not in without
    )


def recognise(
    account: str,
    server: str,
    plants: pl.DataFrame,
    devices: pl.DataFrame,
    known: Known,
    *,
    answered: Collection[str],
    bare: Collection[str] = (),
) -> Recognised:
    """Find what is known of one account's listing of plants and devices (frames of PLANT_LISTING, DEVICE_LISTING).

    `answered`: the plants whose devices were listed; of the others no serial numbers are known. `bare`: filed plants
    without a device, of which nothing was ever read.
    """
    found = Recognised()
    _recognise_plants(account, server, plants, devices, known, found, answered, bare)
    _recognise_devices(account, server, devices, known, found)
    return found


def _recognise_plants(
    account: str,
    server: str,
    plants: pl.DataFrame,
    devices: pl.DataFrame,
    known: Known,
    found: Recognised,
    answered: Collection[str],
    bare: Collection[str],
) -> None:
    mine, hosts, elsewhere = _aliases(known.account_plants, account, server, "account_plant_code", "plant_code")
    filed = set(known.plants["plant_code"])
    of_listing = _serials_of(devices)
    of_known = _serials_of(known.devices)
    new: list[str] = []
    filed_bare: dict[str, str] = {}
    for code in plants["plant_code"].unique(maintain_order=True).to_list():
        # A row without any sighting is of a home that is older than the sightings: then it was this account's.
        canonical = mine.get(code) or hosts.get(code) or (code if code in filed and code not in elsewhere else None)
        if canonical is None:
            new.append(code)
        elif canonical in bare and of_listing.get(code):
            # Its devices show for the first time.
            filed_bare[code] = canonical
            new.append(code)
        elif canonical in found.plants.values():
            found.left_out[code] = f"it is listed under another code too ({_code_of(canonical, found)})"
        else:
            found.plants[code] = canonical
    taken = set(found.plants.values())
    descriptions, known_descriptions = _descriptions(plants), _descriptions(known.plants)
    for code in new:
        canonical = _by_serials(of_listing.get(code, frozenset()), of_known, taken)
        if code in filed_bare and (
            canonical is None or not descriptions[code][0] or descriptions[code] != known_descriptions.get(canonical)
        ):
            # A device that moved makes no plant of two that are filed.
            found.plants[code] = filed_bare[code]
        elif canonical is not None:
            found.plants[code] = found.returned[code] = canonical
        elif code in filed or code in taken:
            found.left_out[code] = (
                "another plant's rows are filed under the same code, which came from another server or was in use "
                "before. Load this account into a PVMS_HOME of its own"
            )
        elif code not in answered and of_known.keys() - taken:
            found.left_out[code] = (
                "its devices could not be listed, so that it can't be told from plants that are known; the next "
                "listing tries again"
            )
        else:
            found.plants[code] = code
        if code in found.plants:
            taken.add(found.plants[code])


def _descriptions(plants: pl.DataFrame) -> dict[str, tuple[Any, ...]]:
    """Name, place and capacity by plant."""
    return {row[0]: row[1:] for row in plants.select("plant_code", *_DESCRIPTION).iter_rows()}


def _recognise_devices(account: str, server: str, devices: pl.DataFrame, known: Known, found: Recognised) -> None:
    mine, hosts, elsewhere = _aliases(known.account_devices, account, server, "account_device_id", "device_id")
    rows = {row["device_id"]: row for row in known.devices.iter_rows(named=True)}
    new: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in devices.filter(pl.col("plant_code").is_in(list(found.plants))).iter_rows(named=True):
        device = row["device_id"]
        canonical = mine.get(device) or hosts.get(device)
        if canonical is None and device in rows and device not in elsewhere:
            canonical = device
        if canonical is not None and canonical not in found.devices.values():
            found.devices[device] = canonical
        else:
            new[found.plants[row["plant_code"]]].append(row)
    taken = set(found.devices.values())
    for plant, candidates in new.items():
        free = [row for row in rows.values() if row["plant_code"] == plant and row["device_id"] not in taken]
        matches = _matched(candidates, free)
        for row in candidates:
            canonical = matches.get(row["device_id"])
            if canonical is None and row["device_id"] not in rows and row["device_id"] not in taken:
                canonical = row["device_id"]
            if canonical is None:
                # A device of another host that bears a number which is in use here.
                found.left_out.setdefault(row["plant_code"], "a device of it bears an id that another plant's has")
                continue
            found.devices[row["device_id"]] = canonical
            taken.add(canonical)


def _matched(listed: Collection[Mapping[str, Any]], free: Collection[Mapping[str, Any]]) -> dict[int, int]:
    """Listed id -> known id within one plant: by serial number, else by type and name where a serial is lacking."""
    matches: dict[int, int] = {}
    by_serial = _unique((meaningful(row["device_sn"]), row["device_id"]) for row in free)
    for row in listed:
        serial = meaningful(row["device_sn"])
        if serial is not None and serial in by_serial:
            matches[row["device_id"]] = by_serial[serial]
    left = [row for row in free if row["device_id"] not in matches.values()]
    open_rows = [row for row in listed if row["device_id"] not in matches]
    by_name = _unique((_name_of(row), row["device_id"]) for row in left)
    listed_by_name = _unique((_name_of(row), row["device_id"]) for row in open_rows)
    serials = {row["device_id"]: meaningful(row["device_sn"]) for row in left}
    for row in open_rows:
        known = by_name.get(_name_of(row))
        if known is None or listed_by_name.get(_name_of(row)) != row["device_id"]:
            continue
        # Two serial numbers that differ are two devices, whatever they are called.
        if serials[known] is None or meaningful(row["device_sn"]) is None:
            matches[row["device_id"]] = known
    return matches


def _by_serials(serials: frozenset[str], of_known: Mapping[str, frozenset[str]], taken: Collection[str]) -> str | None:
    shares = Counter({plant: len(serials & other) for plant, other in of_known.items() if plant not in taken})
    best = [(plant, count) for plant, count in shares.most_common(2) if count]
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return None
    plant, count = best[0]
    return plant if count >= LEAST_SHARE * min(len(serials), len(of_known[plant])) else None


def _serials_of(devices: pl.DataFrame) -> dict[str, frozenset[str]]:
    """Serial numbers by plant, without those that several plants' devices bear."""
    plants: dict[str, set[str]] = defaultdict(set)
    for plant, sent in devices.select("plant_code", "device_sn").iter_rows():
        serial = meaningful(sent)
        if serial is not None:
            plants[serial].add(plant)
    by_plant: dict[str, set[str]] = defaultdict(set)
    for serial, owners in plants.items():
        if len(owners) == 1:
            by_plant[next(iter(owners))].add(serial)
    return {plant: frozenset(some) for plant, some in by_plant.items()}


def _aliases(
    sightings: pl.DataFrame, account: str, server: str, alias: str, canonical: str
) -> tuple[dict[Any, Any], dict[Any, Any], set[Any]]:
    """What this account's ids mean, what those of its host mean, and ids that only other hosts file by."""
    rows = sightings.sort("last_seen_at").select("account", "server", alias, canonical).rows()
    mine = {there: here for name, _, there, here in rows if name == account}
    hosts = {there: here for _, host, there, here in rows if host == server}
    elsewhere = {here for _, host, _, here in rows if host != server} - {here for _, h, _, here in rows if h == server}
    return mine, hosts, elsewhere


def _unique(pairs: Iterable[tuple[Any, Id]]) -> dict[Any, Id]:
    """Key -> value where the key occurs once and isn't None."""
    values: dict[Any, list[Id]] = defaultdict(list)
    for key, value in pairs:
        if key is not None:
            values[key].append(value)
    return {key: some[0] for key, some in values.items() if len(some) == 1}


def _name_of(row: Mapping[str, Any]) -> tuple[int, str] | None:
    name = (row["device_name"] or "").strip()
    return (row["device_type_id"], name) if name else None


def _code_of(canonical: str, found: Recognised) -> str:
    return next(code for code, known in found.plants.items() if known == canonical)
