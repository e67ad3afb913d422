"""The trace of a request, with OpenTelemetry's own reader as the judge of every header."""

from __future__ import annotations

import pytest
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import cloud_logging
import emf
from pilotlight.tracing.context import TraceContext, read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"

# By whether it is valid: https://www.w3.org/TR/trace-context/#versioning-of-traceparent.
HEADERS = {
    GOOD: True,
    f"00-{TRACE}-{SPAN}-00": True,
    f"00-{TRACE}-{SPAN}-02": True,
    f"00-{TRACE}-{SPAN}-ff": True,
    f" \t{GOOD} ": True,
    f"01-{TRACE}-{SPAN}-01": True,
    f"cc-{TRACE}-{SPAN}-03-what-will-be": True,
    f"cc-{TRACE}-{SPAN}-03-": True,
    f"fe-{TRACE}-{SPAN}-00-x": True,
    f"00-{'0' * 31}1-{'0' * 15}1-01": True,
    "": False,
    "nonsense": False,
    f"ff-{TRACE}-{SPAN}-01": False,
    f"ff-{TRACE}-{SPAN}-01-x": False,
    f"{GOOD}-": False,
    f"{GOOD}-what-will-be": False,
    f"cc-{TRACE}-{SPAN}-03.what-will-be": False,
    f"cc-{TRACE}-{SPAN}-030": False,
    f"00-{'0' * 32}-{SPAN}-01": False,
    f"00-{TRACE}-{'0' * 16}-01": False,
    f"cc-{'0' * 32}-{SPAN}-01": False,
    f"00-{TRACE.upper()}-{SPAN}-01": False,
    f"00-{TRACE}-{SPAN.upper()}-01": False,
    f"0A-{TRACE}-{SPAN}-01": False,
    f"00-{TRACE[:-1]}-{SPAN}-01": False,
    f"00-{TRACE}0-{SPAN}-01": False,
    f"00-{TRACE}-{SPAN[:-1]}-01": False,
    f"00-{TRACE}-{SPAN}0-01": False,
    f"00-{TRACE}-{SPAN}-1": False,
    f"00-{TRACE}-{SPAN}-010": False,
    f"00-{TRACE}-{SPAN}-0g": False,
    f"00-{TRACE}-{SPAN}": False,
    f"00-{TRACE[:-1]}g-{SPAN}-01": False,
    f"00-{TRACE[:-1]}\N{ARABIC-INDIC DIGIT ONE}-{SPAN}-01": False,
    f"00_{TRACE}_{SPAN}_01": False,
    f"00-{TRACE}-{SPAN}-01,{GOOD}": False,  # two headers, as they are joined
    f"{GOOD}\x00": False,
}


def judged(header: str) -> TraceContext | None:
    """Return what OpenTelemetry reads."""
    found = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": header})).get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(format_trace_id(found.trace_id), format_span_id(found.span_id), f"{found.trace_flags:02x}")


@pytest.mark.parametrize("header", HEADERS, ids=repr)
def test_a_header_is_read_as_opentelemetry_reads_it(header: str) -> None:
    found = read_traceparent(header)
    assert found == judged(header)
    assert (found is not None) is HEADERS[header]
    assert emf.trace_fields({"traceparent": header}, {}).get("trace_id") == (found.trace if found else None)
    google = cloud_logging.trace_fields({"traceparent": header}, {})
    assert google.get("trace_id") == google.get("logging.googleapis.com/trace") == (found.trace if found else None)


def test_a_line_end_ends_no_header() -> None:
    assert read_traceparent(f"{GOOD}\n") is None  # which OpenTelemetry takes, and no server lets through
