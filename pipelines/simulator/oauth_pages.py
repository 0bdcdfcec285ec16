"""The pages that an owner sees on the way to a consent: login, permission sets, and the vendor's page of errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

NAMES: Final = {"pvms.openapi.basic": "Basic APIs", "pvms.openapi.control": "Control APIs"}
"""Permission sets as owners read them (reference 3.1.4)."""

_FRAME: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 16px system-ui, sans-serif; max-width: 26em; margin: 4em auto; padding: 0 1em }}
label {{ display: block; margin: 1em 0 }} button {{ font: inherit; padding: .4em 1em; margin-right: .5em }}
.wrong {{ color: #a00 }} .small {{ color: #555; font-size: 85% }}
</style></head><body><h1>{title}</h1>{body}
<p class="small">A simulated FusionSolar on this machine. Nothing typed here leaves it.</p></body></html>"""

_FORM: Final = """<form method="post"><input type="hidden" name="ticket" value="{ticket}">{fields}</form>"""

_LOGIN: Final = """{wrong}<label>User name <input name="username" id="username" autofocus></label>
<label>Password <input name="password" id="password" type="password"></label>
<button id="login">Log in</button>"""

_CONSENT: Final = """<p>Logged in as <b>{owner}</b>. The third-party application <b>simulated-app</b> asks for:</p>
{boxes}<button name="decision" value="authorize" id="authorize">Authorize</button>
<button name="decision" value="reject" id="reject">Reject</button>"""

_BOX: Final = """<label><input type="checkbox" name="{scope}" id="{scope}" value="on" checked>
{name} <span class="small">{scope}</span></label>"""

_WHITELABEL: Final = """<html><body><h1>Whitelabel Error Page</h1>
<p>This application has no explicit mapping for /error, so you are seeing this as a fallback.</p>
<div>There was an unexpected error (type=Bad Request, status=400).</div></body></html>"""


def login_page(ticket: str, *, wrong: bool = False) -> bytes:
    """Where the owner logs in; ``wrong`` says that it didn't work."""
    said = '<p class="wrong">The user name or password is wrong.</p>' if wrong else ""
    return _framed("FusionSolar login", ticket, _LOGIN.format(wrong=said))


def consent_page(ticket: str, owner: str, scopes: Sequence[str]) -> bytes:
    """Where the owner ticks permission sets, and authorizes or rejects."""
    boxes = "".join(_BOX.format(scope=escape(scope), name=escape(NAMES.get(scope, scope))) for scope in scopes)
    return _framed("Authorization", ticket, _CONSENT.format(owner=escape(owner), boxes=boxes))


def whitelabel_page() -> bytes:
    """The answer to a link with a wrong client_id, redirect_uri or response_type (reference 8.1.1)."""
    return _WHITELABEL.encode()


def _framed(title: str, ticket: str, fields: str) -> bytes:
    return _FRAME.format(title=title, body=_FORM.format(ticket=escape(ticket), fields=fields)).encode()
