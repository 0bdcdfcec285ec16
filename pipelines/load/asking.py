"""Makes one planned call happen: waits for quota when told to, splits a batch that one bad plant spoils.

What can't be had is sorted into four kinds, because each asks for something else: a quota (go on later), a
refusal (ask the owner), a failure of one call (try again), and the end of everything (no server, no login).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pipelines.load.request import Listener, LoadReport
from pipelines.northbound.client import Answer, Client
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
from pipelines.northbound.ledger import Allowance

LONG_WAIT_SECONDS: Final = 60.0
"""Waits above this are announced, so that a person who watches knows why nothing moves."""

MAX_CONSECUTIVE_FAILURES: Final = 3
"""After this many calls in a row have failed the server is having a bad hour; going on would burn quota."""

ONE_SPOILS_ALL: Final = frozenset({20006, 20007, 20008})
"""Codes that speak of one plant or device of the batch: of another type, or gone since the listing (6.1)."""

BodyOf = Callable[[Sequence[str]], Mapping[str, Any]]
T = TypeVar("T")


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`items` in pieces of at most `size`, in their order."""
    return (items[first : first + size] for first in range(0, len(items), size))


class EndpointRefused(Exception):
    """The account may not use this endpoint (401): nothing more is asked of it."""

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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and the subjects it was asked for: all of the batch, or what a split left of it."""

    subjects: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Rejected:
    """The vendor refused this request for good (an old day, a wrong type); its periods are denied."""

    subjects: tuple[str, ...]
    error: NorthboundError


@dataclass
class Asker:
    """Asks the vendor on behalf of one load and remembers which plants spoil batches."""

    client: Client
    clock: Clock
    report: LoadReport
    listener: Listener
    wait: bool
    refused_plants: dict[str, PlantNotAuthorized] = field(default_factory=dict)
    _failures_in_a_row: int = 0

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
    ) -> Iterator[Reply | Rejected]:
        """Yield the answers for a batch of subjects; more than one if a refused plant made it split.

        `plant_of` gives each subject's plant. A failed call yields nothing: it is in the report. `reserved`: calls of
        the endpoint's window that one of the lane "backlog" must leave to the others.

        Raises:
            QuotaExhausted: not now, and this load doesn't wait.
            EndpointRefused, LoadStopped: see there.
        """
        for plant in sorted({plant_of[s] for s in subjects} & self.refused_plants.keys()):
            self.report.refuse(f"plant {plant}", self.refused_plants[plant].describe())
        open_subjects = [s for s in subjects if plant_of[s] not in self.refused_plants]
        if not open_subjects:
            return
        try:
            answer = self._call(endpoint, body_of(open_subjects), why, lane, reserved)
        except PlantNotAuthorized as error:
            for part in self._halves(open_subjects, plant_of, error):
                again = f"{why}, split after {error.code}"
                yield from self.ask(endpoint, part, body_of, plant_of, why=again, lane=lane, reserved=reserved)
        except RequestInvalid:
            raise
        except RequestRejected as error:
            if error.code in ONE_SPOILS_ALL and len(open_subjects) > 1:
                middle = len(open_subjects) // 2
                again = f"{why}, split after {error.code}"
                for part in (open_subjects[:middle], open_subjects[middle:]):
                    yield from self.ask(endpoint, part, body_of, plant_of, why=again, lane=lane, reserved=reserved)
            else:
                yield Rejected(tuple(open_subjects), error)
        else:
            if answer is not None:
                yield Reply(tuple(open_subjects), answer)

    def allowance(
        self, endpoint: str, plants: Collection[str], *, lane: Lane = "asked", reserved: int = 0
    ) -> Allowance:
        """May a call about these plants go out now? The best over the accounts that see them all; costs nothing."""
        return self.client.allowance(endpoint, lane=lane, reserved=reserved)

    def _halves(
        self, subjects: Sequence[str], plant_of: Mapping[str, str], error: PlantNotAuthorized
    ) -> Sequence[Sequence[str]]:
        # Halving by plant finds one bad plant among n in about 2 log2 n calls; known ones are left out for good.
        plants = list(dict.fromkeys(plant_of[s] for s in subjects))
        if len(plants) == 1:
            self.refused_plants[plants[0]] = error
            self.report.refuse(f"plant {plants[0]}", error.describe())
            return ()
        half = set(plants[: len(plants) // 2])
        return [s for s in subjects if plant_of[s] in half], [s for s in subjects if plant_of[s] not in half]

    def list_plants(self, *, why: str) -> list[Answer]:
        """All pages of the plant list.

        Raises:
            QuotaExhausted, EndpointRefused, LoadStopped: as `ask`; a list that can't be had ends the load.
        """
        pages = self._patiently(lambda: self.client.plants(why=why), "stations", may_fail=False)
        assert pages is not None
        return pages

    def _call(self, endpoint: str, body: Mapping[str, Any], why: str, lane: Lane, reserved: int) -> Answer | None:
        def call() -> Answer:
            return self.client.call(endpoint, body, why=why, lane=lane, reserved=reserved)

        return self._patiently(call, endpoint, may_fail=True)

    def _patiently(self, action: Callable[[], T], endpoint: str, *, may_fail: bool) -> T | None:
        while True:
            try:
                result = action()
            except QuotaExhausted as exhausted:
                if not self.wait or exhausted.next_at is None:
                    raise
                self._pause(exhausted, endpoint)
            except PermissionDenied as error:
                raise EndpointRefused(error) from error
            except (PlantNotAuthorized, RequestRejected, IncompleteList):
                raise
            except (Timeout, BadAnswer, ServerFault) as error:
                if not may_fail:
                    raise LoadStopped(error) from error
                self._note_failure(error)
                return None
            except NorthboundError as error:
                # No server, trust, login or session, a system that stays busy: the next call would fare the same.
                raise LoadStopped(error) from error
            else:
                self._failures_in_a_row = 0
                return result

    def _pause(self, exhausted: QuotaExhausted, endpoint: str) -> None:
        assert exhausted.next_at is not None
        seconds = max((exhausted.next_at - self.clock.now()).total_seconds(), 0.0) + 0.001
        if seconds >= LONG_WAIT_SECONDS:
            self.listener.message(
                f"{endpoint}: the quota is used up; going on at {exhausted.next_at:%Y-%m-%d %H:%M} UTC"
            )
        self.clock.sleep(seconds)

    def _note_failure(self, error: NorthboundError) -> None:
        self.report.failures.append(error.describe())
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= MAX_CONSECUTIVE_FAILURES:
            raise LoadStopped(error) from error
