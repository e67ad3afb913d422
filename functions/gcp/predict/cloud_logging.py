"""Log lines as Cloud Logging reads them from standard output: JSON with a severity and a trace.

https://cloud.google.com/logging/docs/structured-logging. Log-based metrics count and measure the same fields.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from pilotlight.records import Record, Report, fields, is_written, level


def reporter(log_level: str, namespace: str) -> Report:
    """What writes a record as one line on standard output; `namespace` is a field to filter metrics by."""

    def report(record: Record) -> None:
        if is_written(record, log_level):
            line = {"severity": level(record), "namespace": namespace, **fields(record)}
            sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
            sys.stdout.flush()

    return report


def trace_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields that join a line to its request's trace: from Cloud Run's header or W3C's; names are lower-case."""
    trace_id = headers.get("x-cloud-trace-context", "").partition("/")[0]
    if not trace_id:
        parts = headers.get("traceparent", "").split("-")
        trace_id = parts[1] if len(parts) == 4 else ""
    if not trace_id:
        return {}
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{trace_id}" if project else trace_id}
