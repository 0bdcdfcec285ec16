"""The data dictionary, two pages: `python -m schemas.dictionary [--check]`.

`raw` and `ops` are written from the catalog here, staging and marts from dbt's descriptions in `dictionary_models`.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from schemas import dictionary_models
from schemas.columns import Column, Table
from schemas.datasets import DATASETS
from schemas.device_types import DEVICE_TYPES
from schemas.endpoints import DAY, ENDPOINTS, Endpoint, Quota
from schemas.items import DataItem
from schemas.lookups import LOOKUPS
from schemas.owner_tables import OWNER_TABLES, OwnerTable
from schemas.tables import TABLES

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "data-dictionary.md"
"""Where the page lives in a checkout."""

INTRO: Final = """# Data dictionary

Written from the catalog in `schemas/` by `python -m schemas.dictionary`; edit the catalog, not this page.

- Schema `raw` keeps the vendor's values as sent: key in snake_case, value and unit unchanged. The unit given here
  is the true one; where the reference prints another, the line says which and why.
- Schema `staging` has the same rows with the field's words and the unit in the name. The column *staging* gives
  the name, and the factor where the value changes.
- *plausible* bounds are in the unit as sent. Values outside land in `raw`, are counted in `ops.schema_drift` and are
  null in staging.
- Every time is UTC; `local_date` is the date in the plant's own zone.
- Section numbers are those of the vendor's SmartPVMS northbound interface reference.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Markdown table; empty line after it."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(each) for each in row) + " |" for row in rows]
    return [*lines, ""]


def _window(seconds: int) -> str:
    if seconds == DAY:
        return "day"
    return "minute" if seconds == 60 else f"{seconds // 60} minutes"


def quota_formula(quota: Quota) -> str:
    """Say a quota as the reference does: `Roundup(plants/100) x 10 + 24 per day`."""
    terms = []
    if quota.per_plant_block:
        times = f" x {quota.per_plant_block}" if quota.per_plant_block > 1 else ""
        terms.append(f"Roundup(plants/{quota.plant_block}){times}")
    if quota.device_types:
        terms.append(f"sum of Roundup(devices of a type/{quota.device_block})")
    variable = f"max({', '.join(terms)})" if len(terms) > 1 else "".join(terms)
    fixed = str(quota.base) if quota.base else ""
    shared = ", shared by all read interfaces" if quota.shared else ""
    return f"{' + '.join(each for each in (variable, fixed) if each)} per {_window(quota.window_seconds)}{shared}"


def _limits(endpoint: Endpoint) -> str:
    parts = []
    if endpoint.max_plants:
        parts.append(f"{endpoint.max_plants} plants")
    if endpoint.max_devices:
        parts.append(f"{endpoint.max_devices} devices of one type")
    limits = [" or ".join(parts)] if parts else []
    if endpoint.max_span_hours:
        limits.append(f"{endpoint.max_span_hours} hours")
    if endpoint.paged:
        limits.append("paged")
    return ", ".join(limits)


def _endpoints() -> list[str]:
    rows = (
        (
            f"`{each.name}`",
            each.section,
            each.title + (f" (replaces `{each.replaces}`)" if each.replaces else ""),
            _limits(each),
            quota_formula(each.quotas["dynamic"]),
            quota_formula(each.quotas["static"]),
        )
        for each in ENDPOINTS.values()
    )
    head = ("endpoint", "section", "what", "one call", "quota, dynamic policy (4.2)", "quota, static policy (6.2)")
    shared = "With OAuth, an owner has 1,000 calls a day over all read interfaces together (4.1)."
    return ["## Endpoints", "", *_grid(head, rows), shared, ""]


def _datasets() -> list[str]:
    rows = (
        (
            f"`{each.name}`",
            f"`{each.endpoint}`",
            each.description,
            each.period,
            each.window,
            ", ".join(map(str, each.device_types)),
        )
        for each in DATASETS.values()
    )
    head = ("dataset", "endpoint", "holds", "period", "one call answers", "device types")
    return ["## Datasets", "", *_grid(head, rows)]


