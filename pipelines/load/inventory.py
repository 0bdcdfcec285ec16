"""The inventory: which plants and devices the accounts see. Listed once a day, account by account."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from filelock import FileLock
from filelock import Timeout as LockedElsewhere

from pipelines.lake.paths import paths_of
from pipelines.lake.sightings import flag_retired, retired_ids
from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused, LoadStopped
from pipelines.load.fleet import Fleet, View, current_fleet
from pipelines.load.listing import list_account
from pipelines.load.plant_zones import name_zones, tell_unfollowed_zones
from pipelines.load.refused import probe_refused
from pipelines.load.request import Listener, LoadReport, Waiting
from pipelines.load.services import Services
from pipelines.load.unfinished import Unfinished
from pipelines.northbound.errors import NO_PLANT_ADVICE, NorthboundError, QuotaExhausted

INVENTORY_MAX_AGE: Final = timedelta(days=1)
"""Static data change only when plants change (reference 2.3); a day old is fresh enough not to spend calls on."""

EMPTY_MAX_AGE: Final = timedelta(hours=1)
"""An account that saw plants and now lists none is listed again soon: the next answer may be a better one."""

OTHERS_POLL_SECONDS: Final = 1.0
"""How often a process without any inventory looks whether the one that lists just now has finished."""

Failure = QuotaExhausted | EndpointRefused | EndpointBroken | LoadStopped | NorthboundError


def ensure_inventory(services: Services, asker: Asker, report: LoadReport, listener: Listener, force: bool) -> Fleet:
    """The fleet; accounts whose last listing is over a day old are listed anew, all of them if `force` says so.

    An earlier listing is gone on with when a new one can't be had now; the report says so. What one account can't
    list doesn't stop the others.

    Raises:
        QuotaExhausted, LoadStopped: there is no earlier listing, or nothing else could be asked for either.
    """
    fleet = current_fleet(services)
    asker.see(fleet)
    # First, so that the listing holds the devices of a plant that is open again.
    probe_refused(asker, services.refused_file, fleet.zones, services.clock.now())
    fleet = _listed(services, asker, report, listener, force)
    if name_zones(services, fleet):
        fleet = current_fleet(services)
    asker.see(fleet)
    _report_gaps(report, fleet)
    tell_unfollowed_zones(services, fleet, listener)
    return fleet


def _listed(services: Services, asker: Asker, report: LoadReport, listener: Listener, force: bool) -> Fleet:
    """The fleet after one process, this or another, has listed what is due."""
    locks = paths_of(services.settings.home).locks
    locks.mkdir(parents=True, exist_ok=True)
    while True:
        fleet = current_fleet(services)
        asker.see(fleet)
        if not due_accounts(services, fleet, force):
            return fleet
        try:
            with FileLock(locks / "inventory.lock").acquire(timeout=0):
                fleet = current_fleet(services)  # another process may have listed just now
                if force:
                    for name in services.clients:
                        Unfinished(services.unfinished_file, name).drop_answers()
                failures = {
                    name: failure
                    for name in due_accounts(services, fleet, force)
                    if (failure := _try_to_list(services, asker, report, listener, name)) is not None
                }
        except LockedElsewhere:
            if fleet.listed_at is not None:
                return fleet
            services.clock.sleep(OTHERS_POLL_SECONDS)
            continue
        services.lake.fold()
        _tell_of_retired(services, listener)
        fleet = current_fleet(services)
        _tell_of_failures(failures, report, asker, have_one=fleet.listed_at is not None)
        return fleet


def due_accounts(services: Services, fleet: Fleet, force: bool = False) -> list[str]:
    """The accounts whose list is not there or too old."""
    now = services.clock.now()
    return [name for name in services.clients if force or _is_due(fleet.views.get(name, View()), now)]


def _is_due(view: View, now: datetime) -> bool:
    due = _due_at(view)
    return due is None or now >= due


def next_listing(services: Services, fleet: Fleet) -> datetime | None:
    """When the first of the accounts is due to be listed again; None if one never was."""
    due = [_due_at(fleet.views.get(name, View())) for name in services.clients]
    known = [at for at in due if at is not None]
    return min(known) if known and len(known) == len(due) else None


def _due_at(view: View) -> datetime | None:
    return view.listed_at and view.listed_at + (INVENTORY_MAX_AGE if view.plants else EMPTY_MAX_AGE)


def _try_to_list(
    services: Services, asker: Asker, report: LoadReport, listener: Listener, account: str
) -> Failure | None:
    try:
        list_account(services, asker, report, listener, account)
    except (QuotaExhausted, EndpointRefused, EndpointBroken, LoadStopped, NorthboundError) as failure:
        return failure
    return None


def _tell_of_failures(failures: Mapping[str, Failure], report: LoadReport, asker: Asker, *, have_one: bool) -> None:
    """Note what could not be listed.

    Raises:
        QuotaExhausted, LoadStopped: there is no listing to go on with, or no account is left to ask with.
    """
    several = len(asker.clients) > 1
    all_stopped = sum(isinstance(each, LoadStopped) for each in failures.values()) == len(asker.clients)
    if failures and (not have_one or all_stopped):
        first = next(iter(failures.values()))
        raise first if isinstance(first, QuotaExhausted | LoadStopped) else LoadStopped(_error_of(first)) from first
    for account, failure in failures.items():
        of_account = f" of account {account}" if several else ""
        if isinstance(failure, QuotaExhausted):
            report.wait_for(Waiting("inventory", 1, 0, failure.next_at, failure.why))
        elif isinstance(failure, EndpointRefused):
            report.refuse(f"inventory{of_account}", failure.error.describe())
        else:
            text = f"The inventory{of_account} could not be listed anew. {_error_of(failure).describe()}"
            report.failures.append(text)


def _error_of(failure: Failure) -> NorthboundError:
    return failure if isinstance(failure, NorthboundError) else failure.error


def _tell_of_retired(services: Services, listener: Listener) -> None:
    fresh = flag_retired(services.lake, services.clients.keys())
    services.coverage.retire(retired_ids(services.lake))
    for code in fresh["plants"]:
        listener.message(
            f"Plant {code} is listed no more, for a day by now: nothing is asked about it until it is. Its data stay."
        )


def _report_gaps(report: LoadReport, fleet: Fleet) -> None:
    """Say what of the account can't be loaded at all, so that no load of nothing looks complete."""
    for code in fleet.without_zone:
        report.refuse(
            f"plant {code}",
            "its time zone is unknown (no coordinates, no offset in its grid connection date). Give it a row in "
            "PVMS_PLANTS_FILE (plant_code,time_zone) or set PVMS_DEFAULT_TIME_ZONE; nothing of it was loaded.",
        )
    if fleet.plants.is_empty() and not fleet.without_zone:
        report.refuse(
            "inventory",
            f"this account sees no plant. {NO_PLANT_ADVICE}",
        )
    elif fleet.devices.is_empty() and fleet.plants.height and all(one.what != "devices" for one in report.refusals):
        report.refuse("devices", "none is listed for this account's plants, so nothing was asked about devices.")
