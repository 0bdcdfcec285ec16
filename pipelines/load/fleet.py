"""The fleet as last listed: plants and devices as subjects of planning, decoding and quotas."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Final

import polars as pl

from pipelines.load.services import Services
from pipelines.northbound.ledger import FleetCounts
from pipelines.planning.cells import Subject
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

FIRST_CONNECTION: Final = date(1980, 1, 1)
"""An earlier date of a grid connection, such as 0001-01-01 or 1970-01-01, stands for one that nobody set."""

SUBJECT_FRAME = {
    "id": pl.String(),
    "plant_code": pl.String(),
    "time_zone": pl.String(),
    "device_sn": pl.String(),
    "device_type_id": pl.Int64(),
    "asked_as": pl.String(),
}
"""Columns of the frame that decoding joins answers with."""


@dataclass(frozen=True)
class View:
    """What one account sees, by its latest complete listing: the id under which rows are filed -> the account's own."""

    plants: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    counts: FleetCounts = field(default_factory=FleetCounts)
    listed_at: datetime | None = None

    def names(self, endpoint: str) -> Mapping[str, str]:
        """Of what the endpoint is asked about, the account's own ids by the filed ones."""
        return self.devices if ENDPOINTS[endpoint].max_plants is None else self.plants


@dataclass(frozen=True)
class Fleet:
    """Plants and devices that some account's latest complete listing names and whose time zone is known.

    `plants` and `devices` have the columns of raw.plants and raw.devices; `without_zone` are listed plants whose zone
    nothing tells. `listed_at`: the newest listing of any account.
    """

    plants: pl.DataFrame
    devices: pl.DataFrame
    listed_at: datetime | None
    views: Mapping[str, View] = field(default_factory=dict)
    without_zone: tuple[str, ...] = ()

    @cached_property
    def zones(self) -> Mapping[str, str]:
        """IANA zone by plant code."""
        return dict(zip(self.plants["plant_code"], self.plants["time_zone"], strict=True))

    @cached_property
    def counts(self) -> FleetCounts:
        """Live counts, which the quotas of reference 4.2 depend on."""
        by_type = self.devices.group_by("device_type_id").len()
        return FleetCounts(
            plants=self.plants.height,
            devices_by_type=dict(zip(by_type["device_type_id"], by_type["len"], strict=True)),
        )

    @cached_property
    def serial_numbers(self) -> Mapping[str, str | None]:
        """Serial number by device id."""
        return dict(zip(self.devices["device_id"].cast(pl.String), self.devices["device_sn"], strict=True))

    def plant_subjects(self, codes: Collection[str] = ()) -> dict[str, Subject]:
        """Plants by code (empty `codes`: all)."""
        chosen = self.plants.filter(pl.col("plant_code").is_in(list(codes))) if codes else self.plants
        return {
            row["plant_code"]: Subject(
                id=row["plant_code"],
                plant_code=row["plant_code"],
                device_type_id=None,
                zone=row["time_zone"],
                connected=connected_on(row["grid_connection_date"]),
            )
            for row in chosen.iter_rows(named=True)
        }

    def device_subjects(self, types: Collection[int], codes: Collection[str] = ()) -> dict[str, Subject]:
        """Devices of the given types by id, in the given plants (empty `codes`: all)."""
        plants = self.plant_subjects(codes)
        chosen = self.devices.filter(
            pl.col("device_type_id").is_in(list(types)) & pl.col("plant_code").is_in(list(plants))
        )
        return {
            str(row["device_id"]): Subject(
                id=str(row["device_id"]),
                plant_code=row["plant_code"],
                device_type_id=row["device_type_id"],
                zone=plants[row["plant_code"]].zone,
                connected=plants[row["plant_code"]].connected,
            )
            for row in chosen.sort("plant_code", "device_id").iter_rows(named=True)
        }

    def subjects(self, dataset: str, codes: Collection[str] = ()) -> dict[str, Subject]:
        """The subjects that a dataset is about, by id."""
        spec = DATASETS[dataset]
        if spec.subject == "device":
            return self.device_subjects(spec.device_types, codes)
        return self.plant_subjects(codes)

    def subject_frame(self, subjects: Collection[Subject], account: str | None = None) -> pl.DataFrame:
        """The subjects as the frame that decoding joins answers of an account with."""
        view, serials = self.views.get(account or "", View()), self.serial_numbers
        rows = [(s.id, s.plant_code, s.zone, serials.get(s.id), s.device_type_id, _own_id(view, s)) for s in subjects]
        return pl.DataFrame(rows, schema=SUBJECT_FRAME, orient="row")

    def filed(self, rows: pl.DataFrame, account: str) -> pl.DataFrame:
        """Rows of an answer that bear the account's own plant codes, under the codes by which they are filed."""
        view = self.views.get(account, View())
        codes = {own: code for code, own in view.plants.items() if own != code}
        return rows.with_columns(pl.col("plant_code").replace(codes)) if codes else rows

    def seen_with(self, endpoint: str, ids: Iterable[str]) -> frozenset[str] | None:
        """What every account sees that sees all of `ids`; None: everything."""
        if len(self.views) < 2:
            return None
        wanted = set(ids)
        seeing = [names.keys() for v in self.views.values() if (names := v.names(endpoint)).keys() >= wanted]
        return frozenset.intersection(*map(frozenset, seeing)) if seeing else frozenset(wanted)

    def by_accounts(self, endpoint: str, ids: Iterable[str]) -> Sequence[Collection[str]]:
        """The ids in groups that the same accounts see, fewest accounts first: calls are planned for each apart."""
        if len(self.views) < 2:
            return [list(ids)]
        names = {account: view.names(endpoint) for account, view in self.views.items()}
        groups: dict[frozenset[str], list[str]] = {}
        for one in ids:
            groups.setdefault(frozenset(a for a, known in names.items() if one in known), []).append(one)
        return [groups[key] for key in sorted(groups, key=lambda key: (len(key), sorted(key)))]


