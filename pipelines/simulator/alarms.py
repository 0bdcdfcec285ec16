"""Alarms that come and go, drawn per plant and period of ten days; some of them stop an inverter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.simulator.calendar import DAY_MS, HOUR_MS, day_start
from pipelines.simulator.fleet import Device, Plant
from pipelines.simulator.rounding import generator

PERIOD_MS: Final = 10 * DAY_MS
LONGEST_MS: Final = 40 * DAY_MS
"""No episode lives longer."""


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """A kind of alarm: the texts and codes of 5.1.3.1, the types it strikes, its usual length in hours."""

    alarm_id: int
    cause_id: int
    name: str
    cause: str
    repair: str
    severity: int
    alarm_type: int
    device_types: tuple[int, ...]
    hours: float
    stops_inverter: bool = False


KINDS: Final = (
    AlarmKind(
        2064,
        5,
        "The device is abnormal.",
        "An unrecoverable fault has occurred in the internal circuit of the device.",
        "Turn off the AC and DC switches, wait for 5 minutes, and turn them on again. If the fault persists, "
        "contact your dealer.",
        1,
        2,
        (1,),
        9.0,
        stops_inverter=True,
    ),
    AlarmKind(
        2032,
        1,
        "Grid loss",
        "The grid had an outage, or the AC circuit was disconnected for a moment.",
        "Check the AC cable and the AC switch.",
        2,
        3,
        (38,),
        0.4,
    ),
    AlarmKind(
        2011,
        2,
        "String reverse current",
        "Strings of one tracker differ in their count of modules.",
        "Check the count of modules of the string.",
        3,
        2,
        (1, 38),
        60.0,
    ),
    AlarmKind(
        3011,
        2,
        "Battery expansion module undervoltage",
        "The voltage of a battery expansion module is low.",
        "Let the battery charge while the inverter is running.",
        4,
        2,
        (39, 41),
        20.0,
    ),
    AlarmKind(
        2080,
        1,
        "Communication with the meter is faulty",
        "The meter does not answer.",
        "Check the cable between the meter and its master.",
        3,
        5,
        (17, 47),
        5.0,
    ),
    AlarmKind(
        1104,
        1,
        "Weak signal of the wireless network",
        "The signal strength is below the threshold.",
        "Move the antenna.",
        4,
        5,
        (2, 62),
        120.0,
    ),
    AlarmKind(
        61000,
        3,
        "Mains failure",
        "There is no mains voltage.",
        "Check the mains supply.",
        2,
        2,
        (60001,),
        1.5,
    ),
)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm from `raised_ms` until just before `cleared_ms`."""

    plant: Plant
    device: Device
    kind: AlarmKind
    raised_ms: int
    cleared_ms: int

    def record(self) -> dict[str, Any]:
        """The alarm as the server lists it while it is active (5.1.3.1)."""
        return {
            "alarmCause": self.kind.cause,
            "alarmId": self.kind.alarm_id,
            "alarmName": self.kind.name,
            "alarmType": self.kind.alarm_type,
            "causeId": self.kind.cause_id,
            "devName": self.device.name,
            "devTypeId": self.device.type_id,
            "esnCode": self.device.served_sn,
            "lev": self.kind.severity,
            "raiseTime": self.raised_ms,
            "repairSuggestion": self.kind.repair,
            "stationCode": self.plant.code,
            "stationName": self.plant.name,
            "status": 1,
        }


class AlarmBook:
    """All alarms that a plant will ever have had."""

    def __init__(self, seed: int, plant: Plant, devices: Sequence[Device]) -> None:
        """Draws nothing yet."""
        self._seed = seed
        self._plant = plant
        self._devices = tuple(devices)
        self._born_ms = day_start(plant.first_day, plant.zone)
        self._known: dict[int, tuple[Episode, ...]] = {}

    def between(self, start_ms: int, end_ms: int) -> list[Episode]:
        """Episodes that touch start_ms <= t < end_ms, by the time they were raised."""
        first, last = (start_ms - LONGEST_MS) // PERIOD_MS, (end_ms - 1) // PERIOD_MS
        return [
            episode
            for period in range(first, last + 1)
            for episode in self._period(period)
            if episode.raised_ms < end_ms and episode.cleared_ms > start_ms
        ]

    def active(self, now_ms: int) -> list[Episode]:
        """Episodes that are raised and not cleared."""
        return self.between(now_ms, now_ms + 1)

    def _period(self, period: int) -> tuple[Episode, ...]:
        if period not in self._known:
            self._known[period] = self._draw(period)
        return self._known[period]

    def _draw(self, period: int) -> tuple[Episode, ...]:
        start = period * PERIOD_MS
        if start < self._born_ms:
            return ()
        dice = generator(self._seed, "alarms", self._plant.code, period)
        episodes = []
        for _ in range(int(dice.poisson(0.7))):
            kind_draw, device_draw, when, length = dice.random(4).tolist()
            choices = [
                (kind, device) for device in self._devices for kind in KINDS if device.type_id in kind.device_types
            ]
            if not choices:
                break
            # A kind is drawn before a device, so that many inverters don't crowd out the rest.
            kinds = sorted({kind.alarm_id for kind, _ in choices})
            chosen = kinds[int(kind_draw * len(kinds))]
            fitting = [pair for pair in choices if pair[0].alarm_id == chosen]
            kind, device = fitting[int(device_draw * len(fitting))]
            raised = start + int(when * PERIOD_MS) // 1000 * 1000
            hours = min(kind.hours * (0.2 + 6 * length**3), LONGEST_MS / HOUR_MS)
            episodes.append(Episode(self._plant, device, kind, raised, raised + int(hours * HOUR_MS)))
        return tuple(sorted(episodes, key=lambda episode: episode.raised_ms))
