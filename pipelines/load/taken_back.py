"""Plants that were filed while they were closed and turned out to be another account's: what was filed of them goes.

Nothing was ever read of such a plant, so nothing is lost. It is told by what stands in the lake alone, so that the
next listing finishes what a killed one began.
"""

from datetime import datetime
from typing import Final

import polars as pl

from pipelines.load.asking import plant_of_key
from pipelines.load.refused import read_refused, write_refused
from pipelines.load.services import Services

READ_BESIDE_COVERAGE: Final = ("plant_realtime", "alarms")
"""Tables with rows by plant that coverage doesn't count."""


def bare_plants(services: Services, plants: pl.DataFrame, devices: pl.DataFrame) -> set[str]:
    """Filed plants (raw.plants) that have no device (raw.devices), and of which nothing was ever read."""
    found = set(plants["plant_code"]) - set(devices["plant_code"])
    found = {code for code in found if not services.coverage.has_rows(code)}
    for name in READ_BESIDE_COVERAGE if found else ():
        there = services.lake.read(name, ["plant_code"], where=pl.col("plant_code").is_in(sorted(found)))
        found -= set(there["plant_code"])
    return found


def take_back(services: Services, now: datetime) -> None:
    """Delete what was filed of plants that every account that lists them knows as others by now.

    Raises:
        DiskFull: no space is left; the next listing completes it.
    """
    lake = services.lake
    seen = lake.read("account_plants", ["account_plant_code", "plant_code"])
    elsewhere = set(seen["account_plant_code"]) - set(seen["plant_code"])
    if not elsewhere:
        return
    gone = elsewhere & bare_plants(services, lake.read("plants", ["plant_code"]), lake.read("devices", ["plant_code"]))
    for code in sorted(gone):
        services.coverage.forget(code, {})
    if gone:
        refused = [key for key in read_refused(services.refused_file) if plant_of_key(key) in gone]
        write_refused(services.refused_file, {}, now, open_again=refused)
        # The row by which it is found goes last.
        for name in ("plant_versions", "plants"):
            lake.update(name, lambda rows: rows.filter(~pl.col("plant_code").is_in(sorted(gone))))
