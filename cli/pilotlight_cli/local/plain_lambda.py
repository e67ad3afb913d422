"""Calls a Lambda function in plain Python, at the emulator's URL: `plain_lambda.py PORT MODULE.FUNCTION`.

For systems on which AWS's emulator does not run. Run as a file, it imports nothing of Pilotlight but the function. The
first event starts the function, as in the emulator. After an exception of the start, or SystemExit, the next event
starts it anew.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from typing import Any
from uuid import uuid4


class Context:
    """What a handler gets beside the event."""

    def __init__(self, seconds: float) -> None:
        self.aws_request_id = str(uuid4())
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still take. Nothing here ends it then."""
        return max(0, int(1000 * (self._end - time.monotonic())))


class Server(HTTPServer):
    """A server with a function behind it, one event after the other."""

    def __init__(self, listener: socket.socket, handler: str) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.ended = False
        self._module, _, self._name = handler.rpartition(".")
        self._function: Callable[[Any, Context], Any] | None = None

    def answer(self, payload: bytes) -> bytes:
        """Return the document of what the function returned or raised."""
        context = Context(float(os.environ["AWS_LAMBDA_FUNCTION_TIMEOUT"]))
        try:
            if self._function is None:
                self.ended = True  # unless the start succeeds
                self._function = getattr(import_module(self._module), self._name)
                self.ended = False
            return json.dumps(self._function(json.loads(payload), context)).encode()
        except BaseException as error:  # noqa: BLE001 - as the runtime, which tells the caller of any
            self.ended = self.ended or not isinstance(error, Exception)
            traceback.print_exc()
            facts = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return json.dumps({**facts, "requestId": context.aws_request_id}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.server.answer(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing: the function logs its requests."""


def main(port: int, handler: str, descriptor: str = "") -> None:
    """Answer events until the function ends; then begin again with the same socket, so that no caller is refused."""
    listener = socket.socket(fileno=int(descriptor)) if descriptor else socket.create_server(("127.0.0.1", port))
    listener.set_inheritable(True)
    server = Server(listener, handler)
    while not server.ended:
        server.handle_request()
    options = ["-s", "-S", "-P", "-u", __file__, str(port), handler, str(listener.fileno())]
    os.execv(sys.executable, [sys.executable, *options])  # noqa: S606 - this program itself


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
