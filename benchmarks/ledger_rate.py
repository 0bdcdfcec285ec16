"""Calls a second that the ledger writes down (before and after, with its checks), by one process and by two.

    python benchmarks/ledger_rate.py [--calls 5000] [--in-window 70]

Time is made up: each call is a second after the one before, so that about `--in-window` calls count in each window.
"""

import argparse
import multiprocessing
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.northbound.ledger import FleetCounts, Ledger
from pipelines.northbound.quotas import QuotaOverride
from pipelines.northbound.skew import ServerTime

START = datetime(2026, 1, 1, tzinfo=UTC)
FLEET = FleetCounts(plants=130)


def work(path: str, calls: int, in_window: int, number: int) -> None:
    """Make the calls of one process."""
    quota = QuotaOverride(limit=100_000, window_seconds=in_window)
    ledger = Ledger(Path(path), quotas={"getDevHistoryKpi": quota})
    for step in range(calls):
        now = START + timedelta(seconds=step)
        end = now + timedelta(milliseconds=300)
        ledger.allowance("main", "getDevHistoryKpi", now, FLEET)
        call_id = ledger.reserve("main", "getDevHistoryKpi", '{"devIds":"1"}', f"process {number}", now, FLEET)
        heard = ServerTime(now, end, now + timedelta(milliseconds=150))
        ledger.settle(call_id, "ok", 0, 10, 1000, 300.0, end, counts=FLEET, server_time=heard)


def main() -> None:
    """Print a line for one process and one for two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000, help="calls of each process")
    parser.add_argument("--in-window", type=int, default=70, help="calls that count in a window")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "ledger.sqlite")
            Ledger(Path(path)).close()
            workers = [
                context.Process(target=work, args=(path, options.calls, options.in_window, number))
                for number in range(processes)
            ]
            began = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            seconds = time.perf_counter() - began
            made = len(Ledger(Path(path)).calls())
            print(f"{processes} process(es): {made} calls in {seconds:.1f} s, {made / seconds:.0f} calls/s")


if __name__ == "__main__":
    main()
