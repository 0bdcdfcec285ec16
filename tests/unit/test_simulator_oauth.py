"""The simulator's OAuth service, answer by answer as the reference prints them (3.1.2, 3.1.3, 8.1)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from simulator_desk import Desk

from pipelines.simulator.answers import Answer
from pipelines.simulator.faults import Faults
from pipelines.simulator.flow import FlowControl
from pipelines.simulator.log import REDACTED
from pipelines.simulator.oauth import BASIC, CLIENT_ID, CLIENT_SECRET, CONTROL, OWNER, OWNER_PASSWORD, OAuthSetup
from pipelines.simulator.view import Account

PATH = "/rest/dp/uidm/oauth2/v1/"
REDIRECT = "https://www.example.com/cn/?x=1"
LINK = {"response_type": "code", "client_id": CLIENT_ID, "redirect_uri": REDIRECT}
APP = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
PAGE = {"pageNo": 1}
DEAD = {"failCode": 305, "success": False, "message": "INVALID_CREDENTIAL"}


def oauth_desk(*, faults: Faults | None = None, flow: FlowControl | None = None, **setup: Any) -> Desk:
    return Desk(faults=faults, flow=flow, oauth=OAuthSetup(redirect_uri=REDIRECT, **setup))


def get(desk: Desk, **query: str) -> Answer:
    return desk.service.handle_oauth("GET", f"{PATH}authorize", {**LINK, **query}, None)


def post(desk: Desk, page: Answer, **form: str) -> Answer:
    (ticket,) = re.findall(rb'name="ticket" value="(\w+)"', page.body)
    return desk.service.handle_oauth("POST", f"{PATH}authorize", {}, {"ticket": ticket.decode(), **form})


def said(answer: Answer) -> dict[str, str]:
    assert answer.status == 302
    (place,) = [value for name, value in answer.headers if name == "Location"]
    assert place.startswith(REDIRECT)
    return {name: value for name, value in parse_qsl(urlsplit(place).query) if name != "x"}


def tokens(desk: Desk, **form: str) -> tuple[int, Any]:
    answer = desk.service.handle_oauth("POST", f"{PATH}token", {}, {**APP, **form})
    return answer.status, orjson.loads(answer.body)


def exchange(desk: Desk, code: str | None = None, **form: str) -> tuple[int, Any]:
    code = code or desk.service.oauth.consent(now=desk.clock.now().timestamp())
    return tokens(desk, grant_type="authorization_code", code=code, **{"redirect_uri": REDIRECT, **form})


def refresh(desk: Desk, token: str) -> tuple[int, Any]:
    return tokens(desk, grant_type="refresh_token", refresh_token=token)


def stations(desk: Desk, access_token: str) -> Any:
    return desk.ask("stations", PAGE, {"authorization": f"Bearer {access_token}"})


def test_an_owner_logs_in_ticks_and_authorizes() -> None:
    desk = oauth_desk()
    login = get(desk, scope=f"{BASIC} {CONTROL}", state="s/&")
    wrong = post(desk, login, username=OWNER, password="wrong")
    assert b"is wrong" in wrong.body
    consent = post(desk, wrong, username=OWNER, password=OWNER_PASSWORD)
    assert b"Basic APIs" in consent.body
    assert b"Control APIs" in consent.body
    back = said(post(desk, consent, decision="authorize", **{BASIC: "on"}))
    assert back["state"] == "s/&"
    status, body = exchange(desk, back["code"])
    assert status == 200
    assert (body["expires_in"], body["scope"], body["token_type"]) == (3600, BASIC, "Bearer")
    assert stations(desk, body["access_token"])["failCode"] == 0
    for record in desk.log:
        for secret in ("client_secret", "code", "password", "state", "ticket"):
            assert record.body.get(secret, REDACTED) == REDACTED


@pytest.mark.parametrize("wrong", ["response_type", "client_id", "redirect_uri"])
def test_a_wrong_link_is_the_whitelabel_page(wrong: str) -> None:
    answer = get(oauth_desk(), **{wrong: "x"})
    assert (answer.status, b"Whitelabel Error Page" in answer.body) == (400, True)


def test_a_wrong_scope_and_a_rejection_are_told_to_the_redirect_address() -> None:
    desk = oauth_desk()
    assert said(get(desk, scope="pvms.other", state="s")) == {
        "error": "invalid_scope",
        "error_description": "OAuth 2.0 Parameter: scope",
        "state": "s",
    }
    consent = post(desk, get(desk), username=OWNER, password=OWNER_PASSWORD)
    assert b"Control APIs" in consent.body, "without a scope all are asked for"
    assert said(post(desk, consent, decision="reject")) == {"error": "10002", "error_description": "access_is_denied"}
    assert post(desk, consent, decision="authorize").status == 400, "a page is good once"


@pytest.mark.parametrize(
    ("form", "status", "body"),
    [
        ({"grant_type": "password"}, 400, {"error_description": "unsupported_grant_type", "error": "1111"}),
        ({"client_secret": "wrong"}, 401, {"error": "invalid_client"}),
        ({"client_id": "987654321"}, 401, {"error": "invalid_client"}),
        ({"redirect_uri": "https://www.example.com/cn/"}, 400, {"error_description": "invalid_grant", "error": "1110"}),
        ({"code": "made-up"}, 400, {"error_description": "invalid_grant", "error": "1110"}),
    ],
)
def test_refusals_of_the_token_api(form: dict[str, str], status: int, body: dict[str, str]) -> None:
    desk = oauth_desk()
    code = desk.service.oauth.consent(now=desk.clock.now().timestamp())
    good = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    assert tokens(desk, **{**good, **form}) == (status, body)


def test_a_code_is_good_for_five_minutes_and_once() -> None:
    desk = oauth_desk()
    code, late = (desk.service.oauth.consent(now=desk.clock.now().timestamp()) for _ in range(2))
    desk.clock.advance(300)
    assert exchange(desk, code)[0] == 200
    assert exchange(desk, code)[0] == 400
    desk.clock.advance(1)
    assert exchange(desk, late)[0] == 400


def test_an_access_token_lives_an_hour_or_until_the_next_refresh() -> None:
    desk = oauth_desk()
    first = exchange(desk)[1]
    desk.clock.advance(3599)
    assert stations(desk, first["access_token"])["failCode"] == 0
    second = refresh(desk, first["refresh_token"])[1]
    assert second["refresh_token"] == first["refresh_token"]
    assert stations(desk, first["access_token"]) == DEAD
    assert stations(desk, second["access_token"])["failCode"] == 0
    desk.clock.advance(3600)
    assert stations(desk, second["access_token"]) == DEAD
    assert refresh(desk, first["refresh_token"])[0] == 200


def test_refresh_tokens_rotate_or_are_left_out_by_switch() -> None:
    rotating = oauth_desk(faults=Faults(oauth_refresh="rotate"))
    first = exchange(rotating)[1]
    second = refresh(rotating, first["refresh_token"])[1]
    assert second["refresh_token"] != first["refresh_token"]
    assert refresh(rotating, first["refresh_token"])[0] == 400
    assert refresh(rotating, second["refresh_token"])[0] == 200
    omitting = oauth_desk(refresh="omit")
    first = exchange(omitting)[1]
    assert "refresh_token" not in refresh(omitting, first["refresh_token"])[1]


def test_new_tokens_and_a_revocation_end_the_old_ones_of_that_owner_alone() -> None:
    desk = oauth_desk(owners=(Account(OWNER, OWNER_PASSWORD), Account("other", "x", frozenset({"NE=1"}))))
    others = exchange(desk, desk.service.oauth.consent("other", now=desk.clock.now().timestamp()))[1]
    first = exchange(desk)[1]
    second = exchange(desk)[1]
    assert stations(desk, first["access_token"]) == DEAD
    assert refresh(desk, first["refresh_token"])[0] == 400
    desk.service.oauth.revoke(OWNER)
    assert stations(desk, second["access_token"]) == DEAD
    assert refresh(desk, second["refresh_token"])[0] == 400
    seen = stations(desk, others["access_token"])["data"]["list"]
    assert [plant["plantCode"] for plant in seen] == ["NE=1"], "each owner sees their own plants"


def test_a_consent_without_basic_apis_is_401_until_the_owner_adds_them() -> None:
    desk = oauth_desk()
    token = exchange(desk, desk.service.oauth.consent(OWNER, CONTROL, now=desk.clock.now().timestamp()))[1]
    assert stations(desk, token["access_token"]) == {
        "data": None,
        "failCode": 401,
        "message": "Invalid access to current interface!",
        "params": {},
        "success": False,
    }
    desk.service.oauth.set_scopes(OWNER, CONTROL, BASIC)
    assert stations(desk, token["access_token"])["failCode"] == 0


def test_faults_strike_owners_too() -> None:
    desk = oauth_desk(faults=Faults(kill_session="every=2,times=1", revoke_oauth="every=4"))
    token = exchange(desk)[1]
    assert stations(desk, token["access_token"])["failCode"] == 0
    assert stations(desk, token["access_token"]) == DEAD
    token = refresh(desk, token["refresh_token"])[1]
    assert stations(desk, token["access_token"])["failCode"] == 0
    assert stations(desk, token["access_token"]) == DEAD
    assert refresh(desk, token["refresh_token"])[0] == 400
    refusing = oauth_desk(faults=Faults(oauth_refused="invalid_client"))
    assert exchange(refusing)[0] == 401


def test_an_owner_has_a_thousand_calls_a_day_over_all_endpoints() -> None:
    desk = oauth_desk(flow=FlowControl("dynamic", "day"))
    token = exchange(desk)[1]["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    codes = [desk.ask("getStationRealKpi", {"stationCodes": "NE=0"}, bearer)["failCode"] for _ in range(999)]
    assert set(codes) == {0}, "4.1 and not 4.2, whatever API accounts live under"
    assert stations(desk, token)["failCode"] == 0
    assert stations(desk, token)["failCode"] == 407
