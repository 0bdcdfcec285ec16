"""The fleets that the simulator can play: "demo", "single" and "portfolio"."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from pipelines.simulator.calendar import zone_info
from pipelines.simulator.fleet import BatterySpec, Device, InverterSpec, LoadSpec, Plant, Site


@dataclass(frozen=True, slots=True)
class Town:
    """A place whose plants share sun and clouds."""

    name: str
    country: str
    latitude: float
    longitude: float
    zone: str


LEIPZIG: Final = Town("Leipzig", "Germany", 51.34, 12.37, "Europe/Berlin")
FREIBURG: Final = Town("Freiburg", "Germany", 47.99, 7.85, "Europe/Berlin")
TOLEDO: Final = Town("Toledo", "Spain", 39.86, -4.02, "Europe/Madrid")
ALBANY: Final = Town("Albany", "United States", 42.65, -73.76, "America/New_York")
FRESNO: Final = Town("Fresno", "United States", 36.74, -119.79, "America/Los_Angeles")
CAMPINAS: Final = Town("Campinas", "Brazil", -22.91, -47.06, "America/Sao_Paulo")
HANGZHOU: Final = Town("Hangzhou", "China", 30.27, 120.16, "Asia/Shanghai")
TOOWOOMBA: Final = Town("Toowoomba", "Australia", -27.56, 151.95, "Australia/Brisbane")

PORTFOLIO_TOWNS: Final = (FREIBURG, LEIPZIG, ALBANY, FRESNO, CAMPINAS, HANGZHOU, TOOWOOMBA)
"""Six zones between -8 and +10 hours, with and without daylight saving."""


@dataclass(slots=True)
class FleetBuilder:
    """Hands out codes and ids in a fixed order, so that a fleet is the same on every machine."""

    plants: list[Plant] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    next_number: int = 33554785

    def number(self) -> int:
        """The next node number of the management system; they are not consecutive."""
        self.next_number += 3
        return self.next_number

    def plant(
        self,
        name: str,
        town: Town,
        capacity_kwp: float,
        connected: str,
        *,
        load: LoadSpec | None = None,
        battery: BatterySpec | None = None,
        has_emi: bool = False,
        hex_code: bool = False,
        coordinates: Literal["numbers", "texts", "empty"] = "numbers",
        roof: tuple[float, float] | None = None,
        soiling: float = 0.97,
    ) -> Plant:
        """Adds a plant. `roof` is tilt and azimuth; by default it faces the equator."""
        number = self.number()
        tilt, azimuth = roof or (25.0, 180.0 if town.latitude > 0 else 0.0)
        # Neighbours stand a few kilometres apart.
        latitude = round(town.latitude + (number % 17 - 8) / 250, 4)
        longitude = round(town.longitude + (number % 23 - 11) / 250, 4)
        served: tuple[float | str | None, float | str | None] = (latitude, longitude)
        if coordinates == "texts":
            served = (str(latitude), str(longitude))
        elif coordinates == "empty":
            served = ("", "")
        plant = Plant(
            code=hashlib.sha256(f"{name}{number}".encode()).hexdigest()[:32].upper() if hex_code else f"NE={number}",
            name=name,
            address=None if coordinates == "empty" else f"{town.name}, {town.country}",
            latitude=latitude,
            longitude=longitude,
            served_latitude=served[0],
            served_longitude=served[1],
            zone=town.zone,
            capacity_kwp=capacity_kwp,
            grid_connection=datetime.fromisoformat(connected).replace(tzinfo=zone_info(town.zone)),
            contact_person="",
            contact_method="",
            site=Site(town.name, town.latitude, town.longitude, town.zone, tilt, azimuth),
            load=load,
            battery=battery,
            has_emi=has_emi,
            soiling=soiling,
        )
        self.plants.append(plant)
        return plant

    def device(
        self,
        plant: Plant,
        type_id: int,
        name: str,
        *,
        model: str | None = None,
        inverter: InverterSpec | None = None,
        negative_id: bool = False,
        position: int = 0,
        positive: Literal["export", "import"] = "export",
    ) -> Device:
        """Adds a device. Meters and batteries have no serial number of their own."""
        number = self.number()
        has_sn = type_id not in (10, 17, 39, 47) and type_id < 60000
        sn = f"SIM{type_id:02d}{number}" if has_sn else None
        device = Device(
            id=-214_000_000_000_000 - number if negative_id else 1_000_000_000_000_000 + number,
            dn=f"NE={number}",
            name=name,
            plant_code=plant.code,
            sn=sn,
            type_id=type_id,
            software_version="V200R001C00SPC139" if has_sn else None,
            optimizer_number=0 if inverter else None,
            model=model,
            latitude=None,
            longitude=None,
            served_sn=sn or "null",
            inverter=inverter,
            position=position,
            positive=positive,
        )
        self.devices.append(device)
        return device

    def home(
        self,
        plant: Plant,
        *,
        phases: Literal[1, 3] = 3,
        meter: bool = True,
        negative_id: bool = False,
    ) -> None:
        """Residential devices: one inverter, its battery if there is one, a power sensor, a dongle."""
        kwp = plant.capacity_kwp
        ac_kw = round(kwp * 0.9, 1)
        spec = InverterSpec(kwp, ac_kw, mppts=2, strings=2, phases=phases, hybrid=True)
        model = f"SUN2000-{ac_kw:g}KTL-{'M1' if phases == 3 else 'L1'}"
        self.device(plant, 38, "Inverter-1", model=model, inverter=spec, negative_id=negative_id)
        if plant.battery:
            self.device(plant, 39, "Battery-1", negative_id=negative_id)
        if meter:
            self.device(plant, 47, "Meter-1")
        self.device(plant, 62, "Dongle-1")

    def business(
        self,
        plant: Plant,
        inverters: int,
        *,
        positive: Literal["export", "import"] = "export",
        tweak: Callable[[int, InverterSpec], InverterSpec] | None = None,
    ) -> None:
        """C&I devices: inverters of one size, a grid meter, the sensor and the storage, a SmartLogger."""
        kwp = round(plant.capacity_kwp / inverters, 3)
        base = InverterSpec(kwp, round(kwp / 1.3, 1), mppts=4, strings=8)
        for position in range(inverters):
            spec = tweak(position, base) if tweak else base
            self.device(
                plant,
                1,
                f"INV-{position + 1:02d}",
                model=f"SUN2000-{base.ac_kw:g}KTL-M2",
                inverter=spec,
                position=position,
            )
        self.device(plant, 17, "Grid meter", positive=positive)
        if plant.has_emi:
            self.device(plant, 10, "EMI")
        if plant.battery:
            self.device(plant, 41, "ESS-1")
        self.device(plant, 2, "SmartLogger-1")


def _home_load(factor: float) -> LoadSpec:
    return LoadSpec("home", base_kw=round(0.22 * factor, 3), peak_kw=round(1.9 * factor, 3))


def _business_load(kwp: float, share: float) -> LoadSpec:
    return LoadSpec("business", base_kw=round(kwp * share * 0.3, 2), peak_kw=round(kwp * share, 2))


def build_single() -> FleetBuilder:
    """One home with a battery in central Europe."""
    fleet = FleetBuilder()
    plant = fleet.plant(
        "Lindenhof 4", LEIPZIG, 9.84, "2024-03-12T10:30:00", load=_home_load(1.0), battery=BatterySpec(9.5, 5.0)
    )
    fleet.home(plant)
    return fleet


def build_demo() -> FleetBuilder:
    """Six plants in five zones that show every feature of the model."""
    fleet = build_single()
    charged = fleet.plant(
        "Casa Olivar",
        TOLEDO,
        5.94,
        "2024-06-20T12:00:00",
        load=_home_load(0.8),
        battery=BatterySpec(4.75, 2.5, charges_from_grid=True),
        coordinates="texts",
    )
    fleet.home(charged, phases=1, negative_id=True)
    roof = fleet.plant(
        "Gewerbepark Nord",
        LEIPZIG,
        149.4,
        "2023-09-01T08:00:00",
        load=_business_load(149.4, 0.35),
        has_emi=True,
        roof=(15.0, 180.0),
    )
    fleet.business(roof, 3, tweak=_roof_tweak)
    storage = fleet.plant(
        "Range Packing Shed",
        TOOWOOMBA,
        220.0,
        "2024-02-05T07:15:00",
        load=_business_load(220.0, 0.3),
        battery=BatterySpec(190.0, 100.0),
        hex_code=True,
    )
    fleet.business(storage, 2, positive="import")
    fleet.home(fleet.plant("Hudson Street", ALBANY, 7.6, "2025-04-02T15:45:00", hex_code=True), meter=False)
    recent = fleet.plant(
        "Xihu Workshop", HANGZHOU, 60.0, "2026-09-15T16:23:00", load=_business_load(60.0, 0.6), coordinates="empty"
    )
    fleet.business(recent, 1)
    return fleet


def _roof_tweak(position: int, spec: InverterSpec) -> InverterSpec:
    if position == 1:
        return replace(spec, dead_string=5)
    return replace(spec, sleeps_without_rows=position == 2, limited=position == 2)


def build_portfolio() -> FleetBuilder:
    """130 plants in six zones with exactly 400 devices of the types that the history API serves.

    89 homes (inverter and power sensor, 60 of them with a battery: 238 devices), 40 businesses (110 inverters,
    40 meters, 3 storages, 4 weather sensors: 157) and a telecom site (5, and an SSU and a power converter that
    have real-time data alone). Loggers and dongles come on top.
    """
    fleet = FleetBuilder()
    for index in range(89):
        _portfolio_home(fleet, index)
    for index in range(40):
        _portfolio_business(fleet, index)
    _telecom_site(fleet)
    return fleet


def _connected(index: int) -> str:
    month = 6 + index * 7 % 22
    return f"{2024 + month // 12}-{month % 12 + 1:02d}-{index * 5 % 27 + 1:02d}T{index % 9 + 8:02d}:30:00"


def _portfolio_home(fleet: FleetBuilder, index: int) -> None:
    town = PORTFOLIO_TOWNS[index % len(PORTFOLIO_TOWNS)]
    kwp = round(4.1 + index * 13 % 80 / 10, 2)
    battery = BatterySpec(4.75 * (1 + index % 3), 2.5 * (1 + index % 2)) if index < 60 else None
    # An empty coordinate leaves only the offset of the connection date, which tells the truth without DST alone.
    empty = town in (HANGZHOU, TOOWOOMBA) and index % 4 == 1
    plant = fleet.plant(
        f"Home {index + 1:03d} {town.name}",
        town,
        kwp,
        _connected(index),
        load=_home_load(0.7 + index % 8 / 8),
        battery=battery,
        hex_code=index % 9 == 4,
        coordinates="empty" if empty else "texts" if index % 11 == 3 else "numbers",
        soiling=0.93 + index % 6 / 100,
    )
    fleet.home(plant, phases=1 if index % 3 == 2 else 3, negative_id=index % 10 == 6)


def _portfolio_business(fleet: FleetBuilder, index: int) -> None:
    town = PORTFOLIO_TOWNS[index % len(PORTFOLIO_TOWNS)]
    inverters = 5 if index % 4 == 0 else 2
    kwp = round(inverters * (32.4 + index % 5 * 8.1), 2)
    plant = fleet.plant(
        f"Site {index + 1:02d} {town.name}",
        town,
        kwp,
        "2026-10-05T09:00:00" if index == 39 else _connected(index + 3),
        load=_business_load(kwp, 0.25 + index % 4 / 10),
        battery=BatterySpec(kwp * 0.8, kwp * 0.4) if index in (1, 5, 9) else None,
        has_emi=index % 10 == 0,
        hex_code=index % 9 == 4,
        soiling=0.93 + index % 6 / 100,
    )
    fleet.business(
        plant,
        inverters,
        positive="import" if index % 7 == 5 else "export",
        tweak=lambda position, spec: replace(
            spec,
            dead_string=5 if position == 1 and index % 8 == 4 else None,
            sleeps_without_rows=index % 5 == 3,
        ),
    )


def _telecom_site(fleet: FleetBuilder) -> None:
    plant = fleet.plant("Ridge Mast 7", CAMPINAS, 9.6, "2024-08-08T11:00:00", load=LoadSpec("home", 2.4, 0.3))
    names = {
        60001: "Mains",
        60003: "Genset",
        60043: "SSU Group",
        60044: "SSU 1",
        60092: "Power Converter",
        60014: "Lithium Battery Rack",
        60010: "AC Output Distribution",
    }
    for type_id, name in names.items():
        fleet.device(plant, type_id, name)


FLEETS: Final[dict[str, Callable[[], FleetBuilder]]] = {
    "demo": build_demo,
    "single": build_single,
    "portfolio": build_portfolio,
}
