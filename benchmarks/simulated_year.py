"""A year, or weeks, of a 130-plant account: several worker processes, one virtual clock, faults, and an auditor.

    python benchmarks/simulated_year.py [--window rolling|day|bucket] [--days 365] [--processes 2]
                                        [--faults on|off] [--freshness 1|2|3] [--in-turn] [--dense]

The workers are the product as it is: planner, asker, HTTP client, session, ledger, coverage. The simulator answers
with the vendor's envelopes, sessions, flow control and faults, but thinly: a row a day instead of 288. What lands is
counted instead of decoded and stored. Time stands still while anyone works and jumps when all wait. With `--dense`
answers, server and lake are the full ones, which is for a few days. With `--in-turn` one process works at a time, and
each run of a seed is like the last.

Seen on 2 cores, a year with faults, in turn, 8 to 9 minutes each, 10 ms of a worker's CPU a call: no avoidable
call, each of 653,930 periods once; the backlog took 1.028 times the least with a bucket (42,253 calls, 251 days of
244), 1.036 times with a rolling window and with the calendar day (41,705 calls, 250 days of 241). With full answers
(`--dense --days 3 --backlog 2`): none avoidable, each of 1,844 periods once. With `--freshness 3` the backlog of a
year is done in 125 days instead of 251, 1.149 times the least: a wave of three days is a burst, which the quota of
a day has to take.

Exit code 0 if every rule of the vendor was kept, every wanted period has exactly one row, and the backlog was done
within 5 % (in short runs: a day or two) of the time that the quota alone allows, less the seats that faults took and
the calls that went alone for plants that were refused for weeks; else 1.
"""

import argparse
import cProfile
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 11, 2, 5, tzinfo=UTC)
"""When the virtual time begins: all plants of the portfolio are connected."""

USERNAME, PASSWORD = "demo", "demo-password"

BURST = 12
"""Calls that the bucket holds at most (`--window bucket`): far below a day's, so that bursts find its bottom."""

CLOSE_ENOUGH = 1.05
"""The backlog's days against the fewest that the quota allows."""

REQUESTS_PER_KILL = 5_000
"""With faults, one of the workers is killed, and replaced, about so often."""


