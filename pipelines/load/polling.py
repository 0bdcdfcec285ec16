"""The real-time loop: polls plants and devices once in each 5-minute slot, and alarms every half hour, up to an end.

A poll is made late in its slot: the vendor needs up to 5 minutes to bring what was measured (reference 8.4), and a
value belongs to the slot in which it is polled. A slot that is missed, because the quota was spent elsewhere, the
machine slept or a call failed, is not made up for: the history of its day is wanted anyhow, and it brings the slot.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from pipelines.load.asking import Asker, LoadStopped
from pipelines.load.fleet import Fleet, current_fleet
from pipelines.load.instants import load_instant
from pipelines.load.partitions import Partitioning, Touched
from pipelines.load.refused import read_refused
from pipelines.load.request import REALTIME_DATASETS, Listener, LoadReport, LoadRequest, Silent
from pipelines.load.room import fills_up
from pipelines.load.services import Services
from schemas.datasets import DATASETS

SLOT: Final = timedelta(minutes=5)
"""How often the vendor renews real-time values (2.3, 4.2)."""

LATE_IN_SLOT: Final = timedelta(minutes=4)
"""How long after a slot's start it is polled."""

ALARMS_EVERY: Final = timedelta(minutes=30)

OPENS_SOON: Final = timedelta(seconds=45)
"""A quota that opens within this time is waited for: two polls a window apart may lie a second too close."""

WHY: Final = "real-time loop"
FOLD_EVERY_PARTS: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Polled:
    """What a loop did: the load's report, the slots polled and missed, and the fleet and alarms it saw.

    `stopped`: what ended it before its time, if anything did.
    """

    report: LoadReport = field(default_factory=LoadReport)
    slots: int = 0
    missed: int = 0
    stopped: str | None = None
    fleet: Fleet | None = None
    touched: Touched = field(default_factory=Touched)


def next_poll(after: datetime) -> datetime:
    """The first instant after `after` at which a slot is polled."""
    slots = (after - _EPOCH - LATE_IN_SLOT) // SLOT + 1
    return _EPOCH + slots * SLOT + LATE_IN_SLOT


def run_polling(
    services: Services,
    stop_at: datetime,
    listener: Listener | None = None,
    partitioning: Partitioning | None = None,
) -> Polled:
    """Poll in every slot until `stop_at` (aware, UTC), sleeping in between through the clock of `services`.

    Without an inventory there is nobody to ask about, and it ends at once. What was polled is in the lake at the end;
    it does not build the warehouse. What ends every call (no server, no login) and a disk that fills up end the loop,
    with the reason.
    """
    polled = Polled(fleet=current_fleet(services))
    fleet, watch, clock = polled.fleet, listener or Silent(), services.clock
    assert fleet is not None
    if fleet.listed_at is None:
        watch.message("No plants are listed yet, so there is nothing to poll: run `pvms load` first.")
        return polled
    if partitioning is not None:
        polled.touched.partitioning = partitioning
    asker = Asker(services.clients, clock, polled.report, watch, False, read_refused(services.refused_file))
    asker.see(fleet)
    alarms_at = _alarms_due(services, clock.now())
    due = _due(clock.now())
    if _polled_since(services, due - LATE_IN_SLOT):
        due = next_poll(due)
    try:
        while due < stop_at:
            clock.sleep(max((due - clock.now()).total_seconds(), 0.0))
            now = clock.now()
            if _due(now) > due:
                # The machine slept: those slots are gone.
                polled.missed += (_due(now) - due) // SLOT
                due = _due(now)
                continue
            polled.stopped = fills_up(services.settings.home)
            if polled.stopped is not None:
                polled.report.failures.append(polled.stopped)
                break
            complete = _poll(services, asker, fleet, polled)
            polled.slots += complete
            polled.missed += not complete
            if now >= alarms_at:
                load_instant(services, _request(now, "alarms"), fleet, asker, polled.report, "alarms", polled.touched)
                alarms_at = now + ALARMS_EVERY - SLOT / 2
            polled.report.waiting.clear()
            watch.progress("real time", polled.slots, polled.slots + max(int((stop_at - due) / SLOT), 0))
            if services.lake.pending_parts() >= FOLD_EVERY_PARTS:
                services.lake.fold()
            due += SLOT
    except LoadStopped as stopped:
        polled.stopped = stopped.error.describe()
        if polled.stopped not in polled.report.failures:
            polled.report.failures.append(polled.stopped)
    finally:
        services.lake.fold()
    watch.message(_summary(polled))
    return polled


def _due(now: datetime) -> datetime:
    """The poll of the slot that runs; late in a slot, that is now."""
    return next_poll(now - (SLOT - LATE_IN_SLOT))


def _polled_since(services: Services, slot: datetime) -> bool:
    """Whether somebody, usually the loop before this one, has polled plants since this slot began."""
    endpoint = DATASETS["plant_realtime"].endpoint
    return any(call.endpoint == endpoint and call.rows for call in services.ledger.calls(slot))


def _poll(services: Services, asker: Asker, fleet: Fleet, polled: Polled) -> bool:
    """One poll of all that is polled; whether everything was answered."""
    failures = len(polled.report.failures)
    for dataset in REALTIME_DATASETS:
        _wait_for_a_moment(services, asker, DATASETS[dataset].endpoint)
        request = _request(services.clock.now(), dataset)
        load_instant(services, request, fleet, asker, polled.report, dataset, polled.touched)
    return not polled.report.waiting and len(polled.report.failures) == failures


def _wait_for_a_moment(services: Services, asker: Asker, endpoint: str) -> None:
    allowance = asker.allowance(endpoint, ())
    now = services.clock.now()
    if not allowance.granted and allowance.next_at is not None and allowance.next_at - now <= OPENS_SOON:
        services.clock.sleep((allowance.next_at - now).total_seconds() + 0.001)


def _request(now: datetime, dataset: str) -> LoadRequest:
    return LoadRequest(now.date(), now.date(), (dataset,), why=WHY)


def _alarms_due(services: Services, now: datetime) -> datetime:
    """Half an hour after the last poll of alarms, by whomever; at once if there was none lately."""
    around = (now - timedelta(days=2)).date(), (now + timedelta(days=1)).date()
    seen = services.coverage.states("alarms", None, *around).values()
    last = max((entry.extracted_at for entry in seen), default=None)
    return now if last is None else last + ALARMS_EVERY - SLOT / 2


def _summary(polled: Polled) -> str:
    rows = sum(polled.report.rows.values())
    text = f"Polled {polled.slots} slots of 5 minutes: {rows:,} rows."
    if polled.missed:
        text += f" {polled.missed} slot(s) are missing in part or whole; history brings them."
    return text
