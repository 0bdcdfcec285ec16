"""One virtual time for several processes: it stands still while any of them works, and jumps when all of them wait.

The keeper lives beside the simulator. Each client process holds a :class:`SharedClock`, whose sleep tells the keeper
until when it waits; once every client waits, time goes on to the earliest of these instants. So a year of waiting
takes no time, and no process ever sees time move while it works. A client that ends or dies counts no more.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
_INSTANT: Final = struct.Struct("!q")
"""The only message, either way: an instant in microseconds since 1970. A client sends until when it waits, the
keeper answers with the time at which the client goes on (and, at the start, with the time as it is)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class TimeKeeper:
    """The time of a simulator and its clients; a clock of the simulator itself."""

    def __init__(self, start: datetime, *, clients: int, in_turn: bool = False) -> None:
        """Stand at the aware instant ``start`` until that many clients have connected.

        ``in_turn`` lets only one client work at a time, always the one whose turn came first: slower, but each run
        is like the one before. Otherwise clients whose instant has come work side by side.
        """
        self._now = _micros(start)
        self._expected = clients
        self._in_turn = in_turn
        self._lock = threading.Lock()
        self._moment: datetime = _instant(self._now)
        self._waiting: dict[socket.socket, tuple[int, int]] = {}
        self._clients: dict[socket.socket, int] = {}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._seen = 0
        self.jumps = 0
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="time-keeper", daemon=True)

    @property
    def port(self) -> int:
        """Where clients connect on loopback."""
        return int(self._listener.getsockname()[1])

    def now(self) -> datetime:
        """The virtual instant, in UTC."""
        return self._moment

    @property
    def connected(self) -> int:
        """How many clients have connected so far, also those that have gone."""
        return self._seen

    @property
    def waiting(self) -> int:
        """How many clients wait just now."""
        return len(self._waiting)

    @property
    def next_wake(self) -> datetime | None:
        """The earliest instant at which a client that waits goes on; None if none waits."""
        moments = [until for until, _ in list(self._waiting.values())]
        return _instant(max(min(moments), self._now)) if moments else None

    def expect(self, clients: int) -> None:
        """Stand still until that many more clients have connected: called before a process is replaced."""
        with self._lock:
            self._expected += clients

    def at(self, instant: datetime, action: Callable[[], None]) -> None:
        """Call ``action`` when time reaches ``instant``, before any client that waits until then goes on."""
        with self._lock:
            heapq.heappush(self._events, (_micros(instant), next(self._numbers), action))

    def start(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; clients that still wait get an error."""
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        for each in (self._listener, self._wake, self._woken, *self._clients):
            each.close()
        self._selector.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._admit()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._hear(key.fileobj)
            self._move()

    def _admit(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client] = self._seen
        self._seen += 1
        self._selector.register(client, selectors.EVENT_READ)
        if self._in_turn:
            # It is told the time when its turn comes: it would work beside the others before its first wait.
            self._waiting[client] = (self._now, self._clients[client])
        else:
            client.sendall(_INSTANT.pack(self._now))

    def _hear(self, client: socket.socket) -> None:
        until = _receive(client)
        if until is None:
            self._selector.unregister(client)
            self._waiting.pop(client, None)
            del self._clients[client]
            client.close()
        else:
            self._waiting[client] = (until, self._clients[client])

    def _move(self) -> None:
        """Let time go on if everybody waits."""
        while True:
            with self._lock:
                ready = self._clients and self._seen >= self._expected and len(self._waiting) == len(self._clients)
                if not ready:
                    return
                due = min(self._waiting.values())[0]
                action = None
                if self._events and self._events[0][0] <= max(due, self._now):
                    due, _, action = heapq.heappop(self._events)
                self._now = max(self._now, due)
                self._moment = _instant(self._now)
                self.jumps += 1
            if action is None:
                break
            action()
        due_clients = [client for client, (until, _) in self._waiting.items() if until <= self._now]
        due_clients.sort(key=lambda client: self._waiting[client])
        chosen = due_clients[:1] if self._in_turn else due_clients
        for client in chosen:
            del self._waiting[client]
        # Whoever is told first finds that the others wait no more.
        for client in chosen:
            try:
                client.sendall(_INSTANT.pack(self._now))
            except OSError:
                continue  # it died while it waited; the selector tells


class SharedClock:
    """The keeper's time as one client process sees it: ``now``, ``monotonic`` and ``sleep``.

    One thread of a process sleeps at a time; while it sleeps no other thread of that process should work.
    """

    def __init__(self, port: int) -> None:
        """Connect to the keeper on loopback."""
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()
        self._now = self._told()
        self._start = self._now
        self._moment = _instant(self._now)

    def now(self) -> datetime:
        """The virtual instant, in UTC. Nothing is asked for: time doesn't move while a client works."""
        return self._moment

    def monotonic(self) -> float:
        """Virtual seconds since this clock was made."""
        return (self._now - self._start) / 1e6

    def sleep(self, seconds: float) -> None:
        """Wait that many virtual seconds; nothing for zero or less."""
        if seconds <= 0:
            return
        with self._lock:
            self._socket.sendall(_INSTANT.pack(self._now - int(-seconds * 1e6 // 1)))
            self._now = self._told()
            self._moment = _instant(self._now)

    def close(self) -> None:
        """Count no more."""
        self._socket.close()

    def _told(self) -> int:
        told = _receive(self._socket)
        if told is None:
            raise ConnectionError("the keeper of the virtual time is gone")
        return told


def _receive(source: socket.socket) -> int | None:
    """The next message, None when the other side is gone."""
    try:
        content = source.recv(_INSTANT.size, socket.MSG_WAITALL)
    except OSError:
        return None
    return int(_INSTANT.unpack(content)[0]) if len(content) == _INSTANT.size else None


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
