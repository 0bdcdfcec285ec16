"""Debian's chromium, headless, driven over the W3C WebDriver protocol by its own driver: no package is needed."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Final, Self

import httpx

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
ABSENT: Final = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
)
ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
"""The protocol's key of an element's id."""

ON_THE_WAY: Final = frozenset({"stale element reference", "no such element", "aborted by navigation"})
"""The protocol's words for a page that is about to be another one, or to be complete."""

PATIENCE_SECONDS: Final = 180.0
"""After this long a page isn't slow but wrong, on however busy a machine."""


class OnTheWay(AssertionError):
    """The page isn't there yet, or has gone since the element was found."""


class Browser:
    """One window with a fresh profile.

    A click returns before the page that it leads to is there, so what is asked of an element is asked again until it
    can be answered, and what a page says after a click is waited for: `until`.
    """

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM and DRIVER
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert self._driver.stdout is not None
            said = (re.search(r"successfully on port (\d+)", line) for line in self._driver.stdout)
            port = next(match[1] for match in said if match)
            self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, trust_env=False)
            options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"implicit": 5_000}}
            started = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._end_driver()
            raise
        self._session = f"/session/{started['sessionId']}"

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def fill(self, css: str, text: str) -> None:
        self._at(css, "POST", "value", {"text": text})

    def click(self, css: str) -> None:
        self._at(css, "POST", "click", {})

    def text(self, css: str) -> str:
        """What an element says at this moment, which right after a click may be the old page's."""
        return str(self._at(css, "GET", "text"))

    def resize(self, width: int, height: int) -> None:
        self._ask("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    def run(self, script: str) -> Any:
        """What a function body returns on the page; a page's own policy doesn't bind the driver."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    @property
    def url(self) -> str:
        return str(self._ask("GET", f"{self._session}/url"))

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of the page; if it never does, tell what the page is."""
        ending = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > ending:
                raise AssertionError(f"{self.url} stays like this:\n{self._ask('GET', f'{self._session}/source')}")
            Event().wait(0.1)

    def _at(self, css: str, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        """Ask something of an element; find it anew if its page has gone in between, so nothing was done to it."""
        ending = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": css})
                return self._ask(method, f"{self._session}/element/{found[ELEMENT]}/{what}", body)
            except OnTheWay:
                if time.monotonic() > ending:
                    raise

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        value = answer.json()["value"]
        if answer.status_code != 200:
            raise (OnTheWay if value["error"] in ON_THE_WAY else AssertionError)(answer.text[:1000])
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._http.close()
            self._end_driver()

    def _end_driver(self) -> None:
        self._driver.terminate()
        self._driver.communicate()
