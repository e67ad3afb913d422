"""Log lines as Cloud Logging reads them from standard output: JSON with a severity and a trace.

https://cloud.google.com/logging/docs/structured-logging. Log-based metrics count and measure the same fields.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from pilotlight.codec.encode import to_json
from pilotlight.telemetry import Record, Report, fields, is_written, level

# Google's own header, which is older than W3C's: TRACE/SPAN;o=SAMPLED, with the span in decimal. Callers may send
# anything; a value of another form is ignored.
_GOOGLE = re.compile(r"([0-9a-fA-F]{32})(?:/(\d{1,20}))?(?:;o=(\d))?", re.ASCII)
_ZEROS = re.compile("0+")

# The id that the platform, or functions-framework, gives a request. A caller may send any.
_EXECUTION_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


def reporter(log_level: str, namespace: str) -> Report:
    """Return a function that writes a record as one line on standard output. Metrics filter by `namespace`."""

    def report(record: Record) -> None:
        if is_written(record, log_level):
            _write({"severity": level(record), "namespace": namespace, **fields(record)})

    return report


def warn(message: str) -> None:
    """Write a line for a problem that does not stop the function."""
    _write({"severity": "WARNING", "event": "warning", "message": message})


def fail(message: str) -> None:
    """Write a line for a problem that ends the process."""
    _write({"severity": "ERROR", "event": "error", "message": message})


def trace_fields(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that link a line to its request: the execution's id, and the trace that a header names.

    The trace's header is W3C's or Google's own; `headers` have lower-case names.

    Cloud Logging accepts a trace's bare id, and in its older form one that names the project. A function of the second
    generation can learn its project only by a request to the metadata server: it is named only if
    GOOGLE_CLOUD_PROJECT is set. Outside of Cloud Run lines may go anywhere, and have the names of OpenTelemetry too:
    https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
    """
    line: dict[str, object] = {}
    if _EXECUTION_ID.fullmatch(execution := headers.get("function-execution-id", "")):
        line["logging.googleapis.com/labels"] = {"execution_id": execution}
    context = None
    if "traceparent" in headers:
        from pilotlight.tracing.context import read_traceparent  # noqa: PLC0415 - not every caller sends it

        context = read_traceparent(headers["traceparent"])
    if context is not None:
        trace, span, sampled = context.trace, context.span, context.is_sampled
    elif match := _GOOGLE.fullmatch(headers.get("x-cloud-trace-context", "")):
        trace, span, sampled = match[1].lower(), f"{int(match[2] or 0):016x}", match[3] == "1"
    else:
        return line
    if _ZEROS.fullmatch(trace):
        return line
    project = environ.get("GOOGLE_CLOUD_PROJECT", "")
    line["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace}" if project else trace
    has_span = len(span) == 16 and not _ZEROS.fullmatch(span)
    if has_span:
        line["logging.googleapis.com/spanId"] = span
    line["logging.googleapis.com/trace_sampled"] = sampled
    if "K_SERVICE" not in environ:
        line |= {"trace_id": trace, **({"span_id": span} if has_span else {}), "trace_flags": f"{sampled:02x}"}
    return line


def _write(line: Mapping[str, object]) -> None:
    """Write a line at once.

    While a request runs, functions-framework may put a stream of its own before the process's (LOG_EXECUTION_ID=true,
    as gcloud sets it). That one writes a line and its end in two steps, so that lines of two threads become one that
    no metric counts, and makes span ids decimal.
    """
    stream = getattr(sys.stdout, "stream", sys.stdout)
    stream.write(f"{to_json(line).decode()}\n")
    stream.flush()
