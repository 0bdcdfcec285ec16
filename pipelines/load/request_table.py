"""What was asked for by dates and isn't all there yet: it outlives a quota, a kill and Dagster's own records.

A row per load with dates, or per asset of a backfill. It is open until a load has walked all its dates; then the
periods that are left are declared in coverage, where the worker finds them, and the row says how many there are and
when to go on. What is read again on purpose stands here alone, since coverage can't tell it from what is final.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.lake.coverage import Coverage
from pipelines.lake.durable import full_disk_as_sentence
from pipelines.load.request import PERIODIC_DATASETS, LoadReport, LoadRequest
from pipelines.load.selection import Block, ForcedBlocks
from pipelines.planning.calendar import first_of
from pipelines.planning.cells import period_of

State = Literal["open", "waiting", "done"]

KEPT_FOR: Final = timedelta(days=30)
"""How long requests that are done are kept, for those who ask what became of them."""

FORCED_FOR: Final = timedelta(days=14)
"""After so long nothing is read again on purpose any more: the vendor refuses what is still left."""

_PATIENCE_SECONDS: Final = 60

_DEFINITION: Final = """
create table if not exists request (
    id text primary key,
    made_at text not null,
    why text not null,
    body text not null,
    forced integer not null,
    state text not null,
    periods integer,
    calls integer,
    next_at text,
    changed_at text not null
) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and how it stands. `periods` and `calls` are left; unknown (None) before its dates were walked.

    `next_at`: when the quota allows the next call; None: at once, or nobody knows.
    """

    id: str
    made_at: datetime
    request: LoadRequest
    state: State
    periods: int | None = None
    calls: int | None = None
    next_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether going on now may bring something."""
        return self.state == "open" or (self.state == "waiting" and (self.next_at is None or self.next_at <= now))


class RequestTable:
    """The requests of one `PVMS_HOME`, shared by all its processes."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_as_sentence(path.parent), closing(self._connect()) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(_DEFINITION)

    def note(self, request: LoadRequest, now: datetime, request_id: str | None = None) -> Asked:
        """Keep a request before its first call; one of the same id that is known already stays as it is."""
        wanted = request_id or uuid.uuid4().hex
        with self._transaction() as connection:
            connection.execute(
                "delete from request where state = 'done' and changed_at < ?", ((now - KEPT_FOR).isoformat(),)
            )
            connection.execute(
                "insert or ignore into request values (?, ?, ?, ?, ?, 'open', null, null, null, ?)",
                (wanted, now.isoformat(), request.why, json.dumps(_body(request)), request.force, now.isoformat()),
            )
        known = self.get(wanted)
        assert known is not None
        return known

    def get(self, request_id: str) -> Asked | None:
        """One request, whatever its state."""
        found = self._select("where id = ?", request_id)
        return found[0] if found else None

    def unfinished(self) -> list[Asked]:
        """Requests that are not all there, the oldest first."""
        return self._select("where state <> 'done' order by made_at, id")

    def settle(
        self,
        request_id: str,
        now: datetime,
        periods: int,
        calls: int | None = None,
        next_at: datetime | None = None,
    ) -> None:
        """Say what a walk over all the dates of a request left: nothing, and it is done."""
        with self._transaction() as connection:
            connection.execute(
                "update request set state = ?, periods = ?, calls = ?, next_at = ?, changed_at = ? where id = ?",
                (
                    "waiting" if periods else "done",
                    periods,
                    calls if periods else 0,
                    next_at.isoformat() if periods and next_at else None,
                    now.isoformat(),
                    request_id,
                ),
            )

    def forget(self, request_id: str) -> None:
        """Drop a request that can't be carried out: an unknown plant."""
        with self._transaction() as connection:
            connection.execute("delete from request where id = ?", (request_id,))

    def forced(self) -> ForcedBlocks | None:
        """What unfinished requests want read again on purpose; None if nothing."""
        found: dict[str, list[tuple[datetime, Sequence[Block]]]] = {}
        for asked in self._select("where state <> 'done' and forced"):
            for dataset in periodic(asked.request):
                since = asked.request.force_since or asked.made_at
                found.setdefault(dataset, []).append((since, blocks_of_request(asked.request)))
        return ForcedBlocks(found) if found else None

    def _select(self, where: str, *values: str) -> list[Asked]:
        columns = "id, made_at, why, body, state, periods, calls, next_at"
        with closing(self._connect()) as connection:
            rows = connection.execute(f"select {columns} from request {where}", values).fetchall()  # noqa: S608
        return [
            Asked(
                row[0],
                datetime.fromisoformat(row[1]),
                _request(json.loads(row[3]), row[2]),
                row[4],
                row[5],
                row[6],
                datetime.fromisoformat(row[7]) if row[7] else None,
            )
            for row in rows
        ]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_PATIENCE_SECONDS, isolation_level=None)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with full_disk_as_sentence(self.path.parent), closing(self._connect()) as connection:
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            connection.execute("commit")


