"""What the client makes of refusals and spoilt answers over real HTTP."""

from datetime import timedelta

import pytest
from northbound_clients import BODY, DAY, Make, clock, make, outcomes, server
from northbound_loopback import Loopback, Say, refused, rows

from pipelines.northbound import errors
from pipelines.northbound.client import ATTEMPTS
from pipelines.northbound.clock import ManualClock
from pipelines.northbound.ledger import FleetCounts

__all__ = ["clock", "make", "server"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, errors.PermissionDenied),
        ("402", errors.PermissionDenied),
        (20056, errors.PlantNotAuthorized),
        (20622, errors.PlantNotAuthorized),
        (20013, errors.RequestRejected),
        (99999, errors.RequestRejected),
    ],
)
def test_a_permanent_refusal_is_raised_at_once(
    server: Loopback, make: Make, code: int | str, kind: type[errors.NorthboundError]
) -> None:
    server.say(DAY, refused(code, "in other words"))
    client = make()
    with pytest.raises(kind, match="in other words") as stopped:
        client.call(DAY, BODY, why="w")
    assert (stopped.value.code, stopped.value.transient, stopped.value.endpoint) == (int(code), False, DAY)
    assert len(server.calls(DAY)) == 1
    assert client.ledger.calls()[-1].fail_code == int(code)
    assert client.allowance(DAY).used == 1, "a refused call counts"


@pytest.mark.parametrize(
    "answer",
    [
        Say({"success": False, "failCode": 407, "data": "ACCESS_FREQUENCY_IS_TOO_HIGH", "message": None}),
        Say({"success": False, "failCode": "407", "data": None, "message": "ACCESS_FREQUENCY_IS_TOO_HIGH"}),
        refused(20618, "ACCESS_FREQUENCY_IS_TOO_HIGH"),
    ],
)
def test_called_too_often_closes_the_endpoint_for_one_pace(
    server: Loopback, make: Make, clock: ManualClock, answer: Say
) -> None:
    server.say(DAY, answer, rows())
    pace = timedelta(days=1) / 25
    client = make()
    with pytest.raises(errors.QuotaExhausted, match="ACCESS_FREQUENCY_IS_TOO_HIGH") as stopped:
        client.call(DAY, BODY, why="w")
    assert isinstance(stopped.value.__cause__, errors.RateLimited)
    assert stopped.value.next_at == clock.now() + pace
    with pytest.raises(errors.QuotaExhausted):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1, "the second never left"
    clock.advance(pace.total_seconds())
    client.call(DAY, BODY, why="w")
    assert client.allowance(DAY).next_at == clock.now() + pace, "spaced from now on"
    assert client.allowance("getKpiStationHour").granted, "the others aren't"


@pytest.mark.parametrize(
    "answer",
    [
        Say({"errorCode": "49401021002", "exceptionInfo": "Request is rejected by api quotaControl."}, status=403),
        Say("<html>busy</html>", status=503, content_type="text/html"),
        refused(429),
        refused(20200),
        Say(b"", status=429),
    ],
)
def test_a_busy_system_is_given_a_minute_then_longer(
    server: Loopback, make: Make, clock: ManualClock, answer: Say
) -> None:
    server.say(DAY, answer, rows({"a": 1}), answer)
    client = make()
    assert client.call(DAY, BODY, why="w").rows == 1
    assert clock.slept == [60.0], "a minute is worth waiting for"
    assert outcomes(client)[1:] == [(DAY, "system_busy"), (DAY, "ok")]
    rests = []
    for _ in range(6):
        with pytest.raises(errors.QuotaExhausted) as stopped:
            client.call(DAY, BODY, why="w")
        assert isinstance(stopped.value.__cause__, errors.SystemBusy)
        assert stopped.value.why is not None and "busy" in stopped.value.why
        assert stopped.value.next_at is not None
        rests.append((stopped.value.next_at - clock.now()).total_seconds() / 60)
        clock.advance(rests[-1] * 60)
    assert rests == [3, 10, 30, 60, 60, 60], "the first minute was waited out within the call"
    assert clock.slept == [60.0, 60.0]


def test_the_whole_account_rests_in_every_process(server: Loopback, make: Make, clock: ManualClock) -> None:
    server.say(DAY, Say(b"", status=429))
    server.say("getKpiStationHour", rows({"a": 1}))
    with pytest.raises(errors.QuotaExhausted):
        make().call(DAY, BODY, why="w")
    heard = len(server.heard)
    other = make()
    found = other.allowance("getKpiStationHour")
    assert (found.granted, found.closed_by, found.next_at) == (False, "pause", clock.now() + timedelta(minutes=3))
    with pytest.raises(errors.QuotaExhausted, match="account rests"):
        other.call("getKpiStationHour", BODY, why="w")
    assert make(account="another").allowance("getKpiStationHour").granted
    clock.advance(150)
    assert other.call("getKpiStationHour", BODY, why="w").rows == 1, "half a minute is waited for"
    assert clock.slept[-1] == 30.0
    assert len(server.heard) == heard + 1, "no call went out inside the rest"
    assert other.allowance(DAY).granted
    with pytest.raises(errors.QuotaExhausted):
        other.call(DAY, BODY, why="w")
    assert clock.slept[-1] == 60.0, "a success has made the rest short again"


