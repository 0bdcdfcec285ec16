"""Plants and devices of the simulated world: what the lists of 5.1.1 tell, and the hidden facts behind them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

HISTORY_TYPES: Final = (1, 10, 17, 38, 39, 41, 47, 60001, 60003, 60043, 60014, 60010)
"""Device types that the history API serves (5.1.2.3)."""

REALTIME_TYPES: Final = (*HISTORY_TYPES, 60044, 60092)
"""Device types that the real-time API serves (5.1.2.2)."""

REPORT_TYPES: Final = (1, 38, 39, 41)
"""Device types that the device reports serve (5.1.4.5)."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a plant stands for the sun and the clouds: a town, shared by neighbouring plants, and a roof."""

    town: str
    latitude: float
    longitude: float
    zone: str
    tilt: float
    azimuth: float


@dataclass(frozen=True, slots=True)
class InverterSpec:
    """One inverter: `dc_kwp` of strings on `mppts` trackers, `ac_kw` rating.

    `strings` counts the strings in use, spread over the trackers; `dead_string` is the number of one that gives
    nothing from the first day on. `hybrid`: a residential inverter whose storage hangs on its DC side. `derates`: it
    protects itself from heat at high power; `limit_stops`: at noon a limit shuts it down.
    """

    dc_kwp: float
    ac_kw: float
    mppts: int
    strings: int
    phases: Literal[1, 3] = 3
    dead_string: int | None = None
    sleeps_without_rows: bool = False
    limited: bool = False
    derates: bool = False
    limit_stops: bool = False
    hybrid: bool = False


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """Storage of one plant: usable energy in kWh at the cells, power in kW."""

    usable_kwh: float
    power_kw: float
    charges_from_grid: bool = False


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """Consumption behind the plant's meter: `size` scales it, `base_kw` is what runs at midnight."""

    kind: Literal["home", "business"]
    base_kw: float
    peak_kw: float


@dataclass(frozen=True, slots=True)
class Plant:
    """One plant. `served_latitude` and `served_longitude` are what the list answers: numbers, texts or ""."""

    code: str
    name: str
    address: str | None
    latitude: float
    longitude: float
    served_latitude: float | str | None
    served_longitude: float | str | None
    zone: str
    capacity_kwp: float
    grid_connection: datetime
    contact_person: str
    contact_method: str
    site: Site
    load: LoadSpec | None = None
    battery: BatterySpec | None = None
    has_emi: bool = False
    soiling: float = 1.0

    @property
    def first_day(self) -> date:
        """Local date of the grid connection: no data before it."""
        return self.grid_connection.date()

    def listing(self) -> dict[str, Any]:
        """The record of the plant list (5.1.1.1)."""
        return {
            "plantCode": self.code,
            "plantName": self.name,
            "plantAddress": self.address,
            "longitude": self.served_longitude,
            "latitude": self.served_latitude,
            "capacity": self.capacity_kwp,
            "contactPerson": self.contact_person,
            "contactMethod": self.contact_method,
            "gridConnectionDate": self.grid_connection.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True, slots=True)
class Device:
    """One device. `sn` is its true serial number, `served_sn` what KPI answers put in `sn`.

    Servers write the text "null" there for meters and batteries; the device list has null for them. A device that
    took another's place at `installed_ms` counts from there; from `removed_ms` on it is neither listed nor measured.
    In the spans of `silent_ms` (start included, end not) it works on, and its rows are lost.
    """

    id: int
    dn: str
    name: str
    plant_code: str
    sn: str | None
    type_id: int
    software_version: str | None
    optimizer_number: int | None
    model: str | None
    latitude: float | None
    longitude: float | None
    served_sn: str
    inverter: InverterSpec | None = None
    position: int = 0
    positive: Literal["export", "import"] = "export"
    installed_ms: int | None = None
    removed_ms: int | None = None
    silent_ms: tuple[tuple[int, int], ...] = ()

    def there(self, now_ms: int) -> bool:
        """Whether the device is in its place at an instant."""
        return (self.installed_ms is None or now_ms >= self.installed_ms) and (
            self.removed_ms is None or now_ms < self.removed_ms
        )

    def listing(self) -> dict[str, Any]:
        """The record of the device list (5.1.1.2)."""
        return {
            "id": self.id,
            "devDn": self.dn,
            "devName": self.name,
            "stationCode": self.plant_code,
            "esnCode": self.sn,
            "devTypeId": self.type_id,
            "softwareVersion": self.software_version,
            "optimizerNumber": self.optimizer_number,
            "invType": self.model,
            "longitude": self.longitude,
            "latitude": self.latitude,
        }
