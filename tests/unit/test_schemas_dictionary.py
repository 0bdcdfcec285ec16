"""The data dictionary page is what the catalog says."""

from pathlib import Path

import pytest

from schemas import dictionary_models
from schemas.dictionary import PAGE, main, page, quota_formula
from schemas.endpoints import ENDPOINTS
from schemas.owner_tables import OWNER_TABLES
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
    for name, owners in OWNER_TABLES.items():
        section = text.split(f"### ops.{name}\n")[1].split("\n#")[0]
        for word, meaning in owners.columns.items():
            assert f"| `{word}` | {meaning} |" in section


def test_every_row_of_a_grid_has_as_many_cells_as_its_head() -> None:
    width = 0
    for line in page().splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|"):
            assert width in (0, cells), line
            width = cells
        else:
            width = 0


@pytest.mark.slow
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


def test_every_model_and_column_is_in_the_page_of_the_models() -> None:
    text = dictionary_models.page()
    known = dictionary_models.models()
    assert {"fct_plant_day", "stg_plant_daily", "int_plant_day"} <= {each.name for each in known}
    for model in known:
        section = text.split(f"### {model.schema}.{model.name}\n")[1].split("\n#")[0]
        assert "Grain: " in section
        for column, words in model.columns:
            assert f"| `{column}` |" in section
            assert words.replace("|", "\\|") in section


def test_a_model_without_words_a_row_or_a_column_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "marts"
    folder.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (folder / f"{name}.sql").write_text("select 1")
    (folder / "some.yml").write_text(
        "models:\n- name: one\n  description: Energies.\n  columns:\n  - name: a_kwh\n- name: two\n  columns:\n"
        "  - {name: b, description: B.}\n  - {name: b, description: B.}\n"
    )
    told = "\n".join(dictionary_models.problems(tmp_path))
    for words in (
        "three.sql is described in no .yml",
        "one doesn't say `One row per ...`",
        "one.a_kwh has no description",
        "two has no description",
        "two.b is described twice",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("column", "unit"),
    [("pv_energy_kwh", "kWh"), ("irradiation_kwh_m2", "kWh/m2"), ("local_time", "local"), ("plant_code", "")],
)
def test_units_are_what_names_end_in(column: str, unit: str) -> None:
    assert dictionary_models.unit_of(column) == unit


def test_source_and_null_rule_are_read_from_the_words() -> None:
    words = "Consumption in kWh (vendor's use_power, reference 5.1.4.2); null without a meter (17, 47). Never guessed."
    assert dictionary_models.source_of(words) == "`use_power`, 5.1.4.2"
    assert dictionary_models.null_rule(words) == "null without a meter (17, 47)."
    assert dictionary_models.source_of("Energy in kWh (PVYield). More.") == "`PVYield`"
