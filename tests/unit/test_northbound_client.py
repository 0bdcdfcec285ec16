"""The client over real HTTP: good answers, what it checks before a call, lists, and secrets."""

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from northbound_clients import BODY, DAY, SECRET, Make, clock, make, server
from northbound_loopback import CURRENT_TIME_MS, Loopback, Say, logged_in, refused, rows

from pipelines.northbound import errors
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts
from schemas.endpoints import ENDPOINTS

__all__ = ["clock", "make", "server"]


def test_an_answer_keeps_the_rows_as_they_came(server: Loopback, make: Make) -> None:
    text = '[{"stationCode":"NE=1",  "collectTime":1,"dataItemMap":{"x":1.10}}]'
    server.say(
        DAY, Say(f'{{"success":true,"failCode":0,"data":{text},"params":{{"currentTime":"{CURRENT_TIME_MS}"}}}}')
    )
    client = make()
    answer = client.call(DAY, BODY, why="a test")
    assert answer.data == text.encode()
    assert (answer.rows, answer.endpoint, answer.request) == (1, DAY, BODY)
    assert answer.server_time == datetime.fromtimestamp(CURRENT_TIME_MS / 1000, UTC)
    (login, call) = client.ledger.calls()
    assert (login.endpoint, login.outcome, login.asked) == ("login", "ok", "login")
    assert (call.outcome, call.fail_code, call.rows, call.bytes) == ("ok", 0, 1, answer.bytes)
    assert (call.why, json.loads(call.asked), call.account) == ("a test", BODY, "main")


def test_the_request_is_what_the_reference_asks_for(server: Loopback, make: Make) -> None:
    server.say(DAY, Say(rows({"a": 1}).raw(), packed=True))
    make().call(DAY, BODY, why="w")
    login, call = server.heard
    assert login.path == "/thirdData/login"
    assert login.body == {"userName": "api", "systemCode": SECRET}
    assert call.path == "/thirdData/getKpiStationDay"
    assert call.body == BODY
    assert call.headers["xsrf-token"] == "token-1"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["accept-encoding"] == "gzip"
    assert call.headers["user-agent"].startswith("smartpvms-warehouse")
    assert "cookie" not in call.headers
    assert login.connection == call.connection, "one connection for both"


def test_an_empty_list_is_an_answer(server: Loopback, make: Make) -> None:
    server.say(DAY, rows())
    assert make().call(DAY, BODY, why="w").data == b"[]"


