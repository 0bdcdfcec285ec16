"""A tiny HTTP server for oddities of the protocol: each path answers what the test wrote down for it."""

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CURRENT_TIME_MS = 1_780_000_000_000


@dataclass(frozen=True)
class Say:
    """One answer: status, body, headers; `cut` ends the body early, `packed` sends it gzipped."""

    body: bytes | str | dict[str, Any] = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = "application/json;charset=UTF-8"
    cut: bool = False
    packed: bool = False

    def raw(self) -> bytes:
        if isinstance(self.body, dict):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


@dataclass(frozen=True)
class Heard:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int


Answerer = Say | Callable[[Heard], Say]


def rows(*items: Any, **extra: Any) -> Say:
    return Say(
        {"success": True, "failCode": 0, "data": list(items), "params": {"currentTime": CURRENT_TIME_MS}, **extra}
    )


def refused(code: int | str, message: str | None = None, data: Any = None) -> Say:
    return Say({"success": False, "failCode": code, "data": data, "message": message, "params": {}})


def logged_in(token: str = "token-1", **kwargs: Any) -> Say:
    headers = kwargs.pop("headers", (("XSRF-TOKEN", token),))
    return Say({"success": True, "data": None, "failCode": 0, "params": {}, "message": None}, headers=headers, **kwargs)


RELOGIN = Say({"failCode": 305, "immediately": True, "message": "USER_MUST_RELOGIN"})


@dataclass
class Loopback:
    """`say(name, ...)` queues answers for an endpoint; the last one is repeated. `heard` keeps every request."""

    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._queues: dict[str, list[Answerer]] = defaultdict(list)
        self._lock = threading.Lock()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length") or 0))
                heard = Heard(
                    path=self.path,
                    headers={key.lower(): value for key, value in self.headers.items()},
                    body=json.loads(content or b"{}"),
                    connection=self.client_address[1],
                )
                loopback._answer(self, heard)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def say(self, endpoint: str, *answers: Answerer) -> None:
        with self._lock:
            self._queues[endpoint] = list(answers)

    def calls(self, endpoint: str) -> list[Heard]:
        return [each for each in self.heard if each.path.endswith(f"/{endpoint}")]

    def _answer(self, handler: BaseHTTPRequestHandler, heard: Heard) -> None:
        with self._lock:
            self.heard.append(heard)
            queue = self._queues[heard.path.rsplit("/", 1)[-1]]
            answerer = (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else Say("no such page", status=404)
        answer = answerer(heard) if callable(answerer) else answerer
        content = gzip.compress(answer.raw()) if answer.packed else answer.raw()
        handler.send_response(answer.status)
        for key, value in answer.headers:
            handler.send_header(key, value)
        if answer.content_type:
            handler.send_header("Content-Type", answer.content_type)
        if answer.packed:
            handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2] if answer.cut else content)
        if answer.cut:
            handler.close_connection = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
