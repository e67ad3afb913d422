"""Load that ends by itself: a few connections, each with one request under way, for a few seconds."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import AbstractContextManager, ExitStack

from http_wire import reply_in

_PATIENCE = 10  # seconds without any answer


class LoadError(Exception):
    """A server gave another answer than 200, or none."""


def requests_per_second(port: int, request: bytes, *, connections: int, seconds: float) -> float:
    """How many answers a server on loopback gives in a second. Raises LoadError."""
    return len(answer_seconds(port, request, connections=connections, seconds=seconds)) / seconds


def answer_seconds(port: int, request: bytes, *, connections: int, seconds: float) -> list[float]:
    """Ask a server on loopback for so many seconds, and return how many each answer took. Raises LoadError.

    One thread drives all connections; it takes a seventh of a processor where the fastest server here takes a whole.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(connections):
            caller = stack.enter_context(_Caller(port, request))
            selector.register(caller.socket, selectors.EVENT_READ, caller)
        answers: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            ready = selector.select(timeout=_PATIENCE)
            if not ready:
                raise LoadError(f"no answer within {_PATIENCE} seconds")
            answers += [took for key, _ in ready if (took := key.data.read()) is not None]
        return answers


class _Caller(AbstractContextManager["_Caller"]):
    """A connection with a request under way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked = time.perf_counter()
        self.socket.sendall(request)
        self._request = request
        self._received = b""

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self) -> float | None:
        """Take what has come; where that makes an answer whole, send the next request and return the answer's seconds.

        Raises LoadError.
        """
        more = self.socket.recv(1 << 16)
        if not more:
            raise LoadError("the server closed a connection")
        self._received += more
        reply = reply_in(self._received)
        if reply is None:
            return None
        if reply.status != 200:
            raise LoadError(f"the server answered {reply.status}: {reply.body[:200]!r}")
        self._received = b""
        now = time.perf_counter()
        took, self._asked = now - self._asked, now
        self.socket.sendall(self._request)
        return took
