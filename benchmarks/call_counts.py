"""Calls, rows and CPU seconds of loading one day of 130 plants and the 30 days before it, against the least possible.

    python benchmarks/call_counts.py [--fleet portfolio] [--day 2026-10-25] [--days 30] [--build]

The simulator runs as a process of its own, so the CPU seconds of the day are the client's alone. Calls are counted
by the simulator's log. The 30 days take a week of quota: they are loaded from a simulator of thin answers (a row a day
instead of 288), with a clock that jumps over the waits and a lake that only counts. `--build` adds the day's
warehouse: raw views, dbt, publishing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time as stopwatch
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pydantic import SecretStr
from simulated_year_lake import make_thin

from pipelines.load.build import build_and_publish
from pipelines.load.cost import Cost, cost_of
from pipelines.load.request import LoadReport, LoadRequest, Silent
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.settings import Account, Settings
from pipelines.simulator.log import RequestRecord, read_log
from pipelines.simulator.server import Simulator
from pipelines.simulator.shared_time import SharedClock, TimeKeeper
from pipelines.simulator.thin import ThinWorld
from schemas.datasets import DATASETS
from schemas.endpoints import ENDPOINTS

DAY = date(2026, 10, 25)
"""All 130 plants of the portfolio are connected, and in Europe the day has 25 hours."""

INVENTORY_AND_ALARMS = ("stations", "getDevList", "getAlarmList")


@contextmanager
def simulator(folder: Path, fleet: str) -> Iterator[tuple[str, Path]]:
    """A simulator's address and the file of its requests."""
    log = folder / "requests.jsonl"
    command = [str(Path(sys.executable).with_name("pvms")), "simulator", "--fleet", fleet, "--log", str(log)]
    process = subprocess.Popen(
        [*command, "--parent", str(os.getpid())], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), log
    finally:
        process.terminate()
        process.wait()


class Stopwatch:
    """Wall and CPU seconds of the block, over all threads of this process."""

    def __enter__(self) -> "Stopwatch":
        """Start."""
        self._wall, self._cpu = stopwatch.perf_counter(), stopwatch.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.wall, self.cpu = stopwatch.perf_counter() - self._wall, stopwatch.process_time() - self._cpu

    def __str__(self) -> str:
        """Both."""
        return f"{self.wall:.1f} s, {self.cpu:.1f} CPU s"


def least_by_endpoint(cost: Cost, plants: int) -> Mapping[str, int]:
    """The least possible calls of a load on an empty warehouse; lists and alarms take 100 plants a call."""
    least: Counter[str] = Counter()
    for name in INVENTORY_AND_ALARMS:
        least[name] = -(-plants // (ENDPOINTS[name].max_plants or 100))
    for each in cost.estimates.values():
        least[each.endpoint] += each.least_possible
    return least


def rows_by_endpoint(report: LoadReport, log: Path) -> Mapping[str, int]:
    """Rows that landed; for lists and alarms, records of the answers."""
    rows: Counter[str] = Counter()
    for table, count in report.rows.items():
        dataset = "device_history" if table.startswith("device_history") else table
        rows[DATASETS[dataset].endpoint] += count
    for record in read_log(log):
        if record.endpoint in ("stations", "getDevList"):
            rows[record.endpoint] += record.rows
    return rows


def show_day(cost: Cost, report: LoadReport, log: Path, plants: int) -> None:
    """The table of one load."""
    calls = Counter(record.endpoint for record in read_log(log))
    least, rows = least_by_endpoint(cost, plants), rows_by_endpoint(report, log)
    print(f"{'endpoint':<20}{'calls':>7}{'least':>7}{'rows':>10}")
    for endpoint in sorted(least):
        print(f"{endpoint:<20}{calls[endpoint]:>7}{least[endpoint]:>7}{rows[endpoint]:>10,}")
    refused = sum(not record.ok for record in read_log(log))
    print(f"{'login':<20}{calls['login']:>7}{1:>7}\n{'together':<20}{sum(calls.values()):>7}", end="")
    print(f"{sum(least.values()) + 1:>7}{sum(rows.values()):>10,}   {refused} of the calls refused")


def load_backlog(request: LoadRequest, fleet: str, folder: Path) -> tuple[Cost, LoadReport, Sequence[RequestRecord]]:
    """Load days that take more than a day's quota, on thin answers and a clock that jumps over the waits."""
    start = datetime.combine(request.end + timedelta(days=3), time(12), UTC)
    with TimeKeeper(start, clients=1) as keeper, Simulator(ThinWorld(fleet), clock=keeper) as server:
        clock = SharedClock(keeper.port)
        account = Account("demo", server.base_url, "demo", SecretStr("demo-password"))
        with Services.open(Settings(home=folder, env_file=None, accounts=(account,)), clock) as services:
            make_thin(services, folder)
            cost = cost_of(request, services, Silent())
            report = run_load(request, services, build=False)
        clock.close()
        return cost, report, server.log.calls()


def show_backlog(cost: Cost, report: LoadReport, records: Sequence[RequestRecord], days: int, plants: int) -> None:
    """The table of the days before, and how long their quota took."""
    calls, least = Counter(record.endpoint for record in records), least_by_endpoint(cost, plants)
    took = (records[-1].at - records[0].at) / timedelta(days=1)
    print(f"\nthe {days} days before it, loaded in {took:.2f} virtual days, exit code {report.exit_code}")
    print(f"{'endpoint':<20}{'calls':>7}{'least':>7}{'over':>8}")
    for name in sorted(least):
        over = calls[name] / least[name] - 1 if least[name] else 0.0
        print(f"{name:<20}{calls[name]:>7}{least[name]:>7}{over:>8.1%}")
    refused = sum(not record.ok for record in records)
    print(f"{'login':<20}{calls['login']:>7}\n{'together':<20}{len(records):>7}   {refused} of the calls refused")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", default="portfolio")
    parser.add_argument("--day", type=date.fromisoformat, default=DAY)
    parser.add_argument("--days", type=int, default=30, help="length of the plan (default 30)")
    parser.add_argument("--build", action="store_true", help="also build and publish the warehouse")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, simulator(Path(name), options.fleet) as (base_url, log):
        account = Account("demo", base_url, "demo", SecretStr("demo-password"))
        settings = Settings(home=Path(name) / "home", env_file=None, accounts=(account,))
        with Services.open(settings) as services:
            request = LoadRequest(options.day, options.day, why="benchmark")
            cost = cost_of(request, services, Silent())
            with Stopwatch() as loading:
                report = run_load(request, services, build=False)
            show_day(cost, report, log, services.client.counts.plants)
            landed = sum(report.rows.values())
            print(f"\nload: {loading}, {landed / loading.cpu:,.0f} rows a CPU second, exit code {report.exit_code}")
            if options.build:
                with Stopwatch() as building:
                    build_and_publish(services)
                print(f"warehouse: {building}")
            plants = services.client.counts.plants
        month = LoadRequest(
            options.day - timedelta(days=options.days), options.day - timedelta(days=1), wait=True, why="benchmark"
        )
        with Stopwatch() as loading:
            found = load_backlog(month, options.fleet, Path(name) / "month")
        show_backlog(*found, options.days, plants)
        print(f"\nload: {loading}, the simulator's share included")


if __name__ == "__main__":
    main()
