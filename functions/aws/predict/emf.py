"""Log lines that CloudWatch also reads as metrics: the embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

The dimensions are exactly FunctionName and ExecutedVersion, because alarms on a new version must name them. The model's
version and an error's code are properties: fields of the line to search by, without the cost of a metric each.

A metric filter in deploy/aws/release-alarms.yaml counts permanently failed starts by their line: `event` is
`cold_start`, `state` is `failed`, and both dimensions are fields beside them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import cache

from pilotlight.codec.encode import to_json
from pilotlight.telemetry import ColdStart, Record, Report, Scored, Served, Summary, fields, is_written, level

_MILLISECONDS = ("Latency", "InitTime")
_COUNTS = (
    "Requests",
    "ClientErrors",
    "ServerErrors",
    "Rows",
    "OutOfRange",
    "UnknownEvents",
    "Records",
    "FailedRecords",
    "RejectedRecords",
    "FailedVariants",
)
_METRICS = {
    name: {"Name": name, "Unit": unit}
    for unit, names in (("Milliseconds", _MILLISECONDS), ("Count", _COUNTS))
    for name in names
}

_HEX = frozenset("0123456789abcdef")


def reporter(log_level: str, namespace: str) -> Report:
    """Return a function that writes a record as one line on standard output."""

    def report(record: Record) -> None:
        if is_written(record, log_level):
            _write(to_line(record, namespace, time.time()))

    return report


def warn(message: str, counted: str = "", namespace: str = "") -> None:
    """Write a line for a problem that does not stop the function; `counted` is the metric that counts it."""
    line: dict[str, object] = {"level": "WARNING", "event": "warning", "message": message, **_dimensions()}
    _write(_with_metrics(line, {counted: 1}, namespace, time.time()) if counted else line)


def trace_fields(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that link a line to the traces of its request; `headers` have lower-case names.

    X-Ray's trace is Lambda's own, or the caller's where Lambda has none. A trace in W3C's header is another one:
    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    It has the names that OpenTelemetry gives them in lines of JSON:
    https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
    Callers may send anything; a value of another form is ignored.
    """
    line: dict[str, object] = {}
    for part in str(environ.get("_X_AMZN_TRACE_ID") or headers.get("x-amzn-trace-id")).split(";"):
        name, _, root = part.strip().partition("=")
        version, *ids = root.split("-")
        if name == "Root" and version == "1" and [len(one) for one in ids] == [8, 24] and _HEX.issuperset("".join(ids)):
            line["xray_trace_id"] = root
    if "traceparent" in headers:
        from pilotlight.tracing.context import read_traceparent  # noqa: PLC0415 - few callers send it

        if context := read_traceparent(headers["traceparent"]):
            line |= {"trace_id": context.trace, "span_id": context.span, "trace_flags": context.flags}
    return line


def to_line(record: Record, namespace: str, now: float) -> dict[str, object]:
    """Return the fields of a record's line. `now` is in seconds since 1970."""
    line = {
        "level": level(record),
        **fields(record),
        **_dimensions(),
    }
    metrics = _metrics(record)
    return _with_metrics(line, metrics, namespace, now) if metrics else line


def _with_metrics(
    line: dict[str, object], metrics: Mapping[str, float], namespace: str, now: float
) -> dict[str, object]:
    directive = {
        "Namespace": namespace,
        "Dimensions": [["FunctionName", "ExecutedVersion"]],
        "Metrics": [_METRICS[name] for name in metrics],
    }
    line.update(metrics)
    line["_aws"] = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
    return line


@cache
def _dimensions() -> Mapping[str, str]:
    """Return what Lambda says of this process, which never changes."""
    return {
        "FunctionName": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        "ExecutedVersion": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
    }


def _write(line: Mapping[str, object]) -> None:
    sys.stdout.write(f"{to_json(line).decode()}\n")
    sys.stdout.flush()


def _metrics(record: Record) -> dict[str, float]:
    if isinstance(record, ColdStart) and record.variant:
        return {"FailedVariants": 1} if record.state == "failed" else {}
    if isinstance(record, ColdStart):
        return {"InitTime": record.phases_ms["total"]} if "total" in record.phases_ms else {}
    if isinstance(record, Scored):
        return {
            "Records": record.records,
            "FailedRecords": record.failed,
            "RejectedRecords": record.rejected,
            "ServerErrors": record.faults,
            "Latency": record.latency_ms,
            "Rows": record.rows,
            "OutOfRange": record.out_of_range,
        }
    return {} if isinstance(record, Summary) or record.is_probe else _request_metrics(record)


def _request_metrics(record: Served) -> dict[str, float]:
    return {
        "Requests": 1,
        "ClientErrors": int(400 <= record.status < 500),
        "ServerErrors": int(record.status >= 500),
        "Latency": record.latency_ms,
        "Rows": record.rows,
        "OutOfRange": record.out_of_range,
    }
