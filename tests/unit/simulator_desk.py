"""A small world without physics, and a desk to put requests to the simulator's service without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import orjson

from pipelines.simulator.clock import SimClock
from pipelines.simulator.faults import Faults
from pipelines.simulator.flow import FlowControl
from pipelines.simulator.log import RequestLog
from pipelines.simulator.service import Answer, Service
from pipelines.simulator.view import Account

NOW = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati")


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


NOW_MS = ms(NOW)


class SmallWorld:
    """Plants in three zones in turn; devices of the types asked for, spread over the plants in turn."""

    def __init__(self, plants: int = 3, devices: Mapping[int, int] | None = None) -> None:
        self.labels = "local"
        self.asked: list[tuple[Any, ...]] = []
        self.plants = [self._plant(number) for number in range(plants)]
        wanted = {1: 12, 10: 1, 38: 2, 39: 2, 47: 1, 62: 1} if devices is None else devices
        kinds = [kind for kind, count in wanted.items() for _ in range(count)]
        self.devices = [self._device(number, kind) for number, kind in enumerate(kinds)]

    def _plant(self, number: int) -> SimpleNamespace:
        listing = {
            "plantCode": f"NE={number}",
            "plantName": f"Plant {number}",
            "plantAddress": None,
            "longitude": None,
            "latitude": "51.1",
            "capacity": 9.9,
            "contactPerson": "",
            "contactMethod": "",
            "gridConnectionDate": "2024-01-01T00:00:00+01:00",
        }
        return SimpleNamespace(
            code=f"NE={number}",
            name=f"Plant {number}",
            zone=ZONES[number % 3],
            grid_connection=datetime(2024, 1, 1 + number % 28, tzinfo=UTC),
            listing=lambda: listing,
        )

    def _device(self, number: int, kind: int) -> SimpleNamespace:
        code = self.plants[number % len(self.plants)].code
        listing = {
            "id": -1000 - number,
            "devDn": f"NE=9{number}",
            "devName": f"Device {number}",
            "stationCode": code,
            "esnCode": f"SN{number}",
            "devTypeId": kind,
            "softwareVersion": "V1",
            "optimizerNumber": 0,
            "invType": "SUN2000-17KTL",
            "longitude": None,
            "latitude": None,
        }
        return SimpleNamespace(
            there=lambda now_ms: True,
            id=-1000 - number,
            sn=f"SN{number}",
            served_sn="null" if kind in (39, 47) else f"SN{number}",
            plant_code=code,
            type_id=kind,
            listing=lambda: listing,
        )

    def history(self, device: Any, start_ms: int, end_ms: int, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        first = -(-start_ms // 300_000) * 300_000
        return [(at, {"active_power": 1.5}) for at in range(first, min(end_ms, now_ms) + 1, 300_000)]

    def device_realtime(self, device: Any, now_ms: int) -> dict[str, Any]:
        return {"active_power": None, "close_time": "N/A"}

    def plant_realtime(self, plant: Any, now_ms: int) -> dict[str, Any]:
        return {"day_power": "10.000", "real_health_state": "3"}

    def _rows(self, *asked: Any) -> list[tuple[int, dict[str, Any]]]:
        self.asked.append(asked)
        return [(NOW_MS, {"product_power": 1})]

    def plant_hours(self, plant: Any, day: date, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("plant_hours", plant.code, day)

    def plant_days(self, plant: Any, year: int, month: int, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("plant_days", plant.code, year, month)

    def plant_months(self, plant: Any, year: int, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("plant_months", plant.code, year)

    def plant_years(self, plant: Any, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("plant_years", plant.code)

    def device_days(self, device: Any, year: int, month: int, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("device_days", device.id, year, month)

    def device_months(self, device: Any, year: int, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("device_months", device.id, year)

    def device_years(self, device: Any, now_ms: int) -> list[tuple[int, dict[str, Any]]]:
        return self._rows("device_years", device.id)

    def alarms(self, now_ms: int) -> list[dict[str, Any]]:
        return [
            {
                "stationCode": device.plant_code,
                "stationName": "Plant",
                "esnCode": device.sn,
                "devName": "Device",
                "devTypeId": device.type_id,
                "alarmId": 2064,
                "alarmName": "The device is abnormal.",
                "alarmCause": "Internal fault",
                "alarmType": 2,
                "causeId": 5,
                "lev": 1 + number % 4,
                "status": 1,
                "raiseTime": NOW_MS - number * DAY_MS,
                "repairSuggestion": "Restart",
            }
            for number, device in enumerate(self.devices)
        ]


class Desk:
    """One service with a clock that stands still, and a way to ask it."""

    def __init__(
        self,
        world: SmallWorld | None = None,
        *,
        flow: FlowControl | None = None,
        faults: Faults | None = None,
        accounts: tuple[Account, ...] = (),
        **more: Any,
    ) -> None:
        self.world = world if world is not None else SmallWorld()
        self.clock = SimClock.fixed(NOW)
        self.log = RequestLog()
        self.service = Service(
            self.world,  # type: ignore[arg-type]
            clock=self.clock,
            accounts=[Account("demo", "secret"), *accounts],
            flow=flow if flow is not None else FlowControl("none"),
            faults=faults if faults is not None else Faults(),
            log=self.log,
            **more,
        )
        self.token: str | None = None

    def answer(self, endpoint: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        if headers is None:
            headers = {} if self.token is None else {"xsrf-token": self.token}
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.service.handle(f"/thirdData/{endpoint}", headers, content)

    def ask(self, endpoint: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return orjson.loads(self.answer(endpoint, body, headers).body)

    def login(self, user: str = "demo", password: str = "secret") -> Any:
        answer = self.answer("login", {"userName": user, "systemCode": password})
        for name, value in answer.headers:
            if name.lower() == "xsrf-token":
                self.token = value
        return orjson.loads(answer.body)

    def code(self, endpoint: str, body: Any) -> int:
        return int(self.ask(endpoint, body)["failCode"])


def logged_in(*args: Any, **more: Any) -> Desk:
    desk = Desk(*args, **more)
    desk.login()
    assert desk.token
    return desk
