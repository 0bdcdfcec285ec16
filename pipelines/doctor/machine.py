"""Python, packages, settings, files and the disk: what can be seen without asking anybody."""

import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pipelines.doctor.findings import Finding, fail, ok, warn
from pipelines.load import notify
from pipelines.load.services import state_dir
from pipelines.northbound.client import TOKENS_FILE
from pipelines.settings import Settings, unknown_settings

PACKAGE: Final = "smartpvms-warehouse"

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "vboxsf", "drvfs", "webdav"}
)
"""Where locks and renames of several processes can't be relied on. FUSE's relatives are named `fuse.` and theirs."""

NETWORK_FUSE: Final = ("sshfs", "glusterfs", "s3fs", "rclone", "gcsfuse", "ceph")

LEAST_FREE_BYTES: Final = 2 * 1024**3
"""As `pipelines.load.headline`: below it loads may not finish."""

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def versions() -> Iterator[Finding]:
    """Python and the installed packages, against the ranges that this version was made for."""
    wanted = metadata(PACKAGE)["Requires-Python"] or ""
    running = platform.python_version()
    name = f"pvms {version(PACKAGE)}, Python {running} ({sys.executable})"
    if Version(running) in SpecifierSet(wanted):
        yield ok("python", name)
    else:
        yield fail("python", f"{name}; {wanted} is needed", "Make the environment anew with such a Python.")
    wrong, count = [], 0
    for text in requires(PACKAGE) or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if wrong:
        yield fail("packages", "; ".join(wrong), "Install again with the pins: pip install -c constraints.txt -e .")
    else:
        yield ok("packages", f"all {count} in their ranges")


def settings_found(settings: Settings) -> Iterator[Finding]:
    """Where settings come from, what looks like one and is none, who can read them, who is told."""
    if settings.env_file:
        yield ok("settings", f"from {settings.env_file} and the environment")
    else:
        yield ok("settings", "from the environment alone; no .env was found in this folder or above it")
    for name, place, meant in unknown_settings(settings.env_file, settings.accounts_file):
        todo = f"Did you mean {meant}?" if meant else "Remove it, or look at `pvms init`'s .env for its right name."
        yield warn("settings", f"{name} in {place} is no setting and does nothing", todo, about=name)
    tokens = state_dir(settings.home) / TOKENS_FILE
    for path in (settings.env_file, settings.accounts_file, tokens):
        if path is None or not path.exists():
            continue
        if path.stat().st_mode & OTHERS:
            yield warn("secrets", f"{path} may hold secrets, and others can read it", f"Run: chmod 600 {path}")
        else:
            yield ok("secrets", f"{path} is yours alone")
    if notify.wanted(settings):
        told = [
            name for name, value in (("webhook", settings.notify_url), ("command", settings.notify_command)) if value
        ]
        yield ok("notify", f"a {' and a '.join(told)} is told when something stops")
    else:
        yield ok("notify", "nobody is told when something stops: PVMS_NOTIFY_URL or PVMS_NOTIFY_COMMAND would")


def home(settings: Settings) -> Iterator[Finding]:
    """The data folder: there, ours to write, on a local disk with room."""
    folder = settings.home
    if not folder.is_dir():
        yield fail(
            "home", f"PVMS_HOME ({folder}) isn't there", "Run `pvms init` in a new folder, or correct PVMS_HOME."
        )
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield ok("home", f"PVMS_HOME is {folder}, and it can be written")
    except OSError as error:
        yield fail("home", f"PVMS_HOME ({folder}) can't be written: {error.strerror}", "Correct its owner or its mode.")
    kind = file_system_of(folder)
    if kind and is_network(kind):
        yield warn(
            "local disk",
            f"PVMS_HOME is on a network file system ({kind}), where locks and renames don't hold",
            "Move it to a local disk and set PVMS_HOME; publish warehouse.duckdb elsewhere by copying it.",
        )
    else:
        yield ok("local disk", kind or "the file system's kind can't be told on this machine")
    disk = shutil.disk_usage(folder)
    free = f"{disk.free / 1e9:,.1f} GB of {disk.total / 1e9:,.1f} GB are free"
    if disk.free < LEAST_FREE_BYTES:
        yield fail("disk", free, "Free some, or move PVMS_HOME to a larger disk: a load needs 2 GB at least.")
    else:
        yield ok("disk", free)


def is_network(kind: str) -> bool:
    """Whether a file system of this kind lies behind a network."""
    return kind in NETWORK_FILE_SYSTEMS or (kind.startswith("fuse.") and any(each in kind for each in NETWORK_FUSE))


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The kind of file system that a folder is on (Linux); None where it can't be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    where = str(folder.resolve())
    best, kind = "", None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # Blanks in mount points are written in octal.
        point = fields[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + os.sep)
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind
