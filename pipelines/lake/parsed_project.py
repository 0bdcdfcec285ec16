"""The dbt project as dbt's parser understood it, kept so that it is parsed once a version of the project.

Parsing costs more than most builds, and dbt's own saved state is void as soon as the warehouse lies elsewhere, since
the profile names its place. What was parsed doesn't depend on the place: it is kept for the life of the process, and
for the project that this version brings along in the user's cache folder, where any process and any home finds it.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platformdirs import user_cache_path

from pipelines.lake.built_views import fingerprint
from pipelines.lake.durable import write_durably

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_DIGEST_BYTES: Final = 32
_KEPT_PROJECTS: Final = 4
"""Checkouts and installations whose project stays in the cache, 3 MB each."""

_PARSERS: Final = ("dbt-core", "dbt-adapters", "dbt-duckdb")

_in_memory: Final[dict[bytes, "Manifest"]] = {}
"""The newest project's."""


def parsed(project: Path, parse: Callable[[], "Manifest"], *, cached: bool) -> "Manifest":
    """The project's manifest: from memory, from the cache if `cached`, or by `parse`.

    The cache is a help and nothing depends on it: where it can't be read or written, or holds another version's, the
    project is parsed.
    """
    key = _key(project)
    if key not in _in_memory:
        found = _read(key, project) if cached else None
        if found is None:
            found = parse()
            if cached:
                _write(key, project, found)
        _in_memory.clear()
        _in_memory[key] = found
    return _in_memory[key]


def _key(project: Path) -> bytes:
    parts = (str(project), fingerprint(project), *(f"{name} {version(name)}" for name in _PARSERS))
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _file(project: Path) -> Path:
    folder = user_cache_path("smartpvms-warehouse")
    return folder / f"dbt-project-{hashlib.sha256(str(project).encode()).hexdigest()[:16]}.msgpack"


def _read(key: bytes, project: Path) -> "Manifest | None":
    from dbt.contracts.graph.manifest import Manifest

    try:
        data = _file(project).read_bytes()
    except OSError:
        return None
    stamp, body = data[: 2 * _DIGEST_BYTES], data[2 * _DIGEST_BYTES :]
    return Manifest.from_msgpack(body) if stamp == key + hashlib.sha256(body).digest() else None


def _write(key: bytes, project: Path, manifest: "Manifest") -> None:
    from dbt.parser.manifest import extended_mashumaro_encoder

    body = manifest.to_msgpack(extended_mashumaro_encoder)
    file = _file(project)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, key + hashlib.sha256(body).digest() + body)
        others = sorted(file.parent.glob("dbt-project-*.msgpack"), key=lambda each: each.stat().st_mtime)
        for old in others[:-_KEPT_PROJECTS]:
            old.unlink(missing_ok=True)
