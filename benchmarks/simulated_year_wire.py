"""The simulator behind the standard library's HTTP server: a thread per client, kept connections, no packing.

What is asked and answered is the simulator's own `Service`. Its usual server, which serves anybody, takes several
times as long for an answer as the answer itself takes; over a year of calls that would be most of what is measured.
"""

import threading
from datetime import UTC
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"


class Wire:
    """Serves one simulator on a free port of loopback while it is open."""

    def __init__(self, simulator: Any) -> None:
        """Use the simulator's service and clock; the simulator itself needn't be started."""

        class Handler(_Handler):
            service, clock = simulator.service, simulator.clock

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="wire", daemon=True)
        self.base_url = f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One client's connection."""

    service: Any
    clock: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer one request, as the service says: whole, cut short, or not at all."""
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.service.handle(self.path, headers, content)
        self.close_connection = self.close_connection or answer.cut
        if answer.cut and not answer.status:
            return
        # Of a cut answer more is announced than comes.
        length = len(answer.body) + answer.cut
        head = [
            f"HTTP/1.1 {answer.status} -",
            f"date: {format_datetime(self.clock.now().astimezone(UTC), usegmt=True)}",
            f"content-type: {answer.content_type}",
            *(f"{name}: {value}" for name, value in answer.headers),
            f"content-length: {length}",
        ]
        self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the service keeps the log."""
