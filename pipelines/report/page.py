"""Renders the page: one HTML file with its styles and drawings inside; it loads nothing and runs nothing."""

from datetime import date
from pathlib import Path
from typing import Final

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.report.content import STATES, content_of
from pipelines.report.drawing import battery_chart, energy_chart, filters, share_of_best
from pipelines.report.sources import Figures

TEMPLATES: Final = Path(__file__).parent


def report_page(
    connection: duckdb.DuckDBPyConnection, start: date, end: date, plants: tuple[str, ...] = (), title: str = ""
) -> str:
    """The page on local dates `start`..`end`, both included, of some plants (none named: all).

    Every text from outside is escaped. Works on a warehouse without data: the page says what is missing.
    """
    figures = Figures(connection, start, end, plants)
    before = Figures(connection, *_days_before(start, end), plants)
    try:
        content = content_of(figures, before, start, end)
    finally:
        figures.close()
        before.close()
    yields = [each["yield_a_day"] for each in content.plants]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            title=title or ("Fleet report" if len(content.plants) != 1 else content.plants[0]["name"]),
            energy_chart=energy_chart(content.days),
            battery_chart=battery_chart(content.days),
            states=STATES,
            bar_of=lambda value: share_of_best(value, yields),
        )
    )


def _days_before(start: date, end: date) -> tuple[date, date]:
    """As many days before `start`, as far as the calendar has them."""
    first = start.toordinal()
    length = end.toordinal() - first + 1
    return date.fromordinal(max(1, first - length)), date.fromordinal(max(1, first - 1))


def environment() -> Environment:
    """Templates that escape everything and refuse unknown names."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(filters())
    return made
