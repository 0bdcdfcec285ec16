"""Builds the warehouse beside the published one and publishes it: raw views, ops tables, dbt, rename."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.lake.database import build_lock
from pipelines.lake.paths import paths_of
from pipelines.lake.publish import publish
from pipelines.lake.transform import TransformReport, run_dbt
from pipelines.lake.warehouse import prepare_build
from pipelines.load.fleet import current_fleet
from pipelines.load.request import Listener, LoadReport, Silent
from pipelines.load.services import Services
from pipelines.owner_files import read_devices_file, read_plants_file
from pipelines.settings import SettingsError
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

VACUUM_EVERY: Final = timedelta(days=1)
"""Replaced files are kept for a week, so a look a day is enough."""

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


def build_and_publish(services: Services, listener: Listener | None = None) -> TransformReport:
    """Make the published warehouse show the lake as it is now; returns what dbt did.

    Raises:
        TransformFailed: a dbt model or test failed; the published warehouse stays as it was.
    """
    watch = listener or Silent()
    home, threads, memory = services.settings.home, services.settings.duckdb_threads, services.settings.duckdb_memory
    with build_lock(home):
        watch.progress("warehouse", 0, 3)
        prepare(services)
        watch.progress("warehouse", 1, 3)
        transformed = run_dbt(home, threads=threads, memory_limit=memory)
        watch.progress("warehouse", 2, 3)
        publish(home, threads=threads, memory_limit=memory)
        _vacuum_now_and_then(services)
        watch.progress("warehouse", 3, 3)
    _tell_of_odd_data(home, transformed, watch)
    return transformed


def _tell_of_odd_data(home: Path, transformed: TransformReport, watch: Listener) -> None:
    odd = sorted(name.split(".")[2] for name, status in transformed.nodes.items() if status == "warn")
    if odd:
        watch.message(f"Published, but these checks found odd data: {', '.join(odd)}. See {paths_of(home).dbt_log}.")


def _vacuum_now_and_then(services: Services) -> None:
    """Delete files that were replaced long ago: after a publish, which names the current ones, once a day."""
    stamp = paths_of(services.settings.home).state / "vacuumed"
    now = services.clock.now()
    if not stamp.exists() or now - datetime.fromisoformat(stamp.read_text(encoding="utf-8")) >= VACUUM_EVERY:
        services.lake.vacuum()
        stamp.write_text(now.isoformat(), encoding="utf-8")


def needs_build(services: Services, report: LoadReport) -> bool:
    """Whether the published warehouse would change: something was read, or a fleet is known and there is none yet."""
    if report.rows or report.cells:
        return True
    return not paths_of(services.settings.home).published.exists() and current_fleet(services).listed_at is not None


def prepare(services: Services) -> None:
    """Write schema raw (views over the lake's current files) and ops into the private build database."""
    prepare_build(
        services.settings.home,
        api_calls=api_calls_frame(services),
        coverage=services.coverage.rollup(),
        overrides=override_frames(services),
        threads=services.settings.duckdb_threads,
        memory_limit=services.settings.duckdb_memory,
    )


def api_calls_frame(services: Services) -> pl.DataFrame:
    """The ledger as rows of ops.api_calls."""
    schema = polars_schema(TABLES["api_calls"])
    records = [{name: getattr(record, name) for name in schema} for record in services.client.ledger.calls(_BEGINNING)]
    return pl.DataFrame(records, schema=schema, orient="row")


def override_frames(services: Services) -> dict[str, pl.DataFrame]:
    """The owner's files as tables of schema ops: plant_overrides, device_overrides (by device_id)."""
    devices = read_devices_file(services.settings.devices_file)
    if not devices.is_empty():
        by_serial = current_fleet(services).devices.select("device_sn", pl.col("device_id").alias("_found"))
        devices = (
            devices.join(by_serial.drop_nulls("device_sn").unique("device_sn"), on="device_sn", how="left")
            .with_columns(pl.coalesce("device_id", "_found").alias("device_id"))
            .drop("_found")
        )
        twins = devices.drop_nulls("device_id").filter(pl.col("device_id").is_duplicated())["device_id"].unique()
        if not twins.is_empty():
            raise SettingsError(
                f"{services.settings.devices_file} names {twins[0]} twice: by its id and by its serial number."
            )
    return {
        "plant_overrides": read_plants_file(services.settings.plants_file),
        "device_overrides": devices,
    }