def main() -> int:
    """Play the year, or as one of its workers do the work."""
    options = _options()
    if options.worker is not None:
        return work(options)
    return play(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", choices=("rolling", "day", "bucket"), default="rolling")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--faults", choices=("on", "off"), default="on")
    parser.add_argument("--fleet", default="portfolio")
    parser.add_argument("--backlog", type=int, default=365, help="days of history wanted before the start")
    parser.add_argument("--freshness", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--dense", action="store_true", help="full answers and the real lake")
    parser.add_argument("--in-turn", action="store_true", help="one process at a time: each run is like the last")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout")
    parser.add_argument("--log", type=Path, help="write every request to this file")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--profile", type=Path, help="write each worker's profile to this path and its number")
    parser.add_argument("--worker", nargs=4, metavar=("URL", "PORT", "HOME", "NUMBER"), help=argparse.SUPPRESS)
    return parser.parse_args()


# One worker ------------------------------------------------------------------------------------------------------


def work(options: argparse.Namespace) -> int:
    """Keep up until the end of the year; print what it cost as one line of JSON."""
    from pydantic import SecretStr
    from simulated_year_lake import make_thin

    from pipelines.load.request import WorkRequest
    from pipelines.load.services import Services
    from pipelines.load.work import run_work
    from pipelines.settings import Account, Settings
    from pipelines.simulator.shared_time import SharedClock

    base_url, port, home = options.worker[0], int(options.worker[1]), Path(options.worker[2])
    # Waits between tries are random, and another process's are others.
    random.seed(f"{options.seed}/{options.worker[3]}")
    settings = Settings(
        home=home,
        env_file=None,
        accounts=(Account("demo", base_url, USERNAME, SecretStr(PASSWORD)),),
        history_start=START.date() - timedelta(days=options.backlog),
        history_freshness_days=options.freshness,
    )
    clock = SharedClock(port)
    end = START + timedelta(days=options.days)
    early = 0
    failures: list[str] = []
    with Services.open(settings, clock) as services:
        if not options.dense:
            make_thin(services, home)
        begun = time.process_time()
        with _profiled(options):
            while clock.now() < end:
                report = run_work(services, request=WorkRequest(stop_at=end, keep_up=True), build=False)
                failures += report.failures
                if clock.now() < end:
                    early += 1
                    clock.sleep(3600)
    clock.close()
    told = {"cpu_s": time.process_time() - begun, "early": early, "failures": failures}
    told["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(told))
    return 0


@contextmanager
def _profiled(options: argparse.Namespace) -> Iterator[None]:
    """Where the worker's time goes, written to a file if that is asked for."""
    if options.profile is None:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(f"{options.profile}-{options.worker[3]}")


# The year --------------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """What is left when the year is over."""

    records: list[Any]
    workers: list[Mapping[str, Any]]
    kills: int
    seconds: float
    jumps: int
    server_cpu_s: float


def play(options: argparse.Namespace) -> int:
    """Run simulator and workers, judge, print."""
    from simulated_year_report import summary

    with _folder(options) as home:
        played = _run(options, home)
        figures, broken = summary(options, played, home, START, BURST, CLOSE_ENOUGH)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            _show(name, value)
    for sentence in broken:
        print(f"BROKEN: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _show(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        print(f"{name}:")
        for key, each in value.items():
            print(f"  {key:<34}{each}")
    elif isinstance(value, list):
        print(f"{name}: {len(value)}")
        for each in value[:20]:
            print(f"  {each}")
    else:
        print(f"{name}: {value}")


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        yield options.keep
        return
    # In memory where there is such a place: a real disk's flushes would be most of what is measured.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def _run(options: argparse.Namespace, home: Path) -> Played:
    from simulated_year_wire import Wire

    from pipelines.simulator.server import Simulator
    from pipelines.simulator.shared_time import TimeKeeper
    from pipelines.simulator.thin import ThinWorld
    from pipelines.simulator.world import build_world

    world = build_world(options.fleet) if options.dense else ThinWorld(options.fleet)
    faults = _faults(options, [plant.code for plant in world.plants])
    begun = time.perf_counter()
    with TimeKeeper(START, clients=options.processes, in_turn=options.in_turn) as keeper:
        simulator = Simulator(
            world,
            clock=keeper,
            window=options.window,
            burst=BURST if options.window == "bucket" else None,
            faults=faults,
            log_file=options.log,
        )
        with simulator if options.dense else Wire(simulator) as server:
            crew = _Crew(options, server.base_url, keeper, home)
            if options.faults == "on":
                _kill_now_and_then(simulator, keeper, crew)
            workers = crew.wait()
        return Played(
            records=simulator.log.calls(),
            workers=workers,
            kills=crew.kills,
            seconds=time.perf_counter() - begun,
            jumps=keeper.jumps,
            server_cpu_s=time.process_time(),
        )


class _Crew:
    """The worker processes; one that was killed is replaced."""

    def __init__(self, options: argparse.Namespace, base_url: str, keeper: Any, home: Path) -> None:
        self.kills = 0
        self._said = home / "workers.txt"
        options_of_all = [item for item in sys.argv[1:] if item != "--json"]
        self._command = [sys.executable, __file__, *options_of_all, "--worker", base_url, str(keeper.port), str(home)]
        self._started = 0
        self._running: list[subprocess.Popen[str]] = []
        while len(self._running) < options.processes:
            self._running.append(self._start())
            # Turns go by the order in which they connect, which is to be the same in every run.
            while keeper.connected < len(self._running) and self._running[-1].poll() is None:
                time.sleep(0.02)

    def _start(self) -> subprocess.Popen[str]:
        # One thread for data frames of a few rows: more would only get in each other's way.
        environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
        command = [*self._command, str(self._started)]
        self._started += 1
        with self._said.open("a") as said:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)

    def replace(self, number: int, before: Callable[[], None]) -> None:
        """Kill a worker at once and start another."""
        self.kills += 1
        before()
        old = self._running[number]
        old.send_signal(signal.SIGKILL)
        old.wait()
        self._running[number] = self._start()

    def wait(self) -> list[Mapping[str, Any]]:
        """What every worker that came to its end told."""
        told: list[Mapping[str, Any]] = []
        for number in range(len(self._running)):
            while True:
                process = self._running[number]
                output = process.communicate()[0]
                if process is not self._running[number] or process.returncode == -signal.SIGKILL:
                    time.sleep(0.05)
                    continue
                if process.returncode:
                    raise RuntimeError(f"worker {number} failed:\n{self._said.read_text()[-4000:]}")
                told.append(json.loads(output.splitlines()[-1]))
                break
        return told


def _kill_now_and_then(simulator: Any, keeper: Any, crew: _Crew) -> None:
    """Kill a worker in the midst of its work, by the count of requests, so that it is the same in every run."""
    add = simulator.log.add

    def counting(record: Any) -> None:
        add(record)
        if len(simulator.log) % REQUESTS_PER_KILL == REQUESTS_PER_KILL // 2:
            number = len(simulator.log) // REQUESTS_PER_KILL % len(crew._running)
            try:
                crew.replace(number, lambda: keeper.expect(1))
            except OSError:
                traceback.print_exc()

    simulator.log.add = counting


def _faults(options: argparse.Namespace, plants: list[str]) -> Any:
    """The faults of a bad year: each kind now and then, one by one, and some that stay for days."""
    from pipelines.simulator.faults import Faults

    if options.faults == "off":
        return Faults()

    def day(number: float) -> str:
        return f"{START + timedelta(days=number * min(1.0, options.days / 365)):%Y-%m-%dT%H:%M}"

    seldom = "rate=0.001,apart=720"
    return Faults(
        kill_session="rate=0.003",
        steal_session="rate=0.001",
        http_500="rate=0.003",
        http_502="rate=0.001",
        http_503=seldom,
        quota_control_403=seldom,
        too_many_429=seldom,
        too_frequent="rate=0.0003,apart=1440",
        too_frequent_null="rate=0.0002,apart=1440",
        too_frequent_sentence="rate=0.0002,apart=1440",
        drop="rate=0.001",
        html="rate=0.001",
        empty_body="rate=0.001",
        cut_body="rate=0.001",
        cut_connection="rate=0.001",
        other_shape="rate=0.001",
        empty_data="rate=0.001",
        wrong_content_type="rate=0.05",
        deny=[f"getDevKpiDay,from={day(60)},until={day(67)}", f"getAlarmList,from={day(120)},until={day(127)}"],
        unauthorized_plant=[
            f"{plants[17 % len(plants)]},from={day(30)},until={day(51)}",
            f"{plants[101 % len(plants)]},from={day(150)},until={day(171)}",
        ],
        vanish_plant=[f"{plants[60 % len(plants)]},from={day(200)},until={day(210)}"],
        seed=options.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