def _own_id(view: View, subject: Subject) -> str:
    names = view.plants if subject.device_type_id is None else view.devices
    return names.get(subject.id, subject.id)


def current_fleet(services: Services) -> Fleet:
    """The fleet of each account's latest complete listing in the lake; empty before the first one. Asks nothing.

    What an account didn't list the last time isn't asked about with it, but stays in the lake: see
    `pipelines.lake.sightings`.
    """
    # In the reverse of the order in which a listing files them: where another process files one just now, what its
    # plants' sightings say is there has been written before. The other way round, a first listing showed no plant.
    account_plants, account_devices = services.lake.read("account_plants"), services.lake.read("account_devices")
    plants, devices = services.lake.read("plants"), services.lake.read("devices")
    views = {
        account: _view(
            account_plants.filter(pl.col("account") == account),
            account_devices.filter(pl.col("account") == account),
            devices,
        )
        for account in services.clients
    }
    listed_at = max((view.listed_at for view in views.values() if view.listed_at is not None), default=None)
    listed = {code for view in views.values() for code in view.plants}
    seen = plants.filter(pl.col("plant_code").is_in(list(listed)))
    zoned = seen.filter(pl.col("time_zone").is_not_null())
    living = {int(one) for view in views.values() for one in view.devices}
    owned = devices.filter(
        pl.col("device_id").is_in(list(living)) & pl.col("plant_code").is_in(zoned["plant_code"].to_list())
    )
    return Fleet(
        zoned.sort("plant_code"),
        owned.sort("plant_code", "device_id"),
        listed_at,
        views,
        tuple(sorted(set(seen["plant_code"]) - set(zoned["plant_code"]))),
    )


def _view(account_plants: pl.DataFrame, account_devices: pl.DataFrame, devices: pl.DataFrame) -> View:
    """What an account's sightings say: what was absent from its latest listing is not among them."""
    if account_plants.is_empty():
        return View()
    listed = account_plants.filter(pl.col("absent_since").is_null())
    plants = dict(listed.select("plant_code", "account_plant_code").iter_rows())
    seen = (
        account_devices.filter(pl.col("absent_since").is_null())
        .join(devices.select("device_id", "plant_code", "device_type_id"), on="device_id")
        .filter(pl.col("plant_code").is_in(list(plants)))
    )
    by_type = dict(seen.group_by("device_type_id").len().iter_rows())
    own = seen.select(pl.col("device_id").cast(pl.String), pl.col("account_device_id").cast(pl.String))
    listed_at: datetime = account_plants["checked_at"].max()  # type: ignore[assignment]  # max() of any column
    return View(plants, dict(own.iter_rows()), FleetCounts(len(plants), by_type), listed_at)


def connected_on(grid_connection_date: str | None) -> date | None:
    """The local date of a plant's grid connection: the date part, since the text carries its own offset (5.1.1.1)."""
    if not grid_connection_date:
        return None
    try:
        found = datetime.fromisoformat(grid_connection_date).date()
    except ValueError:
        return None
    return found if found >= FIRST_CONNECTION else None
