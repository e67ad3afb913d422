from __future__ import annotations

import json

import pytest

import cloud_logging
from pilotlight.telemetry import ColdStart, Served

TRACE = "105445aa7843bc8bf206b12000100000"


def line_of(record: Served | ColdStart, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    cloud_logging.reporter("INFO", "Pilotlight")(record)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    return line  # type: ignore[no-any-return]


@pytest.mark.parametrize(("status", "severity"), [(200, "INFO"), (404, "WARNING"), (500, "ERROR")])
def test_a_request_is_one_line_with_the_fields_that_metrics_count(
    status: int, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line_of(Served("id", "POST", "/predict", status, 1.25, "example", 3, rows=4, out_of_range=1), capsys)
    expected = {"severity": severity, "status": status, "latency_ms": 1.25, "rows": 4, "out_of_range": 1}
    assert {name: line[name] for name in expected} == expected
    assert line["namespace"] == "Pilotlight"


def test_a_failed_start_is_an_error_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(ColdStart("failed", "example", 3, {"total": 5.0}, 0, 1, "DigestMismatch: other bytes"), capsys)
    assert (line["severity"], line["event"], line["state"]) == ("ERROR", "cold_start", "failed")
    assert line["phases_ms"] == {"total": 5.0}


def test_what_goes_on_all_the_same_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    cloud_logging.warn("a detour")
    assert json.loads(capsys.readouterr().out) == {"severity": "WARNING", "event": "warning", "message": "a detour"}


@pytest.mark.parametrize(
    ("headers", "span", "sampled"),
    [
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "b7ad6b7169203331", True),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}, "b7ad6b7169203331", False),
        ({"x-cloud-trace-context": f"{TRACE}/74;o=1"}, "000000000000004a", True),
        ({"x-cloud-trace-context": f"{TRACE}/18446744073709551615;o=0"}, "ffffffffffffffff", False),
        ({"x-cloud-trace-context": TRACE.upper()}, None, False),
        ({"x-cloud-trace-context": f"{TRACE}/0;o=1"}, None, True),
        ({"x-cloud-trace-context": f"{TRACE}/99999999999999999999;o=1"}, None, True),
        ({"traceparent": "nonsense", "x-cloud-trace-context": f"{TRACE}/74"}, "000000000000004a", False),
        (
            {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-cloud-trace-context": "0" * 31 + "1/1"},
            "b7ad6b7169203331",
            True,
        ),
    ],
)
def test_a_line_joins_its_requests_trace(headers: dict[str, str], span: str | None, sampled: bool) -> None:
    expected: dict[str, object] = {"logging.googleapis.com/trace": TRACE}
    if span is not None:
        expected["logging.googleapis.com/spanId"] = span
    expected["logging.googleapis.com/trace_sampled"] = sampled
    assert cloud_logging.trace_fields(headers, {"K_SERVICE": "predict"}) == expected
    named = {"trace_id": TRACE, **({} if span is None else {"span_id": span}), "trace_flags": f"{sampled:02x}"}
    assert cloud_logging.trace_fields(headers, {}) == expected | named


@pytest.mark.parametrize(
    ("sent", "label"), [("yUPcNJXaDUSh", True), ("8a6f-00-1", True), ("", False), ("a b", False), ("x" * 65, False)]
)
def test_a_line_has_the_executions_id_as_a_label(sent: str, label: bool) -> None:
    expected = {"logging.googleapis.com/labels": {"execution_id": sent}} if label else {}
    assert cloud_logging.trace_fields({"function-execution-id": sent}, {}) == expected


def test_a_trace_names_its_project_where_that_is_known() -> None:
    found = cloud_logging.trace_fields({"x-cloud-trace-context": TRACE}, {"GOOGLE_CLOUD_PROJECT": "mine"})
    assert found["logging.googleapis.com/trace"] == f"projects/mine/traces/{TRACE}"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"x-cloud-trace-context": ""},
        {"x-cloud-trace-context": f"{TRACE}\n"},
        {"x-cloud-trace-context": "105445aa"},
        {"x-cloud-trace-context": f"{TRACE}/../../x"},
    ],
)
def test_without_a_trace_there_is_no_field(headers: dict[str, str]) -> None:
    assert cloud_logging.trace_fields(headers, {"GOOGLE_CLOUD_PROJECT": "mine"}) == {}
