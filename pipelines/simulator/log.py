"""What was asked of the simulator and how it answered: in memory, and as JSON lines if a file is given.

Tests and benchmarks count calls by this log, so a record is written for every request that reached the server,
refused ones included.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, overload

import orjson

REDACTED: Final = "***"
"""Stands for passwords and tokens in a logged body."""

_SECRET_KEYS: Final = frozenset(
    {"systemcode", "password", "xsrftoken", "client_secret", "refresh_token", "code", "state", "ticket"}
)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request: when (simulated time, UTC), what was asked, and what came of it.

    ``status`` is the HTTP status, ``fail_code`` the vendor's number (None where the answer holds none), ``rows`` the
    length of the data list, ``account`` the user name behind the token (None where no session was found), ``fault``
    the fault that was played on it last, ``ended`` whether one of those played on it ended the account's session.
    """

    at: datetime
    path: str
    body: Mapping[str, Any]
    status: int
    fail_code: int | None
    rows: int
    account: str | None
    fault: str | None = None
    ended: bool = False

    @property
    def endpoint(self) -> str:
        """The last segment of the path, e.g. ``getDevHistoryKpi``."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def ok(self) -> bool:
        """Whether the vendor's answer was a success."""
        return self.status == 200 and self.fail_code == 0


class RequestLog(Sequence[RequestRecord]):
    """All requests in the order they were answered; reading and writing are safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        """Keep records in memory and, if ``file`` is given, append each to it as a JSON line.

        Raises OSError now rather than at the first request if the file can't be written.
        """
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        self._file = file
        if file is not None:
            file.touch()

    def add(self, record: RequestRecord) -> None:
        """Keep a record; secrets in its body must have been taken out with :func:`redact`."""
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                # Opened per record: a reader sees whole lines, and a killed simulator loses none.
                with self._file.open("ab") as out:
                    out.write(orjson.dumps(asdict(record), option=orjson.OPT_APPEND_NEWLINE))

    def calls(self, endpoint: str | None = None, *, ok: bool | None = None) -> list[RequestRecord]:
        """Return a copy of the records of one endpoint (or all), only the successful (or failed) ones if asked."""
        with self._lock:
            found = list(self._records)
        return [r for r in found if endpoint in (None, r.endpoint) and ok in (None, r.ok)]

    def clear(self) -> None:
        """Forget the records in memory; a log file is left as it is."""
        with self._lock:
            self._records.clear()

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        """Return a record, or a list of them for a slice."""
        with self._lock:
            return self._records[index]

    def __iter__(self) -> Iterator[RequestRecord]:
        """Iterate over a copy, so that requests may arrive meanwhile."""
        return iter(self.calls())


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a request's body without its password or token."""
    return {key: REDACTED if key.lower() in _SECRET_KEYS else value for key, value in body.items()}


def read_log(file: Path) -> list[RequestRecord]:
    """Read back the JSON lines that a simulator wrote; a missing file is an empty log.

    A last line without its end is left out: it is being written, or was when the simulator was killed.
    """
    if not file.exists():
        return []
    records = []
    for line in file.read_bytes().split(b"\n")[:-1]:
        fields = orjson.loads(line)
        fields["at"] = datetime.fromisoformat(fields["at"])
        records.append(RequestRecord(**fields))
    return records
