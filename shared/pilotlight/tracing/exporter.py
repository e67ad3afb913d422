"""Spans of requests and of events, sent to a collector behind the answer: OTLP by HTTP in JSON.

OpenTelemetry's SDK would add 240 ms to a cold start. A request costs the making of a span; a thread sends spans in
batches, and a collector that hangs, refuses or fails changes no answer: spans that find no room are dropped, counted
and told in the log. https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import atexit
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from pilotlight.codec.encode import to_json
from pilotlight.errors import StoreError
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Connection
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import replace
from pilotlight.model.lock import Description
from pilotlight.summaries import Summaries
from pilotlight.telemetry import Record, Report, Scored, Served, Summary
from pilotlight.tracing.collector import Collector
from pilotlight.tracing.spans import Span, document, span_of

# Spans that wait, and of one request to the collector at most; more than wait are dropped.
_MOST_WAITING = 2048
_BATCH = 512

# Seconds: how long spans are gathered while nothing waits for them, how long a process that ends waits, and the pause
# after a failure, which doubles with each further one. After so many tries a batch is given up.
_GATHERED = 1.0
_AT_EXIT = 1.0
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_TRIES = 4

# What may succeed if it is sent again: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRIED = (429, 502, 503, 504)
_MOST_ERROR_BYTES = 300


class Exporter:
    """Makes and sends spans. Threads may report at the same time; it may be made before a fork."""

    def __init__(self, collector: Collector, model: Description, report: Report) -> None:
        """`report` writes what could not be sent, at most once a minute."""
        self._collector = collector
        self._model = model
        self._connection = Connection(Trust((), collector.certificates or None))
        self._spans = deque[Span]()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_awaited = False
        self._is_paused = False
        self._failures = 0
        self._lost = {"dropped": 0, "failed": 0}
        self._error = ""
        self._summaries = Summaries(report, self._take, time.monotonic)

    def follow(self, report: Report) -> Report:
        """Return what makes a span of each record of a request or an event, and reports the record.

        Its line then names the span, where the caller's span would be.
        """

        def traced(record: Record) -> None:
            if isinstance(record, Scored) or (isinstance(record, Served) and not record.is_probe):
                with suppress(Exception):  # no span is worth a line of the log
                    record = self._traced(record)
            report(record)

        return traced

    def wait(self, until: float) -> bool:
        """Send what waits, and return whether all of it was, by `until` on the clock of `time.monotonic`.

        It does not wait for a collector that has just failed.
        """
        with self._changed:
            self._is_awaited = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_paused or not self._spans, max(until - time.monotonic(), 0))
            self._is_awaited = False
            return not self._spans

    def _traced(self, record: Served | Scored) -> Served | Scored:
        span = span_of(record, self._collector, time.time_ns(), os.urandom)
        if span is None:
            return record
        with self._changed:
            if len(self._spans) >= _MOST_WAITING:
                self._lost["dropped"] += 1
            else:
                self._spans.append(span)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                self._thread.start()
                atexit.register(lambda: self.wait(time.monotonic() + _AT_EXIT))
            self._changed.notify_all()
        return replace(record, trace=span.line)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._spans)
                self._changed.wait_for(lambda: self._is_awaited or len(self._spans) >= _BATCH, _GATHERED)
                batch = [self._spans[place] for place in range(min(_BATCH, len(self._spans)))]
            try:
                error, is_final = self._send(batch)
            except Exception as caught:  # noqa: BLE001 - the thread has no caller, and goes on with what is next
                error, is_final = f"{type(caught).__name__}: {caught}", True
            with self._changed:
                self._failures = self._failures + 1 if error else 0
                if not error or is_final or self._failures % _TRIES == 0:
                    for _ in batch:
                        self._spans.popleft()
                    self._lost["failed"] += len(batch) if error else 0
                self._error = error or self._error
                self._is_paused = bool(error)
                self._changed.notify_all()
                if self._is_paused:
                    pause = min(_PAUSE * 2 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
                    self._changed.wait_for(lambda: False, pause)
                    self._is_paused = False
            with suppress(Exception):  # a log that cannot be written; its line is lost
                self._summaries.offer()

    def _send(self, spans: list[Span]) -> tuple[str, bool]:
        """Send spans. Return what went wrong, or an empty text, and whether another try would not help."""
        collector = self._collector
        body = to_json(document(spans, collector.resource))
        headers = {"Content-Type": "application/json", **collector.headers}
        deadline = Deadline(time.monotonic, time.monotonic() + collector.seconds, is_whole=True)
        try:
            try:
                response = self._connection.post(collector.address, collector.target, headers, body, deadline)
            except (ConnectionError, ssl.SSLError):  # it was kept for too long, or its environment frozen
                self._connection.close()
                response = self._connection.post(collector.address, collector.target, headers, body, deadline)
            said = response.read_text(_MOST_ERROR_BYTES, deadline)
        except (OSError, StoreError) as error:
            self._connection.close()
            return f"{collector.address.authority}: {error}", False
        if response.status == 200:
            return "", False
        self._connection.close()
        return f"{collector.address.authority}{collector.target}: {response.status} {said}", (
            response.status not in _RETRIED
        )

    def _take(self) -> Summary | None:
        """Return what was lost since the last line."""
        with self._changed:
            lost, self._lost = self._lost, dict.fromkeys(self._lost, 0)
            error, self._error = self._error, ""
        counts: Mapping[str, object] = {**lost, "last_error": error}
        return Summary("lost_spans", self._model.name, self._model.version, counts) if any(lost.values()) else None
