"""A span of each request and each event of records, by OpenTelemetry's names, and their document.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span,
https://opentelemetry.io/docs/specs/semconv/rpc/grpc/,
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pilotlight
from pilotlight.frozen import dataclass
from pilotlight.telemetry import Scored, Served
from pilotlight.tracing.collector import Collector
from pilotlight.tracing.context import TraceContext

# The names of the trace and of the span in a line, by OpenTelemetry and by Cloud Logging.
_FORMS = (("trace_id", "span_id"), ("logging.googleapis.com/trace", "logging.googleapis.com/spanId"))
_FLAGS, _GOOGLE_SAMPLED = "trace_flags", "logging.googleapis.com/trace_sampled"
_SAMPLED = "01"
_LOW = (1 << 64) - 1

_SERVER, _CONSUMER = 2, 5
_ERROR = 2

# The routes of calls by gRPC begin with the name of their service, of the Open Inference Protocol V2.
_GRPC, _SERVICE = "grpc", "/inference."


@dataclass(frozen=True, slots=True)
class Span:
    """A span, when it ended in nanoseconds since 1970, and the fields by which the record's line names it."""

    context: TraceContext
    parent: str
    record: Served | Scored
    end: int
    line: Mapping[str, object]


def span_of(record: Served | Scored, collector: Collector, end: int, random: Callable[[int], bytes]) -> Span | None:
    """Return the span of a record that ended at `end`, or None if it is not sampled. `random` returns so many bytes."""
    caller = _caller(record.trace)
    trace = caller.trace if caller else random(16).hex()
    is_sampled = int(trace, 16) & _LOW < collector.ratio * 2**64
    if caller and collector.follows_parent:
        is_sampled = caller.is_sampled
    if not is_sampled:
        return None
    context = TraceContext(trace, random(8).hex(), _SAMPLED)
    line = {**record.trace}
    for trace_name, span_name in _FORMS:
        if trace_name in line or (not caller and trace_name == _FORMS[0][0]):
            line |= {trace_name: line.get(trace_name, trace), span_name: context.span}
    if _FORMS[0][0] in line:
        line[_FLAGS] = _SAMPLED
    if _GOOGLE_SAMPLED in line:
        line[_GOOGLE_SAMPLED] = True
    return Span(context, caller.span if caller else "", record, end, line)


def document(spans: Sequence[Span], resource: Mapping[str, str]) -> dict[str, object]:
    """Return the message ExportTraceServiceRequest in its JSON form: ids in hexadecimal, 64-bit integers as text."""
    scope = {"name": "pilotlight", "version": pilotlight.__version__}
    written = [{"scope": scope, "spans": [_document(span) for span in spans]}]
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": written}]}


def _caller(fields: Mapping[str, object]) -> TraceContext | None:
    for trace_name, span_name in _FORMS:
        if trace_name in fields:
            trace = str(fields[trace_name]).rpartition("/")[2]
            flags = str(fields.get(_FLAGS) or f"{bool(fields.get(_GOOGLE_SAMPLED)):02x}")
            return TraceContext(trace, str(fields.get(span_name, "")), flags)
    return None


def _document(span: Span) -> dict[str, object]:
    record = span.record
    name, kind, attributes = _scored(record) if isinstance(record, Scored) else _served(record)
    is_error = record.status >= 500 if isinstance(record, Served) else bool(record.faults)
    attributes = {
        **attributes,
        "pilotlight.model.name": record.model_name,
        "pilotlight.model.version": record.model_version,
        "pilotlight.rows": record.rows,
    }
    return {
        "traceId": span.context.trace,
        "spanId": span.context.span,
        **({"parentSpanId": span.parent} if span.parent else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(span.end - round(record.latency_ms * 1e6)),
        "endTimeUnixNano": str(span.end),
        "attributes": _attributes(attributes),
        "status": {"code": _ERROR} if is_error else {},
    }


def _served(record: Served) -> tuple[str, int, Mapping[str, object]]:
    failed = {"error.type": record.code or str(record.status)} if record.status >= 500 else {}
    more = {**failed, **({"pilotlight.variant": variant} if (variant := record.experiment.get("variant")) else {})}
    if record.route.startswith(_SERVICE):
        service, _, method = record.route[1:].partition("/")
        rpc = {"rpc.system": _GRPC, "rpc.service": service, "rpc.method": method}
        return record.route[1:], _SERVER, {**rpc, **more}
    http = {"http.request.method": record.method, "http.response.status_code": record.status}
    routed = {"http.route": record.route} if record.route else {}
    return f"{record.method} {record.route}".rstrip(), _SERVER, {**http, **routed, **more}


def _scored(record: Scored) -> tuple[str, int, Mapping[str, object]]:
    messaging = {
        "messaging.system": record.source,
        "messaging.operation.type": "process",
        "messaging.batch.message_count": record.records,
    }
    return f"process {record.source}", _CONSUMER, {**messaging, "pilotlight.failed": record.failed}


def _attributes(values: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": name, "value": value} for name, value in _typed(values)]


def _typed(values: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    for name, value in values.items():
        yield name, {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
