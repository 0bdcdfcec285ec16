"""`pvms init`: an `.env` that only its owner can read, never over one that is there, and whose examples work."""

import os
import re
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.init import ENV_TEMPLATE
from pipelines.settings import SettingsError, _Environment, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_the_file_is_the_owners_alone(folder: Path) -> None:
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 0
    assert mode_of(folder / ".env") == 0o600
    filled = ENV_TEMPLATE.replace("#DAGSTER_HOME=", f"DAGSTER_HOME='{folder}/data/state/dagster'")
    assert (folder / ".env").read_text(encoding="utf-8") == filled != ENV_TEMPLATE
    assert sorted(each.name for each in (folder / "data").iterdir()) == ["exports", "lake", "state"]
    assert str(folder / "data") in result.stderr
    assert result.stdout == ""


def test_it_makes_the_folder_it_is_given(folder: Path) -> None:
    assert CliRunner().invoke(app, ["init", "a/b"]).exit_code == 0
    assert (folder / "a" / "b" / ".env").is_file()
    assert (folder / "a" / "b" / "data" / "state").is_dir()
    assert not (folder / "data").exists()


def test_a_file_that_is_there_is_left_alone(folder: Path) -> None:
    (folder / ".env").write_text("SMARTPVMS_USERNAME=mine\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 2
    assert str(folder / ".env") in result.stderr
    assert (folder / ".env").read_text(encoding="utf-8") == "SMARTPVMS_USERNAME=mine\n"
    assert [each.name for each in folder.iterdir()] == [".env"]


def test_a_file_where_the_folder_should_be_is_a_sentence(folder: Path) -> None:
    (folder / "taken").write_text("a file", encoding="utf-8")
    result = CliRunner().invoke(app, ["init", "taken"])
    assert result.exit_code == 1
    assert "taken" in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert (folder / "taken").read_text(encoding="utf-8") == "a file"


def test_the_fresh_file_is_no_account_yet(folder: Path) -> None:
    CliRunner().invoke(app, ["init"])
    settings = load_settings()
    assert settings.accounts == ()
    with pytest.raises(SettingsError, match="SMARTPVMS_PASSWORD"):
        _ = settings.account


def test_every_line_of_the_file_is_a_setting(folder: Path) -> None:
    named = re.findall(r"^#?([A-Z_]+)=", ENV_TEMPLATE, re.MULTILINE)
    assert len(named) == len(set(named)) > 10
    # DAGSTER_HOME is read by Dagster's own commands.
    assert {name.lower() for name in named} - {"dagster_home"} <= set(_Environment.model_fields)


def test_the_commented_lines_work_as_they_stand(folder: Path) -> None:
    (folder / ".env").write_text(re.sub(r"^#([A-Z_]+=)", r"\1", ENV_TEMPLATE, flags=re.MULTILINE), encoding="utf-8")
    settings = load_settings()
    assert settings.history_start == date(2025, 1, 1)
    assert settings.home == folder / "data"
    assert settings.plants_file == folder / "plants.csv"
    assert settings.default_time_zone == "Europe/Berlin"


def test_commented_values_that_are_called_default_are(folder: Path) -> None:
    plain = load_settings()
    text = re.sub(r"^#([A-Z_]+=)", r"\1", ENV_TEMPLATE, flags=re.MULTILINE)
    (folder / ".env").write_text(text, encoding="utf-8")
    shown = load_settings()
    for name in ("home", "partition_grain", "log_level", "duckdb_threads", "duckdb_memory"):
        assert getattr(shown, name) == getattr(plain, name)
