"""moto's S3 server on a free port, with one lock around its writes, and faults on demand.

S3 decides a condition and writes in one step. moto looks first and writes later, in as many threads as there are
requests, so that of several conditional writes at once more than one could win. moto's objects are kept for the process:
every test uses a bucket of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Self

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class S3Server:
    """A server for the duration of a `with`, at `url`. `requests` lists "METHOD /path?query" of all that was asked."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._faults: list[tuple[Literal["instead", "after"], str, str]] = []
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def make_bucket(self, name: str) -> None:
        client = boto3.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket=name)
        client.close()

    def fail(self, status: str, code: str, times: int = 1, *, carried_out: bool = False) -> None:
        """Answer the next `times` requests with an S3 error, after having done what they ask or without."""
        self._faults += [("after" if carried_out else "instead", status, code)] * times

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        with self._lock:
            when, status, code = self._faults.pop(0) if self._faults else ("", "", "")
            if when != "instead":
                reply: Iterable[bytes] = self._app(environ, start_response)
            if not when:
                return reply
        start_response(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()]
