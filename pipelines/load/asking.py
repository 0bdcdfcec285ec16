"""Makes one planned call happen: chooses the account, waits for quota when told to, splits a batch that one bad plant
spoils.

What can't be had is sorted into four kinds, because each asks for something else: a quota (go on later), a
refusal (ask the owner), a failure of one call (try again), and the end of everything (no server, no login).

Calls are spread over the accounts that see their subjects: in the order of the settings, the next one only when the
quota of those before it is used up and no refusal speaks against it. What stops one account doesn't stop the others.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from pipelines.load.callers import MAX_CONSECUTIVE_FAILURES as MAX_CONSECUTIVE_FAILURES
from pipelines.load.callers import Caller
from pipelines.load.fleet import Fleet, View
from pipelines.load.request import Listener, LoadReport
from pipelines.load.spreading import Purpose, Spread
from pipelines.load.unfinished import Unfinished
from pipelines.northbound.allowances import Allowance
from pipelines.northbound.client import Answer, Client, ListPage
from pipelines.northbound.clock import Clock
from pipelines.northbound.errors import (
    BadAnswer,
    IncompleteList,
    NorthboundError,
    PermissionDenied,
    PlantNotAuthorized,
    QuotaExhausted,
    RequestInvalid,
    RequestRejected,
    ServerFault,
    Timeout,
)
from pipelines.northbound.lanes import Lane
from pipelines.northbound.requests import is_plant_code

LONG_WAIT_SECONDS: Final = 60.0
"""Waits above this are announced, so that a person who watches knows why nothing moves."""

ONE_SPOILS_ALL: Final = frozenset({20006, 20007, 20008})
"""Codes that speak of one plant or device of the batch: of another type, or gone since the listing (6.1)."""

BodyOf = Callable[[Sequence[str]], Mapping[str, Any]]
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`items` in pieces of at most `size`, in their order."""
    return (items[first : first + size] for first in range(0, len(items), size))


class EndpointRefused(Exception):
    """No account may use this endpoint (401): nothing more is asked of it."""

    def __init__(self, error: PermissionDenied) -> None:
        """Keep the vendor's own error."""
        super().__init__(str(error))
        self.error = error


class LoadStopped(Exception):
    """No further call makes sense: no server, no login, no trust, or failure after failure."""

    def __init__(self, error: NorthboundError) -> None:
        """Keep the error that ended it."""
        super().__init__(str(error))
        self.error = error


class EndpointBroken(LoadStopped):
    """No further call of this endpoint makes sense: its answers can't be read, again and again. Others may go on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the subjects it was asked for (all of the batch, or what a split left of it), and by whom."""

    subjects: tuple[str, ...]
    answer: Answer
    account: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The vendor refused this request for good (an old day, a wrong type, a plant); its periods are denied."""

    subjects: tuple[str, ...]
    error: NorthboundError


@dataclass(frozen=True, slots=True)
class _Batch:
    """Subjects, how a body is made of the ids that an account knows them by, and each subject's plant."""

    subjects: Sequence[str]
    body_of: BodyOf
    plant_of: Mapping[str, str]

    def part(self, subjects: Sequence[str]) -> "_Batch":
        """The same for some of the subjects."""
        return _Batch(subjects, self.body_of, self.plant_of)


class _AccountsChanged(Exception):
    """An account dropped out for this endpoint: the batch is to be dealt out anew."""


class _PlantRefused(Exception):
    """A plant of the batch isn't open to the account that asked."""

    def __init__(self, caller: Caller, error: PlantNotAuthorized) -> None:
        super().__init__(str(error))
        self.caller = caller
        self.error = error


def refusal_key(account: str, plant: str) -> str:
    """Under which a plant is kept that one account may not see while another does."""
    return f"{account}: {plant}"


def account_of_key(key: str) -> str:
    """The account of a `refusal_key`; "" for a plant's own code."""
    return key.rpartition(": ")[0]


def plant_of_key(key: str) -> str:
    """The plant's code, of either kind of key."""
    return key.rpartition(": ")[2]


