"""What dbt made of a project is kept beside no home, and is no one's truth but that project's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt.contracts.graph.manifest import Manifest

from pipelines.lake import parsed_project
from pipelines.lake.parsed_project import parsed


class Parser:
    """Counts how often a project is parsed; each time gives another name."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Manifest:
        self.times += 1
        manifest = Manifest()
        manifest.metadata.project_name = f"parsed {self.times}"
        return manifest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cache"
    monkeypatch.setattr(parsed_project, "user_cache_path", lambda name: folder / name)
    monkeypatch.setattr(parsed_project, "_in_memory", {})
    yield folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "model.sql").write_text("select 1")
    return folder


def name_in_a_new_process(project: Path, parse: Parser, *, cached: bool = True) -> str | None:
    parsed_project._in_memory.clear()
    return parsed(project, parse, cached=cached).metadata.project_name


@pytest.mark.usefixtures("cache")
def test_a_project_is_parsed_once_a_version(project: Path) -> None:
    parse = Parser()
    assert [name_in_a_new_process(project, parse) for _ in range(3)] == ["parsed 1"] * 3
    assert parsed(project, parse, cached=True).metadata.project_name == "parsed 1"
    (project / "model.sql").write_text("select 2")
    assert parsed(project, parse, cached=True).metadata.project_name == "parsed 2"
    assert name_in_a_new_process(project, parse) == "parsed 2"
    assert parse.times == 2


def test_a_cut_or_foreign_file_is_not_believed(project: Path, cache: Path) -> None:
    parse = Parser()
    name_in_a_new_process(project, parse)
    (file,) = cache.rglob("*.msgpack")
    for damage in (file.read_bytes()[:-1], b"", bytes(100)):
        file.write_bytes(damage)
        before = parse.times
        assert name_in_a_new_process(project, parse) == f"parsed {before + 1}"
        assert name_in_a_new_process(project, parse) == f"parsed {before + 1}", "what was damaged is written anew"


def test_a_cache_that_cannot_be_written_costs_a_parse_each(project: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    parse = Parser()
    assert [name_in_a_new_process(project, parse) for _ in range(2)] == ["parsed 1", "parsed 2"]


def test_projects_that_nobody_asked_to_cache_leave_nothing_and_old_ones_go(tmp_path: Path, cache: Path) -> None:
    parse = Parser()
    projects = [tmp_path / f"checkout {number}" for number in range(6)]
    for each in projects:
        each.mkdir()
    name_in_a_new_process(projects[0], parse, cached=False)
    assert not list(cache.rglob("*.msgpack"))
    for each in projects:
        name_in_a_new_process(each, parse)
    assert len(list(cache.rglob("*.msgpack"))) == 4
    assert name_in_a_new_process(projects[-1], parse) == "parsed 7"
