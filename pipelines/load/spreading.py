"""Which accounts a call may go out with now, and what each must keep back.

Calls begin with the first account, in the order of the settings; the next is taken when the quota of those before it
is used up and no refusal speaks against it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pipelines.load.callers import Caller
from pipelines.northbound.allowances import Allowance
from pipelines.northbound.clock import Clock
from pipelines.northbound.errors import QuotaExhausted
from pipelines.northbound.lanes import Lane


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a call is for: the ledger's words, its place in the queue for the quota, the account if only one will do."""

    endpoint: str
    why: str
    lane: Lane = "asked"
    reserved: int = 0
    account: str | None = None
    may_wait: bool = True


@dataclass(frozen=True)
class Spread:
    """The accounts of one load, by name and in their order."""

    callers: Mapping[str, Caller]
    clock: Clock

    def open(self, endpoint: str) -> list[Caller]:
        """The accounts that nothing speaks against asking the endpoint with."""
        now = self.clock.now()
        return [caller for caller in self.callers.values() if caller.is_open(endpoint, now)]

    def offers(
        self, purpose: Purpose, callers: Sequence[Caller], blocked: Mapping[str, QuotaExhausted]
    ) -> list[Allowance]:
        """What each account's quota says, in their order, up to the first that may be asked with."""
        reserves = self.reserves(purpose)
        offers: list[Allowance] = []
        for caller in callers:
            offer = caller.client.allowance(purpose.endpoint, lane=purpose.lane, reserved=reserves.get(caller.name, 0))
            if caller.name in blocked:
                offer = replace(offer, granted=False, next_at=blocked[caller.name].next_at)
            elif offers and offer.granted and (until := self._spoken_against_until(caller)) is not None:
                offer = replace(offer, granted=False, next_at=until)
            offers.append(offer)
            if offer.granted:
                break
        return offers

    def reserves(self, purpose: Purpose) -> dict[str, int]:
        """The reserve by account: each keeps back what will first be asked with it, the next one what it can't."""
        if not purpose.reserved or purpose.lane != "backlog":
            return {}
        callers = self.open(purpose.endpoint)
        if len(callers) == 1:
            return {callers[0].name: purpose.reserved}
        first_of: dict[str, str] = {}
        for caller in reversed(callers):
            first_of.update(dict.fromkeys(caller.names(purpose.endpoint), caller.name))
        shares = Counter(first_of.values())
        reserves: dict[str, int] = {}
        beyond = 0
        for caller in callers:
            share = -(-purpose.reserved * shares[caller.name] // max(len(first_of), 1)) + beyond
            limit = caller.client.allowance(purpose.endpoint).limit
            reserves[caller.name], beyond = min(share, limit), max(share - limit, 0)
        return reserves

    def _spoken_against_until(self, caller: Caller) -> datetime | None:
        """Until when no further account is asked with: its own refusals, or a system that turned any away as busy."""
        now = self.clock.now()
        times = [caller.spoken_against_until(now), *(each.busy_until(now) for each in self.callers.values())]
        return max((each for each in times if each is not None), default=None)
