"""OAuth's pieces without a server: the link, what a redirect says, what the token API's answers mean."""

import json
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from pipelines.northbound import errors
from pipelines.northbound.oauth_app import OAuthApp
from pipelines.northbound.oauth_errors import ConsentNeeded, OAuthClientRefused, OAuthRefused
from pipelines.northbound.oauth_judge import judge_tokens
from pipelines.northbound.oauth_redirect import RedirectReceiver, is_loopback_redirect, read_redirect
from pipelines.northbound.transport import Reply

HOST = "https://oauth2.fusionsolar.huawei.com"
ODD_REDIRECT = "https://www.example1.com/cn/?example2=example3&example4=a b#x"
SECRET = "a-client-secret"
GOOD = {
    "access_token": "a-token",
    "refresh_token": "r-token",
    "expires_in": 3600,
    "scope": "pvms.openapi.basic",
    "token_type": "Bearer",
}


def app(**changes: Any) -> OAuthApp:
    return OAuthApp(
        **{
            "client_id": "123456789",
            "client_secret": SECRET,
            "oauth_url": HOST,
            "redirect_uri": ODD_REDIRECT,
            **changes,
        }
    )


def reply(body: object, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, (("content-type", "text/html" if content.startswith(b"<") else "application/json"),), content)


# --- the link (3.1.2.2) ---


def test_the_link_survives_any_redirect_address_and_state() -> None:
    link = app().link("a state&more=%")
    parts = urlsplit(link)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{HOST}/rest/dp/uidm/oauth2/v1/authorize"
    assert dict(parse_qsl(parts.query)) == {
        "response_type": "code",
        "client_id": "123456789",
        "redirect_uri": ODD_REDIRECT,
        "scope": "pvms.openapi.basic",
        "state": "a state&more=%",
    }
    assert quote(ODD_REDIRECT, safe="") in link
    assert "+" not in link, "a space is %20"
    assert SECRET not in link
    assert "state=" not in app().link(None)


@pytest.mark.parametrize(
    ("oauth_url", "authorize", "token"),
    [
        (f"{HOST}/", "/rest/dp/uidm/oauth2/v1/authorize", "/rest/dp/uidm/oauth2/v1/token"),
        (f"{HOST}/other/v2/login-page", "/other/v2/login-page", "/other/v2/token"),
        (f"{HOST}/other/v2/authorize", "/other/v2/authorize", "/other/v2/token"),
        (f"{HOST}/other/v2", "/other/v2/authorize", "/other/v2/token"),
    ],
)
def test_the_service_may_live_at_another_path(oauth_url: str, authorize: str, token: str) -> None:
    found = app(oauth_url=oauth_url)
    assert (found.host, found.authorize_path, found.token_path) == (HOST, authorize, token)


def test_no_secret_travels_in_the_clear_or_gets_printed() -> None:
    with pytest.raises(errors.WrongAddress, match="https"):
        app(oauth_url="http://oauth2.example.org")
    shown = app(refresh_token="r-secret")
    assert SECRET not in repr(shown)
    assert "r-secret" not in repr(shown)


# --- the way back ---


@pytest.mark.parametrize(
    ("address", "error", "word"),
    [
        ("https://e.org/?error=10002&error_description=access_is_denied&state=s", ConsentNeeded, "declined"),
        ("https://e.org/?error=access_denied&state=s", ConsentNeeded, "declined"),
        ("https://e.org/?error=invalid_scope&error_description=OAuth%202.0&state=s", OAuthRefused, "invalid_scope"),
        ("https://e.org/?error=server_error&error_description=o%0Aops&state=s", OAuthRefused, "server_error o ops"),
        ("https://e.org/?code=c&state=another", ConsentNeeded, "another link"),
        ("https://e.org/?code=c", ConsentNeeded, "--without-state"),
        ("https://e.org/?state=s", ConsentNeeded, "no code"),
        ("c", ConsentNeeded, "state"),
        ("http://[", ConsentNeeded, "state"),
    ],
)
def test_a_redirect_that_brings_no_code_says_why(address: str, error: type[Exception], word: str) -> None:
    with pytest.raises(error) as stopped:
        read_redirect(address, state="s")
    assert word in str(stopped.value)


def test_a_redirect_that_brings_a_code() -> None:
    assert read_redirect(" 'https://e.org/?a=b&code=c%2Fd&state=s' \n", state="s") == "c/d"
    assert read_redirect("https://e.org/?code=c", state=None) == "c"