def _device_types() -> list[str]:
    rows = (
        (
            str(each.id),
            each.label,
            f"`{each.name}`",
            *("yes" if served else "" for served in (each.history, each.realtime, each.report)),
        )
        for each in DEVICE_TYPES.values()
    )
    return ["## Device types", "", *_grid(("id", "device", "name here", "history", "real time", "reports"), rows)]


def _meaning(column: Column) -> str:
    item = column.item
    if item is None:
        return column.description
    text = item.name
    if item.vendor_key != item.column:
        text += f" (`{item.vendor_key}`)"
    if item.kind == "code":
        text += f"; code, see {item.lookup}"
    if item.unit_reason:
        text += f"; {item.unit_reason}"
    return text + ("; invalid field, null by default" if item.invalid else "")


def _staging(item: DataItem) -> str:
    name = f"`{item.staging_column}`"
    if item.kind == "code":
        return f"{name}, `{item.staging_label_column}`"
    return name if item.staging_factor == 1.0 else f"{name} (x {item.staging_factor:.6g})"


def _row(column: Column) -> tuple[str, ...]:
    item = column.item
    plausible = ""
    if item is not None and item.plausible is not None:
        plausible = f"{item.plausible[0]:.15g} to {item.plausible[1]:.15g}"
    return (
        f"`{column.name}`",
        column.type + ("" if column.nullable else " not null"),
        column.unit or "",
        plausible,
        _meaning(column),
        _staging(item) if item is not None else "",
    )


def _table(table: Table) -> list[str]:
    facts = [f"Key: {', '.join(f'`{each}`' for each in table.key)}." if table.key else "No key: rows are events."]
    if table.partition_by:
        facts.append(f"Stored by {table.partition_by}.")
    head: tuple[str, ...] = ("column", "type", "unit", "plausible", "meaning", "staging")
    rows: list[tuple[str, ...]] = [_row(each) for each in table.columns]
    if not table.items:
        head, rows = (*head[:3], head[4]), [(*each[:3], each[4]) for each in rows]
    return [f"### {table.schema}.{table.name}", "", table.description, " ".join(facts), "", *_grid(head, rows)]


def _owner_table(name: str, table: OwnerTable) -> list[str]:
    rows = ((f"`{column}`", words) for column, words in table.columns.items())
    return [f"### ops.{name}", "", table.description, "", *_grid(("column", "meaning"), rows)]


def _lookups() -> list[str]:
    lines = ["## Codes", ""]
    for name, words in LOOKUPS.items():
        lines += [f"### {name}", "", *_grid(("code", "meaning"), ((str(k), v) for k, v in words.items()))]
    return lines


def page() -> str:
    """Write the whole page."""
    lines = [INTRO, *_endpoints(), *_datasets(), *_device_types(), "## Tables", ""]
    for each in TABLES.values():
        lines += _table(each)
    for name, owners in OWNER_TABLES.items():
        lines += _owner_table(name, owners)
    return "\n".join([*lines, *_lookups()]).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with `--check` say whether the written ones are current and whole. Gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.dictionary", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not current")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page of raw and ops (default: %(default)s)")
    parser.add_argument(
        "--models-page", type=Path, default=dictionary_models.PAGE, help="the page of staging and marts"
    )
    options = parser.parse_args(arguments)
    missing = dictionary_models.problems()
    sys.stderr.write("".join(f"{each}\n" for each in missing))
    written = {options.page: page(), options.models_page: dictionary_models.page()}
    if not options.check:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return int(bool(missing))
    stale = [path for path, text in written.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stderr.write(f"{path} is not what the catalog and dbt say: run `python -m schemas.dictionary`\n")
    return int(bool(missing or stale))


if __name__ == "__main__":
    sys.exit(main())
