"""`pvms status`: the answer in one sentence for each way in which nothing comes, and all of it as JSON."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.lake.coverage_summary import DatasetSummary
from pipelines.load.ahead import Ahead, ahead_of
from pipelines.load.asking import LoadStopped
from pipelines.load.fleet import current_fleet
from pipelines.load.headline import headline, waits
from pipelines.load.request import LoadRequest
from pipelines.load.run import run_load
from pipelines.load.services import Services
from pipelines.load.standing import AccountStanding, CallSeen, EndpointStanding, Standing, standing_of
from pipelines.load.work import run_work
from pipelines.northbound.clock import ManualClock, SystemClock
from pipelines.northbound.errors import QuotaExhausted
from pipelines.owner_files import read_policy
from pipelines.planning.calendar import period_window, today
from pipelines.planning.cells import Cell, final_margin
from pipelines.planning.worth import FRESH_ORDER, past_cells, pieces
from pipelines.settings import load_settings
from pipelines.simulator.faults import parse_faults
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2, minutes=5)
YESTERDAY = date(2026, 6, 9)
EVER = (date(2000, 1, 1), date(2100, 1, 1))


def dataset(name: str = "device_history", calls_left: int = 0, **states: int) -> DatasetSummary:
    known = {"missing": 0, "denied": 0, "suspect": 0, "provisional": 0, "final": 10, "empty": 0, **states}
    return DatasetSummary(name, YESTERDAY, YESTERDAY, YESTERDAY, YESTERDAY, None, 100, known, NOW, calls_left)


def endpoint(name: str, next_at: datetime | None = None, **other: Any) -> EndpointStanding:
    closed_by = "window" if next_at else None
    return replace(EndpointStanding(name, 30, 60, 0, 60, next_at, closed_by, False, 0), **other)


def account(*endpoints: EndpointStanding, **other: Any) -> AccountStanding:
    return replace(AccountStanding("north", "ok", NOW, None, None, endpoints), **other)


def standing(**other: Any) -> Standing:
    known: dict[str, Any] = {
        "home": "/data",
        "at": NOW,
        "started": True,
        "account_problem": None,
        "accounts": (account(endpoint("getDevHistoryKpi"), endpoint("getKpiStationDay")),),
        "datasets": (dataset(), dataset("plant_daily")),
        "ahead": (),
        "due": (),
        "denied": (),
        "refused_plants": (),
        "plants": 1,
        "devices": 2,
        "plants_without_zone": (),
        "plants_gone": (),
        "listed_at": NOW,
        "quarantined": 0,
        "unfolded_parts": 0,
        "sees_no_plant": (),
        "doubted": 0,
        "doubted_until": None,
        "loading": False,
        "last_call_at": NOW,
        "first_call_at": NOW,
        "last_data_at": NOW,
        "rows_last_day": 0,
        "calls_last_day": 0,
        "busy_lately": 0,
        "last_errors": (),
        "next_fresh_at": LATER,
        "disk_free_bytes": 10**11,
        "disk_total_bytes": 10**12,
        "warehouse_bytes": 0,
        "published_at": NOW,
    }
    return Standing(**known | other)


HISTORY_CLOSED = (account(endpoint("getDevHistoryKpi", LATER), endpoint("getKpiStationDay")),)
REFUSED = (account(login="refused", login_at=NOW, login_words="wrong (code 20400: x)", login_todo="Correct it."),)
CONTESTED = (account(endpoint("getDevHistoryKpi", LATER, closed_by="contested")),)
MISSING = (dataset(missing=40, calls_left=120), dataset("plant_daily"))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (standing(), "All is there up to 2026-06-09; next fresh data about 2026-06-10 14:05 UTC."),
        (
            standing(datasets=(replace(dataset(), first_provisional=YESTERDAY),)),
            "All is there up to 2026-06-08; next",
        ),
        (
            standing(due=(Ahead("device_history", 12, 2),)),
            "All is there up to 2026-06-09; 12 periods of the last days are due, but nothing is asking: run pvms load.",
        ),
        (
            standing(due=(Ahead("device_history", 12, 2),), accounts=HISTORY_CLOSED),
            "All is there up to 2026-06-09. Waiting for quota: device_history goes on at 2026-06-10 14:05 UTC "
            "(getDevHistoryKpi); about 2 calls left.",
        ),
        (
            standing(due=(Ahead("device_history", 12, 2),), loading=True),
            "All is there up to 2026-06-09; a load is running.",
        ),
        (
            standing(ahead=(Ahead("device_history", 9000, 300),), accounts=HISTORY_CLOSED),
            "Waiting for quota: device_history goes on at 2026-06-10 14:05 UTC (getDevHistoryKpi); about 300 calls "
            "left, 5 days of quota.",
        ),
        (
            standing(ahead=(Ahead("device_history", 9000, 300),)),
            "9,000 periods of the past are wanted and not begun, and the quota allows calls now, but nothing is asking",
        ),
        (
            standing(
                ahead=(Ahead("device_history", 9000, 300),),
                accounts=(account(endpoint("getDevHistoryKpi", LATER, denied=True)),),
            ),
            "All is there up to 2026-06-09; next fresh",
        ),
        (standing(loading=True), "All is there up to 2026-06-09; a load is running."),
        (standing(started=False, accounts=(), datasets=(), plants=0), "Nothing is loaded yet. Next: pvms load"),
        (
            standing(datasets=MISSING, accounts=HISTORY_CLOSED),
            "Waiting for quota: device_history goes on at 2026-06-10 14:05 UTC (getDevHistoryKpi); about 120 calls "
            "left, 2 days of quota.",
        ),
        (
            standing(datasets=MISSING),
            "40 plant periods are missing, and the quota allows calls now, but nothing is asking",
        ),
        (standing(datasets=MISSING, loading=True), "A load is running; 40 plant periods are missing."),
        (
            standing(datasets=MISSING, accounts=HISTORY_CLOSED, loading=True),
            "A load is running; 40 plant periods are missing. Waiting for quota: device_history goes on at",
        ),
        (
            standing(datasets=(*MISSING[:1], dataset("plant_daily", calls_left=1, missing=2)), accounts=HISTORY_CLOSED),
            "42 plant periods are missing, and the quota allows calls now, but nothing is asking: run pvms load.",
        ),
        (
            standing(
                datasets=MISSING,
                accounts=(account(endpoint("getDevHistoryKpi", LATER, closed_by="pause")),),
            ),
            "The vendor's system was busy and turned calls of north away. It rests until 2026-06-10 14:05 UTC. 40",
        ),
        (
            standing(datasets=MISSING, accounts=CONTESTED),
            "Another program logs in with north and ends its sessions, as each login ends the one before: give this "
            "warehouse an API account of its own. It rests until 2026-06-10 14:05 UTC. 40 plant periods are missing.",
        ),
        (
            standing(accounts=CONTESTED),
            "All is there up to 2026-06-09. Another program logs in with north",
        ),
        (
            standing(datasets=MISSING, accounts=(account(endpoint("getDevHistoryKpi"), login_opens_at=LATER),)),
            "No login can be made before 2026-06-10 14:05 UTC. 40 plant periods are missing.",
        ),
        (
            standing(datasets=(dataset(suspect=7),), doubted_until=LATER),
            "All is there up to 2026-06-09; 7 plant periods were answered with nothing at all, which is doubted: asked "
            "again from 2026-06-10 14:05 UTC; next fresh",
        ),
        (
            standing(datasets=(dataset(suspect=7, calls_left=1),), doubted=3),
            "3 plant periods were answered with nothing at all, which is doubted, and the quota allows calls now",
        ),
        (
            standing(accounts=(*REFUSED, account(endpoint("getDevHistoryKpi"), account="south"))),
            "All is there up to 2026-06-09; next fresh data about 2026-06-10 14:05 UTC. Login of north refused since",
        ),
        (
            standing(accounts=REFUSED),
            "Login of north refused since 2026-06-10 12:00 UTC: wrong (code 20400: x). Correct it.",
        ),
        (standing(accounts=REFUSED, started=False, datasets=()), "Login of north refused"),
        (
            standing(account_problem="SMARTPVMS_PASSWORD must be set too.", accounts=()),
            "No account can be asked: SMART",
        ),
        (standing(disk_free_bytes=10**8), "The disk is nearly full: 0.1 GB are left."),
        (
            standing(datasets=(dataset(denied=3),)),
            "All is there up to 2026-06-09, but for 3 plant periods that the vendor",
        ),
    ],
)
def test_the_first_line_is_the_answer(found: Standing, said: str) -> None:
    assert headline(found).startswith(said)


FAILED = CallSeen(
    NOW, "north", "stations", "server_fault", None, "HTTP 502 with text/html", "Try again later.", "{}", "inventory"
)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"accounts": (), "plants": 0}, "Nothing is loaded yet. Next: pvms load --from yesterday"),
        ({"loading": True, "plants": 0}, "The first load is running."),
        ({"loading": True}, "The first load is running; 1 plant and 2 devices are listed."),
        (
            {"last_errors": (FAILED,), "plants": 0},
            "Nothing is loaded yet: stations of north failed at 2026-06-10 12:00 UTC: HTTP 502 with text/html. Try "
            "again later. Then: pvms load",
        ),
        # Somebody has succeeded since.
        (
            {"last_errors": (replace(FAILED, at=NOW - timedelta(hours=1)),)},
            "Nothing is loaded yet; 1 plant and 2 devices",
        ),
        ({"sees_no_plant": ("north",), "plants": 0}, "Nothing is loaded yet: the vendor lists no plant to north. The"),
        (
            {"accounts": (account(endpoint("stations", LATER, closed_by="pause")),), "last_errors": (FAILED,)},
            "Nothing is loaded yet. The vendor's system was busy and turned calls of north away. It rests until",
        ),
        (
            {"accounts": (account(endpoint("stations", LATER, closed_by="contested")),)},
            "Nothing is loaded yet. Another program logs in with north",
        ),
        (
            {
                "accounts": (account(login_opens_at=LATER),),
                "last_errors": (replace(FAILED, endpoint="login", words="called too often (code 407: x)."),),
            },
            "Nothing is loaded yet. north can't log in before 2026-06-10 14:05 UTC: called too often (code 407: x).",
        ),
    ],
)
def test_before_the_first_data_it_says_what_stopped_it(other: dict[str, Any], said: str) -> None:
    none: dict[str, Any] = {"started": False, "datasets": (), "accounts": (account(login="unknown"),)}
    assert headline(standing(**none | other)).startswith(said)


def test_what_goes_on_first_is_named_first_and_all_accounts_count() -> None:
    closed = account(endpoint("getDevHistoryKpi", LATER), endpoint("getKpiStationDay", NOW + timedelta(hours=1)))
    both = (dataset("plant_daily", calls_left=1, missing=1), dataset(missing=40, calls_left=120))
    assert [each.dataset for each in waits(standing(datasets=both, accounts=(closed,)))] == [
        "plant_daily",
        "device_history",
    ]
    first_line = headline(standing(datasets=both, accounts=(closed,)))
    assert first_line == (
        "Waiting for quota: plant_daily goes on at 2026-06-10 13:00 UTC (getKpiStationDay); about 121 calls left, 2 "
        "days of quota for device_history (120 calls)."
    )
    second = replace(closed, account="south")
    assert [each.days for each in waits(standing(datasets=both, accounts=(closed, second)))] == [1, 1]
    assert waits(standing(datasets=both, accounts=(closed, account(endpoint("getDevHistoryKpi"), account="x")))) == [
        waits(standing(datasets=both, accounts=(closed,)))[0]
    ]


# --- Against a server ---


@pytest.fixture(scope="module")
def world() -> World:
    return build_world("single", 1)


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def write(base_url: str, password: str = "demo-password", further: str = "") -> None:
        text = f"SMARTPVMS_BASE_URL={base_url}\nSMARTPVMS_USERNAME=demo\nSMARTPVMS_PASSWORD={password}\n{further}"
        (tmp_path / ".env").write_text(text, encoding="utf-8")

    return write


def load(days: int, *datasets: str) -> None:
    end = (datetime.now(UTC) - timedelta(hours=14)).date() - timedelta(days=1)
    with Services.open(load_settings()) as services:
        run_load(LoadRequest(end - timedelta(days=days - 1), end, datasets), services, build=False)


def status(*options: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["status", "--json", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "demo-password" not in result.output
    return result.exit_code, json.loads(result.stdout)


def test_a_load_that_ran_out_of_quota_says_when_it_goes_on(world: World, use: Callable[..., None]) -> None:
    with Simulator(world) as simulator:
        use(simulator.base_url)
        load(40, "plant_hourly")
        before = len(simulator.log)
        code, found = status()
        assert len(simulator.log) == before  # nothing was asked
    assert code == 0
    assert found["answer"].startswith("Waiting for quota: plant_hourly goes on at ")
    (hourly,) = found["coverage"]
    (quota,) = [each for each in found["quota"] if each["endpoint"] == "getKpiStationHour"]
    assert quota["free"] == 0
    assert quota["used"] == quota["limit"] == hourly["final"]
    assert hourly["missing"] == hourly["calls_left"] - hourly["due"] == 40 - quota["used"]
    opens = datetime.fromisoformat(quota["next"])
    assert timedelta(hours=23) < opens - datetime.now(UTC) <= timedelta(days=1)


def test_what_is_due_is_what_a_load_without_dates_asks_for(world: World, use: Callable[..., None]) -> None:
    with Simulator(world) as simulator:
        use(simulator.base_url)
        load(2, "plant_daily")
        _, before = status()
        assert "of the last days are due, but nothing is asking: run pvms load." in before["answer"]
        with Services.open(load_settings()) as services:
            report = run_work(services, build=False)
        _, after = status()
    due = {each["dataset"]: each["periods"] for each in before["due"]}
    assert due.keys() == report.cells.keys() & set(FRESH_ORDER)
    # Calls for other reports answer for more than was due.
    assert all(due[name] == report.cells[name] for name in ("plant_hourly", "device_history"))
    assert all(count <= report.cells[name] for name, count in due.items())
    assert after["due"] == []
    at, (zone,) = datetime.fromisoformat(after["at"]), {plant.zone for plant in world.plants}
    margin = final_margin("device_history")
    settled = period_window("day", today(at - margin, zone), zone).end + margin
    assert settled <= datetime.fromisoformat(after["next_fresh_at"]) <= settled + timedelta(minutes=2)


def test_what_lies_ahead_is_what_a_worker_would_ask_for(world: World, use: Callable[..., None]) -> None:
    start = datetime.now(UTC).date() - timedelta(days=45)
    with Simulator(world) as simulator:
        use(simulator.base_url, further=f"PVMS_HISTORY_START={start}\n")
        load(12, "plant_daily", "device_history")
    settings = load_settings()
    with Services.open(settings) as services:
        now, fleet = services.clock.now(), current_fleet(services)
        policy = read_policy(settings.policy_file, settings)
        subjects = {name: list(fleet.subjects(name).values()) for name in FRESH_ORDER}
        kinds = {each.id: each.device_type_id for each in subjects["device_history"]}
        wanted: dict[str, set[Cell]] = {name: set() for name in FRESH_ORDER}
        for piece in pieces(subjects, policy, now):
            wanted[piece.dataset].update(past_cells(piece, subjects[piece.dataset], policy, now))
        expected = {}
        for name, cells in wanted.items():
            known = services.coverage.states(name, None, *EVER)
            expected[name] = len([cell for cell in cells if (cell.subject, cell.period) not in known])
        found = {each.dataset: each for each in ahead_of(services.coverage.path, fleet, policy, now, None)}
    assert {name: found[name].periods if name in found else 0 for name in FRESH_ORDER} == expected
    assert expected["device_history"] > expected["device_daily"] - 45 > 0
    assert all(each.calls >= 1 for each in found.values())
    _, told = status()
    assert {row["dataset"]: row["not_begun"] for row in told["coverage"]}["device_history"] == expected[
        "device_history"
    ]
    assert "wanted and not begun" in told["answer"]
    # A call takes one day of a plant's hours, and three days of the devices of one type.
    assert found["plant_hourly"].calls == found["plant_hourly"].periods > 30
    missing = Counter(cell.subject for cell in wanted["device_history"]) - Counter(
        cell.subject
        for cell in wanted["device_history"]
        if (cell.subject, cell.period) in services.coverage.states("device_history", None, *EVER)
    )
    assert len({kinds[one] for one in missing}) == len(missing), "one device of each type"
    assert found["device_history"].calls == sum(-(-days // 3) for days in missing.values())


def test_a_refused_login_and_a_denied_endpoint_are_said_with_their_words(
    world: World, use: Callable[..., None]
) -> None:
    with Simulator(world, faults=parse_faults(["deny=getKpiStationHour"])) as simulator:
        use(simulator.base_url)
        load(2, "plant_daily", "plant_hourly")
        _, found = status()
        assert found["answer"].startswith("All is there up to ")
        assert "but for 2 plant periods that the vendor refuses (plant_hourly)" in found["answer"]
        assert "401" in found["denied"][0]["reason"]
        assert found["last_errors"][-1]["endpoint"] == "getKpiStationHour"
        assert "permission" in found["last_errors"][-1]["words"]
        use(simulator.base_url, "wrong-secret")
        (Path("data/state/tokens.json")).unlink()
        load(3, "plant_monthly")
        _, found = status()
    assert found["answer"].startswith("Login of demo refused since ")
    assert "20400" in found["answer"]
    assert "wrong-secret" not in json.dumps(found)
    text = CliRunner().invoke(app, ["status"]).output
    assert found["answer"] in text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("other_shape=stations", "Nothing is loaded yet: stations of demo failed at "),
        ("deny=stations", "Nothing is loaded yet: demo may not list plants (stations, 401). "),
        ("login_limited", "Nothing is loaded yet. demo can't log in before "),
        ("empty_data=stations", "Nothing is loaded yet: the vendor lists no plant to demo. "),
        (
            "unauthorized_plant={plant}",
            "Nothing is loaded yet; 1 plant and 0 devices are listed. Every plant is refused: their owners can allow",
        ),
    ],
)
def test_a_bad_first_day_is_explained(world: World, use: Callable[..., None], fault: str, said: str) -> None:
    with Simulator(world, faults=parse_faults([fault.format(plant=world.plants[0].code)])) as simulator:
        use(simulator.base_url)
        with suppress(LoadStopped, QuotaExhausted):
            load(1, "plant_daily")
        code, found = status()
    assert found["answer"].startswith(said), found["answer"]
    assert code == (1 if "Nothing is loaded" in said else 0)
    for error in found["last_errors"]:
        assert error["words"] and error["todo"]


def test_a_war_of_sessions_is_named_and_told(world: World, use: Callable[..., None], tmp_path: Path) -> None:
    script = tmp_path / "tell.sh"
    script.write_text('#!/bin/sh\nread -r text\necho "$PVMS_EVENT" >> "$(dirname "$0")/told"\n')
    script.chmod(0o700)
    with Simulator(world) as simulator:
        use(simulator.base_url, further=f"PVMS_NOTIFY_COMMAND={script}\n")
        load(1, "plant_hourly")
    with Simulator(world, port=simulator.port, faults=parse_faults(["steal_session"])) as simulator:
        for _ in range(3):
            load(2, "plant_hourly")
        _, found = status()
    assert found["answer"].startswith("Another program logs in with demo and ends its sessions")
    assert "1 plant period is missing" in found["answer"]
    assert "session_contested" in (tmp_path / "told").read_text().splitlines()


def test_a_person_is_told_by_the_end_of_a_load(world: World, use: Callable[..., None], tmp_path: Path) -> None:
    script = tmp_path / "tell.sh"
    script.write_text('#!/bin/sh\nread -r text\necho "$PVMS_EVENT $text" >> "$(dirname "$0")/told"\n')
    script.chmod(0o700)
    told = tmp_path / "told"
    with Simulator(world) as simulator:
        use(simulator.base_url, "wrong-secret", f"PVMS_NOTIFY_COMMAND={script}\n")
        load(1, "plant_daily")
        words = [line.partition(" ")[0] for line in told.read_text().splitlines()]
        assert sorted(words) == ["alive", "login_stopped"]
        load(1, "plant_daily")
        assert len(told.read_text().splitlines()) == 2  # each once a day
        use(simulator.base_url, "demo-password", f"PVMS_NOTIFY_COMMAND={script}\n")
        load(1, "plant_daily")
        assert told.read_text().splitlines()[2].startswith("resolved Over: Login of demo refused since ")
    result = CliRunner().invoke(app, ["status", "--notify"])
    assert "nothing new" in result.stderr


def test_a_home_without_an_account_shows_what_is_there(world: World, use: Callable[..., None], tmp_path: Path) -> None:
    with Simulator(world) as simulator:
        use(simulator.base_url)
        load(1, "plant_daily")
    (tmp_path / ".env").write_text("", encoding="utf-8")
    code, found = status()
    assert (code, found["quota"]) == (0, [])
    assert found["answer"].startswith("All is there up to ")
    assert found["coverage"][0]["dataset"] == "plant_daily"


def test_an_empty_home_is_looked_at_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = status()
    assert code == 1
    assert found["answer"].startswith("Nothing is loaded yet.")
    assert list(tmp_path.iterdir()) == []
    assert standing_of(load_settings(), ManualClock(SystemClock().now())).periods == {}
