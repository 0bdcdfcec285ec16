"""Exit codes: wrong usage is 2, an error 1, a quota 3, an interrupt 130; each a sentence, none a stack trace."""

import errno
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.common import guarded
from pipelines.lake.errors import DiskFull, NoWarehouse
from pipelines.load.request import UsageError
from pipelines.northbound.errors import LoginRefused, PermissionDenied, QuotaExhausted
from pipelines.settings import SettingsError

DAY = ["--from", "2025-01-01", "--to", "2025-01-01"]
# Nothing answers there; a command that called it would not end with code 2.
NOBODY = "SMARTPVMS_BASE_URL=http://127.0.0.1:9\nSMARTPVMS_USERNAME=u\nSMARTPVMS_PASSWORD=p\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["load", "--from", "2025-01-01"],
        ["load", "--from", "2025-02-30", "--to", "2025-03-01"],
        ["load", "--from", "01.02.2025", "--to", "2025-03-01"],
        ["load", *DAY, "--dataset", "nope"],
        ["load", *DAY, "--nope"],
        ["plan", *DAY, "--dataset", "nope"],
        ["plan", "--from", "tomorrow", "--to", "2025-01-01"],
        ["demo", "--days", "0"],
        ["demo", "--days", "three"],
        ["simulator", "--fleet", "nope"],
        ["simulator", "--fault", "nope"],
        ["simulator", "--fault", "deny=nope"],
        ["simulator", "--policy", "nope"],
        ["sql"],
        ["sql", "select 1", "--format", "xlsx"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_writes_nothing(folder: Path, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.strip()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["load", "plan"])
def test_a_missing_account_is_1_and_writes_nothing(folder: Path, command: str) -> None:
    result = invoke(command, *DAY)
    assert result.exit_code == 1
    assert "pvms init" in result.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["load", "plan"])
def test_half_an_account_is_1(folder: Path, command: str) -> None:
    (folder / ".env").write_text("SMARTPVMS_USERNAME=u\n", encoding="utf-8")
    result = invoke(command, *DAY)
    assert result.exit_code == 1
    assert "SMARTPVMS_BASE_URL, SMARTPVMS_PASSWORD must be set too" in result.stderr


@pytest.mark.parametrize("command", ["load", "plan"])
def test_a_future_date_is_2(folder: Path, command: str) -> None:
    (folder / ".env").write_text(NOBODY, encoding="utf-8")
    future = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    result = invoke(command, "--from", "2025-01-01", "--to", future)
    assert result.exit_code == 2
    assert f"{future} lies in the future" in result.stderr


@pytest.mark.parametrize("command", ["load", "plan"])
def test_a_range_that_ends_before_it_starts_is_2(folder: Path, command: str) -> None:
    (folder / ".env").write_text(NOBODY, encoding="utf-8")
    result = invoke(command, "--from", "2025-01-02", "--to", "2025-01-01")
    assert result.exit_code == 2
    assert "--to 2025-01-01 lies before --from 2025-01-02" in result.stderr


@pytest.mark.parametrize("command", [["status"], ["sql", "select 1"]])
def test_before_the_first_load_the_next_step_is_said(folder: Path, command: list[str]) -> None:
    result = invoke(*command)
    assert result.exit_code == 1
    assert "pvms load" in result.output
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["load", "plan"])
def test_a_file_where_the_data_should_go_is_1(folder: Path, command: str) -> None:
    (folder / ".env").write_text(NOBODY + "PVMS_HOME=taken\n", encoding="utf-8")
    (folder / "taken").write_text("a file", encoding="utf-8")
    result = invoke(command, *DAY)
    assert result.exit_code == 1
    assert str(folder / "taken") in result.stderr


def test_a_foreign_folder_is_never_replaced_by_the_demo(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    result = invoke("demo", "--folder", "mine")
    assert result.exit_code == 2
    assert "--folder" in result.stderr
    assert [each.name for each in (folder / "mine").iterdir()] == ["thesis.txt"]


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("an unknown plant"), 2, "an unknown plant"),
        (SettingsError("SMARTPVMS_USERNAME is missing"), 1, "SMARTPVMS_USERNAME"),
        (LoginRefused("refused", code=20400, endpoint="login"), 1, "pvms login --again"),
        (PermissionDenied("no", code=401, endpoint="getDevHistoryKpi"), 1, "getDevHistoryKpi"),
        (QuotaExhausted("used up", next_at=datetime(2025, 3, 1, 12, 30, tzinfo=UTC)), 3, "2025-03-01 12:30"),
        (NoWarehouse(Path("w.duckdb")), 1, "w.duckdb"),
        (DiskFull(Path("/data")), 1, "/data"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 1, "/data/x"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/y"), 1, "/data/y"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_foreseeable_errors_are_a_sentence_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error)) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), OSError(errno.EIO, "broken disk")])
def test_a_bug_is_not_dressed_up_as_a_foreseeable_error(error: Exception) -> None:
    with pytest.raises(type(error)):
        guarded(raising(error))


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert guarded(raising(BrokenPipeError())) == 0


def test_the_commands_own_code_passes() -> None:
    assert guarded(lambda: 4) == 4
