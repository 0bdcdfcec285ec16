"""Plants that the vendor refuses (20056 and its kin): left out of all batches until one of them is open again.

One bad plant fails a whole batch, and searching a batch for it costs calls. So a plant that was found stays out, and
is asked for alone, by one call, after 1, 2, 4 and then every 7 days; once that call is answered it is back.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock
import orjson

from pipelines.lake.durable import write_durably
from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused, Reply, account_of_key, plant_of_key
from pipelines.northbound.errors import PlantNotAuthorized, QuotaExhausted
from pipelines.northbound.requests import devices_body, report_body

PROBED_AFTER: Final = (timedelta(days=1), timedelta(days=2), timedelta(days=4), timedelta(days=7))
"""How long a plant is left alone after its first, second, third and every later refusal."""

_WHY: Final = "is this plant open again?"

PROBES: Final = ("getKpiStationDay", "getDevList")
"""Where a plant is asked for alone: the first that the account may call. Both have calls to spare (4.2)."""


def read_refused(path: Path) -> dict[str, PlantNotAuthorized]:
    """Refused plants by code."""
    return {
        code: PlantNotAuthorized(entry["message"], code=entry["code"], endpoint=entry["endpoint"])
        for code, entry in _entries(path).items()
    }


def due_for_a_probe(path: Path, now: datetime) -> list[str]:
    """Refused plants that are to be asked for again by now."""
    return sorted(code for code, entry in _entries(path).items() if now >= next_probe(entry))


def next_probe(entry: Mapping[str, Any]) -> datetime:
    """When the plant of an entry of the file is asked for again."""
    times = int(entry.get("times", 1))
    return datetime.fromisoformat(entry["at"]) + PROBED_AFTER[min(times, len(PROBED_AFTER)) - 1]


def write_refused(
    path: Path, refused: Mapping[str, PlantNotAuthorized], now: datetime, *, open_again: Collection[str] = ()
) -> None:
    """Add what a load has learned to what other loads have; what was known keeps the time of its refusal."""
    if not refused and not open_again:
        return
    with _changed(path) as entries:
        for code in open_again:
            entries.pop(code, None)
        for code, error in refused.items():
            entries.setdefault(code, _entry(error, now))


def probe_refused(asker: Asker, path: Path, plants: Collection[str], now: datetime) -> None:
    """Ask for each refused plant among `plants` that is due, alone and by one call; put back what is open again.

    Raises:
        LoadStopped: no further call makes sense.
    """
    for code in due_for_a_probe(path, now):
        known = not account_of_key(code) or account_of_key(code) in asker.clients
        if known and code in asker.refused_plants and plant_of_key(code) in plants:
            _probe(asker, path, code, now)


def _probe(asker: Asker, path: Path, code: str, now: datetime) -> None:
    known = asker.refused_plants.pop(code)
    answered = False
    try:
        for endpoint in PROBES:
            try:
                answered = _is_open(asker, endpoint, code, now)
            except (EndpointRefused, EndpointBroken, QuotaExhausted):
                continue
            break
    finally:
        again = asker.refused_plants.get(code)
        if not answered:
            asker.refused_plants.setdefault(code, known)
    if answered:
        write_refused(path, {}, now, open_again=[code])
    elif again is not None:
        with _changed(path) as entries:
            entries[code] = {**_entry(again, now), "times": int(entries.get(code, {}).get("times", 1)) + 1}


def _is_open(asker: Asker, endpoint: str, code: str, now: datetime) -> bool:
    """One call about one plant: to any account that sees it, or to the one that alone was refused."""

    def body(codes: Collection[str]) -> Mapping[str, Any]:
        return devices_body([*codes]) if endpoint == "getDevList" else report_body(endpoint, [*codes], now)

    account, plant = account_of_key(code), plant_of_key(code)
    allowance = asker.clients[account].allowance(endpoint) if account else asker.allowance(endpoint, [plant])
    if not allowance.granted:
        raise QuotaExhausted(allowance.sentence, next_at=allowance.next_at, endpoint=endpoint)
    if account:
        replies = asker.ask_as(account, endpoint, [asker.own_code(account, plant)], body, why=_WHY)
    else:
        replies = asker.ask(endpoint, [plant], body, {plant: plant}, why=_WHY)
    return any(isinstance(reply, Reply) for reply in list(replies))


def _entry(error: PlantNotAuthorized, now: datetime) -> dict[str, Any]:
    return {
        "message": error.message,
        "code": error.code,
        "endpoint": error.endpoint,
        "at": now.isoformat(),
        "times": 1,
    }


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    entries: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
    return entries


@contextmanager
def _changed(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        entries = _entries(path)
        yield entries
        write_durably(path, orjson.dumps(entries))
