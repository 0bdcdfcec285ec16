"""`pvms ui --ticks` left alone for hours or days of virtual time, with a run and the daemon killed on the way.

    python benchmarks/unattended.py [--hours 2 | --days 2] [--calm] [--json] [--keep FOLDER]

The web server, the daemon, the sensors, the jobs, the lake and dbt are the product's own, in processes of their own,
beside the full simulator. Only time is virtual: it stands still while anybody works or a sensor is about to start
something, and jumps to the next instant at which somebody has something to do when all wait. Three homes report: at
+13 (Apia), at -11 (Pago Pago) and in central Europe. It begins with an empty folder. Unless `--calm`, the process of
the real-time loop is killed after 25 minutes and the daemon after 70.

Exit code 0 if every partition that is due is there, each slot of 5 minutes was polled once, nothing failed but what
was killed, each failed run says why, and no process is left; else 1. The figures say how much the state and Dagster's
storage grow. Needs /proc (Linux).
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import dagster as dg
from unattended_location import PORT_VARIABLE

from assets import polling, ticks
from assets.instance import open_instance
from assets.resources import Pvms
from assets.webserver import run_ui
from pipelines.lake.store import Lake
from pipelines.load.due import next_work
from pipelines.load.services import state_dir
from pipelines.northbound.clock import SystemClock
from pipelines.settings import Settings, load_settings
from pipelines.simulator.fleets import FLEETS, FleetBuilder, Town, build_single
from pipelines.simulator.server import Simulator
from pipelines.simulator.shared_time import SharedClock, TimeKeeper
from pipelines.simulator.world import World

START: Final = datetime(2026, 6, 10, 11, 15, tzinfo=UTC)
"""Both a day at +13 and one at -11 ended a quarter of an hour ago, and have not settled yet."""

SINCE: Final = date(2026, 6, 8)

STEP: Final = timedelta(minutes=15)
"""At most so far does time jump, whatever is known to come next."""
KILL_LOOP_AFTER: Final = timedelta(minutes=25)
KILL_DAEMON_AFTER: Final = timedelta(minutes=70)

HISTORY_SETTLES: Final = timedelta(hours=1)
REPORTS_SETTLE: Final = timedelta(hours=6)
ALARMS_TOLD: Final = timedelta(minutes=95)
"""How long after a local day began its alarms may be missing: they are polled every half hour, and what a loop polled
is recorded at its end."""

SLACK: Final = ticks.AT_MOST_EVERY + timedelta(minutes=2)
"""How long after a partition came due it may be missing: the rest between two workers, and what theirs takes."""

PATIENCE_S: Final = 2400.0
"""Seconds of the machine in which nothing moves, after which something is broken."""

MARK: Final = "UNATTENDED_MARK"
LOOP: Final = polling.JOB

APIA: Final = Town("Upolu", "Samoa", -13.92, -171.75, "Pacific/Apia")
PAGO_PAGO: Final = Town("Tutuila", "American Samoa", -14.3, -170.72, "Pacific/Pago_Pago")


def main() -> int:
    """Play it, or be the process that serves the UI."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, default=2)
    length.add_argument("--days", type=float)
    parser.add_argument("--calm", action="store_true", help="kill nothing")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        return run_ui(load_settings(options.serve), 0, say, location=("-m", "unattended_location"))
    hours = options.hours if options.days is None else 24 * options.days
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures, broken = play(folder, timedelta(hours=hours), calm=options.calm)
    if options.json:
        sys.stdout.write(json.dumps({**figures, "broken": broken}, indent=1) + "\n")
    else:
        for name, value in figures.items():
            sys.stdout.write(f"{name}: {value}\n")
    for sentence in broken:
        say(f"BROKEN: {sentence}")
    return 1 if broken else 0


