"""Plants that the vendor refuses (20056 and its kin): left out of all batches until one of them is open again.

One bad plant fails a whole batch, and searching a batch for it costs calls. So one process at a time searches, a plant
that was found stays out for all, and is asked for alone, by one call, after 1, 2, 4 and then every 7 days; once that
call is answered it is back.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock
import orjson

from pipelines.lake.coverage import CellKey, Coverage
from pipelines.lake.durable import write_durably
from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused, Reply, account_of_key, plant_of_key
from pipelines.load.carrying import new_owner
from pipelines.northbound.clock import Clock
from pipelines.northbound.errors import PlantNotAuthorized, QuotaExhausted
from pipelines.northbound.requests import devices_body, report_body

PROBED_AFTER: Final = (timedelta(days=1), timedelta(days=2), timedelta(days=4), timedelta(days=7))
"""How long a plant is left alone after its first, second, third and every later refusal."""

_WHY: Final = "is this plant open again?"

PROBES: Final = ("getKpiStationDay", "getDevList")
"""Where a plant is asked for alone: the first that the account may call. Both have calls to spare (4.2)."""


OTHERS_SEARCH: Final = timedelta(minutes=1)
"""So long one waits for another's search: some ten calls. Who takes longer is held up by something else."""

OTHERS_POLL_SECONDS: Final = 1.0

_SEARCH: Final[CellKey] = ("refused_plants", "", date.min)


class SharedRefusals:
    """The refused plants that an asker goes by, kept equal to those of all processes on a home."""

    def __init__(self, path: Path, coverage: Coverage, clock: Clock) -> None:
        """Take over what is known by now: `plants`, by code."""
        self.plants = read_refused(path)
        self._path, self._coverage, self._clock = path, coverage, clock
        self._shared = set(self.plants)
        self._version: tuple[int, int, int] | None = None
        self._owner = new_owner()
        self._searches = False

    def share(self) -> None:
        """Tell others which plants are refused, and take over what they know: also which are open again."""
        mine = self.plants
        write_refused(self._path, {code: mine[code] for code in mine.keys() - self._shared}, self._clock.now())
        seen = self._path.stat() if self._path.exists() else None
        version = seen and (seen.st_mtime_ns, seen.st_ino, seen.st_size)
        if version == self._version and mine.keys() == self._shared:
            return
        known = read_refused(self._path)
        mine.clear()
        mine.update(known)
        self._shared, self._version = set(known), version

    @contextmanager
    def search(self) -> Iterator[None]:
        """One process at a time searches a batch for the plant that spoils it: what it finds, no other needs to."""
        if self._searches:
            yield
            return
        until = self._clock.now() + OTHERS_SEARCH
        while not self._coverage.claim([_SEARCH], self._owner, self._clock.now()) and self._clock.now() < until:
            self._clock.sleep(OTHERS_POLL_SECONDS)
        self._searches = True
        try:
            self.share()
            yield
        finally:
            self._searches = False
            self._coverage.release(self._owner)


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
        # One that is refused to all is asked of all: what single accounts were told of it goes with it.
        covered = account_of_key(code) and plant_of_key(code) in asker.refused_plants
        if known and not covered and code in asker.refused_plants and plant_of_key(code) in plants:
            _probe(asker, path, code, now)


def _probe(asker: Asker, path: Path, code: str, now: datetime) -> None:
    entry = _begin(path, code, now)
    if entry is None:
        return
    keys = [each for each in asker.refused_plants if each == code or _belongs_to(each, code)]
    known = {each: asker.refused_plants.pop(each) for each in keys}
    # Sharing would bring back from the file what is being found out.
    share, search = asker.share, asker.search
    asker.share, asker.search = (lambda: None), nullcontext
    answered = asked = False
    try:
        for endpoint in PROBES:
            try:
                answered = _is_open(asker, endpoint, code, now)
            except QuotaExhausted:
                continue
            except (EndpointRefused, EndpointBroken):
                asked = True
                continue
            asked = True
            break
    finally:
        asker.share, asker.search = share, search
        again = asker.refused_plants.get(code)
        if not answered:
            for each, error in known.items():
                asker.refused_plants.setdefault(each, error)
    if answered:
        # What it is refused to one account alone, others needn't find out.
        single = {each: error for each, error in asker.refused_plants.items() if _belongs_to(each, code)}
        write_refused(path, {}, now, open_again=keys)
        write_refused(path, single, now)
    elif again is not None:
        with _changed(path) as entries:
            entries[code] = {**_entry(again, now), "times": int(entry.get("times", 1)) + 1}
    elif not asked:
        with _changed(path) as entries:
            entries[code] = entry


def _belongs_to(key: str, code: str) -> bool:
    """Whether a key tells of one account what `code` tells of all."""
    return bool(account_of_key(key)) and not account_of_key(code) and plant_of_key(key) == code


def _begin(path: Path, code: str, now: datetime) -> dict[str, Any] | None:
    """Write down that the plant is asked for now, so that no other process does; None if one has. What stood before."""
    with _changed(path) as entries:
        entry = entries.get(code)
        if entry is None or now < next_probe(entry):
            return None
        entries[code] = {**entry, "at": now.isoformat()}
        return entry


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
