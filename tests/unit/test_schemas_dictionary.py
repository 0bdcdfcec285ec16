"""The data dictionary page is what the catalog says."""

from pathlib import Path

import pytest

from schemas.dictionary import PAGE, main, page, quota_formula
from schemas.endpoints import ENDPOINTS
from schemas.tables import TABLES


def test_the_committed_page_is_current() -> None:
    assert PAGE.is_file(), "run `python -m schemas.dictionary`"
    assert main(["--check"]) == 0


def test_the_page_names_every_table_and_column() -> None:
    text = page()
    for table in TABLES.values():
        section = text.split(f"### {table.schema}.{table.name}\n")[1].split("\n#")[0]
        for column in table.columns:
            assert f"| `{column.name}` | {column.type}" in section


def test_every_row_of_a_grid_has_as_many_cells_as_its_head() -> None:
    width = 0
    for line in page().splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|"):
            assert width in (0, cells), line
            width = cells
        else:
            width = 0


def test_check_finds_drift_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "docs" / "page.md"
    assert main(["--check", "--page", str(copy)]) == 1
    assert main(["--page", str(copy)]) == 0
    assert main(["--check", "--page", str(copy)]) == 0
    copy.write_text(copy.read_text(encoding="utf-8").replace("kvarh", "kWh"), encoding="utf-8")
    assert main(["--check", "--page", str(copy)]) == 1
    assert "python -m schemas.dictionary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("endpoint", "policy", "words"),
    [
        ("stations", "dynamic", "Roundup(plants/100) x 10 + 24 per day"),
        ("getDevHistoryKpi", "dynamic", "sum of Roundup(devices of a type/10) + 24 per day"),
        ("getDevHistoryKpi", "static", "1 per minute"),
        (
            "getAlarmList",
            "dynamic",
            "max(Roundup(plants/100), sum of Roundup(devices of a type/100)) per 30 minutes",
        ),
        ("stations", "oauth", "1000 per day, shared by all read interfaces"),
    ],
)
def test_quotas_in_words(endpoint: str, policy: str, words: str) -> None:
    assert quota_formula(ENDPOINTS[endpoint].quotas[policy]) == words