def say(text: str) -> None:
    """To stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def build_homes() -> FleetBuilder:
    """The home in central Europe that is always there, and one at each end of the calendar."""
    fleet = build_single()
    for name, town in (("Fale 13", APIA), ("Fagatogo 11", PAGO_PAGO)):
        plant = fleet.plant(name, town, 5.0, "2024-03-12T10:30:00")
        fleet.home(plant, phases=1)
    return fleet


@dataclass
class Stage:
    """What takes part: the folder, the UI's process, the keeper of time, and Dagster's records."""

    settings: Settings
    keeper: TimeKeeper
    clock: SharedClock
    instance: dg.DagsterInstance
    served: "subprocess.Popen[bytes]"
    mark: str
    end: datetime
    killed: set[str] = field(default_factory=set)
    daemon_killed: bool = False
    first_sizes: dict[str, int] = field(default_factory=dict)

    def drive(self, *, calm: bool) -> None:
        """Let time go on, from one event to the next, until the end and until all that was started then is done."""
        pvms = Pvms(self.settings)
        while True:
            now = self.clock.now()
            self._until_all_wait(pvms, over=now >= self.end)
            # What the first worker brings at once, the past and an empty warehouse's files, is no growth.
            self.first_sizes = self.first_sizes or sizes_of(self.settings)
            if now >= self.end:
                return
            if not calm and now >= START + KILL_LOOP_AFTER and not self.killed:
                self._kill_loop()
                continue
            if not calm and now >= START + KILL_DAEMON_AFTER and not self.daemon_killed:
                self.daemon_killed = True
                for pid, command in self.processes():
                    if "dagster._daemon" in command:
                        os.kill(pid, signal.SIGKILL)
            self.clock.sleep((self._next_event(now) - now).total_seconds())

    def _next_event(self, now: datetime) -> datetime:
        """When somebody goes on who waits, a worker comes due, something is to be killed, or it ends."""
        moments = [now + STEP, self.end, START + KILL_LOOP_AFTER, START + KILL_DAEMON_AFTER]
        note, wake = next_work(self.settings.home), self.keeper.next_wake
        if note is not None and note.at is not None:
            moments.append(max(note.at, note.begun_at + ticks.AT_MOST_EVERY))
        if wake is not None:
            moments.append(wake)
        return min(moment for moment in moments if moment > now)

    def _until_all_wait(self, pvms: Pvms, *, over: bool) -> None:
        """Wait, by the machine's time, until every run sleeps and no sensor is about to start one."""
        begun, look_every = time.monotonic(), 0.02
        while True:
            if self.served.poll() is not None:
                raise SystemExit(f"the UI ended with {self.served.returncode}")
            if time.monotonic() - begun > PATIENCE_S:
                raise SystemExit(f"nothing has moved for {PATIENCE_S:.0f} s: {self._under_way()}")
            # A run that starts while sensors are asked is seen as one under way, and after one that ends meanwhile
            # they are asked again: the loop's end makes the next loop due.
            before = self._under_way()
            due = self._due(pvms)
            under_way = self._under_way()
            due = due or before != under_way
            if over and [job for job, _ in under_way if job != LOOP]:
                due = True
            if not due and len(under_way) == self.keeper.waiting:
                return
            time.sleep(look_every)
            look_every = min(2 * look_every, 0.5)

    def _due(self, pvms: Pvms) -> bool:
        machine = SystemClock()
        answers = (
            ticks.work_tick(self.instance, pvms, self.clock, machine),
            ticks.realtime_tick(self.instance, pvms, machine),
        )
        resting = any(isinstance(each, dg.SkipReason) and "in a row" in str(each.skip_message) for each in answers)
        return resting or any(isinstance(each, dg.RunRequest) for each in answers)

    def _under_way(self) -> list[tuple[str, str]]:
        records = self.instance.get_run_records(limit=20)
        runs = [record.dagster_run for record in records]
        return [(run.job_name, run.run_id) for run in runs if not run.is_finished]

    def _kill_loop(self) -> None:
        """Kill the process that holds the lock file of the loop's run."""
        for job, run_id in self._under_way():
            if job == LOOP:
                node = (state_dir(self.settings.home) / "runs" / f"{run_id}.lock").stat().st_ino
                for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
                    pid, place = line.split()[4:6]
                    if int(place.rpartition(":")[2]) == node and int(pid) > 0:
                        os.kill(int(pid), signal.SIGKILL)
                        self.killed.add(run_id)

    def processes(self) -> list[tuple[int, str]]:
        """Pid and command line of all that was started."""
        return marked_processes(self.mark)