@dataclass
class Asker:
    """Asks the vendor on behalf of one load and remembers which plants spoil batches.

    `refused_plants`: plants that the vendor refuses to all who see them, by code; those of earlier loads and of this
    one. Beside them, by `refusal_key`, plants that it refuses to one account alone. `answered_plants`: those that a
    call of this load was answered about. `share` is called when a plant was refused: it tells other processes, and
    takes over what they have learned. A batch is searched for such a plant within `search`, which may wait for another
    process's search and share what it found.
    """

    clients: Mapping[str, Client]
    clock: Clock
    report: LoadReport
    listener: Listener
    wait: bool
    refused_plants: dict[str, PlantNotAuthorized] = field(default_factory=dict)
    answered_plants: set[str] = field(default_factory=set)
    share: Callable[[], None] = lambda: None
    search: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        """Start with accounts that see nothing yet."""
        self._callers = {name: Caller(client) for name, client in self.clients.items()}
        self._spread = Spread(self._callers, self.clock)

    def see(self, fleet: Fleet) -> None:
        """Take over what each account sees: the ids that it asks by, and the counts that its quotas follow."""
        for name, caller in self._callers.items():
            caller.view = fleet.views.get(name, View())
            caller.client.counts = caller.view.counts

    def ask(
        self,
        endpoint: str,
        subjects: Sequence[str],
        body_of: BodyOf,
        plant_of: Mapping[str, str],
        *,
        why: str,
        lane: Lane = "asked",
        reserved: int = 0,
        may_wait: bool = True,
    ) -> Iterator[Reply | Rejected]:
        """Yield the answers for a batch of subjects; more than one if a refused plant or the accounts made it split.

        `plant_of` gives each subject's plant; `body_of` gets the ids by which the asking account knows the subjects.
        A failed call yields nothing: it is in the report. `reserved`: calls of the endpoint's window, over all
        accounts, that one of the lane "backlog" must leave to the others. `may_wait`: here, if this load waits.

        Raises:
            QuotaExhausted: not now, and this load doesn't wait, or not here.
            EndpointRefused, EndpointBroken, LoadStopped: see there.
        """
        purpose = Purpose(endpoint, why, lane, reserved, may_wait=may_wait)
        return self._ask(purpose, _Batch(subjects, body_of, plant_of))

    def ask_as(
        self, account: str, endpoint: str, subjects: Sequence[str], body_of: BodyOf, *, why: str
    ) -> Iterator[Reply | Rejected]:
        """As `ask`, by this account alone, about plants under its own codes."""
        itself = {code: code for code in subjects}
        return self._ask(Purpose(endpoint, why, account=account), _Batch(subjects, body_of, itself))

    def own_code(self, account: str, plant: str) -> str:
        """The code by which an account knows a plant."""
        return self._callers[account].names("getDevList").get(plant, plant)

    def list_plants(self, account: str, unfinished: Unfinished, *, why: str) -> list[ListPage]:
        """All pages of an account's plant list; those that are there of an `unfinished` listing are not asked again.

        Raises:
            QuotaExhausted: as `ask`.
            EndpointRefused, LoadStopped: of this account.
        """
        caller = self._callers[account]
        if not caller.is_open("stations", self.clock.now()) and caller.stopped is not None:
            raise LoadStopped(caller.stopped)
        while True:
            begun = unfinished.begin(self.clock.now())
            try:
                return caller.client.plants(why=why, begun=begun, note=unfinished.note_page)
            except QuotaExhausted as exhausted:
                self.wait_for(exhausted)
            except PermissionDenied as error:
                raise EndpointRefused(error) from error
            except IncompleteList:
                unfinished.drop_answers()
                # What contradicts pages from hours ago may only mean that the list has changed since.
                if not begun:
                    raise
            except RequestRejected:
                raise
            except NorthboundError as error:
                if len(self._callers) > 1:
                    caller.stop(error, self.clock.now())
                raise LoadStopped(error) from error

    def allowance(
        self, endpoint: str, plants: Collection[str], *, lane: Lane = "asked", reserved: int = 0
    ) -> Allowance:
        """May a call about these plants go out now? The best over the accounts that see them all; costs nothing."""
        callers = [c for c in self._spread.open(endpoint) if c.view.plants.keys() >= set(plants)]
        offers = self._spread.offers(Purpose(endpoint, "", lane, reserved), callers or list(self._callers.values()), {})
        return min(offers, key=lambda each: (not each.granted, each.next_at is None, each.next_at or _NEVER))

    def accounts_for(self, endpoint: str, subjects: Collection[str]) -> frozenset[str]:
        """The accounts that could ask the endpoint about all these subjects."""
        return frozenset(c.name for c in self._spread.open(endpoint) if c.names(endpoint).keys() >= set(subjects))

    def open_accounts(self, endpoint: str) -> frozenset[str]:
        """The accounts that the endpoint is open to and that see anything."""
        return frozenset(caller.name for caller in self._spread.open(endpoint) if caller.names(endpoint))

    def _ask(self, purpose: Purpose, batch: _Batch) -> Iterator[Reply | Rejected]:
        # One odd code must not spoil the call for the others; its devices can be asked for by their ids.
        odd = {each for each in batch.subjects if batch.plant_of[each] == each and not is_plant_code(each)}
        for plant in sorted(odd):
            self.report.refuse(f"plant {plant}", "Its code is empty or holds a comma, so no call can name it.")
        if odd:
            batch = batch.part([each for each in batch.subjects if each not in odd])
        waiting: QuotaExhausted | None = None
        for callers, part in self._dealt(purpose, batch):
            try:
                yield from self._ask_part(purpose, callers, part)
            except QuotaExhausted as exhausted:
                # What other accounts see may still be had.
                waiting = waiting or exhausted
        if waiting is not None:
            raise waiting

    def _ask_part(self, purpose: Purpose, callers: Sequence[Caller], batch: _Batch) -> Iterator[Reply | Rejected]:
        if not callers:
            yield from self._closed(purpose, batch)
            return
        parts: Sequence[Sequence[str]]
        try:
            reply = self._call(purpose, callers, batch)
        except _AccountsChanged:
            yield from self._ask(purpose, batch)
            return
        except _PlantRefused as refused:
            yield from self._search(purpose, refused, batch)
            return
        except RequestInvalid:
            raise
        except RequestRejected as error:
            if error.code not in ONE_SPOILS_ALL or len(batch.subjects) == 1:
                yield Rejected(tuple(batch.subjects), error)
                return
            middle = len(batch.subjects) // 2
            parts, code = (batch.subjects[:middle], batch.subjects[middle:]), error.code
        else:
            if reply is not None:
                self.answered_plants.update(batch.plant_of[subject] for subject in batch.subjects)
                yield reply
            return
        yield from self._ask_parts(purpose, code, batch, parts)

    def _ask_parts(
        self, purpose: Purpose, code: int | None, batch: _Batch, parts: Sequence[Sequence[str]]
    ) -> Iterator[Reply | Rejected]:
        again = replace(purpose, why=purpose.why.partition(", split")[0] + f", split after {code}")
        for part in parts:
            yield from self._ask(again, batch.part(part))

    def _search(self, purpose: Purpose, refused: _PlantRefused, batch: _Batch) -> Iterator[Reply | Rejected]:
        """Ask for the batch without the plant that spoils it: by halves, unless another process has found it."""
        code = refused.error.code
        if len({batch.plant_of[each] for each in batch.subjects}) == 1:
            parts = self._halves(purpose, refused, batch)
            self.share()
            yield from self._ask_parts(purpose, code, batch, parts)
            return
        with self.search():
            found = any(
                self._refusal(refused.caller, purpose, batch.plant_of[each]) is not None for each in batch.subjects
            )
            parts = [batch.subjects] if found else self._halves(purpose, refused, batch)
            yield from self._ask_parts(purpose, code, batch, parts)

    def _dealt(self, purpose: Purpose, batch: _Batch) -> list[tuple[list[Caller], _Batch]]:
        """The batch by the accounts that can ask for each subject; usually it stays whole."""
        callers = self._spread.open(purpose.endpoint)
        groups: dict[tuple[str, ...], list[str]] = {}
        for subject in batch.subjects:
            names = tuple(c.name for c in callers if self._may_ask(c, purpose, subject, batch.plant_of[subject]))
            groups.setdefault(names, []).append(subject)
        return [([self._callers[name] for name in names], batch.part(some)) for names, some in groups.items()]

    def _may_ask(self, caller: Caller, purpose: Purpose, subject: str, plant: str) -> bool:
        if purpose.account is not None:
            return caller.name == purpose.account and self._refusal(caller, purpose, plant) is None
        return subject in caller.names(purpose.endpoint) and self._refusal(caller, purpose, plant) is None

    def _refusal(self, caller: Caller, purpose: Purpose, plant: str) -> PlantNotAuthorized | None:
        """Why a plant isn't open to an account, if it isn't."""
        code = caller.filed_code(plant) if purpose.account else plant
        return self.refused_plants.get(code) or self.refused_plants.get(refusal_key(caller.name, code))

    def _closed(self, purpose: Purpose, batch: _Batch) -> Iterator[Rejected]:
        """Say why nobody can be asked about these subjects; what a refusal is the reason of is rejected.

        Raises:
            EndpointRefused, EndpointBroken: it is so for every account, not for these subjects alone.
        """
        callers = list(self._callers.values())
        stopped = [caller.stopped for caller in callers if caller.stopped is not None]
        refused = [c.refused_endpoints[purpose.endpoint] for c in callers if purpose.endpoint in c.refused_endpoints]
        broken = [c.given_up[purpose.endpoint] for c in callers if purpose.endpoint in c.given_up]
        if not self._spread.open(purpose.endpoint):
            if broken or not refused:
                raise EndpointBroken((broken or stopped)[0])
            raise EndpointRefused(refused[0])
        rejected: dict[int, tuple[NorthboundError, list[str]]] = {}
        for subject in batch.subjects:
            plant = batch.plant_of[subject]
            if purpose.account is not None:
                seeing = [c for c in callers if purpose.account == c.name]
            else:
                seeing = [c for c in callers if subject in c.names(purpose.endpoint)]
            errors: list[NorthboundError] = []
            for caller in seeing:
                refusal = self._refusal(caller, purpose, plant)
                if refusal is not None:
                    self.report.refuse(f"plant {plant}", refusal.describe())
                    errors.append(refusal)
                elif purpose.endpoint in caller.refused_endpoints:
                    errors.append(caller.refused_endpoints[purpose.endpoint])
            # An account that is out of order today may well be allowed to: then it isn't refused.
            if errors and len(errors) == len(seeing):
                rejected.setdefault(id(errors[0]), (errors[0], []))[1].append(subject)
        for error, subjects in rejected.values():
            yield Rejected(tuple(subjects), error)

    def _call(self, purpose: Purpose, callers: Sequence[Caller], batch: _Batch) -> Reply | None:
        blocked: dict[str, QuotaExhausted] = {}
        while True:
            caller = self._choose(purpose, callers, blocked)
            if caller is None:
                blocked.clear()
                continue
            names = {} if purpose.account else caller.names(purpose.endpoint)
            body = batch.body_of([names.get(subject, subject) for subject in batch.subjects])
            reserved = self._spread.reserves(purpose).get(caller.name, 0)
            try:
                answer = caller.client.call(
                    purpose.endpoint, body, why=purpose.why, lane=purpose.lane, reserved=reserved
                )
            except QuotaExhausted as exhausted:
                blocked[caller.name] = exhausted
            except PlantNotAuthorized as error:
                raise _PlantRefused(caller, error) from error
            except PermissionDenied as error:
                caller.refuse(purpose.endpoint, error, self.clock.now())
                self._tell_of(caller, error)
                raise _AccountsChanged from error
            except (RequestRejected, IncompleteList):
                raise
            except (Timeout, BadAnswer, ServerFault) as error:
                self.report.failures.append(self._described(caller, error))
                caller.note_failure(purpose.endpoint, error, self.clock.now())
                self._stop_if_all_are(error)
                return None
            except NorthboundError as error:
                # No server, trust, login or session, a system that stays busy: the next call would fare the same.
                caller.stop(error, self.clock.now())
                self._stop_if_all_are(error)
                text = self._described(caller, error)
                if text not in self.report.failures:
                    self.report.failures.append(text)
                raise _AccountsChanged from error
            else:
                caller.note_success(purpose.endpoint)
                return Reply(tuple(batch.subjects), answer, caller.name)

    def _choose(
        self, purpose: Purpose, callers: Sequence[Caller], blocked: Mapping[str, QuotaExhausted]
    ) -> Caller | None:
        """The account to ask with; None after a wait, which may have changed everything.

        Raises:
            QuotaExhausted: none now, and this load doesn't wait.
        """
        if len(callers) == 1 and not blocked:
            return callers[0]
        offers = self._spread.offers(purpose, callers, blocked)
        if offers[-1].granted:
            return callers[len(offers) - 1]
        times = [offer.next_at for offer in offers if offer.next_at is not None]
        used, limit = sum(offer.used for offer in offers), sum(offer.limit for offer in offers)
        exhausted = (
            blocked[callers[0].name]
            if len(callers) == 1
            else QuotaExhausted(
                f"the quota is used up ({used} of {limit} calls, with {len(callers)} accounts)",
                next_at=min(times, default=None),
                endpoint=purpose.endpoint,
            )
        )
        if not purpose.may_wait:
            raise exhausted
        self.wait_for(exhausted)
        return None

    def _halves(self, purpose: Purpose, refused: _PlantRefused, batch: _Batch) -> Sequence[Sequence[str]]:
        # Halving by plant finds one bad plant among n in about 2 log2 n calls; known ones are left out for good.
        plants = list(dict.fromkeys(batch.plant_of[s] for s in batch.subjects))
        if len(plants) == 1:
            self._close(refused.caller, refused.caller.filed_code(plants[0]) if purpose.account else plants[0], refused)
            return [batch.subjects]
        half = set(plants[: len(plants) // 2])
        return [
            [s for s in batch.subjects if batch.plant_of[s] in half],
            [s for s in batch.subjects if batch.plant_of[s] not in half],
        ]

    def _close(self, caller: Caller, plant: str, refused: _PlantRefused) -> None:
        """Keep that a plant isn't open to an account; refused to all that see it, it is refused."""
        self.refused_plants[refusal_key(caller.name, plant)] = refused.error
        others = [each for each in self._callers.values() if each.name != caller.name]
        # Of an account that was never listed nobody knows whether it sees the plant.
        if any(each.view.listed_at is None for each in others):
            return
        seeing = {each.name for each in others if plant in each.view.plants} | {caller.name}
        keys = [refusal_key(name, plant) for name in seeing]
        if all(key in self.refused_plants for key in keys):
            for key in keys:
                del self.refused_plants[key]
            self.refused_plants[plant] = refused.error

    def _stop_if_all_are(self, error: NorthboundError) -> None:
        if all(caller.stopped is not None for caller in self._callers.values()):
            # Whoever asked decides when to try again.
            for caller in self._callers.values():
                caller.stopped = None
            raise LoadStopped(error) from error

    def _tell_of(self, caller: Caller, error: PermissionDenied) -> None:
        if len(self._callers) > 1:
            self.report.refuse(f"{error.endpoint} for account {caller.name}", error.describe())

    def _described(self, caller: Caller, error: NorthboundError) -> str:
        return error.describe() if len(self._callers) == 1 else f"Account {caller.name}: {error.describe()}"

    def wait_for(self, exhausted: QuotaExhausted) -> None:
        """Sleep until the quota leaves room.

        Raises:
            QuotaExhausted: this load doesn't wait, or no moment is known.
        """
        if not self.wait or exhausted.next_at is None:
            raise exhausted
        seconds = max((exhausted.next_at - self.clock.now()).total_seconds(), 0.0) + 0.001
        if seconds >= LONG_WAIT_SECONDS:
            self.listener.message(
                f"{exhausted.endpoint}: the quota is used up; going on at {exhausted.next_at:%Y-%m-%d %H:%M} UTC"
            )
        self.clock.sleep(seconds)
