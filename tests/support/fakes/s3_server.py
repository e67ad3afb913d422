"""moto's S3 server on a free port, with one lock around its writes, and faults on demand.

S3 decides a condition and writes in one step. moto looks first and writes later, in as many threads as there are
requests, so that of several conditional writes at once more than one could win. moto keeps its objects for the process:
every test uses a bucket of its own. moto is imported by what needs it, because that takes longer than most tests.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True)
class _Fault:
    status: str
    code: str
    of: str
    carried_out: bool


class S3Server:
    """A server for the duration of a `with`, at `url`. `requests` lists each one as "METHOD /path?query".

    `ranges` lists the byte ranges that GETs asked for, as (start, end, path). GETs with one wait while `flows` is not
    set, except for the first.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        self.requests: list[str] = []
        self.ranges: list[tuple[int, int, str]] = []
        self.flows = threading.Event()
        self.flows.set()
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(host, 0, self._serve, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def make_bucket(self, name: str) -> None:
        with urlopen(Request(f"{self.url}/{name}", method="PUT")):
            """Discard the empty response."""

    def drop_buckets(self, prefix: str) -> None:
        """Remove the buckets with this prefix and their objects: moto keeps them for the whole process."""
        backend = self._backend()
        for name in [name for name in backend.buckets if name.startswith(prefix)]:
            backend.buckets[name].keys.clear()
            backend.delete_bucket(name)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object without a request, as another client's."""
        self._backend().put_object(bucket, key, content)

    def fail(self, status: str, code: str, times: int = 1, *, of: str = "", carried_out: bool = False) -> None:
        """Answer the next `times` requests that have `of` in them with an error, without or after carrying them out."""
        self._faults += [_Fault(status, code, of, carried_out)] * times

    def forgive(self) -> None:
        """Cancel the faults that are left."""
        self._faults.clear()

    def _backend(self) -> Any:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        if span := re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", "")):
            self.ranges.append((int(span[1]), int(span[2]) + 1, environ["PATH_INFO"]))
            if len(self.ranges) > 1:
                self.flows.wait(60)
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self._faults if fault.of in request), None)
            if fault:
                self._faults.remove(fault)
            if not fault or fault.carried_out:
                reply: Iterable[bytes] = self._app(environ, start_response)
            if not fault:
                return reply
        start_response(fault.status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()]
