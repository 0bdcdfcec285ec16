"""The dictionary of what dbt makes: every table and column of staging and marts, from the project's own descriptions.

The descriptions are the comments in DuckDB and the texts of dbt's docs too, so the three can't differ.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

DBT: Final = Path(__file__).resolve().parents[1] / "dbt"
"""The dbt project of a checkout."""

_FOLDERS: Final = ("models", "seeds")

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "data-dictionary-models.md"
"""Where the page lives in a checkout."""

INTRO: Final = """# Data dictionary: marts and staging

Written from the descriptions in `dbt/` by `python -m schemas.dictionary`; edit those, not this page. They are the
comments in the database and dbt's docs as well. `raw` and `ops` are in the [other page](data-dictionary.md); formulas
and rules of the figures are in [What the figures mean](figures.md).

- *unit* is what the column's name ends in; `UTC` is an instant, `local` the clock of the plant.
- *source* is the vendor's key and the section of the vendor's interface reference, where a description names them.
- *null rule* is what a description says of null. Where it says nothing, null means that the input was not there.
"""

UNITS: Final[Mapping[str, str]] = {
    "kwh_kwp": "kWh/kWp",
    "kwh_m2": "kWh/m2",
    "w_m2": "W/m2",
    "m_s": "m/s",
    "kwh": "kWh",
    "wh": "Wh",
    "kvarh": "kvarh",
    "kvar": "kvar",
    "kva": "kVA",
    "kwp": "kWp",
    "kw": "kW",
    "mw": "MW",
    "pct": "%",
    "degc": "°C",
    "deg": "°",
    "hz": "Hz",
    "v": "V",
    "a": "A",
    "ah": "Ah",
    "h": "h",
    "s": "s",
    "min": "min",
    "days": "days",
    "km": "km",
    "kg": "kg",
    "mohm": "Mohm",
    "utc": "UTC",
}
"""Endings of column names; longer ones first, for `_kwh_m2` ends in `m2` too."""

_GRAIN: Final = re.compile(r"\b(?:One|A) row per\b[^.;]*")
_SECTION: Final = re.compile(r"reference (\d[\d.]*\d)")
_KEY: Final = re.compile(r"vendor's ([A-Za-z_]\w*)(?=[,)])|\(([a-z]+[A-Z]\w*|PVYield|[a-z]+_[a-z_]+)\)")


@dataclass(frozen=True, slots=True)
class Model:
    """A model's name, schema, words and columns with theirs; `file` says where they are written."""

    name: str
    schema: str
    description: str
    columns: tuple[tuple[str, str], ...]
    file: str


def models(folder: Path = DBT) -> list[Model]:
    """Every described model: marts first, then staging, each by name."""
    found = [
        Model(
            name=each["name"],
            schema=_schema(path.relative_to(folder), each),
            description=_text(each.get("description")),
            columns=tuple((column["name"], _text(column.get("description"))) for column in each.get("columns") or ()),
            file=str(path.relative_to(folder)),
        )
        for path in _files(folder, "*.yml")
        for each in _described(path)
    ]
    return sorted(found, key=lambda each: (each.schema != "marts", each.schema, each.name))


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for each in _FOLDERS for path in (folder / each).rglob(pattern))


def _described(path: Path) -> list[Mapping[str, Any]]:
    words = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return [each for kind in _FOLDERS for each in words.get(kind) or ()]


def _schema(path: Path, model: Mapping[str, Any]) -> str:
    named = (model.get("config") or {}).get("schema")
    return str(named) if named else "marts" if {"marts", "seeds"} & set(path.parts) else "staging"


def _text(words: object) -> str:
    return " ".join(str(words or "").split())


def problems(folder: Path = DBT) -> list[str]:
    """What a reader would miss: models or columns without words, and models that don't say what a row is."""
    known = models(folder)
    said = {each.name for each in known}
    missing = [f"{path.relative_to(folder)} is described in no .yml" for path in _made(folder) if path.stem not in said]
    for model in known:
        where = f"{model.file}: {model.name}"
        if not model.description:
            missing.append(f"{where} has no description")
        elif not grain(model.description):
            missing.append(f"{where} doesn't say `One row per ...`")
        missing += [f"{where}.{column} has no description" for column, words in model.columns if not words]
        names = [column for column, _ in model.columns]
        missing += [f"{where}.{name} is described twice" for name in sorted({n for n in names if names.count(n) > 1})]
        if not names:
            missing.append(f"{where} describes no column")
    return missing


def _made(folder: Path) -> list[Path]:
    return [*_files(folder, "*.sql"), *_files(folder, "*.csv")]


def grain(description: str) -> str:
    """What one row is, or nothing."""
    match = _GRAIN.search(description)
    return match[0] if match else ""


def unit_of(column: str) -> str:
    """The unit that a column's name ends in."""
    if column == "local_time" or column.endswith("_local"):
        return "local"
    return next((unit for ending, unit in UNITS.items() if column.endswith(f"_{ending}")), "")


def source_of(description: str) -> str:
    """The vendor's key and section that a description names."""
    key, section = _KEY.search(description), _SECTION.search(description)
    parts = [f"`{key[1] or key[2]}`"] if key else []
    return ", ".join(parts + ([section[1]] if section else []))


def null_rule(description: str) -> str:
    """The clauses that speak of null."""
    clauses = re.split(r"(?<=[.;]) ", description)
    return " ".join(each.rstrip(";.") + "." for each in clauses if re.search(r"\bnull\b", each, re.IGNORECASE))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _lines(model: Model) -> list[str]:
    row = grain(model.description)
    said = f"Grain: {row[0].lower()}{row[1:]}." if row else ""
    lines = [f"### {model.schema}.{model.name}", "", model.description, said, ""]
    lines += ["| column | unit | source | meaning | null rule |", "|---|---|---|---|---|"]
    for name, words in model.columns:
        cells = (f"`{name}`", unit_of(name), source_of(words), words, null_rule(words))
        lines.append("| " + " | ".join(_cell(each) for each in cells) + " |")
    return [*lines, ""]


def page(folder: Path = DBT) -> str:
    """Write the whole page."""
    lines, schema = [INTRO], ""
    for model in models(folder):
        if model.schema != schema:
            schema = model.schema
            lines += [f"## Schema {schema}", ""]
        lines += _lines(model)
    return "\n".join(lines).rstrip() + "\n"