def marked_processes(mark: str) -> list[tuple[int, str]]:
    """Pid and command line of the processes whose environment bears a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
            except OSError:
                continue
    return found


def play(folder: Path, length: timedelta, *, calm: bool) -> tuple[dict[str, Any], list[str]]:
    """Run it; the figures, and a sentence for each thing that is not as it should be."""
    begun = time.monotonic()
    FLEETS["unattended"] = build_homes
    world = World("unattended")
    end = START + length
    with TimeKeeper(START, clients=1) as keeper, Simulator(world, clock=keeper) as simulator:
        write_env(folder, simulator)
        settings = load_settings(folder)
        with on_stage(folder, settings, keeper, end) as stage:
            stage.drive(calm=calm)
            took = time.monotonic() - begun
            runs = list(stage.instance.get_run_records())
            broken = [*missing_partitions(stage, world, end), *strange_runs(stage, runs)]
        if stage.served.returncode != 0:
            broken.append(f"the UI ended with exit code {stage.served.returncode}")
        left = stage.processes()
        broken += [f"process {pid} is left: {command}" for pid, command in left]
        slots, doubled = slots_of(settings, world)
        if slots["missed"] or doubled:
            broken.append(f"of the slots {slots['missed']} are missing, {doubled} were polled twice")
        if not calm and (stage.daemon_killed, len(stage.killed)) != (length > KILL_DAEMON_AFTER, 1):
            broken.append(f"killed were {stage.killed} and {'the' if stage.daemon_killed else 'no'} daemon")
        sizes = sizes_of(settings)
        calls = Counter(record.endpoint for record in simulator.log)
    days = length / timedelta(days=1)
    figures: dict[str, Any] = {
        "virtual hours": length / timedelta(hours=1),
        "machine's seconds": round(took, 1),
        "plants": len(world.plants),
        "runs": dict(Counter(f"{r.dagster_run.job_name} {r.dagster_run.status.value}" for r in runs)),
        "slots": slots,
        "calls": dict(calls),
        "kilobytes at the end": {name: round(size / 1e3) for name, size in sizes.items()},
        "kilobytes a plant and day": {
            name: round((size - stage.first_sizes[name]) / 1e3 / days / len(world.plants))
            for name, size in sizes.items()
        },
        "kilobytes of a run's own events": run_sizes_of(settings, runs),
    }
    return figures, broken


def write_env(folder: Path, simulator: Simulator) -> None:
    """The settings of an owner who wants three days of past and ticks."""
    lines = {
        "SMARTPVMS_BASE_URL": simulator.base_url,
        "SMARTPVMS_USERNAME": simulator.username,
        "SMARTPVMS_PASSWORD": simulator.password,
        "PVMS_HISTORY_START": SINCE.isoformat(),
        "PVMS_TICKS": "on",
    }
    path = folder / ".env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")


@contextmanager
def on_stage(folder: Path, settings: Settings, keeper: TimeKeeper, end: datetime) -> Iterator[Stage]:
    """Start the UI; at the end interrupt it, as Ctrl-C does."""
    mark = f"{folder.name}-{os.getpid()}"
    places = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, MARK: mark, PORT_VARIABLE: str(keeper.port), "PYTHONPATH": os.pathsep.join(places)}
    with open_instance(settings) as instance, closing(SharedClock(keeper.port)) as clock:
        with (folder / "ui.log").open("wb") as log:
            command = [sys.executable, __file__, "--serve", str(folder)]
            served = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        stage = Stage(settings, keeper, clock, instance, served, mark, end)
        try:
            yield stage
        finally:
            served.send_signal(signal.SIGINT)
            served.wait()


def missing_partitions(stage: Stage, world: World, now: datetime) -> Iterator[str]:
    """What is due by the rule of the docs and not materialized."""
    zones = {plant.code: ZoneInfo(plant.zone) for plant in world.plants}
    wanted: dict[str, set[str]] = {}

    def want(dataset: str, key: str) -> None:
        wanted.setdefault(dataset, set()).add(key)

    day = SINCE
    while day <= now.date():
        after = datetime.combine(day + timedelta(days=1), datetime.min.time())
        ends = {code: after.replace(tzinfo=zone).astimezone(UTC) for code, zone in zones.items()}
        for code, ended in ends.items():
            # 5-minute days wait for those of the zones that end within a day.
            if max(ends.values()) + HISTORY_SETTLES + SLACK <= now:
                want("device_history", f"{day}|{code}")
            if ended + REPORTS_SETTLE + SLACK <= now:
                want("plant_hourly", f"{day}|{code}")
                for dataset in ("plant_daily", "device_daily"):
                    want(dataset, f"{day.replace(day=1)}|{code}")
                for dataset in ("plant_monthly", "device_monthly"):
                    want(dataset, f"{day.replace(month=1, day=1)}|{code}")
                for dataset in ("plant_yearly", "device_yearly"):
                    want(dataset, code)
        day += timedelta(days=1)
    for code, zone in zones.items():
        want("alarms", f"{(now - ALARMS_TOLD).astimezone(zone).date()}|{code}")
    for dataset, keys in wanted.items():
        there = {str(key) for key in stage.instance.get_materialized_partitions(dg.AssetKey(["raw", dataset]))}
        for key in sorted(keys - there):
            yield f"{dataset} {key} is due and not there"


def strange_runs(stage: Stage, runs: list[dg.RunRecord]) -> Iterator[str]:
    """Runs that failed without having been killed, or without saying why."""
    for record in runs:
        run = record.dagster_run
        if run.status is not dg.DagsterRunStatus.FAILURE:
            continue
        if run.run_id not in stage.killed:
            yield f"a run of {run.job_name} failed: {reason_of(stage.instance, run.run_id)}"
        elif not reason_of(stage.instance, run.run_id):
            yield f"a run of {run.job_name} failed and says nothing"


def reason_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """The words of a run's failure."""
    events = instance.all_logs(run_id, of_type={dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.STEP_FAILURE})
    return " ".join(str(entry.dagster_event and entry.dagster_event.message) for entry in events)


