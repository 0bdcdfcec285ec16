"""What one account sees of the world: its plants and devices, found by code, id and serial number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.flow import Counts
from pipelines.simulator.strikes import options

if TYPE_CHECKING:
    from pipelines.simulator.world import World  # only named here: the physics behind it is slow to import


ACCOUNT_GRAMMAR: Final = "USER:PASSWORD[,plants=CODE+CODE...][,offset=N]"


@dataclass(frozen=True, slots=True)
class Account:
    """An API account: its name, its password and the plants bound to it (None: all).

    ``id_offset`` other than 0: applied for in another period, it knows plants and devices by other ids (8.9).
    """

    username: str
    password: str
    plant_codes: frozenset[str] | None = None
    id_offset: int = 0

    @classmethod
    def read(cls, text: str) -> Account:
        """Read ``USER:PASSWORD[,plants=CODE+CODE...][,offset=N]``. Raises ValueError that says how it is written."""
        try:
            who, given = options(text)
            user, colon, password = who.partition(":")
            if not (user and colon and password) or given.keys() - {"plants", "offset"}:
                raise ValueError("a user and a password are needed")
            codes = frozenset(given["plants"].split("+")) if "plants" in given else None
            return cls(user, password, codes, int(given.get("offset", "0")))
        except ValueError:
            raise ValueError(f"--account is written {ACCOUNT_GRAMMAR}") from None


class View:
    """The part of a world that one account sees, under the codes that the account knows."""

    def __init__(
        self,
        world: World,
        plant_codes: Collection[str] | None = None,
        *,
        hidden: Collection[str] = (),
        renamed: Mapping[str, str] | None = None,
        id_offset: int = 0,
    ) -> None:
        """See all of the world, or only the plants named and their devices.

        ``hidden`` plants are gone from the list; ``renamed`` ones (the world's code to another) go by the other code.
        ``id_offset`` lies between all ids of this account and the world's.
        """
        self.world = world
        self.plants: list[Plant] = [
            p for p in world.plants if (plant_codes is None or p.code in plant_codes) and p.code not in hidden
        ]
        self._offset = id_offset
        self._served = {p.code: _moved((renamed or {}).get(p.code, p.code), id_offset) for p in self.plants}
        self._plants = {self._served[plant.code]: plant for plant in self.plants}
        self._owners = {plant.code: plant for plant in self.plants}
        self.devices: list[Device] = [d for d in world.devices if d.plant_code in self._owners]
        self._devices = {str(self.id_of(device)): device for device in self.devices}
        self._by_sn = {device.sn: device for device in self.devices if device.sn}
        self.counts = Counts(len(self.plants), Counter(device.type_id for device in self.devices))

    def code_of(self, code: str) -> str | None:
        """The code that the account knows a plant of the world by; None if it doesn't see it."""
        return self._served.get(code)

    def id_of(self, device: Device) -> int:
        """The id that the account knows a device by."""
        return device.id + self._offset

    def plant_listing(self, plant: Plant) -> dict[str, Any]:
        """The plant's record in the plant list."""
        return {**plant.listing(), "plantCode": self._served[plant.code]}

    def device_listing(self, device: Device) -> dict[str, Any]:
        """The device's record in the device list."""
        return {**device.listing(), "id": self.id_of(device), "stationCode": self._served[device.plant_code]}

    def plants_of(self, codes: Iterable[str]) -> list[Plant]:
        """Return the plants of these codes in their order, once each.

        Codes that the account doesn't have are left out: clients that ask for unknown codes are known to get
        fewer rows and no error, so 20007 would refuse more than servers do.
        """
        return [self._plants[code] for code in dict.fromkeys(codes) if code in self._plants]

    def devices_of(self, ids: Iterable[str]) -> list[Device]:
        """Return the devices of these ids in their order, once each; unknown ids are left out, as plants are."""
        return [self._devices[key] for key in dict.fromkeys(ids) if key in self._devices]

    def devices_by_sn(self, sns: Iterable[str]) -> list[Device]:
        """Return the devices of these serial numbers, once each; unknown ones are left out."""
        return [self._by_sn[sn] for sn in dict.fromkeys(sns) if sn in self._by_sn]

    def plant_of(self, device: Device) -> Plant:
        """Return the plant that a device belongs to."""
        return self._owners[device.plant_code]

    def devices_in(self, plants: Iterable[Plant]) -> list[Device]:
        """Return all devices of these plants, plant by plant."""
        by_plant: dict[str, list[Device]] = {plant.code: [] for plant in plants}
        for device in self.devices:
            if device.plant_code in by_plant:
                by_plant[device.plant_code].append(device)
        return [device for found in by_plant.values() for device in found]


def _moved(code: str, offset: int) -> str:
    """Another plant code of the same kind: NE=33554785 to NE=33554785 + offset."""
    head, mark, number = code.rpartition("=")
    if not offset:
        return code
    return f"{head}{mark}{int(number) + offset}" if number.isdigit() else f"{code}-{offset}"
