"""Builds the warehouse beside the published one and publishes it: raw views, ops tables, dbt, rename."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.lake.database import build_lock
from pipelines.lake.durable import write_durably
from pipelines.lake.paths import paths_of
from pipelines.lake.publish import open_published, publish
from pipelines.lake.transform import TransformReport, run_dbt
from pipelines.lake.warehouse import prepare_build
from pipelines.load.fleet import current_fleet
from pipelines.load.owner_names import contradicted_words, unknown_names
from pipelines.load.request import Listener, LoadReport, Silent
from pipelines.load.services import Services
from pipelines.owner_files import read_devices_file, read_plants_file, read_targets_file, read_tariffs_file
from pipelines.settings import Settings, SettingsError
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

VACUUM_EVERY: Final = timedelta(days=1)
"""Replaced files are kept for a week, so a look a day is enough."""

CONTRADICTED: Final = "contradicts_setting"
"""What names the tests of ops.conventions that a wrong word of the devices file fails."""

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


def build_and_publish(services: Services, listener: Listener | None = None) -> TransformReport:
    """Make the published warehouse show the lake as it is now; returns what dbt did.

    Raises:
        TransformFailed: a dbt model or test failed; the published warehouse stays as it was.
    """
    watch = listener or Silent()
    files = owner_files(services.settings)
    home, threads, memory = services.settings.home, services.settings.duckdb_threads, services.settings.duckdb_memory
    with build_lock(home):
        watch.progress("warehouse", 0, 3)
        prepare(services)
        watch.progress("warehouse", 1, 3)
        transformed = run_dbt(home, threads=threads, memory_limit=memory)
        watch.progress("warehouse", 2, 3)
        publish(home, threads=threads, memory_limit=memory)
        write_durably(_owner_stamp(home), json.dumps(files).encode())
        _vacuum_now_and_then(services)
        watch.progress("warehouse", 3, 3)
    _tell_of_odd_data(home, transformed, watch)
    for sentence in unknown_names(services.settings, services.lake):
        watch.message(f"{sentence}.")
    return transformed


def _tell_of_odd_data(home: Path, transformed: TransformReport, watch: Listener) -> None:
    odd = sorted(name.split(".")[2] for name, status in transformed.nodes.items() if status == "warn")
    if any(CONTRADICTED in name for name in odd):
        with open_published(home) as connection:
            for sentence in contradicted_words(connection):
                watch.message(f"{sentence}.")
    odd = [name for name in odd if CONTRADICTED not in name]
    if odd:
        watch.message(f"Published, but these checks found odd data: {', '.join(odd)}. See {paths_of(home).dbt_log}.")


def _vacuum_now_and_then(services: Services) -> None:
    """Delete files that were replaced long ago: after a publish, which names the current ones, once a day."""
    stamp = paths_of(services.settings.home).state / "vacuumed"
    now = services.clock.now()
    if not stamp.exists() or now - datetime.fromisoformat(stamp.read_text(encoding="utf-8")) >= VACUUM_EVERY:
        services.lake.vacuum()
        write_durably(stamp, now.isoformat().encode())


def needs_build(services: Services, report: LoadReport) -> bool:
    """Whether the published warehouse would change.

    Something was read, the owner has changed a file, or a fleet is known and there is no warehouse yet.
    """
    if report.rows or report.cells:
        return True
    if paths_of(services.settings.home).published.exists():
        return owner_files_have_changed(services.settings)
    return current_fleet(services).listed_at is not None


def owner_files(settings: Settings) -> dict[str, str]:
    """What the owner's files hold, as a digest of each that is set."""
    paths = {name: getattr(settings, f"{name}_file") for name in ("plants", "devices", "tariffs", "targets")}
    # One that isn't there is said by whoever reads it.
    there = {name: path for name, path in paths.items() if path is not None and path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()}


