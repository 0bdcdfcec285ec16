"""Calls of the planner against the least possible, and its CPU seconds, on fleets like an owner's.

    python benchmarks/plan_calls.py [--large]

A fleet of 130 plants in six zones with 400 devices of four types: every day wanted, plants that joined at
different times, gaps, and days that are missing at random. `--large` adds a year of it and 5,000 devices.
"""

import argparse
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from time import process_time

from pipelines.planning.cells import Cell, Subject, wanted_cells
from pipelines.planning.packing import lower_bound_history, pack_history
from pipelines.planning.reports import lower_bound_reports, pack_reports

ZONES = {
    "Europe/Madrid": 52,
    "Europe/Lisbon": 26,
    "America/Sao_Paulo": 20,
    "Asia/Bangkok": 14,
    "Australia/Sydney": 10,
    "America/Mexico_City": 8,
}
"""Plants in each of the six zones."""

FIRST = date(2026, 10, 1)
NOW = datetime(2027, 12, 31, tzinfo=UTC)

Keep = Callable[[random.Random, int, int], Callable[[int], bool]]


def fleet(scale: int = 1) -> tuple[dict[str, Subject], dict[str, Subject]]:
    """Return plants and devices: 1-2 inverters (200), a meter (130), some batteries (40) and sensors (30)."""
    plants, devices = {}, {}
    for copy in range(scale):
        zones = [zone for zone, count in ZONES.items() for _ in range(count)]
        random.Random(7).shuffle(zones)
        for number, zone in enumerate(zones):
            code = f"NE={copy:02}{number:04}"
            plants[code] = Subject(code, code, None, zone)
            types = [1, 47] + [1] * (number < 70) + [39] * (number % 13 < 4) + [10] * (number % 13 in (5, 6, 7))
            for kind in types:
                device = str(10**15 + len(devices))
                devices[device] = Subject(device, code, kind, zone)
    return plants, devices


def everything(_: random.Random, __: int, ___: int) -> Callable[[int], bool]:
    """Every day is wanted."""
    return lambda day: True


def joined(rng: random.Random, days: int, _: int) -> Callable[[int], bool]:
    """Half of the devices joined on some day of the range."""
    first = rng.randrange(days) if rng.random() < 0.5 else 0
    return lambda day: day >= first


def gaps(rng: random.Random, days: int, _: int) -> Callable[[int], bool]:
    """Up to three gaps of one to four days are covered already."""
    covered = {
        first + more
        for _ in range(rng.randint(0, 3))
        for first in [rng.randrange(days)]
        for more in range(rng.randint(1, 4))
    }
    return lambda day: day not in covered


def missing(share: float) -> Keep:
    """Return: each day of each device is covered already with this probability."""
    return lambda rng, days, _: lambda day: rng.random() >= share


def cells_of(devices: Mapping[str, Subject], days: int, keep: Keep) -> list[Cell]:
    """Return the history cells of a pattern."""
    rng = random.Random(1)
    found = []
    for device in devices:
        wanted = keep(rng, days, 0)
        found += [Cell("device_history", device, FIRST + timedelta(d)) for d in range(days) if wanted(d)]
    return found


def history(name: str, devices: Mapping[str, Subject], days: int, keep: Keep) -> None:
    """Print one line for one pattern of device history."""
    cells = cells_of(devices, days, keep)
    began = process_time()
    calls = len(pack_history(cells, devices))
    took = process_time() - began
    line(f"history, {len(devices)} devices, {days} days, {name}", calls, lower_bound_history(cells, devices), took)


def reports(dataset: str, subjects: Mapping[str, Subject], days: int) -> None:
    """Print one line for one report dataset."""
    cells = wanted_cells(dataset, subjects.values(), FIRST, FIRST + timedelta(days - 1), NOW)
    began = process_time()
    calls = len(pack_reports(dataset, cells, subjects, NOW))
    took = process_time() - began
    least = lower_bound_reports(dataset, cells, subjects, NOW)
    line(f"{dataset}, {len(subjects)} subjects, {days} days", calls, least, took)


def line(what: str, calls: int, least: int, seconds: float) -> None:
    """Print what was planned."""
    print(f"{what:<58}{calls:>7} calls, at least {least:>6}  {calls / max(least, 1) - 1:>6.1%}  {seconds:>6.2f} s")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--large", action="store_true", help="also a year, and 5,000 devices")
    plants, devices = fleet()
    kinds = (
        ("every day", everything),
        ("joined at any time", joined),
        ("gaps", gaps),
        ("3 % covered", missing(0.03)),
        ("30 % covered", missing(0.3)),
        ("90 % covered", missing(0.9)),
    )
    large = parser.parse_args().large
    for days in (1, 3, 7, 30):
        for name, keep in kinds:
            if days > 1 or keep is everything:
                history(name, devices, days, keep)
    for days in (1, 30):
        for dataset in ("plant_hourly", "plant_daily", "plant_monthly", "plant_yearly"):
            reports(dataset, plants, days)
        for dataset in ("device_daily", "device_monthly", "device_yearly"):
            reports(dataset, devices, days)
    if large:
        history("every day", devices, 365, everything)
        history("30 % covered", devices, 365, missing(0.3))
        many_plants, many = fleet(13)
        history("every day", many, 30, everything)
        history("30 % covered", many, 30, missing(0.3))
        reports("plant_hourly", many_plants, 30)


if __name__ == "__main__":
    main()
