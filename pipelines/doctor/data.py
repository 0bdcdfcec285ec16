"""What is there already: zones and devices of the fleet, quotas as the ledger has seen them, the files themselves."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl

from pipelines.doctor.findings import Finding, fail, ok, warn
from pipelines.lake.errors import LakeError, NoWarehouse
from pipelines.lake.paths import paths_of
from pipelines.lake.publish import open_published
from pipelines.lake.recognition import alike, twins
from pipelines.lake.sightings import listed
from pipelines.lake.store import Lake
from pipelines.load.asking import account_of_key, plant_of_key
from pipelines.load.owner_names import unknown_names
from pipelines.load.refused import read_refused
from pipelines.load.services import REFUSED_FILE, state_dir
from pipelines.load.words import counted, few
from pipelines.northbound.client import LEDGER_FILE, Client
from pipelines.northbound.errors import NO_PLANT_ADVICE, PlantNotAuthorized
from pipelines.owner_files import OWNER_FILES, read_policy, read_quotas
from pipelines.settings import Settings, SettingsError
from schemas.device_types import DEVICE_TYPES, HISTORY_TYPES
from schemas.endpoints import READ_ENDPOINTS


def zones(plants: pl.DataFrame) -> Iterator[Finding]:
    """Each plant's time zone and where it came from (columns of raw.plants, latest listing)."""
    if plants.is_empty():
        return
    unknown = plants.filter(pl.col("time_zone").is_null())["plant_code"].sort().to_list()
    known = plants.drop_nulls("time_zone")
    if known.height:
        sources = Counter(known["time_zone_source"].to_list())
        names = Counter(known["time_zone"].to_list())
        told = ", ".join(f"{count} by {source}" for source, count in sources.most_common())
        most = ", ".join(f"{name} {count}" for name, count in names.most_common(4))
        yield ok("zones", f"{known.height} plants: {told} ({most}{', ...' if len(names) > 4 else ''})")
    if unknown:
        yield warn(
            "zones",
            f"{len(unknown)} plants without a known time zone, of which nothing is loaded: {few(unknown)}",
            "Give each a row in PVMS_PLANTS_FILE (plant_code,time_zone), or set PVMS_DEFAULT_TIME_ZONE.",
        )


def devices(rows: pl.DataFrame) -> Iterator[Finding]:
    """How many devices there are of types that the interface keeps no history for (column device_type_id)."""
    if rows.is_empty():
        return
    counts = Counter(rows["device_type_id"].to_list())
    without = {kind: count for kind, count in counts.items() if kind not in HISTORY_TYPES}
    served = sum(counts.values()) - sum(without.values())
    yield ok("devices", f"{served} of {sum(counts.values())} have a 5-minute history")
    if without:
        names = ", ".join(
            f"{DEVICE_TYPES[kind].label if kind in DEVICE_TYPES else 'unknown type'} {kind} ({count})"
            for kind, count in sorted(without.items())
        )
        yield ok("devices", f"the interface keeps no history of {sum(without.values())}: {names}")


def out_of_reach(settings: Settings, lake: Lake) -> Iterator[Finding]:
    """Plants that the vendor refuses, and plants that are listed no more but not retired yet (raw.account_plants)."""
    here = set(listed(lake, "plants")["plant_code"])
    known = read_refused(state_dir(settings.home) / REFUSED_FILE)
    keys = sorted(key for key in known if plant_of_key(key) in here)
    for account in dict.fromkeys(map(account_of_key, keys)):
        codes = [plant_of_key(key) for key in keys if account_of_key(key) == account]
        whom = f"account {account}" if account else "every account that lists them"
        yield warn(
            "plants",
            f"the vendor refuses {counted(len(codes), 'plant')} to {whom}: {few(codes)}",
            f"{PlantNotAuthorized.default_advice} They are asked for again by themselves, at first after a day; "
            f"pvms load --from yesterday --to yesterday --force --plant {codes[0]} asks at once.",
        )
    seen = lake.read("account_plants", ["plant_code", "absent_since", "retired_at"])
    gone = seen.filter(pl.col("absent_since").is_not_null() & pl.col("retired_at").is_null())["plant_code"]
    lost = sorted(set(gone) - here)
    if lost:
        yield warn(
            "plants",
            f"the vendor lists {counted(len(lost), 'plant')} no more, and they aren't asked about: {few(lost)}",
            f"What is there of them stays. If they should be listed: {NO_PLANT_ADVICE}",
        )


def plants_twice(plants: pl.DataFrame, devices: pl.DataFrame) -> Iterator[Finding]:
    """Plants that two accounts see and that are filed as two (raw.plants and raw.devices, latest listings)."""
    if plants.is_empty() or devices.is_empty():
        return
    for one, other in alike(plants, without=set(plants["plant_code"]) - set(devices["plant_code"])):
        yield warn(
            "plants",
            f"{one} seems to be {other}: both have the same name, place and capacity, but the devices of {one} can't "
            "be listed",
            f"Let its owner allow API access to the account that lists {one}: then they become one by themselves.",
        )
    for one, other, count in twins(devices):
        yield warn(
            "plants",
            f"{one} and {other} seem to be one plant: devices of both bear the same serial numbers ({count})",
            f"Compare the two. If they are one, pvms forget --plant {other} deletes its rows, and from the next list "
            f"on it is {one}; a device that was moved needs nothing.",
        )


