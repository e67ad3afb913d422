from __future__ import annotations

import json

import pytest

import cloud_logging
from pilotlight.records import ColdStart, Served


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


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"x-cloud-trace-context": "105445aa7843bc8bf206b12000100000/1;o=1"}, "105445aa7843bc8bf206b12000100000"),
        (
            {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
            "0af7651916cd43dd8448eb211c80319c",
        ),
    ],
)
def test_a_line_joins_its_requests_trace(headers: dict[str, str], trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    assert cloud_logging.trace_fields(headers) == {"logging.googleapis.com/trace": f"projects/mine/traces/{trace}"}


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"x-cloud-trace-context": ""}])
def test_without_a_trace_there_is_no_field(headers: dict[str, str]) -> None:
    assert cloud_logging.trace_fields(headers) == {}
