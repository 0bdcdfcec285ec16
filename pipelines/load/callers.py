"""One account of a load: its client, what it sees, and what has spoken against asking with it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pipelines.load.fleet import View
from pipelines.northbound.client import Client
from pipelines.northbound.errors import BadAnswer, NorthboundError, PermissionDenied

MAX_CONSECUTIVE_FAILURES: Final = 3
"""After this many calls in a row have failed the server is having a bad hour; going on would burn quota."""

STOPPED_FOR: Final = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6))
"""How long an account rests that can't log in or reach its server, while others go on: longer each time in a row."""

REFUSED_FOR: Final = timedelta(days=1)
"""An endpoint that isn't open to an account is tried again after a day: a permission may have been given."""

GIVEN_UP_FOR: Final = timedelta(hours=1)
"""How long an endpoint rests whose answers could not be read."""

SPEAKS_AGAINST: Final = timedelta(hours=1)
"""How long a refusal keeps a load from widening to the account; as often again for each of a day's refusals."""

BUSY_FOR: Final = timedelta(minutes=10)
"""A system that turned one account away for being busy (403, 429) isn't asked with a further one for so long."""

TOO_OFTEN: Final = frozenset({407, 20618})
BUSY: Final = frozenset({403, 429})


@dataclass
class Caller:
    """One account as a load knows it."""

    client: Client
    view: View = field(default_factory=View)
    stopped: NorthboundError | None = None
    """Why nothing is asked with it for a while: no login, no server, failure after failure."""
    refused_endpoints: dict[str, PermissionDenied] = field(default_factory=dict)
    """Endpoints that aren't open to it (401), for a day."""
    given_up: dict[str, NorthboundError] = field(default_factory=dict)
    """Endpoints whose answers were malformed again and again, for an hour."""
    _until: dict[str, datetime] = field(default_factory=dict)
    _failed_in_a_row: int = 0
    _stops_in_a_row: int = 0
    _malformed_in_a_row: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The account's name."""
        return self.client.account

    def names(self, endpoint: str) -> Mapping[str, str]:
        """The filed id -> the account's own, of what the endpoint is asked about."""
        return self.view.names(endpoint)

    def filed_code(self, own: str) -> str:
        """The code under which a plant is filed that this account knows by its own."""
        return next((code for code, known in self.view.plants.items() if known == own), own)

    def is_open(self, endpoint: str, now: datetime) -> bool:
        """Whether nothing speaks against asking the endpoint with this account."""
        if self.stopped is not None and now >= self._until[""]:
            self.stopped = None
        if endpoint in self._until and now >= self._until[endpoint]:
            self.refused_endpoints.pop(endpoint, None)
            self.given_up.pop(endpoint, None)
            self._malformed_in_a_row[endpoint] = 0
        return self.stopped is None and endpoint not in self.refused_endpoints and endpoint not in self.given_up

    def stop(self, error: NorthboundError, now: datetime) -> None:
        """Ask nothing with it for a while."""
        self.stopped = error
        self._until[""] = now + STOPPED_FOR[min(self._stops_in_a_row, len(STOPPED_FOR) - 1)]
        self._stops_in_a_row += 1
        self._failed_in_a_row = 0

    def refuse(self, endpoint: str, error: PermissionDenied, now: datetime) -> None:
        """The endpoint isn't open to it."""
        self.refused_endpoints[endpoint] = error
        self._until[endpoint] = now + REFUSED_FOR

    def note_success(self, endpoint: str) -> None:
        """An answer came and could be read."""
        self._failed_in_a_row = self._stops_in_a_row = 0
        self._malformed_in_a_row[endpoint] = 0

    def note_failure(self, endpoint: str, error: NorthboundError, now: datetime) -> None:
        """One call failed. Malformed answers speak against their endpoint, anything else against the server."""
        if isinstance(error, BadAnswer):
            self._malformed_in_a_row[endpoint] += 1
            if self._malformed_in_a_row[endpoint] >= MAX_CONSECUTIVE_FAILURES:
                self.given_up[endpoint] = error
                self._until[endpoint] = now + GIVEN_UP_FOR
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MAX_CONSECUTIVE_FAILURES:
            self.stop(error, now)

    def spoken_against_until(self, now: datetime) -> datetime | None:
        """Until when refusals of the last day keep a load from widening to this account; None if none does."""
        times = [at for at, code in self._refusals(now) if code in TOO_OFTEN]
        until = max(times) + len(times) * SPEAKS_AGAINST if times else now
        return until if until > now else None

    def busy_until(self, now: datetime) -> datetime | None:
        """Until when the system is taken to be busy after it turned this account away; None if it isn't."""
        until = max((at for at, code in self._refusals(now) if code in BUSY), default=now - BUSY_FOR) + BUSY_FOR
        return until if until > now else None

    def _refusals(self, now: datetime) -> list[tuple[datetime, int | None]]:
        """When the vendor turned a call of the last day away for being too much, and with which code."""
        ahead = self.client.server_now() - now  # the ledger's times are the server's
        made = self.client.ledger.calls(now + ahead - timedelta(days=1), account=self.name)
        return [(c.called_at - ahead, c.fail_code) for c in made if c.fail_code in TOO_OFTEN or c.fail_code in BUSY]
