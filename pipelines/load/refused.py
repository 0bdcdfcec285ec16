"""Plants that the vendor refuses (20056 and its kin), kept for a day: no load searches a batch for them again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from pipelines.lake.durable import write_durably
from pipelines.northbound.errors import PlantNotAuthorized

KEPT_FOR: Final = timedelta(days=1)
"""After a day a refused plant is asked for again: its owner may have allowed it meanwhile."""


def read_refused(path: Path, now: datetime) -> dict[str, PlantNotAuthorized]:
    """Refused plants by code, younger than a day."""
    if not path.exists():
        return {}
    return {
        code: PlantNotAuthorized(entry["message"], code=entry["code"], endpoint=entry["endpoint"])
        for code, entry in orjson.loads(path.read_bytes()).items()
        if now - datetime.fromisoformat(entry["at"]) < KEPT_FOR
    }


def write_refused(path: Path, refused: Mapping[str, PlantNotAuthorized], now: datetime) -> None:
    """Keep what a load has learned; what was known before keeps the time of its refusal."""
    known = orjson.loads(path.read_bytes()) if path.exists() else {}
    entries = {
        code: known.get(code)
        if code in known and now - datetime.fromisoformat(known[code]["at"]) < KEPT_FOR
        else {"message": error.message, "code": error.code, "endpoint": error.endpoint, "at": now.isoformat()}
        for code, error in refused.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, orjson.dumps(entries))
