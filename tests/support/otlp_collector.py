"""A collector of traces: OTLP by HTTP, whose bodies are read as OpenTelemetry's own messages."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = ("traceId", "spanId", "parentSpanId")


class OtlpCollector:
    """What arrived, and what is answered. While `held` is set no request is answered."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.asked = 0
        self.released = Event()
        self.released.set()
        self._changed = Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.receive(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Read the body as the message it has to be, and return the next status."""
        with self._changed:
            self.asked += 1
            self._changed.notify_all()
        self.released.wait(60)
        with self._changed:
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                assert path == "/v1/traces"
                self.headers.append({name.lower(): value for name, value in headers.items()})
                self._take(ParseDict(_in_base64(json.loads(body)), ExportTraceServiceRequest()))
            self._changed.notify_all()
        return status

    def wait_for(self, spans: int = 0, asked: int = 0) -> list[Any]:
        """Return the spans, once there are so many, and so many requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.spans) >= spans and self.asked >= asked, 60), (
                f"{len(self.spans)} spans of {spans}"
            )
            return list(self.spans)

    def close(self) -> None:
        """End the server."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, message: Any) -> None:
        for resource in message.resource_spans:
            self.resources.append(values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += scope.spans


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes by their keys."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collecting() -> Iterator[OtlpCollector]:
    """Run a collector."""
    collector = OtlpCollector()
    try:
        yield collector
    finally:
        collector.close()


def _in_base64(value: Any) -> Any:
    """Return a document with its ids as protobuf's JSON has bytes; OTLP has them in hexadecimal."""
    if isinstance(value, list):
        return [_in_base64(one) for one in value]
    if isinstance(value, dict):
        return {
            name: b64encode(bytes.fromhex(one)).decode() if name in _IDS else _in_base64(one)
            for name, one in value.items()
        }
    return value
