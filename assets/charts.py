"""Small pictures for the metadata of assets: SVG inside Markdown, which is what Dagster's UI shows."""

import base64
import re
from collections.abc import Sequence
from typing import Final

import dagster as dg

from pipelines.checks.shown import DayPower, States
from pipelines.load.standing import EndpointStanding

WIDTH: Final = 720
HEIGHT: Final = 260
MOST_BYTES: Final = 20_000
"""An event is kept for ever with its picture, and the UI loads many events at once."""

COLOURS: Final = ("#1f77b4", "#e08214", "#35978f", "#8073ac", "#888888")
"""Told apart by the colour-blind, on light and dark ground."""

_LONG_NUMBER: Final = re.compile(r"\d+\.\d{2,}")

STATE_COLOURS: Final = {
    "final": "#35978f",
    "provisional": "#f1c232",
    "empty": "#c8c8c8",
    "missing": "#ffffff",
    "suspect": "#8073ac",
    "denied": "#c0392b",
}
"""In the order of the legend; the ground of the picture makes white a hole."""

GROUND: Final = "#e9ecef"
NAME_LENGTH: Final = 18
"""Longer names push the legend out of the picture."""

QUARTERS: Final = 4
"""The hour axis counts quarter hours: leather rounds a scale's end up, and 96 is next to 100 where 24 would be 30."""


def power_chart(power: DayPower) -> str:
    """The day's AC power by plant, as SVG."""
    import leather

    chart = leather.Chart(f"AC power on {power.day} (kW by local hour)")
    values = [kw for _, points in power.lines for _, kw in points]
    for (name, points), colour in zip(power.lines, COLOURS, strict=False):
        chart.add_line(
            [(hour * QUARTERS, kw) for hour, kw in points], name=name[:NAME_LENGTH], stroke_color=colour, width=1.5
        )
    chart.set_x_scale(leather.Linear(0, 24 * QUARTERS))
    chart.set_y_scale(leather.Linear(min(0.0, *values), max(1.0, *values)))
    chart.add_x_axis(
        ticks=[hour * QUARTERS for hour in range(0, 25, 3)], tick_formatter=lambda value, *_: f"{value / QUARTERS:g}"
    )
    return _small(chart.to_svg(width=WIDTH, height=HEIGHT))


def quota_chart(endpoints: Sequence[EndpointStanding], account: str) -> str | None:
    """The share of its quota that each endpoint of an account has used, as SVG; None where nothing was called."""
    import leather

    used = [each for each in endpoints if each.used and each.limit]
    if not used:
        return None
    chart = leather.Chart(f"Quota used now, {account} (% of calls)")
    bars = [(round(100 * each.used / each.limit, 1), f"{each.endpoint} {each.used}/{each.limit}") for each in used]
    chart.add_bars(bars, fill_color=COLOURS[0])
    chart.set_x_scale(leather.Linear(0, max(100, *(share for share, _ in bars))))
    return _small(chart.to_svg(width=WIDTH, height=90 + 24 * len(bars)))


def states_chart(states: States) -> str | None:
    """Plants x days as dots in the colour of their state, as SVG; None before anything is loaded."""
    import leather

    if not states.plants:
        return None
    chart = leather.Chart(f"{states.dataset}, {states.days[0]} to {states.days[-1]}: state by plant and period")
    names = [name[:NAME_LENGTH] for name, _ in states.plants]
    rows = len(names)
    for state, colour in STATE_COLOURS.items():
        dots = [
            (column, rows - 1 - line)
            for line, (_, row) in enumerate(states.plants)
            for column, found in enumerate(row)
            if found == state
        ]
        if dots:
            chart.add_dots(dots, name=state, fill_color=colour, radius=6)
    chart.set_x_scale(leather.Linear(0, max(1, len(states.days) - 1)))
    chart.set_y_scale(leather.Linear(0, max(1, rows - 1)))
    chart.add_x_axis(
        ticks=list(range(len(states.days))), tick_formatter=lambda column, *_: f"{states.days[int(column)]:%d}"
    )
    chart.add_y_axis(ticks=list(range(rows)), tick_formatter=lambda line, *_: names[rows - 1 - int(line)])
    return _small(chart.to_svg(width=WIDTH, height=130 + 22 * rows)).replace("#f9f9f9", GROUND)


def picture(svg: str, says: str) -> dg.MetadataValue:
    """An SVG as metadata; `says` stands where pictures can't be seen."""
    packed = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{says}](data:image/svg+xml;base64,{packed})")


def _small(svg: str) -> str:
    """Coordinates to a tenth of a pixel: leather writes all digits of a float."""
    return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}", svg)
