"""The metadata server that lies beside everything that Google runs: what a function and Google's libraries ask of it.

https://cloud.google.com/compute/docs/metadata/overview. On a free port; GCE_METADATA_HOST leads there.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
TOKEN = f"{ACCOUNT}/token"
EMAIL = "function@project.iam.gserviceaccount.com"


@dataclass
class Manner:
    """How the token is answered: after `delay` seconds, with `status`; `flavor` is the header by which it is known."""

    token: str = "a-token"
    expires_in: float = 3599
    status: int = 200
    delay: float = 0
    flavor: str = "Google"
    content: bytes = b""
    broken: list[int] = field(default_factory=list)
    """Statuses of the next answers, before those."""


class MetadataServer:
    """A server for the duration of a `with`, at `host`. `requests` lists the paths of all that was asked."""

    def __init__(self) -> None:
        self.manner = Manner()
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.metadata = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path."""
        manner, path = self.manner, path.replace(EMAIL, "default")  # an account goes by either name
        if path.startswith(TOKEN):
            self.closing.wait(manner.delay)
            status = manner.broken.pop(0) if manner.broken else manner.status
            token = {"access_token": manner.token, "expires_in": manner.expires_in, "token_type": "Bearer"}
            return status, manner.content or json.dumps(token).encode()
        others: dict[str, object] = {
            "/": "computeMetadata/",
            f"{ACCOUNT}/?recursive=true": {"email": EMAIL, "scopes": ["all"]},
            "/computeMetadata/v1/universe/universe-domain": "googleapis.com",
            "/computeMetadata/v1/universe/universe_domain": "googleapis.com",
            "/computeMetadata/v1/project/project-id": "project",
        }
        if path not in others:
            return 404, b""
        found = others[path]
        return 200, (found if isinstance(found, str) else json.dumps(found)).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for the answers under way
    metadata: MetadataServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Print a traceback, unless it is that of a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_GET(self) -> None:
        metadata = self.server.metadata
        metadata.requests.append(self.path)
        status, content = metadata.answer(self.path)
        if self.headers.get("Metadata-Flavor") != "Google":
            status, content = 403, b"Missing Metadata-Flavor:Google header."
        self.send_response(status)
        self.send_header("Metadata-Flavor", metadata.manner.flavor)
        is_json = content.startswith(b"{")
        self.send_header("Content-Type", "application/json" if is_json else "application/text")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
