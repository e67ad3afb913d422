"""A small HTTP server in this process, for the front of a function or an embedded store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import WSGIRequestHandler, make_server

from pilotlight_cli.local.process import listen

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


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


@contextmanager
def serving_wsgi(
    application: WSGIApplication,
    port: int = 0,
    handler: type[WSGIRequestHandler] = QuietHandler,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """Serve an application with a thread for each connection; yield its URL. Raise PortTaken."""
    with listen(port, host) as listener:
        # werkzeug copies the descriptor. With a port that is taken, it would end the process.
        server = make_server(host, 0, application, threaded=True, fd=listener.fileno(), request_handler=handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="http", daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
