"""What there is to ask for: by name before by policy, and fresh days of which only what isn't final is looked at."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.lake.coverage import Coverage, Entry
from pipelines.load.looks import AskedLook, FreshLook
from pipelines.load.request import LoadReport
from pipelines.load.wanting import Wanting
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.policy import Group, Policy

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
SINCE = date(2026, 1, 1)
PLANTS = {code: Subject(code, code, None, "Europe/Rome", date(2020, 5, 1)) for code in ("A", "B")}


@pytest.fixture
def coverage(tmp_path):
    return Coverage(tmp_path / "coverage.sqlite")


def services_of(coverage) -> Any:
    clock = SimpleNamespace(now=lambda: NOW)
    clients = {"a": SimpleNamespace(server_now=lambda: NOW)}
    requests = SimpleNamespace(forced=lambda: None)
    return SimpleNamespace(coverage=coverage, clock=clock, clients=clients, requests=requests)


def look_at_asked(coverage, policy) -> AskedLook:
    services, fleet = services_of(coverage), SimpleNamespace()
    return AskedLook(services, "plant_hourly", PLANTS, policy, Wanting(services, fleet, LoadReport()))


def declared(coverage, *periods, asked=False):
    coverage.declare([("plant_hourly", "A", "A", period) for period in periods], asked=asked)


def asked(coverage, policy) -> list[date]:
    look = look_at_asked(coverage, policy)
    return [cell.period for piece in look.pieces(NOW) for cell in look.todo(piece, NOW)]


def test_what_is_missing_by_policy_alone_was_not_asked_for_by_name(coverage):
    by_policy, by_name, before = date(2026, 3, 1), date(2026, 3, 5), date(2025, 6, 1)
    declared(coverage, by_policy, by_name)
    assert asked(coverage, Policy(Group("all", since=SINCE))) == []
    declared(coverage, by_name, before, asked=True)
    assert asked(coverage, Policy(Group("all", since=SINCE))) == [by_name, before]
    assert asked(coverage, Policy(Group("all"))) == [by_policy, by_name, before], "no gap filling: all was asked for"


def test_what_was_asked_for_and_refused_or_doubted_is_asked_again(coverage):
    day = date(2026, 3, 5)
    declared(coverage, day, asked=True)
    read = Entry("plant_hourly", "A", "A", day, "denied", 0, NOW - timedelta(hours=1), "no")
    coverage.record([read])
    assert asked(coverage, Policy(Group("all", since=SINCE))) == []
    coverage.record([read._replace(extracted_at=NOW - timedelta(days=2))])
    assert asked(coverage, Policy(Group("all", since=SINCE))) == [], "an older refusal teaches nothing"
    later = look_at_asked(coverage, Policy(Group("all", since=SINCE)))
    (piece,) = later.pieces(NOW)
    assert later.todo(piece, NOW + timedelta(days=1)) == [Cell("plant_hourly", "A", day)]
    coverage.record([read._replace(state="final", rows=24, extracted_at=NOW, reason=None)])
    assert later.pieces(NOW) == []


def test_a_fresh_look_gives_what_came_due_until_it_is_final(coverage):
    look = FreshLook(services_of(coverage), "plant_daily", PLANTS, Policy(Group("all", since=SINCE)))
    (piece,) = look.pieces(NOW)
    todo = look.todo(piece, NOW)
    # The last week's days, each of both plants; today runs on.
    assert {cell.period for cell in todo} >= {date(2026, 6, number) for number in range(3, 10)}
    assert {cell.subject for cell in todo} == {"A", "B"}
    assert coverage.keys("plant_daily", SINCE, NOW.date()) == {(c.subject, c.period) for c in todo}

    mine = [cell for cell in todo if cell.subject == "A"]
    coverage.record(Entry(*cell[:2], "A", cell.period, "final", 1, NOW) for cell in mine)
    left = look.todo(piece, NOW)
    assert sorted(left) == sorted(cell for cell in todo if cell.subject == "B")
    assert sorted(look.todo(piece, NOW, keep=False)) == sorted(left)

    next_day = NOW + timedelta(days=1)
    new = [cell for cell in look.todo(piece, next_day) if cell.subject == "A"]
    assert [cell.period for cell in new] == [date(2026, 6, 10)]
