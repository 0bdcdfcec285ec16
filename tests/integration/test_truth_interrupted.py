"""`pvms load` is killed, interrupted, or finds the disk full: yesterday's warehouse stays, the next load completes."""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from truth.compare import summary
from truth.marts import mart_checks
from truth.raw import Load, raw_checks
from truth.running import PATIENCE_SECONDS, PVMS, Server, environment, loaded, pvms, signalled, simulator_process

from pipelines.simulator.world import World, build_world

pytestmark = pytest.mark.slow

# In another month, so that today needs daily reports of its own.
YESTERDAY, TODAY = date(2025, 5, 31), date(2025, 6, 1)
DATA_CALLS = ("getKpi", "getDevKpi", "getDevHistoryKpi")


@pytest.fixture(scope="module")
def world() -> World:
    """One home with an inverter, a battery and a meter."""
    return build_world("single", 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A simulator of that home, as a process."""
    with simulator_process(tmp_path_factory.mktemp("simulator"), "--fleet", "single") as running:
        yield running


@pytest.fixture(scope="module")
def yesterdays_home(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A home in which yesterday was loaded."""
    home = tmp_path_factory.mktemp("yesterday") / "home"
    loaded(home, server.base_url, str(YESTERDAY), str(YESTERDAY))
    return home


@pytest.fixture
def home(yesterdays_home: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    shutil.copytree(yesterdays_home, tmp_path / "home")
    return tmp_path / "home"


def days_in(home: Path) -> list[date]:
    """The days whose hours the published warehouse holds, read as anybody would."""
    done = pvms(home, "", "sql", "select distinct local_date from raw.plant_hourly order by all", "--format", "csv")
    assert done.returncode == 0, done.stderr
    return [date.fromisoformat(line) for line in done.stdout.splitlines()[1:]]


def data_calls(server: Server, since: int) -> list[str]:
    """What was asked for since the n-th request, inventory and alarms aside."""
    return [
        f"{call.endpoint} {sorted(call.body.items())}"
        for call in server.calls()[since:]
        if call.endpoint.startswith(DATA_CALLS)
    ]


def assert_true(world: World, home: Path, start: date) -> None:
    """The published warehouse is the world's truth from `start` to today."""
    load = Load(world, start, TODAY, "demo", datetime.now(UTC))
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        checks = raw_checks(load) | mart_checks(load)
        differences = [each for check in checks.values() for each in check(warehouse)]
    assert not differences, summary(differences)


def test_killed_again_and_again(world: World, server: Server, home: Path) -> None:
    command = ["load", "--from", str(TODAY), "--to", str(TODAY)]
    begun, histories = len(server.calls()), len(server.calls("getDevHistoryKpi"))
    build = home / "state" / "build"
    published = (home / "warehouse.duckdb").stat().st_mtime_ns

    def build_is_written() -> bool:
        return any(path.stat().st_mtime_ns > published for path in build.glob("*.duckdb*"))

    moments = {
        "as the first call is made": lambda: len(data_calls(server, begun)) >= 1,
        "some calls later": lambda: len(data_calls(server, begun)) >= 4,
        "as the last call is made": lambda: len(server.calls("getDevHistoryKpi")) >= histories + 3,
        "while the warehouse is built": build_is_written,
    }
    for moment, reached in moments.items():
        done = signalled(home, server.base_url, command, signal.SIGKILL, reached)
        assert done.returncode == -signal.SIGKILL, f"{moment}: the load ended before it was killed\n{done.stderr}"
        assert days_in(home) == [YESTERDAY], f"{moment}: yesterday's warehouse is not what it was"
    loaded(home, server.base_url, str(TODAY), str(TODAY))
    assert days_in(home) == [YESTERDAY, TODAY]
    assert_true(world, home, YESTERDAY)
    repeated = Counter(data_calls(server, begun))
    # What was on its way when a process died is asked once more, nothing that had landed.
    assert sum(repeated.values()) - len(repeated) <= len(moments), repeated.most_common(5)
    asked = len(server.calls())
    assert "0 calls" in loaded(home, server.base_url, str(YESTERDAY), str(TODAY))
    assert len(server.calls()) == asked


def test_interrupted_by_hand(world: World, server: Server, home: Path) -> None:
    begun = len(server.calls())
    command = ["load", "--from", str(TODAY), "--to", str(TODAY)]
    done = signalled(home, server.base_url, command, signal.SIGINT, lambda: len(data_calls(server, begun)) >= 3)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "Interrupted. What was done is kept" in done.stderr
    assert days_in(home) == [YESTERDAY]
    loaded(home, server.base_url, str(TODAY), str(TODAY))
    assert_true(world, home, YESTERDAY)
    repeated = Counter(data_calls(server, begun))
    assert sum(repeated.values()) - len(repeated) <= 1


def small_disk(folder: Path, size: str, script: str, base_url: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `folder` is a disk of its own, of this size at first; skip where none can be had.

    `resize SIZE` makes it larger or smaller, and fails where it would not hold what is on it.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare command here that could mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    mount = f"mount -t tmpfs -o size={size} none '{folder}'"
    if subprocess.run([unshare, "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    resize = f"resize() {{ mount -o remount,size=$1 '{folder}'; }}"
    return subprocess.run(
        [unshare, "-rm", "sh", "-c", f"{mount} || exit 99\n{resize}\n{script}"],
        env=environment(folder / "home", base_url),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_disk_that_fills_up_is_a_sentence_each_time(yesterdays_home: Path, server: Server, tmp_path: Path) -> None:
    disk, ask = tmp_path / "disk", f"'{PVMS}' sql 'select max(local_date) from raw.plant_hourly' --format csv"
    # A disk in memory: its size is a limit, and takes nothing. The first is below what a load leaves free.
    script = f"""
        cp -r '{yesterdays_home}' '{disk}/home'
        cd '{disk}/home'
        load() {{ '{PVMS}' load --from {TODAY} --to {TODAY} 2> "{tmp_path}/$1"; echo "load $?"; }}
        building() {{ [ -n "$(find state/build -newer warehouse.duckdb -name '*.duckdb*')" ]; }}
        used() {{ df -k --output=used '{disk}' | tail -1; }}
        full() {{ until resize "$(used)k"; do :; done; }}  # somebody may write in between
        load scarce
        cp '{server.log_file}' '{tmp_path}/asked'
        {ask}  # the home has moved: its views are pointed at the lake's new place
        full
        load full
        {ask}
        resize 4g
        load filling &
        while ! building && kill -0 $!; do :; done
        full
        wait $!
        {ask}
        resize 4g
        load ample
        {ask}
    """
    begun = len(server.calls())
    done = small_disk(disk, "256m", script, server.base_url)
    said = {each: (tmp_path / each).read_text(encoding="utf-8") for each in ("scarce", "full", "filling", "ample")}
    told = [line for line in done.stdout.splitlines() if not line.startswith("max")]
    assert told == [*(["load 1", str(YESTERDAY)] * 3), "load 0", str(TODAY)], f"{done}\n{said}"
    assert "Traceback" not in "".join(said.values()), said
    (sentence,) = (line for line in said["scarce"].splitlines() if line.startswith("Failed: "))
    assert f"are left on the disk of {disk / 'home'}, so nothing more is asked for" in sentence
    assert "Free some" in sentence
    for each in ("full", "filling"):
        assert said[each].splitlines()[-1].startswith(f"No space is left on the disk of {disk / 'home'}"), said
    assert data_calls(Server("", tmp_path / "asked"), begun) == []
    asked = Counter(data_calls(server, begun))
    assert sum(asked.values()) == len(asked) > 5, "what had landed was asked again"
