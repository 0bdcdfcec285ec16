"""Helpers of the decoder's tests: answers from files and hands, subjects, and a fixed hour of extraction."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

QUIRKS = Path(__file__).parents[1] / "fixtures" / "quirks"
EXTRACTED = datetime(2024, 7, 21, 10, tzinfo=UTC)
ACCOUNT = "northbound"


class _Envelope(msgspec.Struct):
    data: msgspec.Raw


class _Page(msgspec.Struct):
    list: msgspec.Raw


def data_of(path: Path) -> bytes:
    """The raw text of an answer's `data`, or of the list inside it."""
    data = bytes(msgspec.json.decode(path.read_bytes(), type=_Envelope).data)
    return bytes(msgspec.json.decode(data, type=_Page).list) if data.startswith(b"{") else data


def quirk(name: str) -> bytes:
    return data_of(QUIRKS / f"{name}.json")


def as_data(records: list[object]) -> bytes:
    return json.dumps(records).encode()


def subjects(*rows: tuple[str, str, str] | tuple[str, str, str, str | None, int | None]) -> pl.DataFrame:
    """(id, plant_code, time_zone[, device_sn, device_type_id]) per plant or device."""
    filled = [(*row, None, None)[:5] for row in rows]
    return pl.DataFrame(
        filled,
        schema={
            "id": pl.String,
            "plant_code": pl.String,
            "time_zone": pl.String,
            "device_sn": pl.String,
            "device_type_id": pl.Int64,
        },
        orient="row",
    )
