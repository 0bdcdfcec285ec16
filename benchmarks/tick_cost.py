"""What one tick of the sensors costs, for 10, 100 and 1,000 plants with a year of dates.

`python benchmarks/tick_cost.py [--plants 10 100 1000]` makes a home whose coverage knows every plant and day, and a
Dagster instance on SQLite with the plants as partitions and a day's runs, then takes the CPU time of ticks that start
nothing.

Seen on 2 cores: a tick of `work` takes 11 to 15 ms of CPU with 10 plants, 15 with 100 and 13 with 1,000, one of
`tidy` 12. It doesn't grow with the fleet.
"""

import argparse
import resource
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg

from assets import polling, ticks
from assets.instance import open_instance
from assets.partitions import PLANTS
from assets.recording import TICK_TAG
from assets.resources import Pvms
from pipelines.lake.coverage import Coverage, Entry
from pipelines.load.due import note_next_work
from pipelines.northbound.clock import ManualClock
from pipelines.settings import Settings

PLANT_COUNTS: Final = (10, 100, 1000)
DAYS: Final = 365
RUNS: Final = 24
TICKS: Final = 50


@dg.job(name="load")
def loading() -> None:
    """A job of the worker's name; only its runs' records count here."""


@dg.job(name=polling.JOB)
def loop() -> None:
    """A job of the loop's name."""


def fill(home: Path, plants: int) -> None:
    """Coverage of a year of one dataset, all final."""
    (home / "state").mkdir(parents=True, exist_ok=True)
    coverage = Coverage(home / "state" / "coverage.sqlite")
    read_at = datetime(2026, 1, 2, tzinfo=UTC)
    for number in range(plants):
        code = f"NE={number}"
        days = (date(2025, 1, 1) + timedelta(days=step) for step in range(DAYS))
        coverage.record(Entry("plant_daily", code, code, day, "final", 1, read_at, None) for day in days)


def record_runs(instance: dg.DagsterInstance) -> None:
    """A day's runs of both jobs, all well ended."""
    for job, tick in ((loading, ticks.WORK), (loop, ticks.LOOP)):
        for _ in range(RUNS):
            run = instance.create_run_for_job(job, tags={TICK_TAG: tick})
            event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job.name)
            instance.report_dagster_event(event, run.run_id)


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(plants: int) -> tuple[float, float]:
    """CPU milliseconds of a tick of `work` and of `tidy`."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), env_file=None)
        fill(settings.home, plants)
        clock = ManualClock(datetime.now(UTC) + timedelta(hours=1))
        note_next_work(settings.home, clock.now() + timedelta(hours=1), clock.now())
        with open_instance(settings) as instance:
            instance.add_dynamic_partitions(str(PLANTS.name), [f"NE={number}" for number in range(plants)])
            record_runs(instance)
            pvms = Pvms(settings, clock=clock)
            costs: list[float] = []
            for tick in (
                lambda: ticks.work_tick(instance, pvms, clock, clock),
                lambda: ticks.tidy_tick(instance, clock),
            ):
                begun = cpu()
                for _ in range(TICKS):
                    tick()
                costs.append(1000 * (cpu() - begun) / TICKS)
    return costs[0], costs[1]


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", type=int, nargs="+", default=PLANT_COUNTS)
    options = parser.parse_args()
    sys.stdout.write("plants  work tick (ms CPU)  tidy tick (ms CPU)\n")
    for plants in options.plants:
        work, tidy = measure(plants)
        sys.stdout.write(f"{plants:6}  {work:18.1f}  {tidy:18.1f}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
