"""What Dagster costs as a fleet grows: load time of the code location and one run's overhead, with a year of dates.

`python benchmarks/dagster_scale.py [--plants 10 100 1000]` makes a home in which every plant and day of a year of
`plant_hourly` is there, in coverage and in Dagster's records (copies of one event), beside a simulator. The grain is
what `auto` chooses: days for 10 plants, months for more. Then, each in a process of its own: the code location is
loaded, the first time in this home, so that dbt's project is parsed; and a run over one partition of all plants is made
that finds everything done, so that its figure is what a run costs beyond its calls and rows. `tick_cost.py` has the
cost of ticks.

CPU seconds tell of a busy machine, too; the wall clock doesn't.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pipelines.load.build
from assets.home import dagster_home
from assets.launch import load_through_dagster
from assets.partitions import partition_plan
from assets.recording import asset_key
from pipelines.lake.coverage import Coverage, Entry
from pipelines.lake.transform import TransformReport
from pipelines.load.request import LoadRequest, Silent
from pipelines.settings import load_settings
from pipelines.simulator.fleets import FLEETS, LEIPZIG, FleetBuilder
from pipelines.simulator.server import Simulator
from pipelines.simulator.thin import ThinWorld

PLANT_COUNTS: Final = (10, 100, 1000)
DATASET: Final = "plant_hourly"
YEAR: Final = 365
LAST: Final = datetime.now(UTC).date() - timedelta(days=10)
DAYS: Final = [LAST - timedelta(days=back) for back in reversed(range(YEAR))]

LOAD: Final = "import assets.definitions as location; location.defs.get_repository_def()"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds by the clock, of CPU, and memory at its peak."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def build(plants: int) -> FleetBuilder:
    """So many homes, each with an inverter and a meter."""
    fleet = FleetBuilder()
    for number in range(plants):
        fleet.home(fleet.plant(f"Plant {number}", LEIPZIG, 10.0, "2020-05-01T10:30:00"), phases=1)
    return fleet


def prepare(folder: Path, simulator: Simulator, plants: list[str]) -> None:
    """Load one day, and pretend that the year is there like it."""
    lines = {
        "PVMS_HOME": "data",
        "SMARTPVMS_BASE_URL": simulator.base_url,
        "SMARTPVMS_USERNAME": simulator.username,
        "SMARTPVMS_PASSWORD": simulator.password,
        "PVMS_HISTORY_START": DAYS[0].isoformat(),
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    settings = load_settings(folder)
    pipelines.load.build.run_dbt = lambda *_, **__: TransformReport({}, 0.0)  # type: ignore[assignment]
    report = load_through_dagster(settings, LoadRequest(LAST, LAST, (DATASET,)), Silent())
    if report.exit_code:
        raise SystemExit(f"the first day didn't load: {report.as_dict()}")
    coverage = Coverage(settings.home / "state" / "coverage.sqlite")
    read_at = datetime.now(UTC)
    for day in DAYS:
        coverage.record(Entry(DATASET, code, code, day, "final", 24, read_at, None) for code in plants)
    plan = partition_plan(settings)
    firsts = sorted({plan.partitioning.first(DATASET, day) for day in DAYS})
    copy_events(settings.home, [str(plan.key(DATASET, code, first)) for first in firsts for code in plants])


def copy_events(home: Path, keys: list[str]) -> None:
    """One event of the load for each partition: a real one takes Dagster some 20 ms."""
    asset = asset_key(DATASET).to_string()
    with closing(sqlite3.connect(dagster_home(home) / "history" / "runs" / "index.db")) as records, records:
        known = {key for (key,) in records.execute("select partition from event_logs where asset_key = ?", (asset,))}
        found = records.execute(
            "select run_id, event, dagster_event_type, timestamp, step_key from event_logs "
            "where dagster_event_type = 'ASSET_MATERIALIZATION' limit 1"
        ).fetchone()
        records.executemany(
            "insert into event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            ((*found, asset, key) for key in keys if key not in known),
        )


def run(folder: Path, *command: str) -> Cost:
    """Run a command in the folder of the settings."""
    home = dagster_home(load_settings(folder).home)
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - begun
        if status:
            said.seek(0)
            raise SystemExit(said.read()[-3000:])
    return Cost(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure(plants: int) -> tuple[Cost, Cost, float]:
    """The load of the code location, a run over a day that is there, and the kilobytes that such a run leaves."""
    FLEETS["scale"] = lambda: build(plants)
    world = ThinWorld("scale")
    codes = [plant.code for plant in world.plants]
    with tempfile.TemporaryDirectory() as name, Simulator(world, flow_control="none") as simulator:
        folder = Path(name)
        prepare(folder, simulator, codes)
        calls = len(list(simulator.log))
        loaded = run(folder, sys.executable, "-c", LOAD)
        dagster = str(Path(sys.executable).parent / "dagster")
        settings = load_settings(folder)
        home, plan = dagster_home(settings.home), partition_plan(settings)
        first = plan.partitioning.first(DATASET, DAYS[100])
        corners = "...".join(str(plan.key(DATASET, code, first)) for code in (codes[0], codes[-1]))
        before = size(home)
        made = run(
            folder,
            *(dagster, "asset", "materialize", "-m", "assets.definitions"),
            *("--select", f"raw/{DATASET}", "--partition-range", corners),
        )
        if len(list(simulator.log)) != calls:
            raise SystemExit("the run asked the vendor, so it measures more than a run's overhead")
        return loaded, made, (size(home) - before) / 1e3


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", type=int, nargs="+", default=PLANT_COUNTS)
    options = parser.parse_args()
    columns = ("plants", "load: CPU s", "wall s", "MB", "run: CPU s", "wall s", "MB", "kB left")
    sys.stdout.write("  ".join(f"{column:>11}" for column in columns) + "\n")
    for plants in options.plants:
        loaded, made, left = measure(plants)
        figures = [loaded.cpu_s, loaded.wall_s, loaded.peak_mb, made.cpu_s, made.wall_s, made.peak_mb, left]
        sys.stdout.write("  ".join([f"{plants:11}", *(f"{figure:11.1f}" for figure in figures)]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
