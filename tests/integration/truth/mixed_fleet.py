"""A fleet in which every meter and battery tells its figures another way, and what analysts' cases need beside it.

Eight homes, eight businesses, a home without a meter and a meter without anything, on four servers: hours labelled by
their start or end, autumn's hour merged or not.
Batteries come in all eight combinations of sign, unit and kind of counter, meters in eight of sixteen, in which every
combination of any three of sign, unit, kind and what the forward counter counts comes up.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.simulator.calendar import to_ms
from pipelines.simulator.fleet import BatterySpec, Device, Plant
from pipelines.simulator.fleets import LEIPZIG, TOLEDO, TOOWOOMBA, FleetBuilder, LoadSpec
from pipelines.simulator.habits import DeviceHabit, Habits, Held
from pipelines.simulator.world import World, build_world

SEED = 5
FIRST, LAST = date(2026, 10, 22), date(2026, 10, 26)
"""In Leipzig and Toledo the 25th has 25 hours."""
EARLIER = date(2026, 9, 23), date(2026, 9, 25)
"""Days a month before, of one plant: a battery's round trip needs its state of charge at both ends."""
FIRST_LOAD = datetime(2026, 10, 24, 9, tzinfo=UTC)
LAST_LOAD = datetime(2026, 11, 10, tzinfo=UTC)
ALARM_POLLS = datetime(2026, 10, 25, 9, tzinfo=UTC), datetime(2026, 11, 5, 12, tzinfo=UTC)
"""Between the loads: one inverter has the same fault at both, and none between them."""
POLLS = (FIRST_LOAD, *ALARM_POLLS, LAST_LOAD)
"""When alarms were asked for."""

SERVERS = tuple(product(("start", "end"), (False, True)))
"""Where labels of hours stand, and whether autumn's hour is merged."""

BATTERY_HABITS = [
    DeviceHabit(positive, unit, counters)
    for positive, unit, counters in product(("charge", "discharge"), ("W", "kW"), ("daily", "lifetime"))
]
METER_HABITS = [
    DeviceHabit(positive, unit, counters, "forward_export" if (a + b + c) % 2 else "forward_import")
    for (a, positive), (b, unit), (c, counters) in product(
        enumerate(("export", "import")), enumerate(("W", "kW")), enumerate(("daily", "lifetime"))
    )
]
METER_OF = (0, 5, 6, 3, 7, 2, 1, 4)
"""Which habit the meter has beside which of the battery, so that the two are not alike."""

HELD: dict[int, Held] = {6: "derating", 7: "limit_shutdown"}
"""What holds the second inverter of these businesses."""

MODULES = ((35.0, 200.0), (20.0, 355.0))
"""Tilt and azimuth of the modules of the home and of the sunny plant, as the plants file tells them."""


def at_ms(day: date, hour: float, zone: str) -> int:
    """An hour on the clock of a zone."""
    return to_ms(datetime.combine(day, datetime.min.time(), tzinfo=ZoneInfo(zone)) + timedelta(hours=hour))


@dataclass(frozen=True)
class MixedFleet:
    """The fleet as each server tells it, and who has which part in it."""

    worlds: tuple[World, ...]
    server_of: dict[str, int]
    home: str
    moved: str
    unmetered: str
    replaced: str
    refitted: str
    sunny: str
    sensed: str
    generation: str
    meter_only: str
    shared: str

    @property
    def plants(self) -> list[Plant]:
        """All plants."""
        return self.worlds[0].plants

    @property
    def devices(self) -> list[Device]:
        """All devices, those that were replaced too."""
        return self.worlds[0].devices

    def of(self, plant_code: str, *types: int) -> list[Device]:
        """A plant's devices of some types, or all of them."""
        return [each for each in self.devices if each.plant_code == plant_code and (each.type_id in types or not types)]

    def of_types(self, *types: int) -> list[Device]:
        """The fleet's devices of some types."""
        return [each for each in self.devices if each.type_id in types]

    def world(self, plant_code: str) -> World:
        """The world as the server of a plant tells it."""
        return self.worlds[self.server_of[plant_code]]

    def plant(self, plant_code: str) -> Plant:
        """A plant by its code."""
        return next(each for each in self.plants if each.code == plant_code)

    def habit(self, device: Device) -> DeviceHabit:
        """How a meter or battery tells its figures."""
        return self.worlds[0].habits.of(device)

    def codes_of(self, server: int) -> frozenset[str]:
        """The plants of one server."""
        return frozenset(code for code, number in self.server_of.items() if number == server)


