"""The whole examination in its order: machine, connection, accounts, data."""

from collections.abc import Iterator

import polars as pl

from pipelines.doctor import account as accounts
from pipelines.doctor import connection, data, machine
from pipelines.doctor.findings import Finding, fail, ok, warn
from pipelines.lake.errors import LakeError
from pipelines.lake.sightings import listed
from pipelines.lake.store import Lake
from pipelines.load.plant_zones import resolve_zones
from pipelines.load.services import Services
from pipelines.northbound.errors import NorthboundError
from pipelines.settings import Settings, SettingsError, load_settings


def examine(*, offline: bool = False, retry_login: bool = False, ask_all: bool = False) -> Iterator[Finding]:
    """Look at everything, one finding at a time. `offline` makes no connection; the others are those of the command."""
    yield from machine.versions()
    try:
        settings = load_settings()
    except SettingsError as error:
        yield fail("settings", str(error), "Correct it; until then nothing else can be looked at.")
        return
    yield from machine.settings_found(settings)
    yield from machine.home(settings)
    owners = [*data.owner_files(settings), *data.policy_and_quotas(settings)]
    yield from owners
    live_plants = live_devices = pl.DataFrame()
    unreachable: set[str] = set()
    if not settings.accounts:
        yield warn(
            "account", "none is set", "Fill in the account in .env (pvms init writes one); pvms demo needs none."
        )
    elif offline:
        yield ok("network", "left out (--offline)")
    else:
        addresses = [each.base_url for each in settings.accounts]
        addresses += [each.oauth_url for each in settings.accounts if each.auth == "oauth"]
        for base_url in dict.fromkeys(addresses):
            for finding in connection.address(base_url, accounts.ImpatientClock().now()):
                yield finding
                if finding.level == "fail":
                    unreachable.add(base_url)
    if settings.accounts and settings.home.is_dir():
        try:
            with Services.open(settings, accounts.ImpatientClock()) as services:
                for each in settings.accounts:
                    client = services.clients.get(each.name)
                    if client is None:
                        continue
                    client.attempts = 1
                    turn = accounts.Examination(services, each, client, ask_all)
                    if not offline and each.base_url not in unreachable:
                        yield from turn.run(retry_login=retry_login)
                    yield from data.quotas(client)
                    if turn.plants.height:
                        live_plants = _both(live_plants, _with_zones(services, turn.plants))
                        live_devices = _both(live_devices, turn.devices)
        except (SettingsError, NorthboundError) as error:
            # What is wrong with a file of the owner's was said as such.
            if str(error) not in {each.text for each in owners}:
                yield fail("account", str(error), "Correct the account's settings.")
    if settings.home.is_dir():
        files_are_read = all(each.level == "ok" for each in owners)
        yield from _of_the_home(settings, live_plants, live_devices, look_at_names=files_are_read)


def _both(known: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([known, more]) if known.width and more.width else known if known.width else more


def _of_the_home(
    settings: Settings, live_plants: pl.DataFrame, live_devices: pl.DataFrame, *, look_at_names: bool
) -> Iterator[Finding]:
    try:
        lake = Lake(settings.home)
        plants = listed(lake, "plants")
        devices = listed(lake, "devices")
    except LakeError as error:
        yield fail("home", str(error), "See above.")
        return
    yield from data.zones(plants if plants.height else live_plants)
    yield from data.devices(devices if devices.height else live_devices)
    yield from data.out_of_reach(settings, lake)
    yield from data.plants_twice(plants, devices)
    if look_at_names:
        yield from data.owner_names(settings, lake)
    yield from data.files(settings)


def _with_zones(services: Services, plants: pl.DataFrame) -> pl.DataFrame:
    """A listing with the zones that a load would give its plants."""
    zones = resolve_zones(services, plants)
    rows = [(code, *zones.get(code, (None, None))) for code in plants["plant_code"]]
    schema = {"plant_code": pl.String(), "time_zone": pl.String(), "time_zone_source": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")
