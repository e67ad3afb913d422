"""Answers the probes of a container platform: whether the loop goes on, and whether the model and the topics take part.

The routes are those of the service: /health/live and /health/ready.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pilotlight.codec.encode import to_json
from pilotlight.http.messages import Request, Response
from pilotlight.service import Service

# Seconds after which a loop that does not go on counts as dead: a commit may wait a minute for a broker.
_DEAD = 120.0


class Health:
    """What the loop says about itself. `fault` is why results cannot be written, or empty."""

    def __init__(self) -> None:
        self.fault = ""
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Say that the loop goes on."""
        self._beat = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """Whether the loop went on lately."""
        return time.monotonic() - self._beat < _DEAD


def serve_probes(service: Service, health: Health, port: int, host: str = "") -> ThreadingHTTPServer:
    """Answer probes in a thread, on all addresses. Raise OSError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            response = _answer(service, health, self.path.partition("?")[0])
            self.send_response(response.status)
            for name, value in {**response.headers, "content-length": str(len(response.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the service logs
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server


def _answer(service: Service, health: Health, path: str) -> Response:
    if path == "/health/live" and not health.is_alive:
        return _refusal("the consumer has stopped to go on")
    if path == "/health/ready" and health.fault:
        return _refusal(health.fault)
    return service.handle(Request("GET", path))


def _refusal(reason: str) -> Response:
    return Response(503, {"content-type": "application/json"}, to_json({"error": reason, "code": "not_ready"}))
