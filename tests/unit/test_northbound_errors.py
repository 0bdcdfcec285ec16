"""Every code has its class, every error says what to do, and the reference's own examples are judged rightly."""

import inspect
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.northbound import errors
from pipelines.northbound.codes import FAIL_CODES, UNLISTED_CODES, meaning_of
from pipelines.northbound.judge import judge_login, judge_logout, judge_rows, token_of
from pipelines.northbound.transport import Reply
from schemas.endpoints import ENDPOINTS, READ_ENDPOINTS

REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.NorthboundError) and not issubclass(kind, errors.QuotaExhausted)
]


def reply(body: Any, *headers: tuple[str, str], status: int = 200) -> Reply:
    return Reply(status, (("content-type", "application/json"), *headers), json.dumps(body).encode())


def example(name: str, which: str) -> Any:
    return json.loads((REFERENCE / f"{name}.json").read_text())[which]


# --- the reference's examples --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READ_ENDPOINTS)
def test_the_examples_of_a_success(name: str) -> None:
    answer = example(name, "success")
    verdict = judge_rows(name, reply(answer), paged=ENDPOINTS[name].paged, now=NOW)
    expected = answer["data"]["list"] if name == "stations" else answer["data"]
    assert json.loads(verdict.data) == expected
    assert verdict.rows == len(expected) > 0
    current = (answer.get("params") or {}).get("currentTime")
    assert verdict.server_time == (datetime.fromtimestamp(current / 1000, UTC) if current else NOW)
    assert (verdict.page is not None) == (name == "stations")


@pytest.mark.parametrize("name", READ_ENDPOINTS)
def test_the_examples_of_an_error(name: str) -> None:
    answer = example(name, "error")
    with pytest.raises(errors.NorthboundError) as stopped:
        judge_rows(name, reply(answer), paged=ENDPOINTS[name].paged, now=NOW)
    assert stopped.value.code == answer["failCode"]
    assert type(stopped.value) is errors.error_class(answer["failCode"])


def test_the_examples_of_login_and_logout() -> None:
    with pytest.raises(errors.LoginRefused) as stopped:
        judge_login(reply(example("login", "error")))
    assert stopped.value.code == 20001
    assert judge_login(reply(example("login", "success"), ("xsrf-token", "t"))) == "t"
    judge_logout(reply(example("logout", "success")))
    judge_logout(reply(example("logout", "error")))


# --- codes and classes ---------------------------------------------------------------------------------------


def test_the_list_of_codes_is_whole() -> None:
    assert len(FAIL_CODES) == 170
    assert meaning_of(407) == "The API access frequency is too high."
    assert meaning_of(20056) == "Resources that are not authorized by the owner exist."
    assert meaning_of(123456) is None
    assert not FAIL_CODES.keys() & UNLISTED_CODES.keys()


def test_codes_lead_to_their_classes() -> None:
    expected = {
        errors.LoginRefused: {20400, 20001, 20002, 20003, 20403},
        errors.SessionExpired: {305, 306, 307},
        errors.PermissionDenied: {401, 402},
        errors.PlantNotAuthorized: {20056, 20045, 20046, 20621, 20622},
        errors.RateLimited: {407, 20618},
        errors.SystemBusy: {403, 429, 503, 20200},
        errors.ServerFault: {20004, 30008},
    }
    known = set().union(*expected.values())
    for kind, codes in expected.items():
        assert {errors.error_class(code) for code in codes} == {kind}
    for code in (FAIL_CODES.keys() | {0, -1, 99_999}) - known:
        assert errors.error_class(code) is errors.RequestRejected


def test_only_what_may_pass_is_transient() -> None:
    transient = {kind.__name__ for kind in KINDS if kind("x").transient}
    assert transient == {"TransportError", "ServerUnreachable", "Timeout", "BadAnswer", "ServerFault", "SystemBusy"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_sentence(kind: type[errors.NorthboundError]) -> None:
    text = errors.describe_error(kind("it happened", code=20009, endpoint="stations"))
    assert text.startswith("stations: it happened (code 20009: Queried KPIs are not configured in the system).")
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (errors.ServerUnreachable, "SMARTPVMS_BASE_URL"),
        (errors.CertificateNotTrusted, "SSL_CERT_FILE"),
        (errors.LoginRefused, "SMARTPVMS_PASSWORD"),
        (errors.PermissionDenied, "Northbound Management"),
        (errors.PlantNotAuthorized, "API Access"),
        (errors.SessionExpired, "API account of its own"),
        (errors.WrongAddress, "fusionsolar"),
    ],
)
def test_the_advice_names_what_to_do(kind: type[errors.NorthboundError], words: str) -> None:
    assert words in errors.describe_error(kind("x"))


def test_a_used_up_quota_says_when_to_go_on() -> None:
    assert "Go on at 2026-06-01 00:00:00 UTC." in errors.QuotaExhausted("used up", next_at=NOW).describe()


def test_errors_of_the_machine_are_sentences_too() -> None:
    assert "PVMS_HOME" in errors.describe_error(sqlite3.OperationalError("database or disk is full"))
    assert "No space left (/x)" in errors.describe_error(OSError(28, "No space left", "/x"))
    assert errors.describe_error(KeyError("k")) == "KeyError: 'k'"


def test_the_old_names_are_those_of_the_catalog() -> None:
    replaced = {known.replaces: name for name, known in ENDPOINTS.items() if known.replaces}
    assert replaced == errors.OLD_ENDPOINTS
    assert errors.advice_for_old_endpoint("stations") is None


# --- the token -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ((), None),
        ((("xsrf-token", ""),), None),
        ((("xsrf-token", "h"), ("set-cookie", "XSRF-TOKEN=c; Path=/")), "h"),
        ((("set-cookie", 'xsrf-TOKEN="c"; Secure'),), "c"),
        ((("set-cookie", "other=XSRF-TOKEN=c"),), None),
        ((("set-cookie", "XSRF-TOKEN=; Max-Age=0"),), None),
        ((("xsrf-token", "a\x01b"),), None),
    ],
)
def test_where_a_token_is_found(headers: tuple[tuple[str, str], ...], token: str | None) -> None:
    assert token_of(reply({}, *headers)) == token


# --- whose words ---------------------------------------------------------------------------------------------


def test_a_server_cannot_write_lines_or_novels_into_our_texts() -> None:
    body = {"success": False, "failCode": 20013, "data": None, "message": "first\nsecond\x1b[31m " + "x" * 5000}
    with pytest.raises(errors.RequestRejected) as stopped:
        judge_rows("stations", reply(body), paged=True, now=NOW)
    text = stopped.value.describe()
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 500


@pytest.mark.parametrize("current", [None, 0, -5, "soon", 10**20, True, 1.5])
def test_a_server_time_that_is_none_is_not_taken(current: Any) -> None:
    body = {"success": True, "failCode": 0, "data": [], "params": {"currentTime": current}}
    assert judge_rows("getDevList", reply(body), paged=False, now=NOW).server_time == NOW
    dated = reply(body, ("date", "Tue, 02 Jun 2026 10:00:00 GMT"))
    found = judge_rows("getDevList", dated, paged=False, now=NOW).server_time
    assert found == datetime(2026, 6, 2, 10, tzinfo=UTC)