def periodic(request: LoadRequest) -> list[str]:
    """The datasets of a request that have a past; the others are read as of now, or not at all."""
    return [name for name in request.wanted_datasets if name in PERIODIC_DATASETS]


def blocks_of_request(request: LoadRequest) -> tuple[Block, ...]:
    """What a request means, as blocks; none plant named: all of them."""
    return request.blocks or (Block(request.plants, request.start, request.end),)


def left_of(asked: Asked, coverage: Coverage) -> int:
    """How many periods of a request are declared and not there, or not read again since it was made."""
    request, left = asked.request, 0
    since = (request.force_since or asked.made_at) if request.force else None
    for dataset in periodic(request):
        for block in blocks_of_request(request):
            first = first_of(period_of(dataset), block.start)
            left += coverage.count_left(dataset, block.plants, first, block.end, since)
    return left


def requests_due(home: Path, now: datetime) -> bool:
    """Whether going on with what was asked for by dates may bring something now; creates nothing."""
    path = table_file(home)
    return path.exists() and any(asked.is_due(now) for asked in RequestTable(path).unfinished())


def table_file(home: Path) -> Path:
    """Where the table is kept."""
    return home / "state" / "requests.sqlite"


def settle_requests(table: RequestTable, coverage: Coverage, report: LoadReport, now: datetime) -> None:
    """After a round of work: what has become complete is done, and what waits says until when."""
    waiting = {each.dataset: each for each in report.waiting}
    for asked in table.unfinished():
        if asked.state != "waiting":
            continue
        given_up = asked.request.force and now - asked.made_at > FORCED_FOR
        left = 0 if given_up else left_of(asked, coverage)
        mine = [waiting[name] for name in periodic(asked.request) if name in waiting]
        times = [each.next_at for each in mine if each.next_at is not None]
        next_at = min(times, default=report.next_work_at)
        if left != asked.periods or (left and next_at != asked.next_at):
            table.settle(asked.id, now, left, _share(asked, left), next_at)


def _share(asked: Asked, left: int) -> int | None:
    """Calls for what is left, reckoned from what they were for what was left before."""
    if not asked.periods or not asked.calls:
        return None
    return -(-asked.calls * left // asked.periods)


def _body(request: LoadRequest) -> Mapping[str, Any]:
    return {
        "start": request.start.isoformat(),
        "end": request.end.isoformat(),
        "datasets": request.datasets,
        "plants": request.plants,
        "force": request.force,
        "force_since": request.force_since.isoformat() if request.force_since else None,
        "blocks": [[b.plants, b.start.isoformat(), b.end.isoformat()] for b in request.blocks],
    }


def _request(body: Mapping[str, Any], why: str) -> LoadRequest:
    return LoadRequest(
        start=date.fromisoformat(body["start"]),
        end=date.fromisoformat(body["end"]),
        datasets=tuple(body["datasets"]),
        plants=tuple(body["plants"]),
        force=body["force"],
        force_since=datetime.fromisoformat(body["force_since"]).astimezone(UTC) if body["force_since"] else None,
        why=why,
        blocks=tuple(
            Block(tuple(plants), date.fromisoformat(start), date.fromisoformat(end))
            for plants, start, end in body["blocks"]
        ),
    )
