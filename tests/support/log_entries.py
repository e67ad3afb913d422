"""What Cloud Logging makes of a function's log lines, and the part of its query language that our filters use.

https://cloud.google.com/logging/docs/view/logging-query-language: comparisons, one a line, that all have to hold.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from typing import Any

_SPECIAL = {
    "logging.googleapis.com/trace": "trace",
    "logging.googleapis.com/spanId": "spanId",
    "logging.googleapis.com/trace_sampled": "traceSampled",
}
_COMPARISON = re.compile(r'(NOT )?([A-Za-z_.]+)(=~|>=|<=|=|>|<)("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?)')
_ORDER = {"=": operator.eq, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def to_entry(line: str, service: str = "pilotlight", revision: str = "pilotlight-00001-abc") -> dict[str, Any]:
    """Convert a line of JSON on a service's standard output into its LogEntry."""
    payload = json.loads(line)
    entry: dict[str, Any] = {name: payload.pop(field) for field, name in _SPECIAL.items() if field in payload}
    return entry | {
        "logName": "projects/mine/logs/run.googleapis.com%2Fstdout",
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": service, "revision_name": revision, "location": "europe-west1"},
        },
        "severity": payload.pop("severity", "DEFAULT"),
        "jsonPayload": payload,
    }


def field(entry: Mapping[str, Any], path: str) -> Any:
    """Return the value at `jsonPayload.a.b`, or None."""
    value: Any = entry
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def matches(entry: Mapping[str, Any], query: str) -> bool:
    """Return whether a query finds an entry. Fail for the parts of the language that are not implemented here."""
    return all(_holds(entry, line.strip()) for line in query.splitlines() if line.strip())


def _holds(entry: Mapping[str, Any], comparison: str) -> bool:
    parsed = _COMPARISON.fullmatch(comparison)
    assert parsed, f"unsupported comparison: {comparison}"
    negated, path, sign, literal = parsed.groups()
    found, wanted = field(entry, path), json.loads(literal)
    if sign == "=~":
        holds = isinstance(found, str) and re.search(wanted, found) is not None
    else:
        # A comparison with a missing field, or with one of another type, does not hold.
        comparable = found is not None and isinstance(found, str) == isinstance(wanted, str)
        holds = comparable and _ORDER[sign](found, wanted)
    return bool(holds) != bool(negated)
