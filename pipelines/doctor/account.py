"""One account: its login, the server's clock, and each endpoint's permission, asked within the quota."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from pipelines.doctor.findings import Finding, fail, ok, warn
from pipelines.doctor.probes import Subjects, probe_body, subjects_of
from pipelines.lake.decode_flat import decode_devices, decode_plants
from pipelines.load.fleet import Fleet, View, current_fleet
from pipelines.load.services import Services
from pipelines.load.standing import DOCTOR, login_stopped
from pipelines.northbound.client import Answer, Client
from pipelines.northbound.clock import SystemClock
from pipelines.northbound.errors import (
    NO_PLANT_ADVICE,
    LoginRefused,
    NorthboundError,
    PermissionDenied,
    PlantNotAuthorized,
    QuotaExhausted,
    RequestRejected,
    SessionExpired,
    SystemBusy,
)
from pipelines.settings import Account
from schemas.endpoints import READ_ENDPOINTS

KNOWN_FOR: Final = timedelta(days=1)
"""An endpoint that has answered within a day isn't asked again: its calls are scarce."""

_LATER: Final = "Run pvms doctor again then."

SKEW_WARNS: Final = timedelta(minutes=1)

LONGEST_WAIT_S: Final = 15.0
"""Who looks at a screen waits that long; what takes longer is said instead."""


class ImpatientClock(SystemClock):
    """The machine's clock, that doesn't wait out a busy server."""

    def sleep(self, seconds: float) -> None:
        """Wait, or say that it would take too long.

        Raises:
            SystemBusy: it is more than a few seconds.
        """
        if seconds > LONGEST_WAIT_S:
            raise SystemBusy("the server asks to wait", advice="Run pvms doctor again in some minutes.")
        super().sleep(seconds)


