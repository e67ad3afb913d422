"""Metrics for Prometheus, over all workers: https://prometheus.io/docs/instrumenting/writing_clientlibs/.

Each process counts in files of its own, and a scrape of any of them adds all files up, also those of workers that have
ended (https://prometheus.github.io/client_python/multiprocess/). Whatever is requested, there are at most 200 series.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from pilotlight.frozen import dataclass
from pilotlight.telemetry import ColdStart, Record, Report, Served
from server_device import GPU

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

PATH = "/metrics"

# The client reads it once, at its import.
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# Seconds: from what a small model takes to a function's own deadline.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_ROWS = tuple(1 << power for power in range(11))  # up to the largest batch
_MODEL = ("model", "version")

# gRPC's methods that ask whether the model is ready, as the health checks of HTTP do.
_GRPC, _GRPC_PROBES = "/inference.GRPCInferenceService/", ("ServerLive", "ServerReady", "ModelReady")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is counted, with the model and its version as labels. Probes are not."""

    requests: Counter
    grpc: Counter
    errors: Counter
    seconds: Histogram
    rows: Counter
    out_of_range: Counter
    start: Gauge
    gpu: Gauge
    batch: Histogram
    waited: Histogram
    queue: Histogram
    replaced: Counter

    def count(self, record: Record) -> None:
        """Count a request, or keep the phases of a start."""
        if isinstance(record, ColdStart):
            for phase, took in record.phases_ms.items():
                self.start.labels(record.model_name, record.model_version, phase).set(took / 1000)
            self.gpu.labels(record.model_name, record.model_version).set(record.device == GPU)
        elif isinstance(record, Served) and not record.is_probe:
            model = record.model_name, record.model_version
            if record.route.startswith(_GRPC):
                from grpc_codes import CODES  # noqa: PLC0415 - it is imported already, as only gRPC's server counts here

                if (method := record.route.removeprefix(_GRPC)) in _GRPC_PROBES:
                    return
                self.grpc.labels(*model, method, CODES[record.status].name if record.code else "OK").inc()
            self.requests.labels(*model, record.route, f"{record.status // 100}xx").inc()
            if record.code:
                self.errors.labels(*model, record.code, record.status).inc()
            if record.rows:
                self.seconds.labels(*model).observe(record.latency_ms / 1000)
                self.rows.labels(*model).inc(record.rows)
                self.out_of_range.labels(*model).inc(record.out_of_range)

    def ran(self, name: str, version: int, rows: int, waits: Sequence[float], waiting: int) -> None:
        """Count a run for requests that arrived together; see server_batching.Watch."""
        self.batch.labels(name, version).observe(rows)
        self.queue.labels(name, version).observe(waiting)
        waited = self.waited.labels(name, version)
        for seconds in waits:
            waited.observe(seconds)


def open_metrics(environ: MutableMapping[str, str]) -> Metrics:
    """Return the metrics of this process and of those that are forked from it."""
    environ[_FOLDER] = mkdtemp(prefix="pilotlight-metrics-", dir=environ.get("TMPDIR"))
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - not before the folder is known

    return Metrics(
        Counter("pilotlight_requests", "Requests.", (*_MODEL, "route", "status")),
        Counter("pilotlight_grpc_requests", "Requests over gRPC.", (*_MODEL, "method", "code")),
        Counter("pilotlight_errors", "Requests that got an error.", (*_MODEL, "code", "status")),
        Histogram("pilotlight_request_seconds", "Time of a prediction in the core.", _MODEL, buckets=_BUCKETS),
        Counter("pilotlight_rows", "Rows predicted.", _MODEL),
        Counter("pilotlight_out_of_range", "Rows with an output outside of the published range.", _MODEL),
        Gauge("pilotlight_start_seconds", "Phases of the start.", (*_MODEL, "phase"), multiprocess_mode="mostrecent"),
        Gauge("pilotlight_gpu", "1 where the model runs on a GPU.", _MODEL, multiprocess_mode="mostrecent"),
        Histogram("pilotlight_batch_rows", "Rows that ran together.", _MODEL, buckets=_ROWS),
        Histogram("pilotlight_batch_wait_seconds", "Time that a request waited to run.", _MODEL, buckets=_BUCKETS),
        Histogram("pilotlight_batch_queue", "Requests that waited as a run began.", _MODEL, buckets=_ROWS[:8]),
        Counter("pilotlight_replaced_workers", "Workers that ended and were replaced.", _MODEL),
    )


def close_metrics(environ: Mapping[str, str]) -> None:
    """Remove the files, once no process counts any more."""
    shutil.rmtree(environ[_FOLDER], ignore_errors=True)


def counting(metrics: Metrics, reporter: Callable[[str, str], Report]) -> Callable[[str, str], Report]:
    """Return a reporter that counts each record too."""

    def make(log_level: str, namespace: str) -> Report:
        report = reporter(log_level, namespace)

        def both(record: Record) -> None:
            metrics.count(record)
            report(record)

        return both

    return make


def exposition(accept: str) -> tuple[str, bytes]:
    """Return the content type and the text of all processes' metrics, in the form that a scraper accepts."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.environ[_FOLDER])  # type: ignore[no-untyped-call]
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)
