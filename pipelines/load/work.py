"""The worker: does the most valuable work that the vendor's rules allow now, call by call, and knows when to go on.

Order of worth: the inventory; reports, the newest first, back to grid connection (few calls, and most figures need
only them); fresh 5-minute data; the 5-minute backlog, newest first, inverters, meters and weather stations before
batteries and the rest. Before each call the order is asked anew, so a backlog of weeks never delays a fresh day.
Several workers may run on one home: they share calls by their claims in coverage, and quotas by the ledger.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from pipelines.lake.coverage import CellKey
from pipelines.load.after import after_load
from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused, LoadStopped
from pipelines.load.build import build_and_publish, needs_build
from pipelines.load.carrying import Carrier, new_owner
from pipelines.load.due import note_next_work
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.instants import load_instant
from pipelines.load.inventory import due_accounts, ensure_inventory, next_listing
from pipelines.load.lanes import make_sources, reserved_calls, set_oldest
from pipelines.load.looks import NEVER, PastLook
from pipelines.load.oldest_search import OldestSearch
from pipelines.load.partitions import Partitioning, Touched, touched_partitions
from pipelines.load.refused import SharedRefusals
from pipelines.load.request import Listener, LoadReport, LoadRequest, Silent, Waiting, WorkRequest
from pipelines.load.request_table import settle_requests
from pipelines.load.room import fills_up, note_size
from pipelines.load.run import check_owner_files, declare_requests
from pipelines.load.services import Services
from pipelines.load.sources import Source
from pipelines.load.wanting import Call, Wanting
from pipelines.northbound.allowances import exhausted
from pipelines.northbound.errors import (
    CertificateNotTrusted,
    LoginRefused,
    NorthboundError,
    QuotaExhausted,
    WrongAddress,
)
from pipelines.owner_files import read_policy
from pipelines.planning.cells import Cell

WHY: Final = {"fresh": "fresh data", "backlog": "backlog", "asked": "load"}

REFUSED_FOR: Final = timedelta(days=1)
"""An endpoint that isn't open to the account is tried again after a day: a permission may have been given."""

BACK_OFF: Final = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6))
"""Rests of a source after calls that failed, one after the other, without a word on when to come back."""

PATIENCE: Final = 3
"""Failures of a source in a row after which nobody waits for it any longer; who keeps up goes on trying."""

SHORT_WAIT: Final = timedelta(minutes=2)
"""A wait that every load takes: under the policy of calls per minute (6.2) quotas last no longer."""

ASK_AGAIN: Final = timedelta(hours=1)
"""How soon a backlog asks again for a seat that is kept for fresh data."""

OTHERS_POLL_SECONDS: Final = 1.0
"""How often a worker without a fleet looks whether another has listed it."""

OTHERS_HOLD: Final = timedelta(minutes=1)
"""Rest of a source when another worker asks for all that is left of its piece."""

FOLD_EVERY_PARTS: Final = 200
FOLD_EVERY: Final = timedelta(hours=1)
"""Landing parts are folded into the lake after so many calls, or after so long when few go out."""

TELL_EVERY: Final = timedelta(hours=6)
"""How often a worker that keeps up looks whether somebody is to be told of something."""

FOR_A_PERSON: Final = (LoginRefused, WrongAddress, CertificateNotTrusted)
"""Errors that no waiting cures."""


def run_work(
    services: Services,
    listener: Listener | None = None,
    request: WorkRequest | None = None,
    *,
    build: bool = True,
    on_inventory: Callable[[Fleet], Partitioning] | None = None,
) -> LoadReport:
    """Do what is wanted, in the order of worth, within quota; build and publish the warehouse at the end.

    Ends when nothing can be done now; with `wait`, when nothing is left to be done; with `keep_up`, at `stop_at`
    alone, sleeping in between (through the clock of `services`). `on_inventory` is told the fleet before its data
    are asked for, and says how the assets are partitioned.

    Raises:
        LoadStopped: the inventory can't be had and there is none from before.
    """
    check_owner_files(services.settings)
    services.lake.fold()
    worker = Worker(services, listener, request or WorkRequest(), build=build, on_inventory=on_inventory)
    try:
        worker.run()
    finally:
        worker.close()
    return worker.finish()