def slots_of(settings: Settings, world: World) -> tuple[dict[str, int], int]:
    """Slots of 5 minutes between the first poll and the last, those without any row, and rows too many."""
    lake = Lake(settings.home)
    lake.fold()  # what the loop that was interrupted at the end had landed
    polled = lake.read("plant_realtime", ["plant_code", "polled_at"])
    counts = Counter(int(at.timestamp()) // 300 for at in polled["polled_at"].to_list())
    every = range(min(counts), max(counts) + 1)
    missed = sum(1 for slot in every if not counts[slot])
    return {"from first to last": len(every), "missed": missed}, sum(n > len(world.plants) for n in counts.values())


SQLITE: Final = b"SQLite format 3\0"
PRAGMAS: Final = ("page_count", "freelist_count", "page_size")


def sizes_of(settings: Settings) -> dict[str, int]:
    """Bytes of the parts of a home."""
    home, state = settings.home, state_dir(settings.home)
    parts = {
        "lake": home / "lake",
        "warehouse": home / "warehouse.duckdb",
        "Dagster's runs and events": state / "dagster" / "history",
        "Dagster's ticks": state / "dagster" / "schedules",
        "Dagster's captured output": state / "dagster" / "storage",
        "all": home,
    }
    return {name: size_of(path) for name, path in parts.items()}


def run_sizes_of(settings: Settings, runs: list[dg.RunRecord]) -> dict[str, list[int]]:
    """Of each job, the kilobytes that each run's events take, first to last, without the index of all."""
    folder = state_dir(settings.home) / "dagster" / "history" / "runs"
    sizes: dict[str, list[int]] = {}
    for run in (record.dagster_run for record in reversed(runs)):
        sizes.setdefault(run.job_name, []).append(round(size_of(folder / f"{run.run_id}.db") / 1e3))
    return sizes


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of SQLite's databases the pages in use, in their logs or not."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(_used(file) for file in files if not file.name.endswith(("-wal", "-shm")))


def _used(file: Path) -> int:
    with file.open("rb") as head:
        if head.read(len(SQLITE)) != SQLITE:
            return file.stat().st_size
    # A log grows and shrinks whatever is in it, and a file keeps the pages of what was deleted.
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        pages, free, size = (db.execute(f"pragma {each}").fetchone()[0] for each in PRAGMAS)
        return int((pages - free) * size)


if __name__ == "__main__":
    sys.exit(main())
