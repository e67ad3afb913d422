"""An HTTP server that answers requests from a table, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """A response; a body that is no bytes is sent as JSON. `wants` is the header Authorization, else it is 401."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wants: str = ""
    otherwise: Mapping[str, str] = field(default_factory=dict)


class Routes:
    """A server at `url` for the duration of a `with`. `table` has a reply, or one for each time, by path and query.

    Posted forms are there by `POST path?form`.
    """

    def __init__(self, table: Mapping[str, Reply | list[Reply]] | None = None) -> None:
        self.table = dict(table or {})
        self.asked: list[tuple[str, Message]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, headers: Message) -> Reply:
        self.asked.append((path, headers))
        found = self.table.get(path, Reply({"message": "no such route"}, 404))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if found.wants and headers.get("Authorization") != found.wants:
            return Reply({"message": "who are you?"}, 401, found.otherwise)
        return found

    def _handler(routes) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(routes.reply(self.path, self.headers))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._send(routes.reply(f"POST {self.path}?{form}", self.headers))

            def _send(self, reply: Reply) -> None:
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
                """Nobody reads it."""

        return Handler
