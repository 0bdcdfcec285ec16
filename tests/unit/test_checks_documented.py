"""The table of checks in the documents names every check, and no other."""

import re
from pathlib import Path

from pipelines.checks.catalog import CHECKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<where>[^|]+) \|", re.MULTILINE)
EVERY_PERIODIC = "datasets with a past"


def test_the_table_names_each_check_on_each_of_its_assets() -> None:
    told: dict[str, set[str]] = {}
    for match in ROW.finditer(PAGE.read_text(encoding="utf-8")):
        named = re.findall(r"`(?:ops\.)?(\w+)`", match["where"])
        told.setdefault(match["name"], set()).update(named or {EVERY_PERIODIC})
    known: dict[str, set[str]] = {}
    for check in CHECKS:
        known.setdefault(check.name, set()).add(check.asset[1])
    assert told.keys() == known.keys()
    for name, where in told.items():
        assert where in ({EVERY_PERIODIC}, known[name]), name


def test_each_check_is_there_once_and_described() -> None:
    assert len({check.key for check in CHECKS}) == len(CHECKS)
    assert all(check.description.endswith(".") for check in CHECKS)
