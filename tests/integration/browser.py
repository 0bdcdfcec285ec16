"""Debian's chromium, headless, driven over the W3C WebDriver protocol by its own driver: no package is needed."""

import re
import shutil
import subprocess
from pathlib import Path
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


class Browser:
    """One window with a fresh profile. Finding an element waits for it up to ten seconds."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM and DRIVER
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert self._driver.stdout is not None
            said = (re.search(r"successfully on port (\d+)", line) for line in self._driver.stdout)
            port = next(match[1] for match in said if match)
            self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
            options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"implicit": 10_000}}
            started = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._end_driver()
            raise
        self._session = f"/session/{started['sessionId']}"

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def fill(self, css: str, text: str) -> None:
        self._ask("POST", f"{self._element(css)}/value", {"text": text})

    def click(self, css: str) -> None:
        self._ask("POST", f"{self._element(css)}/click", {})

    def text(self, css: str) -> str:
        return str(self._ask("GET", f"{self._element(css)}/text"))

    @property
    def url(self) -> str:
        return str(self._ask("GET", f"{self._session}/url"))

    def _element(self, css: str) -> str:
        found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        return f"{self._session}/element/{found[ELEMENT]}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text[:1000]
        return answer.json()["value"]

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
