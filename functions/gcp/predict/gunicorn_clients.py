"""What gunicorn does for clients: time limits, so that slow ones cannot occupy all of its few threads, and refusals.

gunicorn reads a request, head and body, and writes its reply as slowly as the client likes: as many slow clients as
there are threads would stop the function. And it waits for the client to close a connection in the one thread that
accepts all others. What it cannot parse it answers in HTML, and an idle connection it closes after two seconds, while
load balancers are about to send on it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial, partialmethod
from http import HTTPStatus

import gunicorn.http
from gunicorn import util
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from gunicorn_worker import Refuse

# Seconds. Load balancers keep idle connections for 600 and advise servers to keep them longer:
# https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends
_KEEP_ALIVE = 650.0


def limit(seconds: float) -> None:
    """Limit the time for a client to send a request, and to receive its reply, to so many seconds each."""
    gunicorn.http.RequestParser = partial(_Parser, seconds)
    ThreadWorker.handle = partialmethod(_handle_and_close, ThreadWorker.handle)
    TConn.close = _close
    TConn.set_timeout = _keep_alive


def refuse_with(refuse: Refuse) -> None:
    """Let `refuse` answer the requests that gunicorn cannot parse."""
    write_error = util.write_error

    def write(sock: socket.socket, status: int, reason: str, message: str) -> None:
        if not 400 <= status < 500:
            write_error(sock, status, reason, message)
            return
        headers, body = refuse(status, message)
        fields = {**headers, "connection": "close", "content-length": str(len(body))}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{key}: {fields[key]}" for key in fields)]
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    util.write_error = write


def _handle_and_close(worker: ThreadWorker, handle: Callable[..., object], connection: TConn) -> object:
    """Handle a connection and close it in the same thread: gunicorn waits two seconds for the client to close."""
    is_kept = handle(worker, connection)
    if not is_kept:
        util.close_graceful(connection.sock)
    return is_kept


def _close(connection: TConn, graceful: bool = False) -> None:  # noqa: ARG001 - gunicorn's own signature
    """Close a connection in the accepting thread, without a wait; a worker thread may have closed it already."""
    util.close(connection.sock)


def _keep_alive(connection: TConn) -> None:
    connection.timeout = time.monotonic() + _KEEP_ALIVE


class _Unreader(SocketUnreader):  # type: ignore[misc]
    """Reads a client's bytes until the request's deadline."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__(sock)
        self._seconds = seconds
        self._deadline: float | None = None

    def begin(self) -> None:
        """Begin another request, whose time runs from the first read."""
        self._deadline = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """See `SocketUnreader`. Raises TimeoutError after the request's deadline.

        Restores the socket's own timeout.
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
        """Return the next request. A late head ends the connection: there is no request to answer yet."""
        self.unreader.begin()
        try:
            request: object = super().__next__()
        except TimeoutError:
            raise StopIteration from None
        self.unreader.sock.settimeout(self._seconds)  # the whole time of each `sendall`
        return request
