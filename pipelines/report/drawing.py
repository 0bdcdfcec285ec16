"""Numbers as words and as shapes. Shapes are percentages, so that the page scales them without scaling its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pipelines.report.sources import Row

NONE: Final = "–"
_ROUND: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in percent of the drawing: left edge, width, top and height; `words` is what it tells."""

    x: float
    width: float
    y: float
    height: float
    words: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over dates: `ticks` are the lines of the scale (percent from the top, word), `dates` words under it."""

    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    dates: Sequence[tuple[float, str]]
    unit: str


def number(value: float | None, digits: int = 1) -> str:
    """`12,345.6`; a dash where nothing is known."""
    if value is None:
        return NONE
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def energy(kwh: float | None) -> str:
    """An energy in the unit that suits it."""
    if kwh is None:
        return NONE
    for size, unit in ((1e6, "GWh"), (1e3, "MWh")):
        if abs(kwh) >= 10 * size:
            return f"{number(kwh / size, 1)}\N{NO-BREAK SPACE}{unit}"
    return f"{number(kwh, 1)}\N{NO-BREAK SPACE}kWh"


def day_word(day: date) -> str:
    """`Fri 27 Nov 2026`."""
    return f"{day:%a} {day.day} {day:%b %Y}"


def energy_chart(days: Sequence[Row]) -> Chart:
    """Energy of the fleet, a bar a day; days that may still change are marked."""
    size, unit = _unit(max((each.get("pv_energy_kwh") or 0.0 for each in days), default=0.0))
    values = [None if each.get("pv_energy_kwh") is None else each["pv_energy_kwh"] / size for each in days]
    top, ticks = _scale(max((each for each in values if each is not None), default=0.0))
    bars = []
    for place, (day, value) in enumerate(zip(days, values, strict=True)):
        words = f"{day_word(day['local_date'])}: " + (
            f"{number(value, 2)} {unit} from {day['plants_with_energy']} of {day['plants']} plants"
            if value is not None
            else "nothing received"
        )
        kind = "soon" if day.get("is_provisional") else ""
        bars.append(_bar(place, len(days), value or 0.0, top, words, kind))
    return Chart(bars, ticks, _date_words([each["local_date"] for each in days]), unit)


def battery_chart(days: Sequence[Row]) -> Chart | None:
    """Charge above and discharge below zero, a pair a day; None where no day has either."""
    pairs = [(each.get("battery_charged_energy_kwh"), each.get("battery_discharged_energy_kwh")) for each in days]
    most = max((value for pair in pairs for value in pair if value is not None), default=0.0)
    if not most:
        return None
    size, unit = _unit(most)
    top, ticks = _scale(most / size)
    bars = []
    for place, (day, pair) in enumerate(zip(days, pairs, strict=True)):
        for sign, kind, value in ((1, "charge", pair[0]), (-1, "discharge", pair[1])):
            if value is None:
                continue
            words = f"{day_word(day['local_date'])}: {number(value / size, 2)} {unit} {kind}d"
            whole = _bar(place, len(days), value / size, top, words, kind)
            height = whole.height / 2
            bars.append(Bar(whole.x, whole.width, 50 - height if sign > 0 else 50, height, words, kind))
    both = [(50 - (50 - y / 2), word) for y, word in ticks] + [(50 + (100 - y) / 2, word) for y, word in ticks[:-1]]
    return Chart(bars, both, _date_words([each["local_date"] for each in days]), unit)


def _unit(most_kwh: float) -> tuple[float, str]:
    if most_kwh >= 10_000_000:
        return 1e6, "GWh"
    return (1e3, "MWh") if most_kwh >= 10_000 else (1.0, "kWh")


def _scale(most: float) -> tuple[float, list[tuple[float, str]]]:
    """The top of a scale with about four lines at round numbers, the highest first."""
    if most <= 0:
        return 1.0, [(100.0, "0")]
    rough = most / 4
    power = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 1.0
    while power > rough:
        power /= 10
    step = next(each * power for each in _ROUND if each * power >= rough * 0.999)
    count = -int(-(most / step) // 1)
    top = step * max(count, 1)
    digits = 0 if step >= 1 and step == int(step) else (1 if step >= 0.1 else 2)
    return top, [(100 - 100 * step * k / top, number(step * k, digits)) for k in range(max(count, 1), -1, -1)]


def _bar(place: int, places: int, value: float, top: float, words: str, kind: str) -> Bar:
    slot = 100 / places
    height = max(0.0, 100 * value / top)
    return Bar(slot * place + slot * 0.12, slot * 0.76, 100 - height, height, words, kind)


def _date_words(days: Sequence[date]) -> list[tuple[float, str]]:
    """At most six dates under the bars."""
    if not days:
        return []
    step = max(1, -(-len(days) // 6))
    return [
        ((place + 0.5) * 100 / len(days), f"{days[place].day} {days[place]:%b}") for place in range(0, len(days), step)
    ]


def share_of_best(value: float | None, values: Sequence[float | None]) -> float:
    """A value in percent of the largest: the length of its bar in a table."""
    best = max((each for each in values if each is not None), default=0.0)
    return 0.0 if value is None or best <= 0 else max(0.0, 100 * value / best)


def ages(days: float | None) -> str:
    """`3 days`, `5 h`."""
    if days is None:
        return NONE
    if days < 2:
        return f"{max(0, round(days * 24))}\N{NO-BREAK SPACE}h"
    return f"{round(days)}\N{NO-BREAK SPACE}days"


def filters() -> dict[str, Any]:
    """What the template calls on its values."""
    return {"number": number, "energy": energy, "day": day_word, "age": ages}
