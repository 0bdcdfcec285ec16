"""`pvms init`: a commented `.env` that only its owner can read, and the folders."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from pipelines.cli.common import guarded, say
from pipelines.load.request import EXIT_USAGE
from pipelines.settings import load_settings

HELP = """Write a commented .env (readable by you alone) into the current folder, and the data folders.

An .env that is there is left alone.

Example:

  mkdir my-fleet && cd my-fleet && pvms init
"""

ENV_TEMPLATE: Final = """\
# Settings of smartpvms-warehouse. Lines that start with # are comments; the environment wins over this file.

# --- The account (reference 3.2): an API account of Northbound Management, not a portal login. ---
# The host on which the account was made, such as https://eu5.fusionsolar.huawei.com
SMARTPVMS_BASE_URL=
SMARTPVMS_USERNAME=
SMARTPVMS_PASSWORD=
# Flow control: dynamic (reference 4.2, the default) or static (6.2, accounts of the old policy).
#SMARTPVMS_FLOW_CONTROL=dynamic
# Where the vendor grants otherwise than its reference says: TOML, such as
# [dynamic.getDevHistoryKpi] with a line limit = 60.
#PVMS_QUOTAS_FILE=quotas.toml
# Language of alarm texts.
#SMARTPVMS_LANGUAGE=en_US

# Several accounts in place of this one: PVMS_ACCOUNTS_FILE names a TOML file with a table each (docs/first-steps.md).

# --- OAuth Connect in place of user name and password (reference 3.1): then run `pvms login`. ---
#SMARTPVMS_AUTH=account
# What the vendor sent when the app was registered.
#SMARTPVMS_CLIENT_ID=123456789
#SMARTPVMS_CLIENT_SECRET=
# The redirect address that was registered, letter by letter. An address of this machine with a port lets
# `pvms login` take the answer by itself; with any other you paste it.
#SMARTPVMS_REDIRECT_URI=http://127.0.0.1:8976/pvms
# A refresh token from elsewhere; after `pvms login` the one in state/tokens.json counts.
#SMARTPVMS_REFRESH_TOKEN=
# The OAuth service.
#SMARTPVMS_OAUTH_URL=https://oauth2.fusionsolar.huawei.com

# --- Where and what. ---
# Everything that is written; default: the folder data beside this file. A local disk.
#PVMS_HOME=data
# First local date wanted. Unset: what was ever asked for.
#PVMS_HISTORY_START=2025-01-01
# Days that fresh 5-minute data may wait to ride together: 1, 2 or 3. `pvms plan` recommends one.
#PVMS_HISTORY_FRESHNESS_DAYS=1
# Datasets, depth and freshness by groups of plants (TOML).
#PVMS_POLICY_FILE=policy.toml
# What the interface does not tell, or tells wrongly: CSV with plant_code,time_zone,dc_kwp,...
# and device_id,unit,power_sign,...
#PVMS_PLANTS_FILE=plants.csv
#PVMS_DEVICES_FILE=devices.csv
# Prices and targets: CSV with plant_code,valid_from,... and plant_code,month,... (docs/figures.md).
#PVMS_TARIFFS_FILE=tariffs.csv
#PVMS_TARGETS_FILE=targets.csv
# The zone of plants that have neither coordinates nor an offset in their grid connection date.
#PVMS_DEFAULT_TIME_ZONE=Europe/Berlin
# Dagster's partitions: auto, day or month.
#PVMS_PARTITION_GRAIN=auto
# What DuckDB may take while the warehouse is built.
#PVMS_DUCKDB_THREADS=2
#PVMS_DUCKDB_MEMORY=2GB
#PVMS_LOG_LEVEL=INFO
# on: `pvms ui` starts by itself what is due (loads, real time, alarms, tidying).
#PVMS_TICKS=off

# --- Who is told when nobody looks: no data for a day, a refused login, a full disk, and a daily sign of life. ---
# A webhook that takes JSON (the address is a secret), or a command that gets the text on its standard input.
#PVMS_NOTIFY_URL=https://hooks.example.com/services/...
#PVMS_NOTIFY_COMMAND=mail -s pvms me@example.com

# Where plain `dagster dev` finds Dagster's records: the folder state/dagster of PVMS_HOME, with its whole path.
# It has to follow PVMS_HOME; the commands of pvms don't read it.
#DAGSTER_HOME=
"""


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write into.")] = Path(),
) -> None:
    """Write a commented .env and the folders."""

    def command() -> int:
        env_file = folder / ".env"
        if env_file.exists():
            say(f"{env_file.resolve()} is there already and was left alone.")
            return EXIT_USAGE
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(env_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(ENV_TEMPLATE)
        home = load_settings(folder).home
        for name in ("lake", "exports", "state"):
            (home / name).mkdir(parents=True, exist_ok=True)
        from assets.home import make_dagster_home

        env_file.write_text(with_dagster_home(ENV_TEMPLATE, make_dagster_home(home)), encoding="utf-8")
        say(f"Wrote {env_file.resolve()} and {home}.")
        say("Fill in the account, then: pvms load --from yesterday --to yesterday")
        return 0

    raise typer.Exit(guarded(command))


def with_dagster_home(text: str, folder: Path) -> str:
    """The text of an .env that names Dagster's folder, quoted, since a path may hold spaces."""
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return text.replace("#DAGSTER_HOME=\n", f"DAGSTER_HOME='{quoted}'\n")
