"""The simulator as an HTTP server on loopback, in a thread of its own.

>>> with Simulator(build_world("demo")) as simulator:        # doctest: +SKIP
...     client.connect(simulator.base_url, simulator.username, simulator.password)
...     assert simulator.log.calls("login")
"""

from __future__ import annotations

import copy
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipelines.simulator.answers import Answer
from pipelines.simulator.clock import Clock, SimClock
from pipelines.simulator.endpoints import MAX_ALARM_MS
from pipelines.simulator.faults import Faults
from pipelines.simulator.flow import FlowControl, Policy, WindowKind
from pipelines.simulator.log import RequestLog
from pipelines.simulator.oauth import PAGES, OAuthService, OAuthSetup
from pipelines.simulator.oauth import PREFIX as OAUTH_PREFIX
from pipelines.simulator.service import Service
from pipelines.simulator.view import Account

if TYPE_CHECKING:
    from pipelines.simulator.world import World

HOST: Final = "127.0.0.1"
"""Loopback only: the simulator speaks http and its password is no secret."""
USERNAME: Final = "demo"
PASSWORD: Final = "demo-password"  # noqa: S105 - the published password of a server on loopback
_START_SECONDS: Final = 30.0
_PIECES: Final = 10
"""Into which an answer that drips in is cut."""


class Simulator:
    """A SmartPVMS for one world. Start it, talk to ``base_url``, stop it; or use it as a context manager."""

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        port: int = 0,
        flow_control: Policy = "dynamic",
        window: WindowKind = "rolling",
        burst: int | None = None,
        labels: Literal["local", "standard"] | None = None,
        faults: Faults | None = None,
        username: str = USERNAME,
        password: str = PASSWORD,
        accounts: Sequence[Account] = (),
        log_file: Path | None = None,
        alarm_span_ms: int | None = MAX_ALARM_MS,
        oauth: OAuthSetup | None = None,
    ) -> None:
        """Prepare a server of ``world``; nothing listens until :meth:`start`.

        ``port`` 0 takes a free one. ``flow_control``, ``window`` and ``burst`` are those of
        :class:`~pipelines.simulator.flow.FlowControl`. ``labels``, if given, says where the world's day, month and
        year labels stand. ``accounts`` come beside the one of ``username`` and ``password``, which sees all plants.
        ``log_file`` receives every request as a JSON line. ``alarm_span_ms`` None lets alarm windows be any length.
        ``oauth`` is the app that owners may consent to; its OAuth service answers on the same port.
        """
        if labels is not None:
            world = copy.copy(world)  # another simulator of the same world may label otherwise
            world.labels = labels
        self.username = username
        self.password = password
        self.log = RequestLog(log_file)
        self.clock: Clock = clock if clock is not None else SimClock.system()
        self.service = Service(
            world,
            clock=self.clock,
            accounts=[Account(username, password), *accounts],
            flow=FlowControl(flow_control, window, burst=burst),
            faults=faults if faults is not None else Faults(),
            log=self.log,
            alarm_span_ms=alarm_span_ms,
            oauth=oauth,
        )
        self._wanted_port = port
        self._port: int | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that the simulator listens on. Raises RuntimeError before it was started."""
        if self._port is None:
            raise RuntimeError("the simulator isn't started")
        return self._port

    @property
    def base_url(self) -> str:
        """Where clients find it, e.g. ``http://127.0.0.1:43211``."""
        return f"http://{HOST}:{self.port}"

    @property
    def oauth(self) -> OAuthService:
        """The OAuth service: the registered app, and what owners do to their consents."""
        return self.service.oauth

    def start(self) -> Self:
        """Listen and return once requests are answered. Raises OSError if the port is taken."""
        if self._thread is not None:
            raise RuntimeError("the simulator runs already")
        listener = _listen(self._wanted_port)
        config = uvicorn.Config(
            create_app(self.service, lambda client: server.break_off(client)),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # it is written below, by the simulator's clock
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="smartpvms-simulator", daemon=True)
        thread.start()
        if not server.ready.wait(_START_SECONDS):
            listener.close()
            raise RuntimeError("the simulator's server didn't start")
        self._server, self._thread, self._port = server, thread, listener.getsockname()[1]
        return self

    def stop(self) -> None:
        """Stop listening and wait for the thread's end; without effect if it doesn't run."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(service: Service, break_off: Callable[[object], None] = lambda _: None) -> Starlette:
    """Return the ASGI application that carries a service's answers over HTTP.

    ``break_off(client)`` ends the connection of a client, as the server tells them apart.
    """

    async def endpoint(request: Request) -> Response:
        content = await request.body()
        if service.faults.slow:
            await anyio.sleep(service.faults.slow)
        if request.method != "POST":
            return _response(service.refuse_method(request.url.path))
        # In a worker thread: ten devices over three days take a moment, and other requests must not wait for them.
        answer = await anyio.to_thread.run_sync(service.handle, request.url.path, dict(request.headers), content)
        if answer.cut or answer.drip_seconds:
            return _piecewise(answer, lambda: break_off(request.scope.get("client")))
        return _response(answer)

    async def oauth(request: Request) -> Response:
        content = await request.body()
        typed = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        form = _pairs(content) if typed == "application/x-www-form-urlencoded" else None
        query = _pairs(request.url.query.encode())
        return _response(
            await anyio.to_thread.run_sync(service.handle_oauth, request.method, request.url.path, query, form)
        )

    def dated(page: Endpoint) -> Endpoint:
        async def page_of_now(request: Request) -> Response:
            response = await page(request)
            # By the simulator's clock: the plant list tells its time nowhere else.
            response.headers["date"] = format_datetime(service.clock.now().astimezone(UTC), usegmt=True)
            return response

        return page_of_now

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            *(Route(f"{OAUTH_PREFIX}{page}", dated(oauth), methods=["GET", "POST"]) for page in (*PAGES, "token")),
            Route("/{path:path}", dated(endpoint), methods=methods),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)],
    )


def _piecewise(answer: Answer, break_off: Callable[[], None]) -> Response:
    """An answer that drips in, or that the connection doesn't outlive."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(answer.body), step):
            await anyio.sleep(answer.drip_seconds / _PIECES)
            yield answer.body[start : start + step]
        if answer.cut:
            break_off()
            await anyio.sleep(0.01)  # the loop notices that the connection is gone before the answer is ended

    if answer.cut and not answer.status:
        break_off()
        return Response(status_code=500)  # never gets there
    step = max(1, -(-len(answer.body) // _PIECES))
    # Named, so that nothing packs the pieces together again.
    return _with_headers(StreamingResponse(pieces(), answer.status, {"content-encoding": "identity"}), answer)


def _pairs(content: bytes) -> dict[str, str]:
    """The names and values of a form or a query, the first of each name."""
    found = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


def _response(answer: Answer) -> Response:
    return _with_headers(Response(answer.body, status_code=answer.status), answer)


def _with_headers(response: Response, answer: Answer) -> Response:
    # Written as they are: servers differ in the letter case of the token's header.
    response.raw_headers += [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in (("content-type", answer.content_type), *answer.headers)
    ]
    return response


class _Server(uvicorn.Server):
    """A server that tells when it listens, and that leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    def break_off(self, client: object) -> None:
        """End the connection of this client (host and port) at once."""
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"port {port} can't be listened on: {error.strerror}") from error
    return listener