def owner_files(settings: Settings) -> Iterator[Finding]:
    """Whether each of the owner's files that is set can be read, and how many rows it has."""
    for kind, read in OWNER_FILES.items():
        path = getattr(settings, f"{kind}_file")
        if path is None:
            continue
        try:
            yield ok("owner files", f"{path}: {read(path).height} rows", about=kind)
        except SettingsError as error:
            yield fail(
                "owner files", str(error), "Correct the file: nothing is loaded until it can be read.", about=kind
            )


def policy_and_quotas(settings: Settings) -> Iterator[Finding]:
    """Whether the policy file and the quotas file, where they are set, can be read."""
    todo = "Correct the file: nothing is loaded until it can be read."
    if settings.policy_file is not None:
        try:
            policy = read_policy(settings.policy_file, settings)
            yield ok(
                "owner files",
                f"{settings.policy_file}: {counted(len(policy.rules), 'group')} beside the default",
                about="policy",
            )
        except SettingsError as error:
            yield fail("owner files", str(error), todo, about="policy")
    if settings.quotas_file is not None:
        try:
            read_quotas(settings)
            yield ok("owner files", f"{settings.quotas_file} can be read", about="quotas")
        except SettingsError as error:
            yield fail("owner files", str(error), todo, about="quotas")


def owner_names(settings: Settings, lake: Lake) -> Iterator[Finding]:
    """Plants and devices that these files name and nobody ever listed."""
    todo = "Compare with pvms sql 'select plant_code, plant_name from marts.dim_plant' (marts.dim_device for devices)."
    for sentence in unknown_names(settings, lake):
        yield warn("owner files", sentence, todo)


def files(settings: Settings) -> Iterator[Finding]:
    """Whether ledger, coverage, Dagster's storage and the published warehouse can be read."""
    paths = paths_of(settings.home)
    stores = [paths.state / LEDGER_FILE, paths.state / "coverage.sqlite"]
    broken = [text for path in stores if (text := _unreadable(path))]
    for text in broken:
        yield fail(
            "state", text, "Restore it from a backup, or move it away: it is made anew, and what it knew is lost."
        )
    if not broken and any(path.exists() for path in stores):
        yield ok("state", "ledger and coverage can be read")
    yield from _dagster(paths.state / "dagster")
    yield _warehouse(settings)


def _unreadable(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            (answer,) = db.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return f"{path} can't be read: {error}"
    return None if answer == "ok" else f"{path} is damaged: {answer}"


def _dagster(folder: Path) -> Iterator[Finding]:
    if not (folder / "dagster.yaml").exists():
        yield ok("dagster", "no records yet; the first load or pvms ui makes them")
        return
    databases = sorted((folder / "history" / "runs").glob("index.db")) + sorted(folder.glob("*/*.db"))
    broken = [text for path in databases if (text := _unopened(path))]
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    if broken:
        todo = "Move state/dagster away: coverage is the truth, and the next load makes new records."
        yield fail("dagster", "; ".join(broken), todo)
    else:
        yield ok("dagster", f"its records can be read ({size / 1e6:,.0f} MB)")


def _unopened(path: Path) -> str | None:
    # No check of every page: Dagster's files grow large.
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            db.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        return f"{path} can't be read: {error}"
    return None


def _warehouse(settings: Settings) -> Finding:
    try:
        connection = open_published(settings.home, threads=settings.duckdb_threads, memory_limit=settings.duckdb_memory)
    except NoWarehouse:
        return ok("warehouse", "not built yet; the first load publishes it")
    except LakeError as error:
        return fail("warehouse", str(error), "See above.")
    try:
        (count,) = connection.execute("select count(*) from duckdb_tables() where not internal").fetchone() or (0,)
        (views,) = connection.execute("select count(*) from duckdb_views() where not internal").fetchone() or (0,)
        connection.execute("select count(*) from raw.plants").fetchone()
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        return fail("warehouse", f"it can be opened, but not read: {first}", "Run pvms load: it publishes a new one.")
    finally:
        connection.close()
    return ok("warehouse", f"{paths_of(settings.home).published} holds {count} tables and {views} views")


def quotas(client: Client) -> Iterator[Finding]:
    """What the ledger has learnt of one account's quotas: paces, and where the vendor's policy differs."""
    differing = client.policy_findings()
    for finding in differing:
        # Its sentence says what to do.
        yield warn("quota", finding.sentence.rstrip("."), "See docs/operating.md, Quotas.", client.account)
    for endpoint in READ_ENDPOINTS:
        learnt = client.ledger.learnt(client.account, endpoint, client.counts)
        if learnt is not None and learnt.paced:
            text = f"refusals have slowed {endpoint} down to a call every {learnt.spacing.total_seconds():,.0f} s"
            yield ok("quota", text, client.account)
    if not differing:
        yield ok("quota", "no refusals that the policy doesn't explain", client.account)
