"""What is sent of records to a collector, and what becomes of spans that it does not take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from doubles import description
from otlp_collector import OtlpCollector, collecting, values
from pilotlight.frozen import replace
from pilotlight.telemetry import ColdStart, Record, Scored, Served, Summary, fields
from pilotlight.tracing import exporter as module
from pilotlight.tracing.collector import read_collector
from pilotlight.tracing.exporter import Exporter
from waiting import wait_until

CALLER = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "trace_flags": "01"}
GOOGLE = {
    "logging.googleapis.com/trace": f"projects/mine/traces/{CALLER['trace_id']}",
    "logging.googleapis.com/spanId": CALLER["span_id"],
    "logging.googleapis.com/trace_sampled": True,
}
SERVED = Served("one", "POST", "/predict", 200, 2.5, "example", 3, rows=2, trace=CALLER)
SCORED = Scored("one", "aws:sqs", 10, 1, 0, 1, 9, 0, 5.0, "example", 3)


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with collecting() as started:
        yield started


class Case:
    """An exporter, and the records that were written."""

    def __init__(self, url: str, **environ: str) -> None:
        self.written: list[Record] = []
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **environ}
        self.exporter = Exporter(read_collector(variables, "example"), description(), self.written.append)
        self.report = self.exporter.follow(self.written.append)

    def flush(self) -> bool:
        return self.exporter.wait(time.monotonic() + 60)

    @property
    def lost(self) -> list[dict[str, Any]]:
        return [fields(one) for one in self.written if isinstance(one, Summary)]


@pytest.mark.parametrize("trace", [CALLER, GOOGLE], ids=["opentelemetry", "google"])
def test_a_request_becomes_a_child_of_the_callers_span_and_its_line_names_it(
    collector: OtlpCollector, trace: dict[str, object]
) -> None:
    case = Case(
        collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment=prod",
        AWS_LAMBDA_FUNCTION_NAME="predict",
        AWS_LAMBDA_FUNCTION_VERSION="7",
    )
    case.report(replace(SERVED, trace=trace))
    assert case.flush()
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (CALLER["trace_id"], CALLER["span_id"])
    assert (span.name, span.kind, span.status.code) == ("POST /predict", 2, 0)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000
    assert values(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/predict",
        "pilotlight.model.name": "example",
        "pilotlight.model.version": 3,
        "pilotlight.rows": 2,
    }
    assert collector.resources == [
        {"service.name": "predict", "service.version": "7", "deployment.environment": "prod"}
    ]
    assert (collector.headers[0]["api-key"], collector.headers[0]["content-type"]) == ("a b", "application/json")
    (written,) = case.written
    own = next(name for name in trace if "span" in name)
    assert isinstance(written, Served)
    assert dict(written.trace) == trace | {own: span.span_id.hex()}


@pytest.mark.parametrize(
    ("record", "name", "kind", "is_error", "attributes"),
    [
        (SERVED, "POST /predict", 2, False, {}),
        (replace(SERVED, status=400, code="invalid"), "POST /predict", 2, False, {"http.response.status_code": 400}),
        (replace(SERVED, status=500, code="internal"), "POST /predict", 2, True, {"error.type": "internal"}),
        (replace(SERVED, route="", status=404), "POST", 2, False, {}),
        (replace(SERVED, experiment={"variant": "a:2"}), "POST /predict", 2, False, {"pilotlight.variant": "a:2"}),
        (
            replace(SERVED, route="/inference.GRPCInferenceService/ModelInfer"),
            "inference.GRPCInferenceService/ModelInfer",
            2,
            False,
            {"rpc.system": "grpc", "rpc.service": "inference.GRPCInferenceService", "rpc.method": "ModelInfer"},
        ),
        (SCORED, "process aws:sqs", 5, False, {"messaging.batch.message_count": 10, "pilotlight.failed": 1}),
        (replace(SCORED, faults=1), "process aws:sqs", 5, True, {"messaging.system": "aws:sqs"}),
    ],
)
def test_spans_have_the_names_of_opentelemetry(
    collector: OtlpCollector,
    record: Served | Scored,
    *,
    name: str,
    kind: int,
    is_error: bool,
    attributes: dict[str, Any],
) -> None:
    case = Case(collector.url)
    case.report(record)
    assert case.flush()
    (span,) = collector.spans
    assert (span.name, span.kind, span.status.code) == (name, kind, 2 if is_error else 0)
    assert attributes.items() <= values(span.attributes).items()


@pytest.mark.parametrize(
    ("sampler", "argument", "trace", "is_sent"),
    [
        ("", "", {}, True),
        ("", "", CALLER, True),
        ("", "", CALLER | {"trace_flags": "00"}, False),
        ("", "", GOOGLE | {"logging.googleapis.com/trace_sampled": False}, False),
        ("always_on", "", CALLER | {"trace_flags": "00"}, True),
        ("always_off", "", CALLER, False),
        ("parentbased_always_off", "", {}, False),
        ("parentbased_always_off", "", CALLER, True),
        ("parentbased_traceidratio", "0", {}, False),
        ("parentbased_traceidratio", "0", CALLER, True),
        ("traceidratio", "1", CALLER | {"trace_flags": "00"}, True),
        # The lower half of CALLER's trace is 0.636 of the largest.
        ("traceidratio", "0.63", CALLER, False),
        ("traceidratio", "0.64", CALLER, True),
    ],
)
def test_a_trace_is_sent_as_its_caller_or_the_sampler_decides(
    collector: OtlpCollector, sampler: str, argument: str, trace: dict[str, object], is_sent: bool
) -> None:
    case = Case(collector.url, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    case.report(replace(SERVED, trace=trace))
    assert case.flush()
    assert len(collector.spans) == is_sent
    (written,) = case.written
    assert isinstance(written, Served)
    if not is_sent:
        assert written.trace == trace
    elif not trace:
        (span,) = collector.spans
        assert dict(written.trace) == {
            "trace_id": span.trace_id.hex(),
            "span_id": span.span_id.hex(),
            "trace_flags": "01",
        }
        assert not span.parent_span_id


def test_probes_and_starts_have_no_span(collector: OtlpCollector) -> None:
    case = Case(collector.url)
    records: list[Record] = [replace(SERVED, route="/health"), ColdStart("ready", "example", 3, {}, 0, 1)]
    for record in records:
        case.report(record)
    assert case.flush()
    assert (case.written, collector.asked) == (records, 0)


def test_a_collector_that_hangs_holds_no_report_and_spans_without_room_are_counted(
    collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    monkeypatch.setattr(module, "_GATHERED", 0.0)
    collector.released.clear()
    case = Case(collector.url)
    case.report(SERVED)
    collector.wait_for(asked=1)
    for _ in range(9):
        case.report(SERVED)
    assert len(case.written) == 10
    assert not case.exporter.wait(time.monotonic())
    collector.released.set()
    assert len(collector.wait_for(spans=5)) == 5
    wait_until(lambda: bool(case.lost), 60)
    assert [(one["event"], one["dropped"], one["failed"]) for one in case.lost] == [("lost_spans", 5, 0)]


@pytest.mark.parametrize(
    ("statuses", "sent", "failed"),
    [([503, 429], 1, 0), ([400], 0, 1), ([502, 503, 504, 503], 0, 1)],
    ids=["tried again", "refused", "given up"],
)
def test_what_may_succeed_is_tried_again_and_what_is_lost_is_told(
    collector: OtlpCollector, statuses: list[int], sent: int, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    collector.statuses = list(statuses)
    case = Case(collector.url)
    case.report(SERVED)
    collector.wait_for(spans=sent, asked=len(statuses) + sent)
    if failed:
        wait_until(lambda: bool(case.lost), 60)
        (line,) = case.lost
        assert (line["failed"], line["dropped"]) == (failed, 0)
        assert f"/v1/traces: {statuses[-1]} " in line["last_error"]
    else:
        assert case.flush()
        assert not case.lost


def test_a_collector_that_is_not_there_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as gone:
        url = gone.url
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 60.0)
    monkeypatch.setattr(module, "_PAUSE", 60.0)
    case = Case(url)
    case.report(SERVED)
    assert not case.exporter.wait(time.monotonic() + 60)  # it returns when the collector has refused once
    assert not case.exporter.wait(time.monotonic() + 60)


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    with collecting() as first:
        case = Case(first.url)
        case.report(SERVED)
        assert case.flush()
        connection = case.exporter._connection._socket
        assert connection is not None
        connection.shutdown(2)
        case.report(SERVED)
        assert case.flush()
        assert len(first.spans) == 2