def mixed_fleet() -> MixedFleet:
    """Build it; the same on every machine."""
    fleet = FleetBuilder()
    habits: dict[int, DeviceHabit] = {}
    servers: dict[str, int] = {}
    homes = [_home(fleet, number) for number in range(8)]
    firms = [_firm(fleet, number) for number in range(8)]
    for group in (homes, firms):
        for number, plant in enumerate(group):
            servers[plant.code] = (number + (group is firms)) % 4
            for device in [each for each in fleet.devices if each.plant_code == plant.code]:
                if device.type_id in (17, 47):
                    habits[device.id] = METER_HABITS[METER_OF[number]]
                elif device.type_id in (39, 41):
                    habits[device.id] = BATTERY_HABITS[number]
    unmetered = fleet.plant("Without a meter", LEIPZIG, 6.2, "2026-07-20T10:00:00")
    fleet.home(unmetered, meter=False)
    servers[unmetered.code] = 0
    meter_only = fleet.plant(
        "Only a meter", TOLEDO, 12.0, "2026-07-12T09:00:00", load=LoadSpec("business", 1.0, 4.0), soiling=0.95
    )
    habits[fleet.device(meter_only, 17, "Grid meter").id] = METER_HABITS[0]
    servers[meter_only.code] = 1
    for number, held in HELD.items():
        one = [each for each in fleet.devices if each.plant_code == firms[number].code and each.type_id == 1][1]
        habits[one.id] = DeviceHabit(held=held)
    replaced, refitted, sunny, sensed, generation = (firms[each].code for each in (0, 1, 3, 2, 5))
    _replace(fleet, habits, replaced, 1, at_ms(date(2026, 10, 24), 12, "Europe/Madrid"))
    for type_id in (17, 41):
        _replace(fleet, habits, refitted, type_id, at_ms(date(2026, 10, 25), 9, "Australia/Brisbane"))
    _silence(fleet, sensed, 1, date(2026, 10, 23), 10, 14)
    _silence(fleet, sensed, 10, date(2026, 10, 24), 9, 13)
    worlds = tuple(
        build_world(fleet, SEED, habits=Habits(hour_labels=labels, merged_hour=merged, devices=habits))
        for labels, merged in SERVERS
    )
    return MixedFleet(
        worlds,
        servers,
        home=homes[0].code,
        moved=homes[3].code,
        unmetered=unmetered.code,
        replaced=replaced,
        refitted=refitted,
        sunny=sunny,
        sensed=sensed,
        generation=generation,
        meter_only=meter_only.code,
        shared=homes[5].code,
    )


def _home(fleet: FleetBuilder, number: int) -> Plant:
    plant = fleet.plant(
        f"Home {number}",
        LEIPZIG,
        6.0 + number / 2,
        "2026-07-15T09:00:00",
        load=LoadSpec("home", 0.25 + number / 50, 1.6),
        battery=BatterySpec(5.0 + number, 2.5, charges_from_grid=number % 4 == 1),
        soiling=0.9 + number / 100,
    )
    fleet.home(plant)
    return plant


def _firm(fleet: FleetBuilder, number: int) -> Plant:
    plant = fleet.plant(
        f"Firm {number}",
        (TOLEDO, TOOWOOMBA)[number % 2],
        80.0,
        "2026-07-10T09:00:00",
        load=LoadSpec("business", 5.0, 25.0),
        battery=BatterySpec(60.0, 30.0, charges_from_grid=number == 4),
        has_emi=number in (2, 3),
    )
    fleet.business(
        plant,
        2,
        tweak=lambda position, spec: replace(
            spec,
            dead_string=3 if (number, position) == (3, 1) else None,
            limited=(number, position) == (2, 1),
            sleeps_without_rows=(number, position) == (4, 0),
        ),
    )
    return plant


