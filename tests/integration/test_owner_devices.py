"""The owner's word of a device holds for the rows that it sent, also when the vendor no longer lists it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import SecretStr

from pipelines.lake.store import Lake
from pipelines.load.build import override_frames
from pipelines.load.services import Services
from pipelines.settings import Account, Settings
from schemas.polars_types import polars_schema
from schemas.tables import TABLES

SUMMER, AUTUMN = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)


def device(device_id: int, serial: str | None, last_seen: datetime, **further: Any) -> dict[str, Any]:
    known = {"device_id": device_id, "device_sn": serial, "last_seen_at": last_seen, "first_seen_at": SUMMER}
    return {"plant_code": "NE=1", "device_type_id": 17, "extracted_at": last_seen, "account": "a", **known, **further}


def test_serial_numbers_of_devices_that_are_gone_are_known(tmp_path: Path) -> None:
    schema = polars_schema(TABLES["devices"])
    rows = [
        device(11, "OLD", SUMMER, retired_at=AUTUMN),
        device(12, "NEW", AUTUMN),
        # A meter that was registered a second time: the word is of the one that sends now.
        device(13, "SAME", SUMMER, retired_at=AUTUMN),
        device(14, "SAME", AUTUMN),
        device(15, None, AUTUMN),
    ]
    lake = Lake(tmp_path)
    lake.land("devices", pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema))
    lake.fold()
    path = tmp_path / "devices.csv"
    path.write_text(
        "device_sn,meter_role,unit,replaces_device\nOLD,generation,W,\nNEW,grid,,OLD\nSAME,load,,\nNEVER,,W,\n"
    )
    account = Account("a", "http://127.0.0.1:9", "user", SecretStr("secret"))
    settings = Settings(home=tmp_path, env_file=None, accounts=(account,), devices_file=path)
    with Services.open(settings) as services:
        found = override_frames(services)["device_overrides"]
    assert found.select("device_sn", "device_id", "meter_role", "replaces_device_id").sort("device_sn").rows() == [
        ("NEVER", None, None, None),
        ("NEW", 12, "grid", 11),
        ("OLD", 11, "generation", None),
        ("SAME", 14, "load", None),
    ]
