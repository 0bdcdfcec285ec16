"""Frames in the words of open tools, a file per plant: pvlib and pvanalytics, rdtools, ODS-E, PVOutput."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import duckdb
import pandas as pd

from pipelines.export.availability_frame import availability_frame
from pipelines.export.columns import formula_proof
from pipelines.export.frame_shapes import odse_frame, pvlib_frame, pvoutput_frame, rdtools_frame
from pipelines.export.placing import written_beside
from pipelines.export.plant_data import PlantFacts, plants_of
from pipelines.export.tables import FileFormat, Progress, TableExport
from pipelines.lake.durable import full_disk_as_sentence

Shape = Callable[[duckdb.DuckDBPyConnection, PlantFacts, date, date], tuple[pd.DataFrame, Mapping[str, Any]]]
"""Makes a plant's frame, and what its tool wants to know beside it."""

FRAMES: Final[Mapping[str, Shape]] = {
    "pvlib": pvlib_frame,
    "rdtools": rdtools_frame,
    "rdtools-availability": availability_frame,
    "odse": odse_frame,
    "pvoutput": pvoutput_frame,
}

EVER: Final = date(2000, 1, 1), date(2099, 12, 31)
"""Dates of a frame for which none are named."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Which frame of which plants (none named: all), from `since` to `until`, both included."""

    frame: str
    plants: Sequence[str] = ()
    since: date | None = None
    until: date | None = None


def export_frames(
    connection: duckdb.DuckDBPyConnection,
    request: FrameRequest,
    folder: Path,
    file_format: FileFormat,
    progress: Progress = lambda stage, done, total: None,
) -> Iterator[TableExport]:
    """Write `folder`/FRAME/PLANT.parquet (or .csv) and a .json beside it for each plant that has rows.

    Memory holds one plant. Each file replaces that of an earlier export whole. PVOutput's is CSV whatever is asked.

    Raises:
        UsageError: a plant is not in the warehouse.
        DiskFull: no space is left.
    """
    suffix = "csv" if request.frame == "pvoutput" else file_format
    plants = plants_of(connection, request.plants)
    since, until = request.since or EVER[0], request.until or EVER[1]
    for number, plant in enumerate(plants, 1):
        frame, facts = FRAMES[request.frame](connection, plant, since, until)
        if not frame.empty:
            path = folder / request.frame / f"{file_name(plant.code)}.{suffix}"
            with full_disk_as_sentence(folder):
                _write(frame, path)
                words = {"plant_code": plant.code, "plant_name": plant.name, **facts}
                with written_beside(path.with_suffix(".json")) as temporary:
                    temporary.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            yield TableExport(f"{request.frame} {plant.code}", path, len(frame), 1, path.stat().st_size)
        progress(request.frame, number, len(plants))


def left_over(folder: Path, frame: str, written: Sequence[TableExport]) -> list[str]:
    """Files that earlier exports of the frame left in `folder`/FRAME: of other plants, or in the other format."""
    now = {each.path.name for each in written}
    found = (folder / frame).glob("*") if (folder / frame).is_dir() else ()
    return sorted(each.name for each in found if each.suffix in (".parquet", ".csv") and each.name not in now)


def file_name(plant_code: str) -> str:
    """A plant's code as a file name on every system: `NE=1` is `NE%3D1`."""
    return quote(plant_code, safe="").replace(".", "%2E")


def _write(frame: pd.DataFrame, path: Path) -> None:
    with written_beside(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, compression="zstd")
            return
        texts = frame.select_dtypes("object").columns
        safe = frame.assign(**{name: frame[name].map(formula_proof) for name in texts})
        # 2026-03-29T12:05:00+02:00: the tools read the offset, and nothing is ambiguous when clocks are put back.
        stamps = isinstance(safe.index, pd.DatetimeIndex)
        if stamps:
            safe.index = pd.Index([each.isoformat() for each in safe.index], name=safe.index.name)
        safe.to_csv(temporary, index=stamps)
