"""What the reference leaves open, and servers and wirings answer differently, and rare states: each a switch.

Without any, labels of hours stand at their start, an autumn day has 25 hours, meters and batteries tell what the
reference says of their unit and what recordings show of the rest. The command line takes the same switches as text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pipelines.simulator.fleet import Device

HourLabels = Literal["start", "end"]
Positive = Literal["export", "import", "charge", "discharge"]
Unit = Literal["W", "kW"]
Counters = Literal["daily", "lifetime"]
Forward = Literal["forward_export", "forward_import"]
Held = Literal["derating", "limit_shutdown"]

METERS: Final = (17, 47)
BATTERIES: Final = (39, 41)
STRING_INVERTER: Final = 1


@dataclass(frozen=True, slots=True)
class DeviceHabit:
    """How a meter or battery tells its figures, or what holds an inverter; None: as its type does without a switch.

    `positive` is what power above zero means (export or import, charge or discharge); `unit` that of the total power
    (phases keep the reference's); `counters` whether energies count from local midnight or from the connection;
    `forward` what a meter's `active_cap` counts, None: the direction of positive power; `held` what keeps a string
    inverter below what the sun gives.
    """

    positive: Positive | None = None
    unit: Unit | None = None
    counters: Counters | None = None
    forward: Forward | None = None
    held: Held | None = None

    def over(self, other: "DeviceHabit") -> "DeviceHabit":
        """This habit, and the other's where it says nothing."""
        return DeviceHabit(
            self.positive or other.positive,
            self.unit or other.unit,
            self.counters or other.counters,
            self.forward or other.forward,
            self.held or other.held,
        )


USUAL: Final[Mapping[int, DeviceHabit]] = {
    STRING_INVERTER: DeviceHabit(),
    17: DeviceHabit(None, "kW", "lifetime"),
    47: DeviceHabit("export", "W", "lifetime"),
    39: DeviceHabit("charge", "W", "daily"),
    41: DeviceHabit("charge", "W", "lifetime"),
}
"""Units by 5.1.2.3; the rest as recordings show it. What is positive at a grid meter hangs on its wiring."""


@dataclass(frozen=True, slots=True)
class Habits:
    """The switches of one server.

    `hour_labels` says where labels of hours stand (5.1.4.1). With `merged_hour` a day has 24 hourly rows at most: the
    hour that an autumn day repeats is added to its first time. `types` and `devices` are the habits of all devices of
    a type and of single ones by their id, which outrank those.
    """

    hour_labels: HourLabels = "start"
    merged_hour: bool = False
    types: Mapping[int, DeviceHabit] = field(default_factory=dict)
    devices: Mapping[int, DeviceHabit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for a habit that a type can't have."""
        for type_id, habit in self.types.items():
            _check(type_id, habit)

    def built(self, device: Device) -> Device:
        """The device as its habit makes it work: an inverter may be held."""
        if device.inverter is None or device.type_id != STRING_INVERTER:
            return device
        held = self.of(device).held
        spec = replace(
            device.inverter,
            derates=device.inverter.derates or held == "derating",
            limit_stops=device.inverter.limit_stops or held == "limit_shutdown",
        )
        return replace(device, inverter=spec)

    def of(self, device: Device) -> DeviceHabit:
        """The habit of a meter, battery or string inverter, with nothing left open."""
        none = DeviceHabit()
        usual = USUAL[device.type_id].over(DeviceHabit(positive=device.positive))
        own = self.devices.get(device.id, none).over(self.types.get(device.type_id, none))
        _check(device.type_id, own)
        return own.over(usual)


def describe_habits() -> list[tuple[str, str]]:
    """How each switch is written, and what it does."""
    return [
        ("hour_labels=end", "hourly rows carry the end of their hour, not its start"),
        ("merged_hour", "24 hourly rows a day at most: the hour that autumn repeats is added to its first time"),
        (
            "TYPE=WORD[,WORD]",
            "devices of a type (17, 47, 39, 41) tell otherwise: export or import is positive at meters, charge or "
            "discharge at batteries; W or kW; daily or lifetime counters; forward_export or forward_import for what a "
            "meter's active_cap counts, whatever the sign of its power",
        ),
        (
            "1=derating|limit_shutdown",
            "string inverters derate themselves at high power (state 514), or stand still at noon, shut down by a "
            "limit (state 772); this one changes the past",
        ),
    ]


def parse_habits(texts: Iterable[str]) -> Habits:
    """The switches as the command line writes them.

    Raises:
        ValueError: a switch that is not known, or that takes another value.
    """
    habits = Habits()
    for text in texts:
        name, given, value = (part.strip() for part in text.partition("="))
        if name == "hour_labels":
            if value not in ("start", "end"):
                raise ValueError(f"hour_labels takes start or end, not {value!r}")
            habits = replace(habits, hour_labels="end" if value == "end" else "start")
        elif name == "merged_hour":
            if given:
                raise ValueError(f"merged_hour takes no value, but was given {value!r}")
            habits = replace(habits, merged_hour=True)
        elif name.isdecimal() and int(name) in USUAL:
            habits = replace(habits, types={**habits.types, int(name): _device_habit(int(name), value)})
        else:
            known = ", ".join(line for line, _ in describe_habits())
            raise ValueError(f"no habit is called {name!r}; known: {known}")
    return habits


def _device_habit(type_id: int, text: str) -> DeviceHabit:
    found: dict[str, Any] = {}
    for word in (each.strip() for each in text.split(",")):
        names = [name for name, words in _words(type_id).items() if word in words]
        if not names or names[0] in found:
            takes = "; ".join(" or ".join(words) for words in _words(type_id).values())
            raise ValueError(f"{type_id} takes one each of {takes}, not {text!r}")
        found[names[0]] = word
    return DeviceHabit(**found)


def _words(type_id: int) -> dict[str, tuple[str, ...]]:
    if type_id == STRING_INVERTER:
        return {"held": ("derating", "limit_shutdown")}
    common = {"unit": ("W", "kW"), "counters": ("daily", "lifetime")}
    if type_id in BATTERIES:
        return {"positive": ("charge", "discharge"), **common}
    return {"positive": ("export", "import"), **common, "forward": ("forward_export", "forward_import")}


def _check(type_id: int, habit: DeviceHabit) -> None:
    if type_id not in USUAL:
        raise ValueError(f"devices of type {type_id} have no habits; {', '.join(map(str, USUAL))} do")
    words = _words(type_id)
    for name in ("positive", "unit", "counters", "forward", "held"):
        word = getattr(habit, name)
        if word is not None and word not in words.get(name, ()):
            raise ValueError(f"{word!r} means nothing at a device of type {type_id}")