@dataclass
class Worker:
    """One run of the work on one home."""

    services: Services
    listener: Listener | None
    request: WorkRequest
    build: bool = True
    on_inventory: Callable[[Fleet], Partitioning] | None = None
    report: LoadReport = field(default_factory=LoadReport)
    touched: Touched = field(default_factory=Touched)
    sources: list[Source] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open nothing yet; the first look at the fleet is the first piece of work."""
        self.watch = self.listener or Silent()
        self.touched.wanted = self.listener is not None
        self.clock = self.services.clock
        self.begun_at = self.clock.now()
        self.made_before = self.services.calls_made()
        self.owner, self.search_owner = new_owner(), new_owner()
        self.refused = SharedRefusals(self.services.refused_file, self.services.coverage, self.clock)
        self.asker = Asker(self.services.clients, self.clock, self.report, self.watch, False, self.refused.plants)
        self.asker.share, self.asker.search = self.refused.share, self.refused.search
        self.policy = read_policy(self.services.settings.policy_file, self.services.settings)
        self.fleet: Fleet | None = None
        self.search: OldestSearch | None = None
        self.fleet_until = self.begun_at
        self.unlisted: QuotaExhausted | None = None
        self.closed: dict[tuple[str, str, frozenset[str]], datetime] = {}
        self.closed_why: dict[str, str | None] = {}
        self.reserves: dict[str, int] = {}
        self.reserves_of = self.begun_at
        self.failures: Counter[str] = Counter()
        self.held: set[str] = set()
        self.folded_at = self.begun_at
        self.told_at = self.begun_at
        self.published_rows = 0

    def run(self) -> None:
        """Work until the end that was asked for."""
        while self.request.stop_at is None or self.clock.now() < self.request.stop_at:
            full = fills_up(self.services.settings.home)
            if full is not None:
                self.report.failures.append(full)
                return
            try:
                if self._step():
                    continue
            except LoadStopped as stopped:
                if not self._goes_on_after(stopped.error):
                    return
            wake = self._wake()
            self._while_idle(wake)
            if not self.request.keep_up and not self._goes_on(wake):
                return
            if wake == NEVER or not self._sleep_until(wake):
                return

    def close(self) -> None:
        """Let go of what is claimed, fold what has landed, tell which partitions are complete."""
        self.services.coverage.release(self.owner)
        self.refused.share()
        self._fold()

    def finish(self) -> LoadReport:
        """The report, with what is left; publishes the warehouse if anything was read."""
        now = self.clock.now()
        self.report.calls = dict(self.services.calls_made() - self.made_before)
        if self.unlisted is not None:
            self.report.wait_for(Waiting("inventory", 1, 0, self.fleet_until, self.unlisted.why))
        counted: set[Cell] = set()
        for source in self.sources:
            until = self._closed_until(source)
            if until > now:
                calls, cells = source.remaining(now, counted)
                if calls:
                    # It is looked again sooner than that, in case that calls end well and quicker than they may.
                    opens = self.asker.allowance(source.endpoint, source.plants, lane=source.lane).next_at
                    until = max(until, opens or until)
                    self.report.wait_for(Waiting(source.dataset, calls, cells, until, self.closed_why.get(source.name)))
        wake = self._wake()
        self.report.next_work_at = None if wake == NEVER else wake
        note_next_work(self.services.settings.home, self.report.next_work_at, self.begun_at)
        note_size(self.services.settings.home, now)
        settle_requests(self.services.requests, self.services.coverage, self.report, now)
        if self.build and needs_build(self.services, self.report):
            self._publish()
        after_load(self.services, self.report)
        return self.report

    # One step ------------------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Make the one call that is worth most now; False if there is none."""
        now = self.clock.now()
        if now >= self.fleet_until and not self._look_at_fleet(now):
            return False
        for source in self.sources:
            if now < source.idle_until or now < self._closed_until(source):
                continue
            reserved = self._reserved(source)
            allowance = self.asker.allowance(source.endpoint, source.plants, lane=source.lane, reserved=reserved)
            if not allowance.granted:
                until = allowance.next_at or now + REFUSED_FOR
                self.closed_why[source.name] = exhausted(allowance, source.endpoint).why
                # What is reserved shrinks as fresh data come in, which the ledger can't know beforehand.
                self._close(source, min(until, now + ASK_AGAIN) if reserved else until)
                continue
            if self._looks_for_oldest(source, now, reserved):
                return True
            call = self._affordable(source, now, reserved)
            if call is not None:
                self._make(source, call, reserved)
                return True
        return False

    def _affordable(self, source: Source, now: datetime, reserved: int) -> Call | None:
        """The source's next call that an account may make now which sees its plants."""
        call = source.next_call(now)
        if call is None or len(self.services.clients) == 1:
            return call
        passed_over: list[Call] = []
        opens: list[datetime] = []
        while call is not None:
            plants = {source.everyone[cell.subject].plant_code for cell in call.cells}
            allowance = self.asker.allowance(source.endpoint, plants, lane=source.lane, reserved=reserved)
            if allowance.granted:
                break
            passed_over.append(call)
            opens.append(allowance.next_at or now + REFUSED_FOR)
            call = source.calls.popleft() if source.calls else None
        for each in reversed(passed_over):
            source.put_back(each)
        if call is None:
            self._close(source, min(opens))
        return call

    def _make(self, source: Source, call: Call, reserved: int, *, planned: bool = True) -> bool:
        """Make one call happen; whether it was answered or needed no asking.

        One that failed is kept for later if it is one of the source's own (`planned`).
        """
        assert self.fleet is not None
        now, read_before = self.clock.now(), sum(self.report.cells.values())
        carrier = Carrier(
            self.services,
            self.asker,
            source.wanting,
            self.report,
            self.touched,
            WHY[source.lane],
            self.owner,
            lane=source.lane,
            reserved=reserved,
        )
        self.refused.share()
        try:
            others = carrier.carry(source.dataset, call, source.everyone)
            if not carrier.in_vain:
                source.went_out(call, now)
            self.watch.progress(source.name, source.made, source.made + len(source.calls))
        except QuotaExhausted as spent:
            self.closed_why[source.name] = spent.why
            source.put_back(call)
            self._close(source, spent.next_at or now + REFUSED_FOR)
            return False
        except EndpointRefused as refused:
            self.report.refuse(source.dataset, refused.error.describe())
            # From now on, not from before the call: a day after the refusal, and not a moment too early.
            again = self.clock.now() + REFUSED_FOR
            for each in self.sources:
                if each.endpoint == source.endpoint:
                    each.rest_until(again)
            return False
        except EndpointBroken:
            self._back_off(source, call if planned else None, now)
            return False
        except LoadStopped:
            source.put_back(call)
            raise
        # An account that is out of order fails no call that another one makes in its stead.
        failed = carrier.in_vain
        if failed:
            self._back_off(source, call if planned else None, now)
        elif others and not source.calls and sum(self.report.cells.values()) == read_before:
            source.rest_until(now + OTHERS_HOLD)
            self.held.add(source.name)
        else:
            self.held.discard(source.name)
            self.failures.pop(source.name, None)
            self.failures.pop("all", None)
        if self.services.lake.pending_parts() >= FOLD_EVERY_PARTS:
            self._fold()
        return not failed

    def _looks_for_oldest(self, source: Source, now: datetime, reserved: int) -> bool:
        """Take a look at how far back the server's 5-minute data reach, before their backlog is asked for."""
        if self.search is None or source.dataset != "device_history" or not isinstance(source.look, PastLook):
            return False
        key: CellKey = ("oldest_day", "", date.min)
        if source.calls:
            return False
        if not self.services.coverage.claim([key], self.search_owner, now):
            source.rest_until(now + OTHERS_HOLD)
            return True
        try:
            call = self.search.next_call(now)
            if call is None:
                set_oldest(self.sources, self.search.found)
                return False
            # Where a look was in vain the backlog goes on, newest first, and it is taken again later.
            return not self._make(source, call, reserved, planned=False) or self.search.note(call)
        finally:
            self.services.coverage.release(self.search_owner)

    def _back_off(self, source: Source, call: Call | None, now: datetime) -> None:
        """Let a source rest after a failure, longer after each in a row; its call is kept for later."""
        failed_before = self.failures[source.name]
        until = now + BACK_OFF[min(failed_before, len(BACK_OFF) - 1)]
        self.failures[source.name] += 1
        if call is None:
            source.rest_until(until)
        else:
            # One that fails again and again must not keep those behind it from going out.
            source.retry(call, until, last=failed_before > 0)

    # The fleet -----------------------------------------------------------------------------------------------------

    def _look_at_fleet(self, now: datetime) -> bool:
        """List the fleet if it is due, alarms with it; False while another worker does so and there is none yet."""
        self.refused.share()
        key: CellKey = ("inventory", "", now.date())
        mine = bool(self.services.coverage.claim([key], self.owner, now))
        while not mine and current_fleet(self.services).listed_at is None:
            self.clock.sleep(OTHERS_POLL_SECONDS)
            mine = bool(self.services.coverage.claim([key], self.owner, self.clock.now()))
        if not mine:
            fleet = current_fleet(self.services)
            self.fleet_until = now + OTHERS_HOLD
        else:
            try:
                fleet = ensure_inventory(self.services, self.asker, self.report, self.watch, False)
                self.fleet_until = self._next_listing(fleet, now)
                if fleet.listed_at is not None:
                    self._poll_alarms(fleet, now)
                self.unlisted = None
            except QuotaExhausted as exhausted:
                self.unlisted = exhausted
                self.fleet_until = exhausted.next_at or now + REFUSED_FOR
                return False
            finally:
                self.services.coverage.release(self.owner)
        if fleet.listed_at is None:
            return False
        self._take_over(fleet)
        return True

    def _next_listing(self, fleet: Fleet, now: datetime) -> datetime:
        """When the fleet is listed anew: when it is due, or after a rest where an account's list could not be had."""
        if not due_accounts(self.services, fleet):
            self.failures.pop("inventory", None)
            return max(next_listing(self.services, fleet) or now, now + BACK_OFF[0])
        rest = BACK_OFF[min(self.failures["inventory"], len(BACK_OFF) - 1)]
        self.failures["inventory"] += 1
        return now + rest

    def _take_over(self, fleet: Fleet) -> None:
        """Plan for this fleet from now on; what was planned stays while plants and devices are the same."""
        self.asker.see(fleet)
        if self.on_inventory is not None:
            self.touched.partitioning = self.on_inventory(fleet)
        same = self.fleet is not None and _subjects(self.fleet) == _subjects(fleet)
        self.fleet = fleet
        if not same:
            wanting = Wanting(self.services, fleet, self.report, refused=self.asker.refused_plants)
            self.sources = make_sources(self.services, fleet, wanting, self.policy)
            self.search = OldestSearch(self.services, fleet.subjects("device_history"), self.policy)
            set_oldest(self.sources, self.search.found)
            self.reserves.clear()
        declare_requests(self.services, fleet)

    def _poll_alarms(self, fleet: Fleet, now: datetime) -> None:
        today = now.date()
        load_instant(
            self.services,
            LoadRequest(today, today, why=WHY["fresh"]),
            fleet,
            self.asker,
            self.report,
            "alarms",
            self.touched,
        )

    # Time ----------------------------------------------------------------------------------------------------------

    def _reserved(self, source: Source) -> int:
        if source.lane != "backlog":
            return 0
        now = self.clock.now()
        if now != self.reserves_of:
            self.reserves.clear()
            self.reserves_of = now
        if source.endpoint not in self.reserves:
            self.reserves[source.endpoint] = reserved_calls(self.services, self.sources, source.endpoint, now)
        return self.reserves[source.endpoint]

    def _close(self, source: Source, until: datetime) -> None:
        self.closed[source.endpoint, source.lane, source.plants] = until

    def _closed_until(self, source: Source) -> datetime:
        return self.closed.get((source.endpoint, source.lane, source.plants), self.begun_at)

    def _goes_on(self, wake: datetime) -> bool:
        """Whether what is left is worth waiting for; a minute's quota always is."""
        if self.request.wait:
            return self._waits() or self._rests()
        return self._waits() and wake - self.clock.now() <= SHORT_WAIT

    def _rests(self) -> bool:
        """Whether a source rests after a failure that may pass, or while another worker asks for what is left."""
        now = self.clock.now()
        return any(
            source.idle_until > now and (source.name in self.held or 0 < self.failures[source.name] <= PATIENCE)
            for source in self.sources
        )

    def _waits(self) -> bool:
        """Whether a source has work that only the quota, or another worker, holds back; or the quota the inventory."""
        now = self.clock.now()
        return self.unlisted is not None or any(
            self._closed_until(source) > now and (source.calls or source.idle_until <= now) for source in self.sources
        )

    def _wake(self) -> datetime:
        """The earliest instant at which there may be work again."""
        moments = [max(source.idle_until, self._closed_until(source)) for source in self.sources]
        return min([*moments, self.fleet_until])

    def _sleep_until(self, wake: datetime) -> bool:
        """Sleep; False when the end of the work comes first."""
        until = wake if self.request.stop_at is None else min(wake, self.request.stop_at)
        seconds = (until - self.clock.now()).total_seconds()
        self.clock.sleep(max(seconds, 0.0) + 0.001)
        return self.request.stop_at is None or until < self.request.stop_at

    def _goes_on_after(self, error: NorthboundError) -> bool:
        """Whether the work goes on by itself after an error that concerns every call."""
        text = error.describe()
        if text not in self.report.failures:
            self.report.failures.append(text)
        if isinstance(error, FOR_A_PERSON) or not (self.request.keep_up or self.request.wait):
            return False
        now = self.clock.now()
        rest = now + BACK_OFF[min(self.failures["all"], len(BACK_OFF) - 1)]
        self.failures["all"] += 1
        self.fleet_until = max(self.fleet_until, rest) if self.fleet is not None else rest
        for source in self.sources:
            self._close(source, max(self._closed_until(source), rest))
        return True

    # What has landed -----------------------------------------------------------------------------------------------

    def _while_idle(self, wake: datetime) -> None:
        now = self.clock.now()
        if self.services.lake.pending_parts() and now - self.folded_at >= FOLD_EVERY:
            self._fold()
            if self.request.keep_up and self.build and sum(self.report.rows.values()) > self.published_rows:
                self._publish()
        if now - self.told_at >= TELL_EVERY:
            self.told_at = now
            after_load(self.services, self.report)

    def _fold(self) -> None:
        self.services.lake.fold(lambda done, total: self.watch.progress("fold", done, total))
        self.folded_at = self.clock.now()
        if self.listener is not None and self.fleet is not None:
            for partition in touched_partitions(self.touched, self.fleet, self.services.coverage, self.folded_at):
                self.report.completed += 1
                self.watch.completed(partition)
        self.touched.clear()

    def _publish(self) -> None:
        build_and_publish(self.services, self.watch)
        self.report.published = True
        self.published_rows = sum(self.report.rows.values())


def _subjects(fleet: Fleet) -> Iterable[object]:
    plants = fleet.plants.select("plant_code", "time_zone", "grid_connection_date").rows()
    seen = [(account, view.plants, view.devices) for account, view in fleet.views.items()]
    return [plants, fleet.devices.select("device_id", "plant_code", "device_type_id").rows(), seen]
