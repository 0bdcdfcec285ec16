"""The way back from the owner's browser: what a redirected address says, and a page on this machine that takes it."""

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from pipelines.northbound.oauth_errors import SCOPE_ADVICE, ConsentNeeded, OAuthRefused
from pipelines.northbound.transport import is_loopback

LONGEST_ADDRESS: Final = 8192
"""Characters of a redirected address; a browser sends no longer ones."""

CODE_MINUTES: Final = 5
"""How long a code is good for (reference 3.1.2.1)."""

_PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p>
<script>history.replaceState(null, "", location.pathname)</script></body></html>"""


class NotTheAnswer(ConsentNeeded):
    """That address says nothing of this link: another may."""


def read_redirect(address: str, *, state: str | None) -> str:
    """The code in the address that the owner's browser was sent to.

    NotTheAnswer if the address doesn't answer the link with this ``state``, or if there is no code in it; ConsentNeeded
    if the owner declined; OAuthRefused for any other refusal. ``state`` None: there was none in the link, and none is
    checked.
    """
    said = _query(address)
    # The state first: words of somebody else's making are not worth showing.
    if state is not None and "state" not in said:
        raise NotTheAnswer(
            "the address doesn't carry the link's state, so it may not be the answer to this link",
            advice="Copy the whole address. If the OAuth service leaves the state out, run "
            "`pvms login --paste --without-state`.",
        )
    if state is not None and not hmac.compare_digest(said["state"].encode(), state.encode()):
        raise NotTheAnswer(
            "the address answers another link than the one printed last",
            advice="Run `pvms login` again and follow the new link.",
        )
    if "error" in said:
        raise _refusal(said["error"], said.get("error_description", ""))
    if not said.get("code"):
        raise NotTheAnswer(
            "there is no code in that address",
            advice="After consent the browser shows an address with ?code=...: copy the whole of it.",
        )
    return said["code"]


def _query(address: str) -> dict[str, str]:
    text = address.strip().strip("'\"<>")[:LONGEST_ADDRESS]
    try:
        query = urlsplit(text).query
    except ValueError:
        query = ""
    return {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}


def _refusal(error: str, description: str) -> ConsentNeeded | OAuthRefused:
    """The reference's two examples (3.1.2.2), and the standard's word for the first."""
    if error in ("10002", "access_denied") or description == "access_is_denied":
        return ConsentNeeded(
            "the owner declined", advice="Run `pvms login` again once the owner is willing to tick Basic APIs."
        )
    if error == "invalid_scope":
        return OAuthRefused("the OAuth service refused the permission asked for (invalid_scope)", advice=SCOPE_ADVICE)
    words = "".join(c if c.isprintable() else " " for c in f"{error} {description}").strip()[:200]
    return OAuthRefused(f"the OAuth service refused, in its words: {words}")


def is_loopback_redirect(redirect_uri: str) -> bool:
    """Can this machine take the redirect itself: http, a loopback host and a port?"""
    try:
        parts = urlsplit(redirect_uri)
        return parts.scheme == "http" and is_loopback(parts.hostname or "") and bool(parts.port)
    except ValueError:
        return False


class RedirectReceiver:
    """Listens at a loopback redirect address until the answer to one link comes. Use as a context manager."""

    def __init__(self, redirect_uri: str, *, state: str) -> None:
        """Listen at once; OSError if the port is taken. Requests without this ``state`` are turned away."""
        parts = urlsplit(redirect_uri)
        path = parts.path or "/"
        received = self._received = threading.Event()
        self._address: str | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if (urlsplit(self.path).path or "/") != path:
                    self._page(404, "Not found", "Nothing lives here.")
                elif not hmac.compare_digest(_query(self.path).get("state", "").encode(), state.encode()):
                    self._page(
                        400,
                        "Not the expected answer",
                        "This address doesn't answer the link that pvms login printed. If you come from the page of "
                        "consent, run: pvms login --paste --without-state",
                    )
                else:
                    receiver._address = self.path
                    self._page(200, "Received", "You can close this window: the terminal tells how it went.")
                    received.set()

            def _page(self, status: int, title: str, text: str) -> None:
                content = _PAGE.format(title=title, text=text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                # The address holds the code: it is to be kept and passed on by nobody.
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the line would hold the code."""

        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "127.0.0.1"
        self._server = ThreadingHTTPServer((host, parts.port or 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def wait(self, seconds: float) -> str | None:
        """The path and query that the browser came with; None if nobody came in time."""
        self._received.wait(seconds)
        return self._address

    def __enter__(self) -> Self:
        """Listen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
