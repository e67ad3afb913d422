"""An end to the time for which one caller can keep one of gunicorn's few threads.

gunicorn reads a request, head and body, and writes its reply as slowly as the caller likes: as many slow callers as
there are threads would stop the function. And it waits for the other end of a connection to close in the one thread
that accepts all others.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial, partialmethod

import gunicorn.http
from gunicorn import util
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker


def limit(seconds: float) -> None:
    """Have every request arrive within so many seconds, and every reply taken within as many."""
    gunicorn.http.RequestParser = partial(_Parser, seconds)
    ThreadWorker.handle = partialmethod(_handle_and_close, ThreadWorker.handle)
    TConn.close = _close


def _handle_and_close(worker: ThreadWorker, handle: Callable[..., object], connection: TConn) -> object:
    """What a thread does with a connection, closing it included: gunicorn waits two seconds for the other end."""
    goes_on = handle(worker, connection)
    if not goes_on:
        util.close_graceful(connection.sock)
    return goes_on


def _close(connection: TConn, graceful: bool = False) -> None:  # noqa: ARG001 - gunicorn's own signature
    """What the accepting thread does with a connection at its end: one that is closed already stays so."""
    util.close(connection.sock)


class _Unreader(SocketUnreader):  # type: ignore[misc]
    """Reads what a caller sends."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__(sock)
        self._seconds = seconds
        self._deadline: float | None = None

    def begin(self) -> None:
        """Another request, whose time runs from the first look at the socket."""
        self._deadline = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """See `SocketUnreader`. Raises TimeoutError when the request's time is over.

        The socket keeps the timeout that it has for everything else.
        """
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        left = self._deadline - now
        if left <= 0:
            raise TimeoutError
        before = self.sock.gettimeout()
        self.sock.settimeout(left if before is None else min(before, left))
        try:
            content: bytes = super().chunk(size_hint)
        finally:
            self.sock.settimeout(before)
        return content


class _Parser(RequestParser):  # type: ignore[misc]
    """The requests of one connection."""

    def __init__(self, seconds: float, cfg: object, source: socket.socket, source_addr: object) -> None:
        super().__init__(cfg, source, source_addr)
        self.unreader = _Unreader(source, seconds)
        self._seconds = seconds

    def __next__(self) -> object:
        """The next request. A head that is late ends the connection: nobody has asked for anything yet."""
        self.unreader.begin()
        try:
            request: object = super().__next__()
        except TimeoutError:
            raise StopIteration from None
        self.unreader.sock.settimeout(self._seconds)  # the whole time of each `sendall`
        return request
