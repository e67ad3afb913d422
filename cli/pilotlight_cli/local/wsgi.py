"""A small HTTP server in this process, for the front of a function or an embedded store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from pilotlight_cli.local.process import listen

if TYPE_CHECKING:
    from socket import socket

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    _Connection: TypeAlias = socket | tuple[bytes, socket]

# How long a server that stops waits for an answer, and for a connection that has sent no request.
_ANSWER_SECONDS = 30
_UNSENT_SECONDS = 1


# What reading a body raises for malformed chunks, or fewer bytes than content-length.
BROKEN_BODY = (OSError, ClientDisconnected)


class QuietHandler(WSGIRequestHandler):
    """A handler without a log of requests, since the function logs them."""

    def parse_request(self) -> bool:
        """Refuse a head that does not determine the end of its body, as gateways do (RFC 9112, 6.3)."""
        if not super().parse_request():
            return False
        lengths = self.headers.get_all("content-length", [])
        if not lengths or (len(lengths) == 1 and lengths[0].isdecimal() and "transfer-encoding" not in self.headers):
            return True
        self.send_error(400)
        return False

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Write nothing."""


class _Server(ThreadedWSGIServer):
    """A server with a thread for each connection, each with one request, that can wait for their answers."""

    def __init__(self, host: str, application: WSGIApplication, handler: type[WSGIRequestHandler], fd: int) -> None:
        self._ended = threading.Condition()
        self._connections = 0
        self._asked: set[int] = set()  # threads whose connection has sent the head of its request
        self._application = application
        # werkzeug copies the descriptor. With a port that is taken, it would end the process.
        super().__init__(host, 0, self._answer, handler, fd=fd)

    def process_request(self, request: _Connection, client_address: object) -> None:
        """Count a connection before its thread starts."""
        with self._ended:
            self._connections += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: _Connection, client_address: object) -> None:
        """Answer the request of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._ended:
                self._connections -= 1
                self._asked.discard(threading.get_ident())
                self._ended.notify_all()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._ended:
            self._asked.add(threading.get_ident())
        return self._application(environ, start_response)

    def drain(self) -> None:
        """Wait until what has been accepted is answered."""
        with self._ended:
            self._ended.wait_for(lambda: not self._connections, _UNSENT_SECONDS)
            self._ended.wait_for(lambda: not self._asked, _ANSWER_SECONDS)


@contextmanager
def serving_wsgi(
    application: WSGIApplication,
    port: int = 0,
    handler: type[WSGIRequestHandler] = QuietHandler,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """Serve an application with a thread for each connection; yield its URL. Raise PortTaken.

    At the end, what has been accepted is answered.
    """
    with listen(port, host) as listener:
        server = _Server(host, application, handler, listener.fileno())
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="http", daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.drain()
            server.server_close()