def owner_files_have_changed(settings: Settings) -> bool:
    """Whether they hold something else than when the published warehouse was built."""
    stamp = _owner_stamp(settings.home)
    before = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else {}
    return owner_files(settings) != before


def _owner_stamp(home: Path) -> Path:
    return paths_of(home).state / "owner_files.json"


def prepare(services: Services) -> None:
    """Write schema raw (views over the lake's current files) and ops into the private build database."""
    prepare_build(
        services.settings.home,
        api_calls=api_calls_frame(services),
        coverage=services.coverage.rollup(),
        overrides=override_frames(services),
        threads=services.settings.duckdb_threads,
        memory_limit=services.settings.duckdb_memory,
        now=services.clock.now(),
    )


def api_calls_frame(services: Services) -> pl.DataFrame:
    """The ledger as rows of ops.api_calls."""
    schema = polars_schema(TABLES["api_calls"])
    records = [{name: getattr(record, name) for name in schema} for record in services.ledger.calls(_BEGINNING)]
    return pl.DataFrame(records, schema=schema, orient="row")


def override_frames(services: Services) -> dict[str, pl.DataFrame]:
    """The owner's files as tables of schema ops (`schemas.owner_tables`); devices are named by their id."""
    settings = services.settings
    devices = read_devices_file(settings.devices_file)
    known = None if devices.is_empty() else known_devices(services)
    return {
        "plant_overrides": read_plants_file(settings.plants_file),
        "device_overrides": devices_by_id(known, devices, settings.devices_file),
        "tariffs": read_tariffs_file(settings.tariffs_file),
        "targets": read_targets_file(settings.targets_file),
    }


def known_devices(services: Services) -> pl.DataFrame:
    """Every device that was ever listed, those first that were seen last: the owner's word of a device holds for the
    rows that it sent, also when it is gone."""
    return services.lake.read("devices").sort("last_seen_at", "device_id", descending=[True, False])


def devices_by_id(known: pl.DataFrame | None, devices: pl.DataFrame, path: Path | None = None) -> pl.DataFrame:
    """The devices file with serial numbers resolved to ids, of the device itself and of the one it replaced.

    `known` has device_id and device_sn of the known devices, None where none is; of several with one serial number the
    first counts.

    Raises:
        SettingsError: a device stands twice, by its id and its serial number, or replacements run in a circle.
    """
    if devices.is_empty() or known is None:
        return devices.with_columns(pl.lit(None, pl.Int64()).alias("replaces_device_id"))
    known = known.select("device_sn", pl.col("device_id").alias("_found"))
    by_serial = known.drop_nulls("device_sn").unique("device_sn", keep="first", maintain_order=True)
    by_name = pl.concat([by_serial, known.select(pl.col("_found").cast(pl.String()).alias("device_sn"), "_found")])
    devices = (
        devices.join(by_serial, on="device_sn", how="left")
        .with_columns(pl.coalesce("device_id", "_found").alias("device_id"))
        .drop("_found")
        .join(
            by_name.unique("device_sn", keep="first", maintain_order=True),
            left_on="replaces_device",
            right_on="device_sn",
            how="left",
        )
        .rename({"_found": "replaces_device_id"})
    )
    twins = devices.drop_nulls("device_id").filter(pl.col("device_id").is_duplicated())["device_id"].unique()
    if not twins.is_empty():
        raise SettingsError(f"{path} names {twins[0]} twice: by its id and by its serial number.")
    pairs = devices.drop_nulls("device_id").select("device_id", "replaces_device_id").iter_rows()
    _refuse_circles({row[0]: row[1] for row in pairs}, path)
    return devices


def _refuse_circles(replaced: dict[int, int | None], path: Path | None) -> None:
    for device in replaced:
        earlier, seen = replaced[device], {device}
        while earlier is not None and earlier not in seen:
            seen.add(earlier)
            earlier = replaced.get(earlier)
        if earlier is not None:
            raise SettingsError(f"{path}: replaces_device runs in a circle at device {earlier}.")
