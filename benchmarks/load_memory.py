"""Peak memory of a load against the number of days loaded: it must not grow with them.

Each size runs in a process of its own, against a simulator in another, with a clock that jumps over quota waits.

    python benchmarks/load_memory.py [--fleet demo] [--days 6 24 96]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

LAST = date(2026, 10, 31)


def load(base_url: str, days: int) -> None:
    """Load `days` days and print rows, calls, seconds and the peak of this process as JSON."""
    from pipelines.load.request import LoadRequest
    from pipelines.load.run import run_load
    from pipelines.load.services import Services
    from pipelines.northbound.clock import ManualClock
    from pipelines.settings import Account, Settings

    with tempfile.TemporaryDirectory() as home:
        account = Account("demo", base_url, "demo", SecretStr("demo-password"))
        settings = Settings(home=Path(home), env_file=None, accounts=(account,))
        begun, cpu = time.monotonic(), time.process_time()
        with Services.open(settings, ManualClock(datetime.now(UTC))) as services:
            request = LoadRequest(LAST - timedelta(days=days - 1), LAST, wait=True)
            report = run_load(request, services, build=False)
        print(
            json.dumps(
                {
                    "days": days,
                    "rows": sum(report.rows.values()),
                    "calls": report.total_calls,
                    "failures": len(report.failures),
                    "wall_s": round(time.monotonic() - begun, 1),
                    "cpu_s": round(time.process_time() - cpu, 1),
                    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                }
            )
        )


def main() -> None:
    """Run every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", default="demo")
    parser.add_argument("--days", type=int, nargs="+", default=[6, 24, 96])
    parser.add_argument("--load", nargs=2, metavar=("URL", "DAYS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.load:
        load(chosen.load[0], int(chosen.load[1]))
        return
    from pipelines.simulator.server import Simulator
    from pipelines.simulator.world import build_world

    print(f"{'days':>5} {'rows':>10} {'calls':>6} {'failed':>6} {'wall s':>7} {'cpu s':>6} {'peak MiB':>8}")
    for days in chosen.days:
        with Simulator(build_world(chosen.fleet), flow_control="none") as server:
            command = [sys.executable, __file__, "--load", server.base_url, str(days)]
            done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{done['days']:>5} {done['rows']:>10,} {done['calls']:>6} {done['failures']:>6} "
            f"{done['wall_s']:>7} {done['cpu_s']:>6} {done['peak_mib']:>8}"
        )


if __name__ == "__main__":
    main()
