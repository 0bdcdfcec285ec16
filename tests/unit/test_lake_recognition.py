"""Whether a listed plant or device is one that is known: by its ids, by serial numbers, and by what speaks against."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lake.decode_flat import DEVICE_LISTING, PLANT_LISTING
from pipelines.lake.inventory import conformed
from pipelines.lake.recognition import Known, Recognised, meaningful, recognise, twins
from pipelines.lake.sightings import merged_sightings, retired
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "eu5.example.org"

Devices = dict[int, tuple[str, str | None]]
"""Device id -> plant code and serial number."""


def blank(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=polars_schema(TABLES[name]))


class Home:
    """Accounts list, one after the other; what they list is merged as a load would."""

    def __init__(self) -> None:
        names = ("plants", "devices", "account_plants", "account_devices")
        self.known = Known(*(blank(name) for name in names))

    def list(
        self,
        account: str,
        devices: Devices,
        *,
        host: str = HOST,
        at: datetime = MONDAY,
        answered: bool = True,
        bare: Collection[str] = (),
        name: str | None = None,
    ) -> Recognised:
        plants = sorted({plant for plant, _ in devices.values()})
        rows: list[dict[str, Any]] = [
            {
                "device_id": one,
                "plant_code": plant,
                "device_sn": sn,
                "device_type_id": 1,
                "device_name": f"D{one % 10}",
            }
            for one, (plant, sn) in (devices if answered else {}).items()
        ]
        described = pl.DataFrame(
            {"plant_code": plants, "plant_name": [name] * len(plants)},
            schema={"plant_code": pl.String, "plant_name": pl.String},
        )
        plant_rows = conformed(described, PLANT_LISTING)
        listed = pl.DataFrame(
            rows, schema={name: DEVICE_LISTING[name] for name in (rows[0] if rows else ["device_id"])}
        )
        device_rows = conformed(listed, DEVICE_LISTING)
        found = recognise(
            account, host, plant_rows, device_rows, self.known, answered=plants if answered else (), bare=bare
        )
        filed = device_rows.filter(pl.col("device_id").is_in(list(found.devices))).with_columns(
            pl.col("device_id").replace(found.devices), pl.col("plant_code").replace(found.plants)
        )
        merged = pl.concat([self.known.devices, conformed(filed, polars_schema(TABLES["devices"]))])
        filed_plants = conformed(
            described.filter(pl.col("plant_code").is_in(list(found.plants))).with_columns(
                pl.col("plant_code").replace(found.plants)
            ),
            polars_schema(TABLES["plants"]),
        )
        self.known = Known(
            pl.concat([self.known.plants, filed_plants]).unique("plant_code", keep="last"),
            merged.unique("device_id", keep="last"),
            merged_sightings("account_plants", self.known.account_plants, account, host, found.plants, at),
            merged_sightings("account_devices", self.known.account_devices, account, host, found.devices, at),
        )
        return found


def test_the_same_codes_on_one_host_are_the_same_plants_and_devices() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("P", None)})
    found = home.list("b", {1: ("P", "S1"), 2: ("P", None)})
    assert found == Recognised({"P": "P"}, {1: 1, 2: 2})


def test_other_ids_are_recognised_by_serial_numbers_and_what_has_none_by_type_and_name() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("P", None), 3: ("Q", "S3")})
    found = home.list("b", {11: ("X", "S1"), 12: ("X", None), 13: ("Y", "S3")})
    assert found.plants == {"X": "P", "Y": "Q"} == found.returned
    assert found.devices == {11: 1, 12: 2, 13: 3}
    assert home.list("b", {11: ("X", "S1"), 12: ("X", None)}).returned == {}, "known from then on"


def test_texts_that_stand_for_no_serial_number_make_no_two_plants_one() -> None:
    assert [meaningful(text) for text in ("null", " ", "N/A", "000000", None, " SN1 ")] == [None] * 5 + ["SN1"]
    home = Home()
    home.list("a", {1: ("P", "null"), 2: ("P", "0000")})
    assert home.list("b", {11: ("X", "null"), 12: ("X", "0000")}).plants == {"X": "X"}


def test_an_inverter_that_was_moved_makes_no_plant_of_two() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("P", "S2"), 3: ("P", "S3")})
    here = home.list("a", {1: ("P", "S1"), 2: ("P", "S2"), 9: ("NEW", "S3")})
    assert here.plants["NEW"] == "NEW", "the account lists the old plant beside it"
    home = Home()
    home.list("a", {one: ("P", f"S{one}") for one in range(1, 6)})
    there = home.list("b", {9: ("NEW", "S3"), 11: ("NEW", "T1"), 12: ("NEW", "T2")})
    assert there.plants == {"NEW": "NEW"}, "one of three is less than half"


def test_a_plant_between_two_that_fit_alike_is_taken_for_neither() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("Q", "S2")})
    assert home.list("b", {11: ("X", "S1"), 12: ("X", "S2")}).plants == {"X": "X"}


def test_a_replaced_inverter_of_the_same_name_is_another_device() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("P", "S2")})
    found = home.list("a", {1: ("P", "S1"), 12: ("P", "S9")})
    assert found.devices == {1: 1, 12: 12}


def test_plants_of_another_host_that_bear_a_code_in_use_are_left_out_unless_their_serial_numbers_agree() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1")})
    found = home.list("b", {1: ("P", "T1"), 5: ("R", "T5")}, host="intl.example.org")
    assert found.plants == {"R": "R"} and "PVMS_HOME" in found.left_out["P"]
    home = Home()
    home.list("a", {1: ("P", "S1")})
    assert home.list("b", {7: ("P", "S1")}, host="intl.example.org").plants == {"P": "P"}


def test_a_plant_whose_devices_could_not_be_listed_waits_while_it_may_be_one_that_is_known() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1")})
    found = home.list("b", {11: ("X", "S1")}, answered=False)
    assert found.plants == {} and "could not be listed" in found.left_out["X"]
    assert Home().list("b", {11: ("X", "S1")}, answered=False).plants == {"X": "X"}, "nothing to take it for"


def test_what_returns_goes_on_under_its_first_ids_under_the_same_code_and_under_another() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("Q", "S2")})
    home.list("a", {2: ("Q", "S2")}, at=MONDAY + DAY)
    home.list("a", {2: ("Q", "S2")}, at=MONDAY + 2 * DAY)
    assert retired(home.known.account_plants, "account_plants", ["a"])["plant_code"].to_list() == ["P"]
    found = home.list("a", {11: ("X", "S1"), 2: ("Q", "S2")}, at=MONDAY + 3 * DAY)
    assert (found.plants, found.devices) == ({"X": "P", "Q": "Q"}, {11: 1, 2: 2})
    assert retired(home.known.account_plants, "account_plants", ["a"]).is_empty()
    found = home.list("a", {1: ("P", "S1"), 2: ("Q", "S2")}, at=MONDAY + 4 * DAY)
    assert (found.plants, found.devices) == ({"P": "P", "Q": "Q"}, {1: 1, 2: 2})


def test_two_listings_less_than_a_day_apart_retire_nothing_and_another_account_keeps_what_it_sees() -> None:
    home = Home()
    for account in ("a", "b"):
        home.list(account, {1: ("P", "S1"), 2: ("Q", "S2")})
    for hours in (24, 47):
        home.list("a", {2: ("Q", "S2")}, at=MONDAY + timedelta(hours=hours))
        assert home.known.account_plants["retired_at"].null_count() == 4
    home.list("a", {2: ("Q", "S2")}, at=MONDAY + timedelta(hours=48))
    assert home.known.account_plants["retired_at"].null_count() == 3
    assert retired(home.known.account_plants, "account_plants", ["a", "b"]).is_empty(), "b lists it still"
    assert retired(home.known.account_plants, "account_plants", ["a"])["plant_code"].to_list() == ["P"], "without b"


FLEETS = st.dictionaries(
    st.integers(1, 60), st.tuples(st.sampled_from(["P", "Q", "R", "T"]), st.booleans()), min_size=1, max_size=25
)


@pytest.mark.slow
@given(fleet=FLEETS, data=st.data())
def test_every_listing_files_each_id_once_and_says_the_same_again(
    fleet: dict[int, tuple[str, bool]], data: Any
) -> None:
    """Accounts with any ids of their own, any part of the fleet: no two ids of a listing are filed as one."""
    home = Home()
    for account, offset in (("a", 0), ("b", 1000), ("c", 0)):
        part = data.draw(st.sets(st.sampled_from(sorted(fleet)), min_size=1), label=account)
        mark = "" if offset == 0 else "-b"
        devices: Devices = {
            one + offset: (fleet[one][0] + mark, f"S{one}" if fleet[one][1] else None) for one in sorted(part)
        }
        first = home.list(account, devices)
        for filed, listed in ((first.plants, {p for p, _ in devices.values()}), (first.devices, set(devices))):
            assert len(set(filed.values())) == len(filed)  # type: ignore[attr-defined]
            assert set(filed) <= listed  # type: ignore[call-overload]
        assert set(first.plants) | set(first.left_out) == {p for p, _ in devices.values()}
        second = home.list(account, devices, at=MONDAY + DAY)
        assert (second.plants, second.devices) == (first.plants, first.devices)


def test_a_plant_that_was_closed_at_first_is_the_one_that_its_devices_turn_out_to_be() -> None:
    opened = {1: ("P", "S1"), 2: ("P", "S2")}

    def filed(name: str) -> Home:
        home = Home()
        home.list("a", opened, answered=False, name="Roof")
        home.list("b", {11: ("X", "S1"), 12: ("X", "S2")}, name=name)
        assert set(home.known.plants["plant_code"]) == {"P", "X"}, "nobody could know"
        return home

    assert filed("Roof").list("a", opened, name="Roof").plants == {"P": "P"}, "rows of both are filed"
    assert filed("Barn").list("a", opened, bare={"P"}, name="Roof").plants == {"P": "P"}, "devices that were moved"
    home = filed("Roof")
    found = home.list("a", opened, bare={"P"}, name="Roof")
    assert found.plants == {"P": "X"} == found.returned
    assert found.devices == {1: 11, 2: 12}
    again = home.list("a", opened, bare={"P"}, name="Roof")
    assert (again.plants, again.returned) == ({"P": "X"}, {})


def test_a_plant_that_opens_and_is_no_other_stays_what_it_was_filed_as() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1"), 2: ("Q", "S2")}, answered=False)
    home.list("b", {11: ("X", "T1")})
    found = home.list("a", {1: ("P", "S1"), 2: ("Q", "S2")}, bare={"P", "Q"})
    assert found.plants == {"P": "P", "Q": "Q"}


def test_plants_that_share_half_of_their_serial_numbers_seem_to_be_one() -> None:
    rows = [("P", "S1"), ("P", "S2"), ("X", "S1"), ("X", "S2"), ("X", "null"), ("Y", "S2"), ("Y", "T1"), ("Y", "T2")]
    devices = pl.DataFrame(rows, schema=["plant_code", "device_sn"], orient="row")
    assert twins(devices) == [("P", "X", 2), ("P", "Y", 1), ("X", "Y", 1)]
    assert twins(devices.filter(pl.col("plant_code") == "Y")) == []


def test_a_plant_whose_filing_was_cut_off_between_devices_and_plants_stops_no_listing() -> None:
    home = Home()
    home.list("a", {1: ("P", "S1")}, answered=False, name="Roof")
    home.list("b", {11: ("X", "S1")}, name="Roof")
    home.known = replace(home.known, plants=home.known.plants.filter(pl.col("plant_code") != "X"))
    assert home.list("a", {1: ("P", "S1")}, bare={"P"}, name="Roof").plants == {"P": "P"}
