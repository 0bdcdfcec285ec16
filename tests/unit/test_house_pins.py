"""What the README's commands install is pinned exactly, and no file says where packages are to come from."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)")
DECLARED = [Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]

PLACES = re.compile(
    r"(?:extra-)?index-" + r"url|trusted-" + r"host|find-" + r"links"
    r"|://[^\s\"'<>)]*(?:/simple\b|pypi|pythonhosted|artifactory|nexus|devpi)",
    re.IGNORECASE,
)
"""Options and addresses that name a package registry; whoever installs chooses the registry."""


def pins() -> dict[str, Version]:
    found = [PIN.fullmatch(line) for line in LINES]
    return {canonicalize_name(match["name"]): Version(match["version"]) for match in found if match}


def test_every_line_is_one_exact_version() -> None:
    assert [line for line in LINES if not PIN.fullmatch(line)] == []
    assert len(pins()) == len(LINES) > 100


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda each: each.name)
def test_every_declared_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_what_those_need_is_pinned_too() -> None:
    known = pins()
    waiting = [(canonicalize_name(each.name), frozenset(each.extras)) for each in DECLARED]
    seen: set[tuple[str, frozenset[str]]] = set()
    absent: set[str] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in known:
            absent.add(name)
        try:
            needed = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        for text in needed:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    assert absent == set()
    assert len(seen) > len(DECLARED)


def test_the_build_tool_is_pinned() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert all(PIN.fullmatch(text) for text in build["requires"])


def test_no_file_names_a_package_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of the project's files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    assert ROOT / "constraints.txt" in files
    found = []
    for path in files:
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if PLACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-" + "url https://example.org/x",
        "https://example.org/api/py" + "pi/mine",
        "pandas @ https://files.python" + "hosted.org/x.whl",
        "https://example.org/repository/sim" + "ple/",
    ],
)
def test_a_registry_would_be_found(line: str) -> None:
    assert PLACES.search(line)