def _replace(fleet: FleetBuilder, habits: dict[int, DeviceHabit], code: str, type_id: int, at: int) -> None:
    old = next(each for each in fleet.devices if each.plant_code == code and each.type_id == type_id)
    number = fleet.number()
    sn = None if old.sn is None else f"SIM{type_id:02d}{number}"
    new = replace(old, id=old.id - old.id % 1_000_000_000 + number, dn=f"NE={number}", sn=sn, installed_ms=at)
    new = replace(new, served_sn=sn or "null", name=f"{old.name} new")
    fleet.devices = [replace(each, removed_ms=at) if each is old else each for each in fleet.devices] + [new]
    if old.id in habits:
        habits[new.id] = habits[old.id]


def _silence(fleet: FleetBuilder, code: str, type_id: int, day: date, start: int, end: int) -> None:
    one = next(each for each in fleet.devices if each.plant_code == code and each.type_id == type_id)
    span = at_ms(day, start, "Europe/Madrid"), at_ms(day, end, "Europe/Madrid")
    fleet.devices = [replace(each, silent_ms=(span,)) if each is one else each for each in fleet.devices]


def owner_files(fleet: MixedFleet, folder: Path) -> dict[str, Path]:
    """The owner's files: sizes, ratings, roles, signs, replacements, prices below zero, targets."""
    devices = ["device_id,ac_kw,usable_kwh,meter_role,power_sign,unit,replaces_device"]
    for inverter in fleet.of(fleet.sunny, 1):
        devices.append(f"{inverter.id},{inverter.inverter.ac_kw},,,,,")
    devices.append(f"{fleet.of(fleet.home, 39)[0].id},,{fleet.plant(fleet.home).battery.usable_kwh},,,,")
    devices.append(f"{fleet.of(fleet.generation, 17)[0].id},,,generation,,,")
    meter = fleet.of(fleet.moved, 47)[0]
    habit = fleet.habit(meter)
    devices.append(f"{meter.id},,,grid,{1 if habit.positive == 'export' else -1},{habit.unit},")
    for code in (fleet.replaced, fleet.refitted):
        for type_id in (1, 17, 41):
            mine = fleet.of(code, type_id)
            for new in (each for each in mine if each.installed_ms is not None):
                old = next(each for each in mine if each.removed_ms == new.installed_ms)
                devices.append(f"{new.id},,,,,,{old.id}")
    texts = {
        "devices": devices,
        "plants": [
            "plant_code,dc_kwp,irradiance_plane,co2_kg_per_kwh,tilt,azimuth",
            *(
                f"{code},{size},{plane},{co2},{tilt},{azimuth}"
                for code, (size, plane, co2, tilt, azimuth) in (
                    (fleet.home, ("6.6", "", "0.4", *MODULES[0])),
                    (fleet.sunny, ("", "poa", "", *MODULES[1])),
                )
            ),
        ],
        "tariffs": [
            "plant_code,valid_from,valid_to,purchase_price_per_kwh,feed_in_price_per_kwh,standing_charge_per_day,currency",
            ",,,0.30,0.08,0.5,EUR",
            f"{fleet.home},,2026-10-23,0.32,0.07,,EUR",
            f"{fleet.home},2026-10-24,2026-10-24,-0.05,-0.02,0.4,EUR",
            f"{fleet.home},2026-10-25,,0.32,0.07,0.4,EUR",
        ],
        "targets": ["plant_code,month,pv_energy_kwh,pr_pct", f"{fleet.sunny},2026-10,9000,82", ",2026-10,500,"],
    }
    found = {}
    for name, lines in texts.items():
        found[f"{name}_file"] = folder / f"{name}.csv"
        found[f"{name}_file"].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found