def test_nobody_waits_for_a_busy_system_when_the_quota_is_gone_anyway(
    server: Loopback, make: Make, clock: ManualClock
) -> None:
    server.say("getAlarmList", Say(b"", status=403))
    client = make()
    client.counts = FleetCounts(plants=1)
    with pytest.raises(errors.QuotaExhausted) as stopped:
        client.call("getAlarmList", {"stationCodes": "NE=1"}, why="w")
    assert isinstance(stopped.value.__cause__, errors.SystemBusy)
    assert stopped.value.why is None, "it is the quota"
    assert stopped.value.next_at == clock.now() + timedelta(minutes=30)
    assert clock.slept == []


@pytest.mark.parametrize(
    "answer",
    [
        Say("<html>maintenance</html>", content_type="text/html"),
        Say(b""),
        Say('{"success":true,"data":[{"a":1}'),
        Say(rows({"a": "x" * 5000}).raw(), cut=True),
        Say("<html>oops</html>", status=502, content_type="text/html"),
        refused(20004),
    ],
)
def test_what_may_pass_is_tried_a_few_times(server: Loopback, make: Make, clock: ManualClock, answer: Say) -> None:
    server.say(DAY, answer, rows({"a": 1}))
    client = make()
    assert client.call(DAY, BODY, why="w").rows == 1
    server.say(DAY, answer)
    with pytest.raises(errors.TransportError) as stopped:
        client.call(DAY, BODY, why="w")
    assert stopped.value.transient
    assert len(server.calls(DAY)) == 2 + ATTEMPTS
    assert client.allowance(DAY).used == 2 + ATTEMPTS, "every try is in the ledger"
    assert 0 < clock.slept[0] < clock.slept[2] < 30


@pytest.mark.parametrize(
    "body",
    [
        '{"success":true,"failCode":0,"data":null}',
        '{"success":true,"failCode":0}',
        '{"success":true,"failCode":0,"data":{"list":[]}}',
        '{"success":false,"failCode":0,"data":[]}',
        '{"success":true,"failCode":"many","data":[]}',
        '{"failCode":0,"data":[]}',
    ],
)
def test_a_whole_answer_of_another_shape_is_neither_empty_nor_repeated(server: Loopback, make: Make, body: str) -> None:
    server.say(DAY, Say(body))
    with pytest.raises(errors.BadAnswer, match="unexpected shape"):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1


@pytest.mark.parametrize("body", ["[]", "null", "{}", '{"hello":1}', "3"])
def test_json_of_somebody_else_is_no_answer(server: Loopback, make: Make, body: str) -> None:
    server.say(DAY, Say(body))
    with pytest.raises(errors.BadAnswer):
        make().call(DAY, BODY, why="w")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Say("<html>", status=404, content_type="text/html"), errors.WrongAddress),
        (Say(b"", status=302, headers=(("Location", "https://elsewhere.example/"),)), errors.WrongAddress),
        (Say("nope", status=400), errors.RequestRejected),
    ],
)
def test_http_statuses_without_an_answer(
    server: Loopback, make: Make, answer: Say, kind: type[errors.NorthboundError]
) -> None:
    server.say(DAY, answer)
    with pytest.raises(kind):
        make().call(DAY, BODY, why="w")
    assert len(server.calls(DAY)) == 1


def test_a_success_that_names_a_code_is_a_refusal(server: Loopback, make: Make) -> None:
    server.say(DAY, Say({"success": True, "failCode": 20009, "data": []}))
    with pytest.raises(errors.RequestRejected):
        make().call(DAY, BODY, why="w")


def test_json_that_calls_itself_something_else_is_taken(server: Loopback, make: Make) -> None:
    server.say(DAY, Say(rows({"a": 1}).raw(), content_type="text/plain"))
    assert make().call(DAY, BODY, why="w").rows == 1


def test_what_another_process_was_refused_meanwhile_is_not_tried_again(
    server: Loopback, make: Make, clock: ManualClock
) -> None:
    client, other = make(), make()
    server.say(DAY, Say(b""), refused(401))
    sleep = clock.sleep

    def pass_time(seconds: float) -> None:
        sleep(seconds)
        if DAY not in other.denials.known("main"):
            with pytest.raises(errors.PermissionDenied):
                other.call(DAY, BODY, why="the other's")

    clock.sleep = pass_time  # type: ignore[method-assign]
    with pytest.raises(errors.PermissionDenied, match="refused since"):
        client.call(DAY, BODY, why="w")
    days = [call for call in outcomes(client) if call[0] == DAY]
    assert len(days) == 2, "one spoilt answer, and one refusal for both"
