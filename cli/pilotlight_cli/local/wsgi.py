"""A small HTTP server in this process, for the front of a function or an embedded store."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socket import SHUT_WR
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from pilotlight_cli.local.framing import Arriving, Body, MalformedHead, body_length, read_head
from pilotlight_cli.local.process import listen

if TYPE_CHECKING:
    from socket import socket

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    _Connection: TypeAlias = socket | tuple[bytes, socket]

# How long a server that stops waits for an answer, and for a connection that has sent no request.
_ANSWER_SECONDS = 30
_UNSENT_SECONDS = 1


# Seconds for a request to arrive, head and body, as on Google Cloud; and for what comes behind a refused one.
REQUEST_SECONDS = 30.0
_REST_SECONDS = 2.0


def body_status(error: OSError) -> int:
    """Return the status for an error in reading a body."""
    return 408 if isinstance(error, TimeoutError) else 400


class QuietHandler(WSGIRequestHandler):
    """A handler that reads one request strictly, within a time, and has no log: the function logs requests.

    `seconds` are for the request to arrive; None is no limit.
    """

    seconds: float | None = REQUEST_SECONDS

    error_content_type = "application/json"
    error_message_format = '{"message": "%(message)s"}'

    def setup(self) -> None:
        """Read within the time."""
        super().setup()
        self._arriving = Arriving(self.connection, self.seconds)
        self.rfile = self._stream = io.BufferedReader(self._arriving, 1 << 16)
        self.command, self.requestline, self.request_version = "", "", "HTTP/1.1"  # a refusal reads them

    def parse_request(self) -> bool:
        """Refuse a malformed head, as gateways do."""
        try:
            self._target, fields = read_head(self.raw_requestline, self._stream)
            self.rfile = io.BufferedReader(io.BytesIO(fields))
            is_parsed = super().parse_request()
            if is_parsed:
                self._body = Body(self._stream, body_length(self.headers, self.request_version))
        except MalformedHead as error:
            self._refuse(error.status)
            return False
        finally:
            self.rfile = self._stream
        self.path = "/"  # the base classes merge its slashes, and read a host out of it
        return is_parsed

    def handle_expect_100(self) -> bool:
        """Leave that to werkzeug, which knows by then that the request is well-formed."""
        return True

    def make_environ(self) -> WSGIEnvironment:
        """Return the environment, with the target as sent."""
        path, _, query = self._target.partition("?")
        return super().make_environ() | {
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self._target,
            "RAW_URI": self._target,
            "wsgi.input": self._body,
            "wsgi.input_terminated": True,
        }

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response. What the client still sends is read for a short time, so that it reads the response."""
        self._arriving.limit(_REST_SECONDS)
        super().send_response(code, message)

    def _refuse(self, status: int) -> None:
        self.send_error(status)
        self.wfile.flush()
        self.connection.shutdown(SHUT_WR)
        while self._stream.read1(1 << 16):
            pass

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