@dataclass
class Examination:
    """One account's turn; `found` grows, `live` holds what the answers listed."""

    services: Services
    account: Account
    client: Client
    ask_all: bool = False
    session_seen: bool = False
    plants: pl.DataFrame = field(default_factory=pl.DataFrame)
    devices: pl.DataFrame = field(default_factory=pl.DataFrame)

    def run(self, *, retry_login: bool = False) -> Iterator[Finding]:
        """Login first, then every endpoint, then the clock; at most one login, and no second try of a refused one."""
        name = self.account.name
        if retry_login:
            self.client.forget_refusal()
        if self.ask_all:
            self.client.forget_denials()
        stopped = login_stopped(self.client)
        if stopped is not None:
            at, words, todo = stopped
            since = f"refused on {at:%Y-%m-%d %H:%M} UTC and not tried again: " if at else ""
            yield fail("login", since + words, todo, name)
            return
        permissions: list[Finding] = []
        try:
            for endpoint in READ_ENDPOINTS:
                permissions.append(self._permission(endpoint))  # noqa: PERF401  what came before an error is kept
        except (LoginRefused, SessionExpired, QuotaExhausted) as error:
            yield fail("login", error.message, error.advice, name)
        except NorthboundError as error:
            yield fail("connection", error.message, error.advice, name)
        else:
            yield self._login()
        yield from permissions
        yield from self._clock()

    def _login(self) -> Finding:
        if self.session_seen:
            return ok("login", f"the server at {self.account.base_url} accepts this account", self.account.name)
        rest = self.client.allowance("stations")
        if rest.closed_by in ("pause", "contested"):
            when = f"until {rest.next_at:%Y-%m-%d %H:%M} UTC" if rest.next_at else "for now"
            todo = "Give this warehouse an API account of its own." if rest.closed_by == "contested" else _LATER
            return fail("login", f"not tried {when}: {rest.sentence}", todo, self.account.name)
        if self.client.session.opens_at() is None and self._was_answered():
            return ok("login", f"the server at {self.account.base_url} has accepted this account", self.account.name)
        return warn("login", "not tried: no endpoint may be asked now, see below", _LATER, self.account.name)

    def _was_answered(self) -> bool:
        now = self.services.clock.now()
        calls = self.client.ledger.calls(now - KNOWN_FOR, account=self.account.name)
        return any(call.outcome in ("ok", "permission_denied") for call in calls)

    def _permission(self, endpoint: str) -> Finding:
        about = f"{self.account.name} {endpoint}"
        known = self._answered_lately(endpoint)
        if known is not None and not self.ask_all and not self._needed(endpoint):
            return ok("permission", f"answered at {known:%Y-%m-%d %H:%M} UTC", about)
        now = self.services.clock.now()
        remembered = self.client.denials.current(self.account.name, endpoint, now)
        if remembered is not None:
            return fail("permission", _said(remembered), f"{remembered.advice} pvms doctor --ask-all asks now.", about)
        body = probe_body(endpoint, self._subjects(), now, self.account.language)
        if isinstance(body, str):
            return ok("permission", f"not asked: {body}", about)
        try:
            answer = self.client.call(endpoint, body, why=DOCTOR)
        except QuotaExhausted as error:
            if error.endpoint == self.client.session.endpoint:
                raise  # no login can be made, so nothing can be asked
            if known is not None:
                return ok("permission", f"answered at {known:%Y-%m-%d %H:%M} UTC; {error.message} now", about)
            return warn("permission", f"not asked: {error.message}", error.advice, about)
        except PermissionDenied as error:
            self.session_seen = True
            return fail("permission", _said(error), error.advice, about)
        except (PlantNotAuthorized, RequestRejected) as error:
            self.session_seen = True
            return warn("permission", _said(error), error.advice or "The endpoint itself is open.", about)
        except SystemBusy as error:
            return warn("permission", f"not answered: {_said(error)}", error.advice, about)
        self._note(endpoint, answer)
        if endpoint == "stations" and not answer.rows:
            return warn("permission", "answers, but lists no plant: nothing can be loaded", NO_PLANT_ADVICE, about)
        return ok("permission", f"answers ({answer.rows} rows, {answer.ms:.0f} ms)", about)

    def _needed(self, endpoint: str) -> bool:
        """Whether an answer is needed for itself: one for the login, and a first list for what the others ask about."""
        listed = self._view(current_fleet(self.services)).listed_at is not None
        return (endpoint == "stations" and not self.session_seen) or (endpoint == "getDevList" and not listed)

    def _view(self, fleet: Fleet) -> View:
        return fleet.views.get(self.account.name, View())

    def _answered_lately(self, endpoint: str) -> datetime | None:
        """When it last answered; None also where it was denied since."""
        now = self.services.clock.now()
        calls = [
            call
            for call in self.client.ledger.calls(now - KNOWN_FOR)
            if (call.account, call.endpoint) == (self.account.name, endpoint)
        ]
        telling = [call for call in calls if call.outcome in ("ok", "permission_denied")]
        return telling[-1].called_at if telling and telling[-1].outcome == "ok" else None

    def _subjects(self) -> Subjects:
        fleet = current_fleet(self.services)
        view = self._view(fleet)
        self.client.counts = view.counts
        if not view.plants:
            return subjects_of(self.plants, self.devices)
        kinds = dict(zip(fleet.devices["device_id"].cast(pl.String), fleet.devices["device_type_id"], strict=True))
        devices = {kinds[filed]: own for filed, own in view.devices.items() if filed in kinds}
        # Under the names that this account itself knows them by.
        return Subjects(tuple(view.plants.values()), devices)

    def _note(self, endpoint: str, answer: Answer) -> None:
        self.session_seen = True
        if endpoint == "stations":
            self.plants = decode_plants(answer.data, extracted_at=answer.server_time, account=self.account.name).rows
        elif endpoint == "getDevList":
            self.devices = decode_devices(answer.data, extracted_at=answer.server_time, account=self.account.name).rows

    def _clock(self) -> Iterator[Finding]:
        skew = self.client.ledger.clock(self.account.name).skew
        if skew is None:
            return
        seconds = skew.total_seconds()
        text = f"the server's clock is {abs(seconds):.0f} s {'ahead of' if seconds >= 0 else 'behind'} this machine's"
        if abs(skew) > SKEW_WARNS:
            yield warn("clock", text, "Set this machine's clock by NTP (timedatectl set-ntp true).", self.account.name)
        else:
            yield ok("clock", text, self.account.name)


def _said(error: NorthboundError) -> str:
    what = error.message.rstrip(". ")
    return (
        f"{what} (code {error.code}: {(error.meaning or 'not in the reference').rstrip('.')})" if error.code else what
    )