def test_without_a_time_in_the_answer_the_date_header_counts(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say(DAY, Say({"success": True, "failCode": 0, "data": []}))
    found = make().call(DAY, BODY, why="w").server_time
    assert abs(found - datetime.now(UTC)) < timedelta(hours=1)
    assert found != clock.now()


@pytest.mark.parametrize(("old", "new"), [("getStationList", "stations"), ("getDevFiveMinutes", "getDevHistoryKpi")])
def test_old_endpoints_lead_to_the_new_ones(server: Loopback, make: Make, old: str, new: str) -> None:
    with pytest.raises(errors.RequestInvalid, match=new):
        make().call(old, {}, why="w")
    server.say(new, refused(401, "Invalid access to current interface!"))
    with pytest.raises(errors.PermissionDenied, match=old):
        make().call(new, {}, why="w")
    assert ENDPOINTS[new].replaces == old
    assert not server.calls(old)


def test_login_and_unknown_names_are_no_calls(server: Loopback, make: Make) -> None:
    for name in ("login", "logout", "nonsense"):
        with pytest.raises(errors.RequestInvalid):
            make().call(name, {}, why="w")
    assert not server.heard


def test_a_used_up_quota_costs_not_even_a_login(server: Loopback, make: Make, clock: ManualClock) -> None:
    client = make()
    client.counts = FleetCounts(plants=1)
    server.say("getStationRealKpi", rows())
    client.call("getStationRealKpi", {"stationCodes": "NE=1"}, why="w")
    client._session._cache.drop_token(server.url, "api", "token-1")
    with pytest.raises(errors.QuotaExhausted) as stopped:
        client.call("getStationRealKpi", {"stationCodes": "NE=1"}, why="w")
    assert stopped.value.next_at == clock.now() + timedelta(minutes=5)
    assert len(server.heard) == 2


def page(number: int, pages: int, total: int, *codes: str) -> Say:
    data = {
        "list": [{"plantCode": code, "plantName": "p"} for code in codes],
        "pageNo": number,
        "pageCount": pages,
        "pageSize": 100,
        "total": total,
    }
    return Say({"success": True, "failCode": 0, "data": data, "message": "get plant list success"})


def test_all_pages_of_the_plant_list(server: Loopback, make: Make) -> None:
    server.say("stations", page(1, 2, 3, "a", "b"), page(2, 2, 3, "c"))
    client = make()
    answers = client.plants(why="w")
    assert [json.loads(each.data) for each in answers] == [
        [{"plantCode": "a", "plantName": "p"}, {"plantCode": "b", "plantName": "p"}],
        [{"plantCode": "c", "plantName": "p"}],
    ]
    assert [each.body for each in server.calls("stations")] == [{"pageNo": 1}, {"pageNo": 2}]
    assert client.counts.plants == 3
    assert client.counts.devices_by_type == {1: 20, 47: 2}


@pytest.mark.parametrize("answer", [page(1, 0, 0), page(1, 1, 0), rows()])
def test_an_account_without_plants(server: Loopback, make: Make, answer: Say) -> None:
    server.say("stations", answer)
    (found,) = make().plants(why="w")
    assert found.data == "[]"


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(1, 2, 3, "a", "b"), page(1, 2, 3, "a", "b")], "page 2 was asked for"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 4, "c", "d")], "announced 3 plants"),
        ([page(1, 2, 3, "a", "b"), page(2, 3, 3, "c")], "announced 3 plants"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 3)], "page 2 of 2 is empty"),
        ([page(1, 1, 3, "a", "b")], "3 plants were announced and 2 came"),
        ([page(1, 1, 1, "a", "b")], "1 plants were announced and 2 came"),
        ([page(1, 2, 3, "a", "b"), page(2, 2, 3, "b")], "came twice"),
        ([page(1, 1_000_000, 3, "a", "b")], "pages were announced"),
        ([page(0, 1, 1, "a")], "page 1 was asked for"),
    ],
)
def test_a_list_that_does_not_add_up_is_refused(server: Loopback, make: Make, pages: list[Say], why: str) -> None:
    server.say("stations", *pages)
    with pytest.raises(errors.IncompleteList, match=why):
        make().plants(why="w")


@pytest.mark.parametrize(
    "data", [{"list": []}, {"list": None, "pageNo": 1, "pageCount": 1, "total": 0}, None, [{"plantCode": "a"}]]
)
def test_a_plant_list_without_its_frame_is_refused(server: Loopback, make: Make, data: Any) -> None:
    server.say("stations", Say({"success": True, "failCode": 0, "data": data}))
    with pytest.raises(errors.BadAnswer, match="unexpected shape"):
        make().plants(why="w")


def test_devices_are_asked_for_by_hundreds(server: Loopback, make: Make) -> None:
    server.say("getDevList", rows({"id": 1}))
    client = make()
    codes = [f"NE={number}" for number in range(130)]
    assert len(client.devices(codes, why="w")) == 2
    first, second = server.calls("getDevList")
    assert first.body["stationCodes"].split(",") + second.body["stationCodes"].split(",") == codes
    asked = json.loads(client.ledger.calls()[1].asked)["stationCodes"]
    assert asked.startswith("NE=0,NE=1,")
    assert asked.endswith("(100)")


def test_no_secret_shows_up_anywhere(
    server: Loopback, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "token-that-nobody-may-see"
    server.say("login", logged_in(token))
    client = make()
    texts = [repr(client), repr(client.__dict__), repr(client._session.__dict__)]
    for answer in (
        refused(20013, f"you sent {SECRET} with {token}"),
        Say(f"<p>{SECRET}{token}", content_type="text/html"),
    ):
        server.say(DAY, answer)
        with pytest.raises(errors.NorthboundError) as stopped:
            client.call(DAY, BODY, why="w")
        texts += [
            repr(stopped.value),
            errors.describe_error(stopped.value),
            "".join(traceback.format_exception(stopped.value)),
        ]
    server.say("login", refused(20400, f"wrong: {SECRET}"))
    client._session._cache.drop_token(server.url, "api", token)
    with pytest.raises(errors.LoginRefused) as refusal:
        client.call(DAY, BODY, why="w")
    texts += [refusal.value.describe(), caplog.text, repr(client._session._cache.get(server.url, "api"))]
    everything = "\n".join(texts)
    assert SECRET not in everything
    assert token not in everything
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert SECRET.encode() not in on_disk
    ledger = b"".join(path.read_bytes() for path in (tmp_path / "state").glob("ledger*"))
    assert token.encode() not in ledger
