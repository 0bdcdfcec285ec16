"""CPU time of each check of what was published, in one process: python benchmarks/checks_cost.py PVMS_HOME."""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from pipelines.checks.catalog import CHECKS
from pipelines.checks.look import Look
from pipelines.checks.run import outcome_of
from pipelines.lake.publish import open_published


def main() -> None:
    """Run every check once on a home's published warehouse and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="a PVMS_HOME with a published warehouse, e.g. that of pvms demo")
    connection = open_published(parser.parse_args().home.resolve())
    look = Look(connection, datetime.now(UTC))
    begun = time.process_time()
    for check in CHECKS:
        started = time.process_time()
        outcome = outcome_of(check, look)
        spent = time.process_time() - started
        verdict = "ok" if outcome.passed else outcome.severity
        print(f"{spent:7.3f} s  {verdict:5}  {'.'.join(check.asset)}: {check.name}: {outcome.sentence}")
    print(f"{time.process_time() - begun:7.3f} s  in all")
    connection.close()


if __name__ == "__main__":
    main()
