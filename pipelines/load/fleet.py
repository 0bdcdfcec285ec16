"""The fleet as last listed: plants and devices as subjects of planning, decoding and quotas."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import polars as pl

from pipelines.load.services import Services
from pipelines.northbound.ledger import FleetCounts
from pipelines.planning.cells import Subject
from schemas.datasets import DATASETS

SUBJECT_FRAME = {
    "id": pl.String(),
    "plant_code": pl.String(),
    "time_zone": pl.String(),
    "device_sn": pl.String(),
    "device_type_id": pl.Int64(),
}
"""Columns of the frame that decoding joins answers with."""


@dataclass(frozen=True)
class Fleet:
    """Plants and devices that the latest complete listing names and whose time zone is known.

    `plants` and `devices` have the columns of raw.plants and raw.devices.
    """

    plants: pl.DataFrame
    devices: pl.DataFrame
    listed_at: datetime | None

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

    def subject_frame(self, subjects: Collection[Subject]) -> pl.DataFrame:
        """The subjects as the frame that decoding joins answers with."""
        serials = dict(zip(self.devices["device_id"].cast(pl.String), self.devices["device_sn"], strict=True))
        return pl.DataFrame(
            [(s.id, s.plant_code, s.zone, serials.get(s.id), s.device_type_id) for s in subjects],
            schema=SUBJECT_FRAME,
            orient="row",
        )


def current_fleet(services: Services) -> Fleet:
    """The fleet of the latest complete listing in the lake; empty before the first one. Asks nothing."""
    plants = services.lake.read("plants")
    devices = services.lake.read("devices")
    if plants.is_empty():
        return Fleet(plants, devices.clear(), None)
    # Plants are merged after their devices, so their time marks the listing as complete.
    listed_at: datetime = plants["last_seen_at"].max()  # type: ignore[assignment]
    seen = plants.filter((pl.col("last_seen_at") == listed_at) & pl.col("time_zone").is_not_null())
    owned = devices.filter(
        (pl.col("last_seen_at") == pl.col("last_seen_at").max())
        & pl.col("plant_code").is_in(seen["plant_code"].implode())
    )
    return Fleet(seen.sort("plant_code"), owned.sort("plant_code", "device_id"), listed_at)


def connected_on(grid_connection_date: str | None) -> date | None:
    """The local date of a plant's grid connection: the date part, since the text carries its own offset (5.1.1.1)."""
    if not grid_connection_date:
        return None
    try:
        return datetime.fromisoformat(grid_connection_date).date()
    except ValueError:
        return None