@pytest.mark.parametrize(
    ("uri", "taken"),
    [
        ("http://127.0.0.1:8976/pvms", True),
        ("http://localhost:8976", True),
        ("https://127.0.0.1:8976/pvms", False),
        ("http://127.0.0.1/pvms", False),
        ("http://example.org:8976/", False),
        ("http://127.0.0.1:x/", False),
    ],
)
def test_which_redirect_addresses_this_machine_can_take(uri: str, taken: bool) -> None:
    assert is_loopback_redirect(uri) is taken


def test_the_page_takes_the_answer_to_its_own_link_and_nothing_else() -> None:
    with RedirectReceiver("http://127.0.0.1:0/back", state="s") as receiver, httpx.Client(trust_env=False) as browser:
        base = f"http://127.0.0.1:{receiver.port}"
        assert browser.get(f"{base}/favicon.ico").status_code == 404
        forged = browser.get(f"{base}/back?code=forged&state=guessed")
        assert (forged.status_code, receiver.wait(0)) == (400, None)
        page = browser.get(f"{base}/back?code=c0de&state=s")
        assert page.status_code == 200
        assert "c0de" not in page.text
        assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert receiver.wait(0) == "/back?code=c0de&state=s"
    assert not [each for each in threading.enumerate() if "serve_forever" in str(each)]


# --- the token API (3.1.2.3, 8.1.2) ---


@pytest.mark.parametrize(
    ("status", "body", "error", "advice"),
    [
        (400, {"error_description": "invalid_grant", "error": "1110"}, ConsentNeeded, "pvms login"),
        (400, {"error": "invalid_grant"}, ConsentNeeded, "Authorization Management"),
        (401, {"error": "invalid_client"}, OAuthClientRefused, "SMARTPVMS_CLIENT_SECRET"),
        (400, {"error_description": "unsupported_grant_type", "error": "1111"}, OAuthRefused, "SMARTPVMS_OAUTH_URL"),
        (400, {"error": "invalid_scope", "error_description": "OAuth"}, OAuthRefused, "pvms.openapi.basic"),
        (400, {"error": "odd", "error_description": f"{SECRET} is odd"}, OAuthRefused, "odd: *** is odd"),
        (401, b"<html>", OAuthClientRefused, "SMARTPVMS_CLIENT_ID"),
        (404, b"<html>", errors.WrongAddress, "SMARTPVMS_OAUTH_URL"),
        (302, b"", errors.WrongAddress, "SMARTPVMS_OAUTH_URL"),
        (500, {}, errors.ServerFault, ""),
        (502, b"<html>", errors.ServerFault, ""),
        (200, b"", errors.BadAnswer, ""),
        (200, b"[1]", errors.BadAnswer, ""),
        (200, {"success": True}, errors.BadAnswer, ""),
        (200, {**GOOD, "access_token": "two words"}, errors.BadAnswer, ""),
        (200, {**GOOD, "access_token": "a\r\nX: y"}, errors.BadAnswer, ""),
        (200, {**GOOD, "refresh_token": 7}, errors.BadAnswer, ""),
        (200, {**GOOD, "token_type": "mac"}, errors.BadAnswer, ""),
        (403, {"error": "x"}, errors.SystemBusy, ""),
        (429, b"", errors.SystemBusy, ""),
        (503, b"", errors.SystemBusy, ""),
        (200, {"failCode": 407, "success": False}, errors.RateLimited, ""),
        (200, {"failCode": "429", "success": False}, errors.SystemBusy, ""),
    ],
)
def test_every_refusal_is_told_apart(
    status: int, body: object, error: type[errors.NorthboundError], advice: str
) -> None:
    with pytest.raises(error) as stopped:
        judge_tokens(reply(body, status), hide=(SECRET,))
    assert type(stopped.value) is error
    assert advice in str(stopped.value)
    assert SECRET not in str(stopped.value)
    if issubclass(error, errors.LoginRefused):
        assert not stopped.value.transient


@pytest.mark.parametrize(
    ("expires_in", "minutes"), [(3600, 60), ("120", 2), (None, 60), ("soon", 60), (-5, 60), (10**12, 24 * 60)]
)
def test_tokens_and_how_long_they_live(expires_in: object, minutes: int) -> None:
    tokens = judge_tokens(reply({**GOOD, "expires_in": expires_in}))
    assert (tokens.access_token, tokens.refresh_token, tokens.scope) == ("a-token", "r-token", "pvms.openapi.basic")
    assert tokens.lifetime == timedelta(minutes=minutes)
    assert "a-token" not in repr(tokens)
    assert "r-token" not in repr(tokens)


def test_a_refresh_token_may_be_left_out() -> None:
    assert judge_tokens(reply({"access_token": "a"})).refresh_token is None
