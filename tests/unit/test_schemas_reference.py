"""The catalog against the vendor's own tables, extracted anew from the reference's text.

The text is not part of the project: it is read where it lies beside the checkout. The tables are read by a parser of
their own: rows are split by tabs, page breaks repeat headings, and device labels that a page break shifts are put
right by the order of the rows.
"""

import re
from pathlib import Path

import pytest

from schemas import catalog
from schemas.items import DataItem

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference"

pytestmark = pytest.mark.skipif(
    not any(FOLDER.glob("*.txt")),
    reason="the vendor's reference does not lie beside the checkout (../shared/reference)",
)

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*$")
LABEL = re.compile(r"I?D: (\d+)")

Row = tuple[str, str | None, bool]
"""Key, printed unit, marked as an invalid field."""

FIRST_ROW_AFTER_A_SHIFTED_LABEL = {
    # (section title, label that stands too early): key and occurrence at which its device really begins.
    ("Historical Device Data List", 38): "inverter_state",
    ("Historical Device Data List", 41): "ch_discharge_power",
    ("Real-Time Device Data List", 38): "inverter_state",
}


def lines_of(title: str, occurrence: int = 0) -> list[str]:
    """Lines of one data list: from its heading to the next heading that is no table."""
    text = "\n".join(each.read_text(encoding="utf-8") for each in sorted(FOLDER.glob("*.txt")))
    starts = [match.end() for match in re.finditer(rf"^{title}$", text, re.MULTILINE)]
    end = re.compile(r"^(Table 5-|Examples?$)", re.MULTILINE).search(text, starts[occurrence])
    assert end is not None
    return text[starts[occurrence] : end.start()].split("\n")


def row_of(cells: list[str]) -> Row:
    unit = cells[2].replace(" ²", "²")  # extraction puts a space before some exponents
    return cells[0], None if unit == "None" else unit, any("Invalid field" in each for each in cells)


def plant_rows(title: str) -> list[Row]:
    rows = [line.split("\t") for line in lines_of(title) if "\t" in line]
    return [row_of(each) for each in rows if each[0] != "Key"]


def device_rows(title: str) -> dict[int, list[Row]]:
    """Rows by device type, in order of the types' first rows."""
    found: dict[int, list[Row]] = {}
    current = pending = None
    for line in lines_of(title):
        cells = line.split("\t")
        if len(cells) < 4 or not KEY.match(cells[1]) or cells[1] == "Key":
            continue
        if label := LABEL.match(cells[0]):
            begins = FIRST_ROW_AFTER_A_SHIFTED_LABEL.get((title, int(label[1])))
            if begins is None or cells[1] == begins:
                current, pending = int(label[1]), None
            else:
                pending = (int(label[1]), begins)
        elif pending and cells[1] == pending[1]:
            current, pending = pending[0], None
        assert current is not None
        found.setdefault(current, []).append(row_of(cells[1:]))
    return found


def declared(items: tuple[DataItem, ...]) -> list[Row]:
    return [(each.vendor_key, each.vendor_unit, each.invalid) for each in items]


@pytest.mark.parametrize(
    ("title", "items"),
    [("Real-Time Device Data List", catalog.REALTIME), ("Historical Device Data List", catalog.HISTORY)],
)
def test_device_data_lists(title: str, items: dict[int, tuple[DataItem, ...]]) -> None:
    rows = device_rows(title)
    assert set(rows) == set(items)
    for type_id, expected in rows.items():
        assert declared(items[type_id]) == expected, type_id


@pytest.mark.parametrize(
    ("title", "dataset"),
    [
        ("Daily Device Data List", "device_daily"),
        ("Monthly Device Data List", "device_monthly"),
        ("Yearly Device Data List", "device_yearly"),
    ],
)
def test_device_report_lists(title: str, dataset: str) -> None:
    rows = device_rows(title)
    items = catalog.DEVICE_REPORT_ITEMS[dataset]
    assert {type_id: declared(each) for type_id, each in items.items()} == rows


@pytest.mark.parametrize(
    ("title", "dataset"),
    [
        ("Real-Time Plant Data List", "plant_realtime"),
        ("Hourly Plant Data List", "plant_hourly"),
        ("Daily Plant Data List", "plant_daily"),
        ("Monthly Plant Data List", "plant_monthly"),
        ("Yearly Plant Data List", "plant_yearly"),
    ],
)
def test_plant_lists(title: str, dataset: str) -> None:
    assert declared(catalog.PLANT_ITEMS[dataset]) == plant_rows(title)
