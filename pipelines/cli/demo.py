"""`pvms demo`: the whole way from a simulated SmartPVMS to a warehouse, without an account."""

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from pipelines.cli.common import guarded, say, stdout
from pipelines.cli.sql import as_table
from pipelines.cli.summary import summary_lines
from pipelines.cli.watching import ConsoleListener
from pipelines.load.request import EXIT_USAGE, LoadRequest

HELP = """See it work without an account: a simulated fleet, loaded through the real path into a warehouse.

Starts a SmartPVMS on 127.0.0.1, loads the last days of a small fleet over HTTP through Dagster, pandera,
Parquet and dbt into DuckDB, and shows a few tables. Writes into a folder of its own.

Examples:

  pvms demo

  pvms demo --days 7 --folder /tmp/pvms-demo
"""

MARKER: Final = ".pvms-demo"
"""A file that tells a demo's folder from a real `PVMS_HOME`; only a folder with it is ever replaced."""

EXAMPLE_QUERY: Final = "select * from marts.fct_plant_day"

TABLES: Final = (
    (
        "The last whole day, plant by plant (marts.fct_plant_day)",
        """select plant_name, local_date, round(pv_energy_kwh, 1) as pv_energy_kwh,
                  round(specific_yield_kwh_kwp, 2) as specific_yield_kwh_kwp,
                  round(self_consumption_pct, 1) as self_consumption_pct,
                  round(feed_in_energy_kwh, 1) as feed_in_kwh, round(inverter_completeness, 3) as completeness
           from marts.fct_plant_day
           where local_date = (select max(period) from ops.coverage where dataset = 'device_history')
           order by plant_name""",
    ),
    (
        "The best five minutes of each inverter (marts.fct_inverter_5min)",
        """select plant_code, device_id, arg_max(local_time, active_power_kw) as local_time,
                  round(max(active_power_kw), 2) as active_power_kw
           from marts.fct_inverter_5min group by all order by active_power_kw desc limit 8""",
    ),
    (
        "What is loaded (ops.coverage)",
        """select dataset, count(distinct plant_code) as plants, min(period) as first, max(period) as last,
                  sum(rows)::bigint as rows, string_agg(distinct state, ', ' order by state) as states
           from ops.coverage group by all order by dataset""",
    ),
    (
        "Calls that went out (ops.api_calls)",
        """select endpoint, count(*) as calls, sum(rows)::bigint as rows
           from ops.api_calls group by all order by endpoint""",
    ),
)


def demo(
    days: Annotated[int, typer.Option(min=1, max=31, help="How many days up to yesterday.")] = 3,
    folder: Annotated[Path, typer.Option(help="Where the demo writes; replaced at each run.")] = Path("pvms-demo"),
    fleet: Annotated[str, typer.Option(help="The simulated fleet: demo, single or portfolio.")] = "demo",
) -> None:
    """See it work without an account."""

    def command() -> int:
        home = folder.resolve()
        if home.exists() and any(home.iterdir()):
            if not (home / MARKER).exists():
                say(f"{home} is not empty and no demo's folder; choose another with --folder.")
                return EXIT_USAGE
            shutil.rmtree(home)
        home.mkdir(parents=True, exist_ok=True)
        (home / MARKER).touch()
        return _run(home, days, fleet)

    raise typer.Exit(guarded(command))


def _run(home: Path, days: int, fleet: str) -> int:
    from pydantic import SecretStr

    from assets.launch import load_through_dagster
    from pipelines.settings import Account, Settings
    from pipelines.simulator.server import Simulator
    from pipelines.simulator.world import build_world

    end = datetime.now(UTC).date() - timedelta(days=1)
    request = LoadRequest(start=end - timedelta(days=days - 1), end=end, why="demo")
    # A thread of this process: whatever ends the demo ends the simulator with it.
    with Simulator(build_world(fleet, 1)) as server:
        say(f"A simulated SmartPVMS answers on {server.base_url}. Loading {request.start} to {request.end} into {home}")
        settings = Settings(
            home=home,
            env_file=None,
            accounts=(Account("demo", server.base_url, server.username, SecretStr(server.password)),),
        )
        with ConsoleListener() as listener:
            report = load_through_dagster(settings, request, listener)
    for line in summary_lines(report):
        say(line)
    if report.published:
        _show(home)
    return report.exit_code


def _show(home: Path) -> None:
    from pipelines.lake.publish import open_published

    connection = open_published(home)
    try:
        for title, query in TABLES:
            result = connection.execute(query)
            names = [column[0] for column in result.description or []]
            stdout.print(as_table(names, result.fetchall(), title))
    finally:
        connection.close()
    # Without an activated environment the bare name would not be found.
    command = "pvms" if shutil.which("pvms") else sys.argv[0]
    say("\nWhat to do next:")
    say(f"  export PVMS_HOME={home}")
    say(f'  {command} sql "{EXAMPLE_QUERY}"   asks it')
    say(f"  {command} ui   shows what is loaded, plant by plant and date by date")
    say(f"Your own fleet: {command} init, fill in .env, then {command} load --from yesterday --to yesterday")
