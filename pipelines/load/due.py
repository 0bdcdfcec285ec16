"""When there is work again, written down by each worker at its end: whoever starts workers needs no look at the plan.

The worker has reckoned it anyhow, so that a tick reads one small file, however many plants and dates there are.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from pipelines.lake.durable import write_durably
from pipelines.lake.paths import paths_of

FILE: Final = "next_work.json"


@dataclass(frozen=True, slots=True)
class NextWork:
    """What the last worker left: when to go on (aware; None: nothing is known of), and when it had begun."""

    at: datetime | None
    begun_at: datetime


def note_next_work(home: Path, at: datetime | None, begun_at: datetime) -> None:
    """Write down when there is work again."""
    paths = paths_of(home)
    paths.state.mkdir(parents=True, exist_ok=True)
    document = {"at": at.isoformat() if at else None, "begun_at": begun_at.isoformat()}
    write_durably(paths.state / FILE, orjson.dumps(document))


def next_work(home: Path) -> NextWork | None:
    """What the last worker wrote down; None if none did yet, or its note can't be read."""
    try:
        document = orjson.loads((paths_of(home).state / FILE).read_bytes())
        at = document["at"]
        return NextWork(
            datetime.fromisoformat(at) if at else None,
            datetime.fromisoformat(document["begun_at"]),
        )
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
